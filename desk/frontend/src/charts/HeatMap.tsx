// The heat map as people use it: a pointer or the arrow keys move over its cells, dragging chooses a span of time.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { t } from "../i18n";
import { palette } from "../state/settings";
import { cellAt, drawHeat, heatHeight, type HeatLayout, type HeatScene } from "./heat";
import { colours } from "./palette";

export interface Cell {
  row: number;
  column: number;
}

interface Props {
  label: string;
  scene: Omit<HeatScene, "cursor" | "brush">;
  brush: readonly [number, number] | null;
  onPoint: (cell: Cell | null) => void;
  onCell: (cell: Cell) => void;
  onName: (row: number) => void;
  onBrush: (span: readonly [number, number] | null) => void;
  onWhy: (cell: Cell) => void;
  /** Gets a function that draws all of it on a canvas of its own. */
  picture: { current: (() => HTMLCanvasElement | null) | null };
}

const AXIS = 24;
const LEAST_DRAG = 6; // pixels

const fontOf = (): string => getComputedStyle(document.body).fontFamily;

export function HeatMap(props: Props): JSX.Element {
  const { scene, brush } = props;
  const box = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useSignal(0);
  const cursor = useSignal<Cell | null>(null);
  const drag = useRef<{ x: number; column: number; moved: boolean } | null>(null);
  const dragged = useSignal<readonly [number, number] | null>(null);

  const narrow = width.value < 560;
  const layout: HeatLayout = {
    width: width.value,
    left: Math.round(Math.min(176, width.value * (narrow ? 0.34 : 0.24))),
    rowHeight: narrow ? 26 : 23,
    axis: AXIS,
  };
  const at = cursor.value && cursor.value.row < scene.rows.length && cursor.value.column < scene.times.length ? cursor.value : null;
  const full: HeatScene = { ...scene, brush: dragged.value ?? brush, cursor: at };

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
  const spanOf = (one: number, other: number): readonly [number, number] => {
    const [first, last] = [Math.min(one, other), Math.max(one, other)];
    return [scene.times[first] ?? 0, (scene.times[last] ?? 0) + scene.step];
  };
  const locate = (event: PointerEvent): { x: number; y: number; cell: Cell | null } => {
    const frame = canvas.current?.getBoundingClientRect();
    const x = event.clientX - (frame?.left ?? 0);
    const y = event.clientY - (frame?.top ?? 0);
    return { x, y, cell: cellAt(full, layout, x, y) };
  };

  const down = (event: PointerEvent): void => {
    const { x, cell } = locate(event);
    if (event.button === 0 && cell) drag.current = { x, column: cell.column, moved: false };
  };
  const move = (event: PointerEvent): void => {
    const { x, y, cell } = locate(event);
    const begun = drag.current;
    if (begun && event.pointerType === "mouse") {
      begun.moved ||= Math.abs(x - begun.x) >= LEAST_DRAG;
      if (begun.moved) {
        const inside = cellAt(full, layout, Math.min(Math.max(x, layout.left), layout.width - 1), Math.max(1, Math.min(y, 1)));
        if (inside) dragged.value = spanOf(begun.column, inside.column);
        if (!canvas.current?.hasPointerCapture(event.pointerId)) canvas.current?.setPointerCapture(event.pointerId);
        return;
      }
    }
    point(cell);
  };
  const up = (event: PointerEvent): void => {
    const begun = drag.current;
    drag.current = null;
    const { x, y, cell } = locate(event);
    if (begun?.moved && dragged.value) props.onBrush(dragged.value);
    else if (begun && cell) {
      point(cell);
      props.onCell(cell);
    } else if (event.button === 0 && x < layout.left) {
      const row = Math.floor(y / layout.rowHeight);
      if (row >= 0 && row < scene.rows.length) props.onName(row);
    }
    dragged.value = null;
  };

  const press = (event: KeyboardEvent): void => {
    const last = { row: scene.rows.length - 1, column: scene.times.length - 1 };
    const now = at ?? { row: 0, column: last.column };
    const steps: Record<string, Cell> = {
      ArrowLeft: { row: now.row, column: now.column - 1 },
      ArrowRight: { row: now.row, column: now.column + 1 },
      ArrowUp: { row: now.row - 1, column: now.column },
      ArrowDown: { row: now.row + 1, column: now.column },
      Home: { row: now.row, column: 0 },
      End: { row: now.row, column: last.column },
    };
    const next = steps[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (next) {
      const cell = {
        row: Math.min(last.row, Math.max(0, at ? next.row : now.row)),
        column: Math.min(last.column, Math.max(0, at ? next.column : now.column)),
      };
      if (event.shiftKey) {
        const [from, to] = brush ?? spanOf(now.column, now.column);
        const fixed = event.key === "ArrowLeft" ? to - scene.step : from;
        const start = scene.times[0] ?? 0;
        props.onBrush(spanOf(cell.column, Math.min(last.column, Math.max(0, Math.round((fixed - start) / scene.step)))));
      }
      point(cell);
    } else if (event.key === "Enter" && at) props.onCell(at);
    else if (event.key === "w" && at) props.onWhy(at);
    else if (event.key === "Escape" && brush) props.onBrush(null);
    else return;
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
        onPointerDown={down}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={() => ((drag.current = null), (dragged.value = null))}
        onPointerLeave={() => drag.current || point(null)}
      />
    </div>
  );
}
