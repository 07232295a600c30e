// The heat map with its scale, the cell under the cursor in words, and the table behind it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { HeatAnswer } from "../../api/types";
import { useData } from "../../api/useData";
import type { Metric } from "../../charts/heat";
import { HeatMap, type Cell } from "../../charts/HeatMap";
import { colours, SURPRISE_STEPS } from "../../charts/palette";
import { iso, number, percent, signed, span, utc } from "../../format";
import { t } from "../../i18n";
import { setQuery } from "../../router";
import { brush, bucket, kind, metric, series, setBrush, step, window as shownWindow } from "../../state/view";
import { palette } from "../../state/settings";
import { DataTable, type Column } from "../../ui/DataTable";
import { Export, fileOf } from "../../ui/Export";
import { Choice, Empty, Failed, Panel, Skeleton } from "../../ui/parts";
import { answered, heatAt } from "./answers";
import { focusStories } from "./Stories";
import { Why } from "./Why";

interface Line {
  name: string;
  at: string;
  stories: number;
  negative: number;
  expected: number | null;
  surprise: number | null;
  share: number | null;
}

export function Heat(): JSX.Element {
  const whole = shownWindow.value;
  const chosenKind = kind.value;
  const wanted = whole && heatAt(chosenKind, whole, bucket.value);
  const heat = useData<HeatAnswer>(wanted, [answered]);
  const at = useSignal<Cell | null>(null);
  const asTable = useSignal(false);
  const why = useSignal<Cell | null>(null);
  const picture = useRef<(() => HTMLCanvasElement | null) | null>(null);

  const answer = heat.data;
  const scene = useMemo(
    () => ({
      times: answer?.times.map((time) => Date.parse(time)) ?? [],
      rows: answer?.rows ?? [],
      few: answer?.few ?? 0,
      completeUntil: answer?.complete_until ? Date.parse(answer.complete_until) : Infinity,
    }),
    [answer],
  );
  const rowKind = scene.rows[0]?.kind ?? chosenKind;
  const lines = (): Line[] => (answer ? linesOf(answer) : []);
  const choose = (cell: Cell): void => {
    const row = scene.rows[cell.row];
    const start = scene.times[cell.column];
    if (!row || start === undefined) return;
    setQuery({ series: `${row.kind}=${row.name}`, from: iso(start), to: iso(start + step.value) });
    focusStories();
  };
  const cell = at.value && cellWords(scene, at.value, step.value);

  return (
    <Panel
      id="heat"
      class="heat-panel"
      title={t("heat.title", { kind: t(`kind.${chosenKind}`) })}
      busy={heat.loading}
      tools={
        <>
          <Choice<Metric>
            label={t("heat.metric")}
            value={metric.value}
            options={(["surprise", "share", "stories"] as const).map((value) => ({ value, text: t(`metric.${value}`), title: t(`metric.${value}.help`) }))}
            onChange={(value) => setQuery({ metric: value }, true)}
          />
          <button type="button" class="quiet" aria-pressed={asTable.value} onClick={() => (asTable.value = !asTable.value)}>
            {t("action.table")}
          </button>
          <Export
            name={`heat-${chosenKind}`}
            columns={columns()}
            rows={lines()}
            picture={() => picture.current?.() ?? null}
            server={fileOf(wanted)}
          />
        </>
      }
    >
      {heat.error && <Failed error={heat.error} retry={heat.reload} />}
      {!answer ? (
        !heat.error && <Skeleton rows={10} />
      ) : scene.rows.length === 0 ? (
        <Empty title={t("heat.empty")}>{t("heat.empty.do")}</Empty>
      ) : asTable.value ? (
        <DataTable caption={t("heat.title", { kind: t(`kind.${chosenKind}`) })} columns={columns()} rows={lines()} rowId={(line) => line.name + line.at} />
      ) : (
        <HeatMap
          label={t("heat.label", { kind: t(`kind.${chosenKind}`), metric: t(`metric.${metric.value}`) })}
          scene={{ ...scene, step: step.value, metric: metric.value, selected: series.value.startsWith(`${rowKind}=`) ? series.value.slice(rowKind.length + 1) : null }}
          brush={brush.value}
          picture={picture}
          onPoint={(next) => (at.value = next)}
          onCell={choose}
          onName={(row) => setQuery({ series: `${rowKind}=${scene.rows[row]?.name ?? ""}` })}
          onBrush={setBrush}
          onWhy={(chosen) => (why.value = chosen)}
        />
      )}
      <footer class="heat-foot">
        <p class="cell" aria-live="polite">
          {cell ?? <span class="muted">{t("heat.hint")}</span>}
        </p>
        <Scale metric={metric.value} />
      </footer>
      {why.value && <WhyOf cell={why.value} answer={answer} onClose={() => (why.value = null)} />}
    </Panel>
  );
}

