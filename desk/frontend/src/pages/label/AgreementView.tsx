// How well people agree, what they confuse, and who labelled how much.
import type { JSX } from "preact";
import { address } from "../../api/client";
import type { LabelFigures, PairOfAnalysts } from "../../api/types";
import { useData } from "../../api/useData";
import { clock, day, number, percent } from "../../format";
import { named, t } from "../../i18n";
import { labelsOf } from "../../state/taxonomy";
import { DataTable, type Column } from "../../ui/DataTable";
import { Export } from "../../ui/Export";
import { Empty, Failed, Panel, Skeleton } from "../../ui/parts";
import { Confusion } from "../../ui/Confusion";
import { subjects } from "../../ui/subject";

export function AgreementView(): JSX.Element {
  const pairs = useData<{ items: PairOfAnalysts[] }>(address("/agreement"), ["labels"]);
  const figures = useData<LabelFigures>(address("/labels/figures", { hours: 24 }), ["labels"]);
  const rows = pairs.data?.items ?? [];
  return (
    <div class="two-columns even">
      <Panel title={t("label.agreement")} busy={pairs.loading} tools={<Export name="agreement" columns={pairColumns()} rows={rows} />}>
        {pairs.error && <Failed error={pairs.error} retry={pairs.reload} />}
        {!pairs.data ? (
          !pairs.error && <Skeleton rows={5} />
        ) : rows.length === 0 ? (
          <Empty title={t("agreement.empty")}>{t("agreement.empty.do")}</Empty>
        ) : (
          <>
            <DataTable caption={t("label.agreement")} columns={pairColumns()} rows={rows} rowId={idOf} />
            {rows.map((pair) => (
              <Confusion
                key={idOf(pair)}
                caption={t("agreement.confusion", { task: subjects(pair), first: pair.first, second: pair.second })}
                labels={labelsOf(pair.task).filter((label) => label in pair.confusion || Object.values(pair.confusion).some((row) => label in row))}
                counts={pair.confusion}
                rowTitle={pair.first}
                columnTitle={pair.second}
              />
            ))}
          </>
        )}
      </Panel>
      <Panel class="whole" title={t("figures.labels")} busy={figures.loading} note={figures.data && t("figures.rows", { rows: number(figures.data.rows), current: number(figures.data.current) })}>
        {figures.data && (
          <>
            <DataTable
              caption={t("figures.labels")}
              rows={figures.data.counts}
              rowId={(count) => `${count.analyst}/${count.task}/${count.companies}/${count.label}`}
              columns={[
                { id: "analyst", title: t("column.analyst"), value: (count) => count.analyst },
                { id: "task", title: t("column.task"), value: (count) => subjects(count) },
                { id: "label", title: t("column.label"), value: (count) => count.label, render: (count) => (count.label === null ? t("label.none") : named("sentiment", count.label)) },
                { id: "given", title: t("column.given"), numeric: true, value: (count) => count.given },
                { id: "current", title: t("column.counts"), numeric: true, value: (count) => count.current },
              ]}
            />
            <h3 class="over-table">{t("figures.hours")}</h3>
            <DataTable
              caption={t("figures.hours")}
              rows={figures.data.hours}
              rowId={(hour) => hour.analyst + hour.hour}
              columns={[
                { id: "hour", title: t("column.from"), value: (hour) => hour.hour, render: (hour) => `${day(Date.parse(hour.hour))}, ${clock(Date.parse(hour.hour))}` },
                { id: "analyst", title: t("column.analyst"), value: (hour) => hour.analyst },
                { id: "labels", title: t("figures.per_hour"), numeric: true, value: (hour) => hour.labels },
              ]}
            />
          </>
        )}
      </Panel>
    </div>
  );
}

function idOf(pair: PairOfAnalysts): string {
  return `${pair.task}/${pair.companies}/${pair.first}/${pair.second}`;
}

function pairColumns(): Column<PairOfAnalysts>[] {
  return [
    { id: "pair", title: t("agreement.pair"), value: (pair) => `${pair.first} · ${pair.second}` },
    { id: "task", title: t("column.task"), value: (pair) => subjects(pair) },
    { id: "texts", title: t("column.texts"), numeric: true, value: (pair) => pair.texts },
    { id: "share", title: t("agreement.share"), numeric: true, value: (pair) => pair.share, render: (pair) => percent(pair.share) },
    { id: "kappa", title: t("agreement.kappa"), help: t("agreement.kappa.help"), numeric: true, value: (pair) => pair.kappa, render: (pair) => <b title={`${number(pair.low, 2)} – ${number(pair.high, 2)}`}>{number(pair.kappa, 2)}</b> },
  ];
}
