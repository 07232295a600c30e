// The heat map as people use it: a pointer or the arrow keys move over its cells, dragging chooses a span of time.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { palette } from "../state/settings";
import { cellAt, drawHeat, heatHeight, type HeatLayout, type HeatScene } from "./heat";
import { colours } from "./palette";
import { pressOnAxis, useDrag, type Span } from "./timeAxis";

export interface Cell {
  row: number;
  column: number;
}

interface Props {
  label: string;
  scene: Omit<HeatScene, "cursor" | "brush">;
  brush: Span | null;
  onPoint: (cell: Cell | null) => void;
  onCell: (cell: Cell) => void;
  onName: (row: number) => void;
  onBrush: (span: Span | null) => void;
  onWhy: (cell: Cell) => void;
  /** Gets a function that draws all of it on a canvas of its own. */
  picture: { current: (() => HTMLCanvasElement | null) | null };
}

const AXIS = 24;

const fontOf = (): string => getComputedStyle(document.body).fontFamily;

export function HeatMap(props: Props): JSX.Element {
  const { scene, brush } = props;
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(0);
  const cursor = useSignal<Cell | null>(null);

  const narrow = width.value < 560;
  const layout: HeatLayout = {
    width: width.value,
    left: Math.round(Math.min(176, width.value * (narrow ? 0.34 : 0.24))),
    rowHeight: narrow ? 26 : 23,
    axis: AXIS,
  };
  const at = cursor.value && cursor.value.row < scene.rows.length && cursor.value.column < scene.times.length ? cursor.value : null;
  const axis = { times: scene.times, step: scene.step, brush, onBrush: props.onBrush };
  const drag = useDrag(axis, (event) => Math.floor(((xOf(event) - layout.left) / (layout.width - layout.left)) * scene.times.length));
  const full: HeatScene = { ...scene, brush: drag.span.value ?? brush, cursor: at };

  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const watcher = new ResizeObserver(() => (width.value = element.clientWidth));
    watcher.observe(element);
    width.value = element.clientWidth;
    return () => watcher.disconnect();
  }, []);
  const version = palette.value;
  useLayoutEffect(() => {
    if (canvas.current && width.value > 0) drawHeat(canvas.current, full, layout, colours(), fontOf());
  }, [full.rows, full.times, full.metric, full.selected, full.brush, at, width.value, version, scene.completeUntil]);
  useEffect(() => {
    props.picture.current = () => {
      const copy = document.createElement("canvas");
      drawHeat(copy, { ...full, cursor: null }, { ...layout, width: Math.max(layout.width, 640) }, colours(), fontOf());
      const pen = copy.getContext("2d");
      if (pen) {
        pen.globalCompositeOperation = "destination-over";
        pen.fillStyle = colours().surface;
        pen.fillRect(0, 0, copy.width, copy.height);
      }
      return copy;
    };
  });

  const point = (cell: Cell | null): void => {
    const before = cursor.peek();
    if (before?.row === cell?.row && before?.column === cell?.column) return;
    cursor.value = cell;
    props.onPoint(cell);
  };
  const xOf = (event: PointerEvent): number => event.clientX - (canvas.current?.getBoundingClientRect().left ?? 0);
  const yOf = (event: PointerEvent): number => event.clientY - (canvas.current?.getBoundingClientRect().top ?? 0);
  const cellOf = (event: PointerEvent): Cell | null => cellAt(full, layout, xOf(event), yOf(event));
  const up = (event: PointerEvent): void => {
    if (drag.end() !== "click") return;
    const cell = cellOf(event);
    if (cell) {
      point(cell);
      props.onCell(cell);
    } else if (xOf(event) < layout.left) {
      const row = Math.floor(yOf(event) / layout.rowHeight);
      if (row >= 0 && row < scene.rows.length) props.onName(row);
    }
  };

  const press = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const now = at ?? { row: 0, column: scene.times.length - 1 };
    const row = { ArrowUp: now.row - 1, ArrowDown: now.row + 1 }[event.key];
    if (row !== undefined) point({ ...now, row: Math.min(scene.rows.length - 1, Math.max(0, row)) });
    else if (event.key === "Enter" && at) props.onCell(at);
    else if (event.key === "w" && at) props.onWhy(at);
    else if (!pressOnAxis(event, axis, now.column, (column) => point({ ...now, column }))) return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={box}
      class="chart heat"
      role="application"
      tabIndex={0}
      aria-label={props.label}
      aria-description={t("heat.keys")}
      onKeyDown={press}
      onFocus={() => {
        if (!cursor.peek() && box.current?.matches(":focus-visible")) point({ row: 0, column: scene.times.length - 1 });
      }}
    >
      <canvas
        ref={canvas}
        aria-hidden="true"
        style={{ width: "100%", height: `${heatHeight(full, layout)}px` }}
        onPointerDown={drag.begin}
        onPointerMove={(event) => drag.move(event) || point(cellOf(event))}
        onPointerUp={up}
        onPointerCancel={drag.cancel}
        onPointerLeave={(event) => event.pointerType === "mouse" && !drag.span.peek() && point(null)}
      />
    </div>
  );
}
