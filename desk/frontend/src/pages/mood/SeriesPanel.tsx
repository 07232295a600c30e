// One series over time, others beside it, and what happened to it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useMemo, useRef } from "preact/hooks";
import type { SeriesAnswer } from "../../api/types";
import { useData } from "../../api/useData";
import { SeriesChart, type Line, type Marks } from "../../charts/SeriesChart";
import { moment, number, percent, span, utc } from "../../format";
import { t } from "../../i18n";
import { href, queryOf, setQuery } from "../../router";
import { brush, bucket, pins, series, setBrush, setSeries, step, togglePin, window as shownWindow } from "../../state/view";
import { DataTable, type Column } from "../../ui/DataTable";
import { Export, fileOf } from "../../ui/Export";
import { Choice, Failed, Panel, Skeleton } from "../../ui/parts";
import { answered, courseAt } from "./answers";
import { Why } from "./Why";

type Show = "negative" | "share" | "stories" | "messages";
const SHOWS: readonly Show[] = ["negative", "share", "stories", "messages"];

interface Point {
  at: string;
  column: number;
}

export function SeriesPanel(): JSX.Element {
  const whole = shownWindow.value;
  const name = series.value;
  const to = (which: string): string | null => whole && courseAt(which, whole, bucket.value);
  const main = useData<SeriesAnswer>(to(name), [answered]);
  const pinned = pins.value.filter((pin) => pin !== name);
  const others = [0, 1, 2, 3].map((place) => useData<SeriesAnswer>(pinned[place] ? to(pinned[place] ?? "") : null, [answered]));
  const show = SHOWS.find((each) => each === queryOf("show")) ?? "negative";
  const column = useSignal<number | null>(null);
  const asTable = useSignal(false);
  const why = useSignal<string | null>(null);
  const picture = useRef<(() => HTMLCanvasElement | null) | null>(null);

  const answer = main.data;
  const compared = pinned.flatMap((pin, place) => {
    const data = others[place]?.data;
    return data ? [{ pin, data }] : [];
  });
  const times = useMemo(() => answer?.times.map((time) => Date.parse(time)) ?? [], [answer]);
  const lines = useMemo(() => (answer ? linesOf(answer, compared, show) : []), [answer, show, ...compared.map((each) => each.data), compared.length]);
  const marks = useMemo(() => (answer ? marksOf(answer, times, step.value) : null), [answer, times]);
  const points = answer?.times.map((at, index) => ({ at, column: index })) ?? [];
  const at = column.value ?? times.length - 1;

  return (
    <Panel
      id="series"
      class="series-panel"
      title={name === "all" ? t("series.all") : (answer?.label ?? name)}
      busy={main.loading}
      tools={
        <>
          <Choice<Show> label={t("series.show")} value={show} options={SHOWS.map((value) => ({ value, text: t(`show.${value}`) }))} onChange={(value) => setQuery({ show: value }, true)} />
          <button type="button" class="quiet" aria-pressed={pins.value.includes(name)} onClick={() => togglePin(name)}>
            {t("action.pin")}
          </button>
          <button type="button" class="quiet" aria-pressed={asTable.value} onClick={() => (asTable.value = !asTable.value)}>
            {t("action.table")}
          </button>
          <Export
            name={`series-${name}`}
            columns={answer ? columns(answer) : []}
            rows={points}
            picture={() => picture.current?.() ?? null}
            server={fileOf(to(name))}
          />
        </>
      }
    >
      {main.error && <Failed error={main.error} retry={main.reload} />}
      {!answer || !marks ? (
        !main.error && <Skeleton rows={6} />
      ) : (
        <>
          <div class="legend">
            <span class="key main">{name === "all" ? t("series.all") : answer.label}</span>
            {show === "negative" && <span class="key expected">{t("series.expected")}</span>}
            {compared.map(({ pin, data }, place) => (
              <span key={pin} class={`key pin pin-${place}`}>
                <button type="button" class="link" onClick={() => setSeries(pin)}>
                  {data.kind === "all" ? t("series.all") : data.label}
                </button>
                <button type="button" class="quiet tiny" aria-label={t("series.unpin", { name: pin })} onClick={() => togglePin(pin)}>
                  ✕
                </button>
              </span>
            ))}
            {marks.late.length > 0 && <span class="key late">{t("series.late")}</span>}
            {answer.alerts.map((alert) => (
              <a key={alert.id} class="key alarm" href={href(`/alerts/${alert.incident ?? alert.id}`)}>
                {t("series.alert", { time: moment(Date.parse(alert.opened_at)) })}
              </a>
            ))}
          </div>
          {asTable.value ? (
            <DataTable caption={name} columns={columns(answer)} rows={points} rowId={(point) => point.at} />
          ) : (
            <SeriesChart
              label={t("series.label", { name, show: t(`show.${show}`) })}
              unit={show === "share" ? "share" : "count"}
              times={times}
              step={step.value}
              lines={lines}
              marks={marks}
              brush={brush.value}
              onBrush={setBrush}
              onPoint={(next) => (column.value = next)}
              picture={picture}
            />
          )}
          <p class="cell">
            {times[at] !== undefined && (
              <>
                {t("series.point", {
                  time: span(times[at] ?? 0, (times[at] ?? 0) + step.value),
                  stories: number(storiesOf(answer)[at]),
                  negative: number(answer.negative[at]),
                  expected: number(answer.expected[at], 1),
                  messages: number(answer.messages[at]),
                })}{" "}
                <button type="button" class="link" onClick={() => (why.value = answer.times[at] ?? null)}>
                  {t("action.why")}
                </button>
              </>
            )}
          </p>
        </>
      )}
      {why.value && <Why series={name} at={why.value} bucket={bucket.value} onClose={() => (why.value = null)} />}
    </Panel>
  );
}

