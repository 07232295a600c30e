// The heat map's drawing: series by time, a cell coloured by what is asked of it. No state, no events.
import { amountStep, surpriseStep, type Colours } from "./palette";
import { ticks } from "./scale";

export type Metric = "surprise" | "share" | "stories";

/** A row of cells, by time. */
export interface HeatRow {
  name: string;
  /** As people write it. */
  label: string;
  stories: readonly number[];
  negative: readonly number[];
  expected: readonly (number | null)[];
  surprise: readonly (number | null)[];
  share: readonly (number | null)[];
}

export interface HeatScene {
  /** Beginnings of the cells, in milliseconds, and how long each lasts. */
  times: readonly number[];
  step: number;
  rows: readonly HeatRow[];
  metric: Metric;
  /** Cells that end later are not complete yet. */
  completeUntil: number;
  /** Cells with fewer stories say little. */
  few: number;
  brush: readonly [number, number] | null;
  cursor: { row: number; column: number } | null;
  selected: string | null;
}

export interface HeatLayout {
  width: number;
  left: number;
  rowHeight: number;
  axis: number;
}

export function heatHeight(scene: HeatScene, layout: HeatLayout): number {
  return scene.rows.length * layout.rowHeight + layout.axis;
}

export function cellAt(scene: HeatScene, layout: HeatLayout, x: number, y: number): { row: number; column: number } | null {
  const column = Math.floor(((x - layout.left) / (layout.width - layout.left)) * scene.times.length);
  const row = Math.floor(y / layout.rowHeight);
  return column >= 0 && column < scene.times.length && row >= 0 && row < scene.rows.length ? { row, column } : null;
}

export function drawHeat(canvas: HTMLCanvasElement, scene: HeatScene, layout: HeatLayout, ink: Colours, font: string): void {
  const ratio = window.devicePixelRatio || 1;
  const height = heatHeight(scene, layout);
  canvas.width = Math.round(layout.width * ratio);
  canvas.height = Math.round(height * ratio);
  const pen = canvas.getContext("2d");
  if (!pen || scene.times.length === 0) return;
  pen.scale(ratio, ratio);
  pen.clearRect(0, 0, layout.width, height);
  const columns = scene.times.length;
  const edge = (column: number): number => Math.round(layout.left + (column * (layout.width - layout.left)) / columns);
  const most = Math.max(1, ...scene.rows.flatMap((row) => row.stories));

  scene.rows.forEach((row, number) => {
    const y = number * layout.rowHeight;
    for (let column = 0; column < columns; column += 1) {
      const x = edge(column);
      const width = edge(column + 1) - x - 1;
      const stories = row.stories[column] ?? 0;
      const colour = fill(row, column, scene.metric, most, ink);
      pen.globalAlpha = isComplete(scene, column) ? 1 : 0.45;
      pen.fillStyle = colour.fill;
      pen.fillRect(x, y, width, layout.rowHeight - 1);
      if (stories > 0 && stories < scene.few && scene.metric !== "stories") {
        pen.fillStyle = hatching(pen, ink.surface) ?? "transparent";
        pen.fillRect(x, y, width, layout.rowHeight - 1);
      }
      if (colour.calm && width > 5) {
        pen.fillStyle = ink.text;
        pen.fillRect(x + width / 2 - 2.5, y + layout.rowHeight / 2 - 1, 5, 1);
      }
      pen.globalAlpha = 1;
    }
  });
  drawNames(pen, scene, layout, ink, font);
  drawAxis(pen, scene, layout, ink, font);
  drawIncomplete(pen, scene, layout, ink, edge);
  drawBrush(pen, scene, layout, ink);
  if (scene.cursor) {
    const x = edge(scene.cursor.column);
    pen.strokeStyle = ink.text;
    pen.lineWidth = 2;
    pen.strokeRect(x, scene.cursor.row * layout.rowHeight, edge(scene.cursor.column + 1) - x - 1, layout.rowHeight - 1);
  }
}

export function isComplete(scene: HeatScene, column: number): boolean {
  return (scene.times[column] ?? 0) + scene.step <= scene.completeUntil;
}

function fill(row: HeatRow, column: number, metric: Metric, most: number, ink: Colours): { fill: string; calm: boolean } {
  const stories = row.stories[column] ?? 0;
  if (metric === "surprise") {
    const surprise = row.surprise[column] ?? null;
    if (surprise === null) return { fill: ink.amount[0] ?? "", calm: false };
    const step = surpriseStep(surprise);
    return { fill: ink.surprise[step] ?? "", calm: step < 4 };
  }
  const share = metric === "share" ? (stories > 0 ? (row.share[column] ?? 0) : 0) : Math.sqrt(stories / most);
  return { fill: ink.amount[amountStep(share, ink.amount.length)] ?? "", calm: false };
}

