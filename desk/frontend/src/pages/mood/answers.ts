// Where the views of the Mood page ask; and what they show when it opens or something changes, which comes as one answer.
import { batch, signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { address, request } from "../../api/client";
import { changes } from "../../api/live";
import type { Bucket, Overview } from "../../api/types";
import { AGAIN_MS, isBusy, isKept, supply } from "../../api/useData";
import { iso } from "../../format";
import { place } from "../../router";
import { head, seriesPath } from "../../state/view";

export interface Period {
  from: number;
  to: number;
}

const HEAT_ROWS = 20;
const MOVERS = 25;
const STORIES = 25;
const INCIDENTS = 3;

const limits = (span: Period): { from: string; to: string } => ({ from: iso(span.from), to: iso(span.to) });

export const stripAt = (until: string | null): string => address("/mood", { until });
export const openIncidentsAt = address("/incidents", { state: "open", limit: INCIDENTS });
export const latestIncidentsAt = address("/incidents", { limit: INCIDENTS });
export const heatAt = (kind: string, span: Period, bucket: Bucket): string => address("/mood/heat", { kind, ...limits(span), bucket, limit: HEAT_ROWS });
export const courseAt = (series: string, span: Period, bucket: Bucket): string => address(seriesPath(series), { ...limits(span), bucket });
export const moversAt = (kind: string, span: Period): string => address("/mood/movers", { kind, ...limits(span), limit: MOVERS });
export const storiesAt = (series: string, sentiment: string, source: string, span: Period): string =>
  address("/stories", { series, sentiment, source, ...limits(span), limit: STORIES });
export const termsAt = (series: string, span: Period): string => address("/terms", { series, ...limits(span) });
export const sourcesAt = (span: Period): string => address("/sources", limits(span));

/** The answers by where each view asks. One that the server took to look at something else is asked for by its view. */
function answersOf(found: Overview, query: URLSearchParams): [string, unknown][] {
  const of = (name: string, otherwise: string): string => query.get(name) || otherwise;
  const period = ({ since, until }: Overview["window"]): Period => ({ from: Date.parse(since), to: Date.parse(until) });
  const [window, shown] = [period(found.window), period(found.shown)];
  const [kind, series] = [of("kind", "topic"), of("series", "all")];
  return [
    [stripAt(query.get("until")), found.strip],
    [openIncidentsAt, found.open],
    ...(found.latest ? [[latestIncidentsAt, found.latest] as [string, unknown]] : []),
    [heatAt(kind, window, found.bucket), found.heat],
    [courseAt(series, window, found.bucket), found.course],
    [moversAt(kind, shown), found.movers],
    [storiesAt(series, of("sentiment", ""), of("source", ""), shown), found.stories],
    [termsAt(series, shown), found.terms],
    [sourcesAt(shown), found.sources],
  ];
}

/** Counts the answers to all views: each view takes its own of them, or asks for it where there is none. */
export const answered = signal(0);

let asking = false;
let again = false; // something changed since

/** Ask for all views at once; once more where that is wanted meanwhile. */
async function ask(): Promise<void> {
  again = asking;
  if (asking || place.peek().path.split("/")[1]) return; // under way, or nobody looks at the page any more
  asking = true;
  try {
    // The very address that the document named, with what this page's address says: it is on its way already.
    const { query } = place.peek();
    const found = await request<Overview>("GET", address("/mood/overview") + location.search);
    batch(() => {
      supply(answersOf(found, query));
      head.value = Date.parse(found.strip.until);
      answered.value = answered.peek() + 1;
    });
  } catch (error) {
    if (answered.peek() > 0 && isBusy(error)) setTimeout(() => void ask(), AGAIN_MS);
    else answered.value = answered.peek() + 1; // each view asks by itself, and says what is wrong
  } finally {
    asking = false;
    if (again) void ask();
  }
}

/** Keeps the views up to date; whether there is anything to show yet. */
export function useAnswers(): boolean {
  const known = useRef(isKept(stripAt(place.peek().query.get("until"))));
  const before = useRef(answered.peek());
  const news = changes.trends.value + changes.incidents.value + changes.models.value;
  const heard = useRef(known.current ? news : -1);
  useLayoutEffect(() => {
    if (heard.current !== news) void ask();
    heard.current = news;
  }, [news]);
  return known.current || answered.value > before.current;
}