function WhyOf({ cell, answer, onClose }: { cell: Cell; answer: HeatAnswer | undefined; onClose: () => void }): JSX.Element | null {
  const row = answer?.rows[cell.row];
  const at = answer?.times[cell.column];
  return row && at ? <Why series={`${row.kind}=${row.name}`} at={at} bucket={bucket.value} onClose={onClose} /> : null;
}

function linesOf(answer: HeatAnswer): Line[] {
  return answer.rows.flatMap((row) =>
    answer.times.map((at, column) => ({
      name: row.label,
      at,
      stories: row.stories[column] ?? 0,
      negative: row.negative[column] ?? 0,
      expected: row.expected[column] ?? null,
      surprise: row.surprise[column] ?? null,
      share: row.share[column] ?? null,
    })),
  );
}

function columns(): Column<Line>[] {
  return [
    { id: "name", title: t("column.series"), value: (line) => line.name },
    { id: "at", title: t("column.from"), value: (line) => line.at, render: (line) => <time title={utc(Date.parse(line.at))}>{span(Date.parse(line.at), Date.parse(line.at) + step.value)}</time> },
    { id: "stories", title: t("column.stories"), numeric: true, value: (line) => line.stories },
    { id: "negative", title: t("column.negative"), numeric: true, value: (line) => line.negative },
    { id: "expected", title: t("column.expected"), numeric: true, value: (line) => line.expected, render: (line) => number(line.expected, 1) },
    { id: "surprise", title: t("column.surprise"), numeric: true, value: (line) => line.surprise, render: (line) => signed(line.surprise) },
    { id: "share", title: t("column.share"), numeric: true, value: (line) => line.share, render: (line) => percent(line.share) },
  ];
}

function cellWords(scene: { times: readonly number[]; rows: HeatAnswer["rows"]; few: number; completeUntil: number }, { row, column }: Cell, length: number): string | null {
  const line = scene.rows[row];
  const at = scene.times[column];
  if (!line || at === undefined) return null;
  const stories = line.stories[column] ?? 0;
  const words = t("heat.cell", {
    name: line.label,
    time: span(at, at + length),
    stories: number(stories),
    negative: number(line.negative[column] ?? 0),
    expected: number(line.expected[column] ?? null, 1),
    surprise: signed(line.surprise[column] ?? null),
    share: percent(stories > 0 ? line.share[column] : null),
  });
  const marks = [stories > 0 && stories < scene.few ? t("heat.few") : "", at + length > scene.completeUntil ? t("heat.incomplete") : ""];
  return [words, ...marks.filter(Boolean)].join(" · ");
}

function Scale({ metric: shown }: { metric: Metric }): JSX.Element {
  void palette.value; // drawn again when the theme changes
  const ink = colours();
  const steps = shown === "surprise" ? ink.surprise : ink.amount;
  const text = (index: number): string => (shown === "surprise" ? (index > 0 ? signed(SURPRISE_STEPS[index - 1], 0) : "") : "");
  return (
    <div class="scale" role="img" aria-label={t(`scale.${shown}`)}>
      <span>{t(`scale.${shown}.low`)}</span>
      {steps.map((colour, index) => (
        <i key={index} style={{ background: colour }} title={text(index)} />
      ))}
      <span>{t(`scale.${shown}.high`)}</span>
      {shown !== "stories" && (
        <span class="key">
          <i class="hatched" />
          {t("heat.few")}
        </span>
      )}
    </div>
  );
}
