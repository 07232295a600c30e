// What the Mood page shows, as its address says it: a range of time, a brush within it, a kind, a series and pins.
import { computed, signal } from "@preact/signals";
import type { Metric } from "../charts/heat";
import type { Bucket, Kind } from "../api/types";
import { iso } from "../format";
import { place, setQuery } from "../router";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

export const RANGES = { "6h": 6 * HOUR, "24h": DAY, "3d": 3 * DAY, "7d": 7 * DAY, "30d": 30 * DAY } as const;
export type Range = keyof typeof RANGES;
export const BUCKETS: Record<Bucket, number> = { "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "6h": 6 * HOUR, "1d": DAY };
const FITTING: Record<Range, Bucket> = { "6h": "15m", "24h": "1h", "3d": "1h", "7d": "6h", "30d": "1d" };
const MOST_CELLS = 200;
const MOST_PINS = 4;

/** Up to when there are data, as the server says: the present of a live store, the end of a replayed one. */
export const head = signal<number | null>(null);

function one<T extends string>(name: string, known: readonly T[], otherwise: T): T {
  const value = place.value.query.get(name);
  return known.find((each) => each === value) ?? otherwise;
}

export const range = computed(() => one("range", Object.keys(RANGES) as Range[], "24h"));
export const kind = computed(() => one<Kind>("kind", ["topic", "entity", "source"], "topic"));
export const metric = computed(() => one<Metric>("metric", ["surprise", "share", "stories"], "surprise"));

export const bucketsOfRange = computed(() =>
  (Object.keys(BUCKETS) as Bucket[]).filter((bucket) => {
    const cells = RANGES[range.value] / BUCKETS[bucket];
    return cells >= 6 && cells <= MOST_CELLS;
  }),
);
export const bucket = computed(() => one("bucket", bucketsOfRange.value, FITTING[range.value]));
export const step = computed(() => BUCKETS[bucket.value]);

/** The range in whole buckets; null until the server said where the data end. */
export const window = computed<{ from: number; to: number } | null>(() => {
  const until = Date.parse(place.value.query.get("until") ?? "") || head.value;
  if (!until) return null;
  const to = Math.ceil(until / step.value) * step.value;
  return { from: to - Math.ceil(RANGES[range.value] / step.value) * step.value, to };
});

export const brush = computed<readonly [number, number] | null>(() => {
  const from = Date.parse(place.value.query.get("from") ?? "");
  const to = Date.parse(place.value.query.get("to") ?? "");
  return from < to ? [from, to] : null;
});

/** The span that lists show: the brush where there is one. */
export const shown = computed<{ from: number; to: number } | null>(() =>
  brush.value ? { from: brush.value[0], to: brush.value[1] } : window.value,
);

/** `all`, or `topic=Earnings`. */
export const series = computed(() => place.value.query.get("series") || "all");
export const pins = computed(() => place.value.query.getAll("pin").flatMap((text) => text.split("~")).filter(Boolean).slice(0, MOST_PINS));

export function setBrush(span: readonly [number, number] | null): void {
  setQuery({ from: span && iso(span[0]), to: span && iso(span[1]) }, true);
}

export function setSeries(name: string): void {
  setQuery({ series: name === "all" ? null : name });
}

export function togglePin(name: string): void {
  const now = pins.peek();
  const next = now.includes(name) ? now.filter((pin) => pin !== name) : [...now, name].slice(-MOST_PINS);
  setQuery({ pin: next.join("~") }, true);
}

export function seriesParts(name: string): { kind: string; name: string } {
  const at = name.indexOf("=");
  return at < 0 ? { kind: "all", name: "all" } : { kind: name.slice(0, at), name: name.slice(at + 1) };
}

export const seriesPath = (name: string): `/series/${string}/${string}` => {
  const parts = seriesParts(name);
  return `/series/${encodeURIComponent(parts.kind)}/${encodeURIComponent(parts.name)}`;
};
