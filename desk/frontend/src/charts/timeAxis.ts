// How people choose a span on the time axis of a chart: dragging with a mouse, a pen or a finger, or Shift with an arrow.
import { useSignal, type Signal } from "@preact/signals";
import { useRef } from "preact/hooks";

export type Span = readonly [number, number];

export interface TimeAxis {
  /** Beginnings of the columns, in milliseconds, and how long each lasts. */
  times: readonly number[];
  step: number;
  brush: Span | null;
  onBrush: (span: Span | null) => void;
}

const LEAST_DRAG = 6; // pixels: less is a click

function within(axis: TimeAxis, column: number): number {
  return Math.min(axis.times.length - 1, Math.max(0, column));
}

/** The time of these columns and all between them. */
function spanOf(axis: TimeAxis, one: number, other: number): Span {
  return [axis.times[Math.min(one, other)] ?? 0, (axis.times[Math.max(one, other)] ?? 0) + axis.step];
}

/** The brush after Shift and a step from one column to another: its end under the cursor moves, the other one stays. */
function stretched(axis: TimeAxis, now: number, next: number): Span {
  const columnOf = (at: number): number => Math.round((at - (axis.times[0] ?? 0)) / axis.step);
  const [first, last] = axis.brush ? [columnOf(axis.brush[0]), columnOf(axis.brush[1]) - 1] : [now, now];
  return spanOf(axis, now === first ? within(axis, last) : now === last ? within(axis, first) : now, next);
}

/** What a key does on the axis, with the cursor in column `now`; false for a key that does nothing there. */
export function pressOnAxis(event: KeyboardEvent, axis: TimeAxis, now: number, goTo: (column: number) => void): boolean {
  const column = { ArrowLeft: now - 1, ArrowRight: now + 1, Home: 0, End: axis.times.length - 1 }[event.key];
  if (event.key === "Escape" && axis.brush) axis.onBrush(null);
  else if (column === undefined) return false;
  else {
    if (event.shiftKey) axis.onBrush(stretched(axis, now, within(axis, column)));
    goTo(within(axis, column));
  }
  return true;
}

export interface Drag {
  /** What is chosen so far; null while nothing is dragged. */
  span: Signal<Span | null>;
  begin: (event: PointerEvent) => void;
  /** True while a span is being chosen. */
  move: (event: PointerEvent) => boolean;
  /** What it was: a span that was chosen, or a mere click; null where it did not begin here. */
  end: () => "span" | "click" | null;
  /** The browser took the pointer for itself, to scroll. */
  cancel: () => void;
}

/** Dragging along the axis; `columnAt` may name columns beyond its ends. */
export function useDrag(axis: TimeAxis, columnAt: (event: PointerEvent) => number): Drag {
  const span = useSignal<Span | null>(null);
  const begun = useRef<{ x: number; column: number } | null>(null);
  const cancel = (): void => {
    begun.current = null;
    span.value = null;
  };
  return {
    span,
    begin: (event) => {
      if (event.button === 0 && event.isPrimary) begun.current = { x: event.clientX, column: within(axis, columnAt(event)) };
    },
    move: (event) => {
      if (event.buttons === 0) cancel(); // it was let go of elsewhere
      if (!begun.current || (!span.peek() && Math.abs(event.clientX - begun.current.x) < LEAST_DRAG)) return false;
      if (!span.peek()) (event.currentTarget as Element).setPointerCapture(event.pointerId);
      span.value = spanOf(axis, begun.current.column, within(axis, columnAt(event)));
      return true;
    },
    end: () => {
      const [chosen, clicked] = [span.peek(), begun.current !== null];
      cancel();
      if (chosen) axis.onBrush(chosen);
      return chosen ? "span" : clicked ? "click" : null;
    },
    cancel,
  };
}