function storiesOf(answer: SeriesAnswer): number[] {
  return answer.negative.map((negative, index) => negative + (answer.neutral[index] ?? 0) + (answer.positive[index] ?? 0));
}

function valuesOf(answer: SeriesAnswer, show: Show): (number | null)[] {
  if (show === "share") return storiesOf(answer).map((stories, index) => (stories > 0 ? (answer.negative[index] ?? 0) / stories : null));
  return show === "stories" ? storiesOf(answer) : answer[show];
}

function linesOf(answer: SeriesAnswer, compared: readonly { pin: string; data: SeriesAnswer }[], show: Show): Line[] {
  const found: Line[] = [];
  if (show === "negative")
    found.push(
      { name: "high", role: "high", values: answer.high },
      { name: "low", role: "low", values: answer.low },
      { name: "expected", role: "expected", values: answer.expected },
    );
  for (const { pin, data } of compared) {
    const byTime = new Map(data.times.map((at, index) => [at, valuesOf(data, show)[index] ?? null]));
    found.push({ name: pin, role: "pin", values: answer.times.map((at) => byTime.get(at) ?? null) });
  }
  return [...found, { name: answer.name, role: "main", values: valuesOf(answer, show) }];
}

function marksOf(answer: SeriesAnswer, times: readonly number[], length: number): Marks {
  const end = (times[times.length - 1] ?? 0) + length;
  return {
    alerts: answer.alerts.map((alert) => ({ from: Date.parse(alert.opened_at), to: alert.closed_at ? Date.parse(alert.closed_at) : end, text: alert.signal })),
    late: answer.stale_from && Date.parse(answer.stale_from) < end ? [{ from: Date.parse(answer.stale_from), to: answer.judged_until ? Date.parse(answer.judged_until) : end }] : [],
    swaps: answer.swaps.map((swap) => ({ at: Date.parse(swap.at), text: swap.model })),
    completeUntil: answer.complete_until ? Date.parse(answer.complete_until) : end,
  };
}

function columns(answer: SeriesAnswer): Column<Point>[] {
  const counted = (id: "negative" | "neutral" | "positive" | "messages", title: string): Column<Point> => ({
    id,
    title,
    numeric: true,
    value: (point) => answer[id][point.column] ?? null,
  });
  const expected = (id: "expected" | "low" | "high", title: string): Column<Point> => ({
    id,
    title,
    numeric: true,
    value: (point) => answer[id][point.column] ?? null,
    render: (point) => number(answer[id][point.column], 1),
  });
  return [
    { id: "at", title: t("column.from"), value: (point) => point.at, render: (point) => <time title={utc(Date.parse(point.at))}>{moment(Date.parse(point.at))}</time> },
    { id: "stories", title: t("column.stories"), numeric: true, value: (point) => storiesOf(answer)[point.column] ?? null },
    counted("negative", t("column.negative")),
    expected("expected", t("column.expected")),
    expected("low", t("column.low")),
    expected("high", t("column.high")),
    { id: "share", title: t("column.share"), numeric: true, value: (point) => valuesOf(answer, "share")[point.column] ?? null, render: (point) => percent(valuesOf(answer, "share")[point.column]) },
    counted("messages", t("column.messages")),
  ];
}
