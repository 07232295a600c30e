// Numbers with units, and times in the reader's zone.
import { t } from "./i18n";
import { language } from "./state/settings";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

const locale = (): string => (language.value === "zh" ? "zh-CN" : "en-GB");
const numbers = new Map<string, Intl.NumberFormat>();
const dates = new Map<string, Intl.DateTimeFormat>();

export function number(value: number | null | undefined, digits = 0): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const key = `${locale()}${digits}`;
  let format = numbers.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale(), { maximumFractionDigits: digits, minimumFractionDigits: digits });
    numbers.set(key, format);
  }
  const text = format.format(value);
  return /[1-9]/.test(text) ? text.replace("-", "−") : text.replace("-", "");
}

// The name of a language by its code, where the browser knows one.
export function languageName(code: string): string {
  return new Intl.DisplayNames([locale()], { type: "language" }).of(code) ?? code;
}

export function signed(value: number | null | undefined, digits = 1): string {
  const text = number(value, digits);
  return typeof value === "number" && value > 0 && /[1-9]/.test(text) ? `+${text}` : text;
}

export function percent(share: number | null | undefined, digits = 0): string {
  return share === null || share === undefined ? "–" : `${number(share * 100, digits)}%`;
}

function date(options: Intl.DateTimeFormatOptions, key: string): Intl.DateTimeFormat {
  const name = locale() + key;
  let format = dates.get(name);
  if (!format) {
    format = new Intl.DateTimeFormat(locale(), { hourCycle: "h23", ...options });
    dates.set(name, format);
  }
  return format;
}

const CLOCK: Intl.DateTimeFormatOptions = { hour: "2-digit", minute: "2-digit" };
const SHORT: Intl.DateTimeFormatOptions = { day: "numeric", month: "short" };

export function clock(at: number): string {
  return date(CLOCK, "clock").format(at);
}

export function day(at: number): string {
  return date(SHORT, "day").format(at);
}

/** Day and clock, with the year where it is not this one. */
export function moment(at: number): string {
  const year = new Date(at).getFullYear() !== new Date().getFullYear();
  return date({ ...SHORT, ...CLOCK, ...(year ? { year: "numeric" as const } : {}) }, `moment${year}`).format(at);
}

/** The same in UTC, for who hovers. */
export function utc(at: number): string {
  return `${new Date(at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

export function span(from: number, to: number): string {
  return new Date(from).toDateString() === new Date(to).toDateString()
    ? `${moment(from)}–${clock(to)}`
    : `${moment(from)} – ${moment(to)}`;
}

/** A length of time in its largest unit that fits. */
export function duration(milliseconds: number): string {
  const size = Math.abs(milliseconds);
  if (size < MINUTE) return t("unit.s", { n: number(Math.round(milliseconds / 1000)) });
  if (size < 2 * HOUR) return t("unit.min", { n: number(Math.round(milliseconds / MINUTE)) });
  if (size < 2 * DAY) return t("unit.h", { n: number(milliseconds / HOUR, size < 10 * HOUR ? 1 : 0) });
  return t("unit.d", { n: number(milliseconds / DAY, size < 10 * DAY ? 1 : 0) });
}

export function ago(at: number, now = Date.now()): string {
  return t("time.ago", { time: duration(Math.max(0, now - at)) });
}

export const iso = (at: number): string => new Date(at).toISOString().replace(".000Z", "Z");
export const parse = (at: string): number => Date.parse(at);
