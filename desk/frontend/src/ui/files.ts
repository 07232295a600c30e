// What a view shows, as a file to take along.
import { colours } from "../charts/palette";
import type { Column } from "./DataTable";

/** RFC 4180, with a byte-order mark for spreadsheets; what a spreadsheet would run as a formula is kept as text. */
export function csv<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): Blob {
  const field = (value: string | number | null): string => {
    if (value === null) return "";
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map((column) => field(column.id)), ...rows.map((row) => columns.map((c) => field(c.value(row))))];
  return new Blob(["\ufeff", lines.map((line) => line.join(",")).join("\r\n"), "\r\n"], { type: "text/csv" });
}

export function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name.replace(/[^\w.=-]+/g, "_");
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function savePng(canvas: HTMLCanvasElement, name: string): void {
  canvas.toBlob((file) => file && save(file, `${name}.png`), "image/png");
}

const ROW = 24;
const PAD = 12;
const MOST_TEXT = 80;

/** A table as a picture, twice as fine as the screen. */
export function tablePicture<Row>(title: string, columns: readonly Column<Row>[], rows: readonly Row[]): HTMLCanvasElement {
  const canvas = document.createElement("canvas");
  const pen = canvas.getContext("2d");
  if (!pen) return canvas;
  const font = getComputedStyle(document.body).fontFamily;
  const text = (value: string | number | null): string =>
    value === null ? "–" : typeof value === "number" ? String(Math.round(value * 1000) / 1000) : value.slice(0, MOST_TEXT);
  const cells = [columns.map((column) => column.title), ...rows.map((row) => columns.map((column) => text(column.value(row))))];
  pen.font = `13px ${font}`;
  const widths = columns.map((_, index) => Math.max(...cells.map((line) => pen.measureText(line[index] ?? "").width)) + 2 * PAD);
  canvas.width = 2 * (widths.reduce((sum, width) => sum + width, 0) + 2 * PAD);
  canvas.height = 2 * (ROW * (cells.length + 1) + 2 * PAD);
  pen.scale(2, 2);
  const ink = colours();
  pen.fillStyle = ink.surface;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.textBaseline = "middle";
  pen.fillStyle = ink.text;
  pen.font = `600 14px ${font}`;
  pen.fillText(title, 2 * PAD, PAD + ROW / 2);
  cells.forEach((line, number) => {
    let x = PAD;
    const y = PAD + ROW * (number + 1.5);
    pen.font = `${number === 0 ? "600 " : ""}13px ${font}`;
    pen.fillStyle = number === 0 ? ink.muted : ink.text;
    line.forEach((value, index) => {
      const width = widths[index] ?? 0;
      pen.textAlign = columns[index]?.numeric ? "right" : "left";
      pen.fillText(value, columns[index]?.numeric ? x + width - PAD : x + PAD, y);
      x += width;
    });
  });
  return canvas;
}
