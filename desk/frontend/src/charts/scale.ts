// Times along an axis: where they lie, and which of them are written.
import { clock, day } from "../format";

const MINUTE = 60_000;
const STEPS = [1, 5, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7 * 1440, 14 * 1440].map((minutes) => minutes * MINUTE);

export interface Tick {
  at: number;
  text: string;
  /** A day begins there. */
  day: boolean;
}

/** At most `most` round times of the reader's zone within a span. */
export function ticks(from: number, to: number, most: number): Tick[] {
  const step = STEPS.find((each) => (to - from) / each <= most) ?? Math.ceil((to - from) / most);
  const offset = new Date(from).getTimezoneOffset() * MINUTE;
  const found: Tick[] = [];
  for (let at = Math.ceil((from - offset) / step) * step + offset; at < to; at += step) {
    const date = new Date(at);
    const midnight = date.getHours() === 0 && date.getMinutes() === 0;
    found.push({ at, text: midnight || step >= 1440 * MINUTE ? day(at) : clock(at), day: midnight });
  }
  return found;
}
