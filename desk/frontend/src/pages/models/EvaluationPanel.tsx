// How often models are right by what analysts say of stories kept for evaluation, beside what their cards promise.
import type { JSX } from "preact";
import { address } from "../../api/client";
import type { Accuracy, Evaluation, Models } from "../../api/types";
import { useData } from "../../api/useData";
import { number, percent, signed } from "../../format";
import { t } from "../../i18n";
import { href } from "../../router";
import { Confusion } from "../../ui/Confusion";
import { DataTable, type Column } from "../../ui/DataTable";
import { Export } from "../../ui/Export";
import { Empty, Failed, Panel, Skeleton } from "../../ui/parts";
import { subjects } from "../../ui/subject";

type States = ReadonlyMap<string, Models["items"][number]["state"]>;

export function EvaluationPanel({ states }: { states: States }): JSX.Element {
  const found = useData<Evaluation>(address("/models/evaluation"), ["labels", "models"]);
  const isLive = (row: Accuracy): boolean => states.get(row.model) === "live";
  const rows = [...(found.data?.items ?? [])].sort((one, other) => Number(isLive(other)) - Number(isLive(one)));
  return (
    <Panel title={t("evaluation.title")} busy={found.loading} note={t("evaluation.note")} tools={<Export name="evaluation" columns={[...columns(states), ...more()]} rows={rows} />}>
      {found.error && <Failed error={found.error} retry={found.reload} />}
      {!found.data ? (
        !found.error && <Skeleton rows={3} />
      ) : rows.length > 0 ? (
        <>
          <DataTable caption={t("evaluation.title")} columns={columns(states)} rows={rows} rowId={idOf} />
          <p class="muted small">{t("evaluation.means")}</p>
          {rows.map((row) => (
            <details key={idOf(row)}>
              <summary>{t("evaluation.confusion", { model: row.model, task: subjects(row) })}</summary>
              <Confusion caption={t("evaluation.confusion", { model: row.model, task: subjects(row) })} labels={labelsIn(row)} counts={row.confusion} rowTitle={t("evaluation.said")} columnTitle={t("models.got")} />
            </details>
          ))}
        </>
      ) : found.data.evaluation_share > 0 ? (
        <Empty title={t("evaluation.empty")}>
          {t("evaluation.empty.do", { share: percent(found.data.evaluation_share, 1) })} <a href={href("/label")}>{t("evaluation.empty.link")}</a>
        </Empty>
      ) : (
        <Empty title={t("evaluation.off")}>{t("evaluation.off.do")}</Empty>
      )}
    </Panel>
  );
}

const idOf = (row: Accuracy): string => `${row.model}/${row.task}/${row.companies}`;

const labelsIn = ({ confusion }: Accuracy): string[] => [...new Set([...Object.keys(confusion), ...Object.values(confusion).flatMap(Object.keys)])].sort();

/** What analysts say of the stream less what the card says of the test set; null where there is no card. */
const change = (row: Accuracy): number | null => row.change?.by ?? null;

function columns(states: States): Column<Accuracy>[] {
  const badge = (row: Accuracy): JSX.Element | null => {
    const state = states.get(row.model);
    return state ? <span class={state === "live" ? "badge good" : "badge"}>{t(`model.${state}`)}</span> : null;
  };
  return [
    { id: "task", title: t("column.task"), value: subjects },
    { id: "model", title: t("models.name"), value: (row) => row.model, render: (row) => <>{row.model} {badge(row)}</> },
    { id: "texts", title: t("column.texts"), help: t("evaluation.texts.help"), numeric: true, value: (row) => row.texts, render: (row) => number(row.texts) },
    {
      id: "accuracy",
      title: t("evaluation.accuracy"),
      help: t("evaluation.interval"),
      numeric: true,
      value: (row) => row.share,
      render: (row) => (
        <>
          <b>{percent(row.share, 1)}</b> <small class="muted">{number(100 * row.low)}–{percent(row.high)}</small>
        </>
      ),
    },
    { id: "card_accuracy", title: t("evaluation.card"), help: t("evaluation.card.help"), numeric: true, wide: true, value: (row) => row.card?.accuracy ?? null, render: (row) => percent(row.card?.accuracy, 1) },
    { id: "change", title: t("evaluation.change"), help: t("evaluation.change.help"), numeric: true, value: change, render: (row) => <Change row={row} /> },
    { id: "macro_f1", title: t("evaluation.f1"), numeric: true, value: (row) => row.macro_f1, render: (row) => number(row.macro_f1, 3) },
    { id: "card_macro_f1", title: t("evaluation.card.f1"), numeric: true, wide: true, value: (row) => row.card?.macro_f1 ?? null, render: (row) => number(row.card?.macro_f1, 3) },
  ];
}

/** What only files have. */
function more(): Column<Accuracy>[] {
  return [
    { id: "low", title: t("evaluation.low"), numeric: true, value: (row) => row.low },
    { id: "high", title: t("evaluation.high"), numeric: true, value: (row) => row.high },
    { id: "card_texts", title: t("evaluation.card.texts"), numeric: true, value: (row) => row.card?.support ?? null },
  ];
}

/** In points; bold, and with a word, where it is more than chance. */
function Change({ row }: { row: Accuracy }): JSX.Element {
  if (!row.change) return <>–</>;
  const { by, low, high } = row.change;
  const text = signed(100 * by, 1);
  if (high < 0) return <b class="bad-text">{t("evaluation.worse", { by: text })}</b>;
  if (low > 0) return <b class="good-text">{t("evaluation.better", { by: text })}</b>;
  return <>{text}</>;
}
