// Series over time: a line for each, the band of what was expected, and marks of what happened.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { number } from "../format";
import { t } from "../i18n";
import { palette } from "../state/settings";
import { colours, type Colours } from "./palette";
import { ticks } from "./scale";
import { pressOnAxis, useDrag, type Span } from "./timeAxis";

export interface Line {
  name: string;
  values: readonly (number | null)[];
  role: "main" | "expected" | "low" | "high" | "pin";
}

export interface Marks {
  /** Spans of alerts. */
  alerts: readonly { from: number; to: number; text: string }[];
  /** Spans in which data came after they were judged. */
  late: readonly { from: number; to: number }[];
  /** Moments at which another model began. */
  swaps: readonly { at: number; text: string }[];
  completeUntil: number;
}

interface Props {
  label: string;
  unit: "count" | "share";
  times: readonly number[];
  step: number;
  lines: readonly Line[];
  marks: Marks;
  brush: Span | null;
  onBrush: (span: Span | null) => void;
  onPoint: (column: number | null) => void;
  picture: { current: (() => HTMLCanvasElement | null) | null };
}

const HEIGHT = 250;
/** Distances of the lines of the grid: counts are whole. */
const SHARES = [0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5];
const COUNTS = Array.from({ length: 8 }, (_, power) => [1, 2, 5].map((digit) => digit * 10 ** power)).flat();
const DASHES: readonly (readonly number[])[] = [[8, 3], [2, 3], [10, 3, 2, 3], [5, 5]];

export function SeriesChart(props: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const current = useRef(props);
  const width = useSignal(0);
  const drag = useDrag(props, (event) => {
    const made = plot.current;
    if (!made) return 0;
    const at = made.posToVal(event.clientX - made.over.getBoundingClientRect().left, "x") * 1000;
    return Math.floor((at - (props.times[0] ?? 0)) / props.step);
  });
  const brush = drag.span.value ?? props.brush;
  current.current = { ...props, brush };
  const shape = props.lines.map((line) => line.role + line.name).join("|") + props.unit;
  const version = palette.value;

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const watcher = new ResizeObserver(() => (width.value = element.clientWidth));
    watcher.observe(element);
    width.value = element.clientWidth;
    return () => watcher.disconnect();
  }, []);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element || width.value === 0) return;
    const made = new uPlot(optionsOf(current, width.value), dataOf(current.current), element);
    plot.current = made;
    return () => {
      made.destroy();
      plot.current = null;
    };
  }, [shape, version, width.value === 0]);
  useLayoutEffect(() => {
    if (width.value > 0) plot.current?.setSize({ width: width.value, height: HEIGHT });
  }, [width.value]);
  useLayoutEffect(() => plot.current?.setData(dataOf(props)), [props.times, props.lines]);
  useLayoutEffect(() => plot.current?.redraw(false), [brush, props.marks]);
  useEffect(() => {
    props.picture.current = () => pictureOf(plot.current, props.label);
  });

  const press = (event: KeyboardEvent): void => {
    const made = plot.current;
    if (!made || event.ctrlKey || event.metaKey || event.altKey) return;
    const goTo = (column: number): void => made.setCursor({ left: made.valToPos((props.times[column] ?? 0) / 1000, "x"), top: 20 });
    if (!pressOnAxis(event, props, made.cursor.idx ?? props.times.length - 1, goTo)) return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={box}
      class="chart series-chart"
      role="application"
      tabIndex={0}
      aria-label={props.label}
      aria-description={t("series.keys")}
      onKeyDown={press}
      onPointerDown={(event) => event.target === plot.current?.over && drag.begin(event)}
      onPointerMove={drag.move}
      onPointerUp={drag.end}
      onPointerCancel={drag.cancel}
    />
  );
}

function dataOf(props: Props): uPlot.AlignedData {
  return [props.times.map((at) => at / 1000), ...props.lines.map((line) => line.values as (number | null)[])];
}

