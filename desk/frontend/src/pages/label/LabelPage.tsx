// Labelling: the queue, many at once, what was said, what is disputed, and how well people agree.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { t } from "../../i18n";
import { href, place } from "../../router";
import { may } from "../../state/session";
import { loadTaxonomy } from "../../state/taxonomy";
import { Empty } from "../../ui/parts";
import { AdjudicationView } from "./AdjudicationView";
import { AgreementView } from "./AgreementView";
import { BulkView } from "./BulkView";
import { HistoryView } from "./HistoryView";
import { QueueView } from "./QueueView";

const VIEWS = {
  queue: { view: QueueView, changes: true },
  bulk: { view: BulkView, changes: true },
  history: { view: HistoryView, changes: false },
  adjudication: { view: AdjudicationView, changes: true },
  agreement: { view: AgreementView, changes: false },
} as const;
type ViewName = keyof typeof VIEWS;
const NAMES = Object.keys(VIEWS) as ViewName[];

export function LabelPage(): JSX.Element {
  useEffect(loadTaxonomy, []);
  const chosen = NAMES.find((name) => name === place.value.path.split("/")[2]) ?? "queue";
  const { view: View, changes } = VIEWS[chosen];
  return (
    <>
      <h1 class="hidden">{t("nav.label")}</h1>
      <nav class="tabs" aria-label={t("nav.label")}>
        {NAMES.map((name) => (
          <a key={name} href={href(name === "queue" ? "/label" : `/label/${name}`)} aria-current={name === chosen ? "page" : undefined}>
            {t(`label.${name}`)}
          </a>
        ))}
      </nav>
      {changes && !may("analyst") ? (
        <div class="panel">
          <Empty title={t("label.viewer")}>{t("label.viewer.do")}</Empty>
        </div>
      ) : (
        <View />
      )}
    </>
  );
}