let hatched: { pattern: CanvasPattern | null; colour: string } | null = null;

/** Diagonal lines in the colour of the panel: seen on every fill, and in grey. */
function hatching(pen: CanvasRenderingContext2D, colour: string): CanvasPattern | null {
  if (hatched?.colour === colour) return hatched.pattern;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 6;
  const ink = tile.getContext("2d");
  if (!ink) return null;
  ink.strokeStyle = colour;
  ink.lineWidth = 1.6;
  ink.beginPath();
  for (const shift of [-6, 0, 6]) {
    ink.moveTo(shift, 6);
    ink.lineTo(shift + 6, 0);
  }
  ink.stroke();
  hatched = { pattern: pen.createPattern(tile, "repeat"), colour };
  return hatched.pattern;
}

function drawNames(pen: CanvasRenderingContext2D, scene: HeatScene, layout: HeatLayout, ink: Colours, font: string): void {
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  scene.rows.forEach((row, number) => {
    const chosen = row.name === scene.selected;
    const y = (number + 0.5) * layout.rowHeight;
    pen.font = `${chosen ? "600 " : ""}12.5px ${font}`;
    pen.fillStyle = ink.text;
    pen.fillText(clip(pen, row.label, layout.left - 14), 6, y);
    if (chosen) {
      pen.fillStyle = ink.accent;
      pen.fillRect(0, number * layout.rowHeight + 3, 3, layout.rowHeight - 7);
    }
  });
}

function clip(pen: CanvasRenderingContext2D, text: string, width: number): string {
  if (pen.measureText(text).width <= width) return text;
  let kept = text.slice(0, 60);
  while (kept && pen.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return `${kept.trimEnd()}…`;
}

function place(scene: HeatScene, layout: HeatLayout, at: number): number {
  const from = scene.times[0] ?? 0;
  const share = (at - from) / (scene.step * scene.times.length);
  return layout.left + Math.min(1, Math.max(0, share)) * (layout.width - layout.left);
}

function drawAxis(pen: CanvasRenderingContext2D, scene: HeatScene, layout: HeatLayout, ink: Colours, font: string): void {
  const from = scene.times[0] ?? 0;
  const bottom = scene.rows.length * layout.rowHeight;
  pen.textAlign = "center";
  pen.font = `11.5px ${font}`;
  for (const tick of ticks(from, from + scene.step * scene.times.length, (layout.width - layout.left) / 76)) {
    const x = Math.round(place(scene, layout, tick.at));
    pen.fillStyle = ink.line;
    pen.fillRect(x, bottom, 1, 4);
    pen.fillStyle = tick.day ? ink.text : ink.muted;
    const half = pen.measureText(tick.text).width / 2;
    pen.fillText(tick.text, Math.min(Math.max(x, layout.left + half), layout.width - half), bottom + 13);
  }
}

function drawIncomplete(
  pen: CanvasRenderingContext2D,
  scene: HeatScene,
  layout: HeatLayout,
  ink: Colours,
  edge: (column: number) => number,
): void {
  const first = scene.times.findIndex((_, column) => !isComplete(scene, column));
  if (first < 0) return;
  pen.strokeStyle = ink.muted;
  pen.lineWidth = 1;
  pen.setLineDash([2, 3]);
  pen.beginPath();
  pen.moveTo(edge(first) - 0.5, 0);
  pen.lineTo(edge(first) - 0.5, scene.rows.length * layout.rowHeight);
  pen.stroke();
  pen.setLineDash([]);
}

function drawBrush(pen: CanvasRenderingContext2D, scene: HeatScene, layout: HeatLayout, ink: Colours): void {
  if (!scene.brush) return;
  const bottom = scene.rows.length * layout.rowHeight;
  const [from, to] = scene.brush.map((at) => place(scene, layout, at)) as [number, number];
  pen.fillStyle = ink.ground;
  pen.globalAlpha = 0.55;
  pen.fillRect(layout.left, 0, from - layout.left, bottom);
  pen.fillRect(to, 0, layout.width - to, bottom);
  pen.globalAlpha = 1;
  pen.fillStyle = ink.accent;
  pen.fillRect(from - 1, 0, 2, bottom);
  pen.fillRect(to - 1, 0, 2, bottom);
  pen.fillRect(from, bottom, to - from, 3);
}