function optionsOf(current: { current: Props }, width: number): uPlot.Options {
  const ink = colours();
  const { lines, unit } = current.current;
  const font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
  let pin = -1;
  const index = (role: Line["role"]): number => lines.findIndex((line) => line.role === role) + 1;
  const written = (value: number): string => (unit === "share" ? `${number(value * 100)}%` : number(value, value % 1 ? 1 : 0));
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [14, 8, 0, 0],
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, unit === "share" ? Math.min(1, most * 1.1) || 1 : Math.max(4, most * 1.1)] } },
    axes: [
      {
        stroke: ink.muted,
        font,
        size: 30,
        grid: { show: false },
        ticks: { stroke: ink.line, size: 4 },
        splits: (plot, _, from, to) => ticks(from * 1000, to * 1000, plot.width / 84).map((tick) => tick.at / 1000),
        values: (plot, splits) => {
          const known = new Map(ticks((plot.scales.x?.min ?? 0) * 1000, (plot.scales.x?.max ?? 0) * 1000, plot.width / 84).map((tick) => [tick.at, tick.text]));
          return splits.map((split) => known.get(split * 1000) ?? "");
        },
      },
      { stroke: ink.muted, font, size: 44, incrs: unit === "share" ? SHARES : COUNTS, grid: { stroke: ink.line, width: 1 }, ticks: { show: false }, values: (_, splits) => splits.map(written) },
    ],
    bands: index("low") > 0 && index("high") > 0 ? [{ series: [index("high"), index("low")], fill: ink.band }] : [],
    series: [
      {},
      ...lines.map((line): uPlot.Series => {
        if (line.role === "pin") pin += 1;
        const colour = { main: ink.negative, expected: ink.muted, low: "transparent", high: "transparent", pin: ink.pins[Math.max(0, pin) % ink.pins.length] ?? ink.text }[line.role];
        return {
          label: line.name,
          stroke: colour,
          width: line.role === "main" ? 2 : 1.5,
          points: { show: false },
          ...(line.role === "expected" ? { dash: [5, 4] } : line.role === "pin" ? { dash: [...(DASHES[pin % DASHES.length] ?? [])] } : {}),
        };
      }),
    ],
    hooks: {
      drawClear: [(plot) => drawMarks(plot, current.current, ink, font)],
      draw: [(plot) => drawSpan(plot, current.current, ink)],
      setCursor: [(plot) => current.current.onPoint(plot.cursor.idx ?? null)],
    },
  };
}

function drawMarks(plot: uPlot, { marks, times, step }: Props, ink: Colours, font: string): void {
  const pen = plot.ctx;
  const { left, top, width, height } = plot.bbox;
  const ratio = uPlot.pxRatio;
  const x = (at: number): number => Math.min(left + width, Math.max(left, plot.valToPos(at / 1000, "x", true)));
  pen.save();
  for (const span of marks.late) {
    pen.fillStyle = ink.late;
    pen.fillRect(x(span.from), top, Math.max(2, x(span.to) - x(span.from)), height);
  }
  const last = times[times.length - 1] ?? 0;
  if (marks.completeUntil < last + step) {
    pen.strokeStyle = ink.muted;
    pen.setLineDash([2 * ratio, 3 * ratio]);
    pen.beginPath();
    pen.moveTo(x(marks.completeUntil), top);
    pen.lineTo(x(marks.completeUntil), top + height);
    pen.stroke();
    pen.setLineDash([]);
  }
  for (const alert of marks.alerts) {
    const from = x(alert.from);
    pen.fillStyle = ink.negative;
    pen.globalAlpha = 0.12;
    pen.fillRect(from, top, Math.max(2 * ratio, x(alert.to) - from), height);
    pen.globalAlpha = 1;
    pen.beginPath();
    pen.moveTo(from - 5 * ratio, top - 10 * ratio);
    pen.lineTo(from + 5 * ratio, top - 10 * ratio);
    pen.lineTo(from, top - 1 * ratio);
    pen.fill();
  }
  pen.font = font.replace(/^[\d.]+px/, `${11 * ratio}px`);
  pen.textBaseline = "top";
  marks.swaps.forEach((swap, index) => {
    const at = x(swap.at);
    pen.strokeStyle = ink.accent;
    pen.setLineDash([4 * ratio, 4 * ratio]);
    pen.beginPath();
    pen.moveTo(at, top);
    pen.lineTo(at, top + height);
    pen.stroke();
    pen.setLineDash([]);
    pen.fillStyle = ink.accent;
    pen.textAlign = at > left + width / 2 ? "right" : "left";
    pen.fillText(swap.text, at + (at > left + width / 2 ? -4 : 4) * ratio, top + (2 + 14 * (index % 3)) * ratio);
  });
  pen.restore();
}

function drawSpan(plot: uPlot, { brush }: Props, ink: Colours): void {
  if (!brush) return;
  const pen = plot.ctx;
  const { left, top, width, height } = plot.bbox;
  const x = (at: number): number => Math.min(left + width, Math.max(left, plot.valToPos(at / 1000, "x", true)));
  pen.save();
  pen.fillStyle = ink.ground;
  pen.globalAlpha = 0.55;
  pen.fillRect(left, top, x(brush[0]) - left, height);
  pen.fillRect(x(brush[1]), top, left + width - x(brush[1]), height);
  pen.globalAlpha = 1;
  pen.fillStyle = ink.accent;
  for (const at of brush) pen.fillRect(x(at) - 1, top, 2, height);
  pen.restore();
}

function pictureOf(plot: uPlot | null, title: string): HTMLCanvasElement | null {
  if (!plot) return null;
  const source = plot.ctx.canvas;
  const ratio = uPlot.pxRatio;
  const copy = document.createElement("canvas");
  copy.width = source.width;
  copy.height = source.height + 28 * ratio;
  const pen = copy.getContext("2d");
  if (!pen) return null;
  const ink = colours();
  pen.fillStyle = ink.surface;
  pen.fillRect(0, 0, copy.width, copy.height);
  pen.fillStyle = ink.text;
  pen.font = `600 ${13 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  pen.fillText(title, 10 * ratio, 19 * ratio);
  pen.drawImage(source, 0, 28 * ratio);
  return copy;
}
