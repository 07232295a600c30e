// The series that changed most, in figures.
import type { JSX } from "preact";
import type { Mover } from "../../api/types";
import { useData } from "../../api/useData";
import { number, percent, signed } from "../../format";
import { t } from "../../i18n";
import { kind, pins, series, setSeries, shown, togglePin } from "../../state/view";
import { DataTable, type Column } from "../../ui/DataTable";
import { Export, fileOf } from "../../ui/Export";
import { Empty, Failed, Panel, Skeleton } from "../../ui/parts";
import { answered, moversAt } from "./answers";
import { Interval } from "./Interval";

const idOf = (mover: Mover): string => `${mover.kind}=${mover.name}`;

export function Movers(): JSX.Element {
  const span = shown.value;
  const wanted = span && moversAt(kind.value, span);
  const movers = useData<{ items: Mover[] }>(wanted, [answered]);
  const rows = movers.data?.items ?? [];
  return (
    <Panel
      class="movers-panel"
      title={t("movers.title")}
      busy={movers.loading}
      tools={
        <Export
          name={`movers-${kind.value}`}
          columns={columns()}
          rows={rows}
          server={fileOf(wanted)}
        />
      }
    >
      {movers.error && <Failed error={movers.error} retry={movers.reload} />}
      {!movers.data ? (
        !movers.error && <Skeleton rows={8} />
      ) : rows.length === 0 ? (
        <Empty title={t("movers.empty")}>{t("movers.empty.do")}</Empty>
      ) : (
        <DataTable caption={t("movers.title")} columns={columns()} rows={rows} rowId={idOf} selected={series.value} onSelect={(mover) => setSeries(idOf(mover))} />
      )}
    </Panel>
  );
}

function columns(): Column<Mover>[] {
  return [
    { id: "name", title: t("column.series"), value: (mover) => mover.label },
    { id: "stories", title: t("column.stories"), numeric: true, value: (mover) => mover.stories, render: (mover) => number(mover.stories) },
    { id: "negative", title: t("column.negative.short"), help: t("column.negative"), numeric: true, value: (mover) => mover.negative, render: (mover) => number(mover.negative) },
    { id: "expected", title: t("column.expected.short"), help: t("column.expected"), numeric: true, value: (mover) => mover.expected, render: (mover) => <span class="muted">{number(mover.expected, 1)}</span> },
    { id: "surprise", title: t("column.surprise"), help: t("metric.surprise.help"), numeric: true, value: (mover) => mover.surprise, render: (mover) => <b class={surpriseClass(mover.surprise)}>{signed(mover.surprise)}</b> },
    { id: "share", title: t("column.share"), help: t("column.share.help"), numeric: true, value: (mover) => mover.share, render: (mover) => <Interval share={mover.share} low={mover.share_low} high={mover.share_high} /> },
    { id: "reach", title: t("column.reach"), help: t("column.reach.help"), numeric: true, wide: true, value: (mover) => mover.reach, render: (mover) => number(mover.reach) },
    { id: "novelty", title: t("column.novelty"), help: t("column.novelty.help"), numeric: true, wide: true, value: (mover) => mover.novelty, render: (mover) => percent(mover.novelty) },
    {
      id: "pin",
      title: t("action.pin"),
      plain: true,
      value: () => null,
      render: (mover) => (
        <button
          type="button"
          class="quiet tiny"
          aria-pressed={pins.value.includes(idOf(mover))}
          aria-label={t("movers.pin", { name: mover.label })}
          title={t("movers.pin", { name: mover.label })}
          onClick={(event) => {
            event.stopPropagation();
            togglePin(idOf(mover));
          }}
        >
          {pins.value.includes(idOf(mover)) ? "●" : "○"}
        </button>
      ),
    },
  ];
}

function surpriseClass(surprise: number | null): string {
  return surprise === null ? "" : surprise >= 2 ? "bad-text" : surprise <= -2 ? "good-text" : "";
}
