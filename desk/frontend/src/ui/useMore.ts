// Pages of a list: the first as it is loaded, and those after it when they are asked for.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { request } from "../api/client";
import type { Page } from "../api/types";
import { sayError } from "./toasts";

export interface More<T> {
  items: T[];
  /** Load the next page; null on the last one. */
  more: (() => Promise<void>) | null;
}

/** A first page with those that were loaded after it, which fit it. */
interface Pages<T> {
  wanted: string;
  first: Page<T>;
  later: T[];
  next: string | null;
}

/** Where the first page changes, as many of the others are loaded anew: its rows have moved into them, or out. */
export function useMore<T>(wanted: string | null, first: Page<T> | undefined): More<T> {
  const pages = useSignal<Pages<T> | null>(null);
  const working = useRef<Promise<void>>(Promise.resolve());
  const begun = wanted && first ? { wanted, first, later: [], next: first.next } : null;
  const latest = useRef<Pages<T> | null>(begun);
  latest.current = begun;
  const inTurn = (job: () => Promise<void>): Promise<void> => (working.current = working.current.then(job));

  useEffect(() => {
    void inTurn(async () => {
      const [old, start] = [pages.peek(), latest.current];
      if (!old || !start || old.wanted !== start.wanted || old.first === start.first) return;
      let fresh = start;
      try {
        while (fresh.next && fresh.later.length < old.later.length) fresh = await withNext(fresh);
        pages.value = fresh;
      } catch {
        pages.value = start; // the rest can be asked for again
      }
    });
  }, [wanted, first]);

  const more = (): Promise<void> =>
    inTurn(async () => {
      const start = pages.peek()?.wanted === latest.current?.wanted ? pages.peek() : latest.current;
      if (!start?.next) return;
      try {
        pages.value = await withNext(start);
      } catch (error) {
        sayError(error);
      }
    });
  const shown = pages.value?.wanted === wanted ? pages.value : begun;
  return { items: shown ? [...shown.first.items, ...shown.later] : [], more: shown?.next ? more : null };
}

async function withNext<T>(pages: Pages<T>): Promise<Pages<T>> {
  const { wanted, later, next } = pages;
  const page = await request<Page<T>>("GET", `${wanted}${wanted.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(next ?? "")}`);
  return { ...pages, later: [...later, ...page.items], next: page.next };
}
