// Words that set the stories shown apart from those before.
import type { JSX } from "preact";
import type { Term } from "../../api/types";
import { useData } from "../../api/useData";
import { number, signed } from "../../format";
import { t } from "../../i18n";
import { href } from "../../router";
import { series, shown } from "../../state/view";
import type { Column } from "../../ui/DataTable";
import { Export } from "../../ui/Export";
import { Empty, Failed, Panel, Skeleton } from "../../ui/parts";
import { answered, termsAt } from "./answers";

export function Terms(): JSX.Element {
  const span = shown.value;
  const terms = useData<{ items: Term[] }>(span && termsAt(series.value, span), [answered]);
  const rows = terms.data?.items ?? [];
  const most = Math.max(1, ...rows.map((term) => term.strength));
  return (
    <Panel class="terms-panel" title={t("terms.title")} busy={terms.loading} tools={<Export name="terms" columns={columns()} rows={rows} />}>
      {terms.error && <Failed error={terms.error} retry={terms.reload} />}
      {!terms.data ? (
        !terms.error && <Skeleton rows={6} />
      ) : rows.length === 0 ? (
        <Empty title={t("terms.empty")}>{t("terms.empty.do")}</Empty>
      ) : (
        <ol class="terms">
          {rows.map((term) => (
            <li key={term.word}>
              <a href={href("/search", { q: term.word, series: series.value === "all" ? null : series.value })} title={t("terms.help", { n: number(term.stories), before: number(term.before), odds: signed(term.log_odds) })}>
                <span>{term.word}</span>
                <i aria-hidden="true" style={{ width: `${(100 * term.strength) / most}%` }} />
                <small>{number(term.stories)}</small>
              </a>
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function columns(): Column<Term>[] {
  return [
    { id: "term", title: t("column.term"), value: (term) => term.word },
    { id: "stories", title: t("column.stories"), numeric: true, value: (term) => term.stories },
    { id: "before", title: t("column.before"), numeric: true, value: (term) => term.before },
    { id: "log_odds", title: t("column.odds"), numeric: true, value: (term) => term.log_odds },
  ];
}
