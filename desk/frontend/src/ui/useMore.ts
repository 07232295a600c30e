// Pages of a list: the first as it is loaded, and those after it when they are asked for.
import { useSignal } from "@preact/signals";
import { request } from "../api/client";
import type { Page } from "../api/types";
import { sayError } from "./toasts";

export interface More<T> {
  items: T[];
  /** Load the next page; null on the last one. */
  more: (() => Promise<void>) | null;
}

export function useMore<T>(wanted: string | null, first: Page<T> | undefined): More<T> {
  const later = useSignal<{ wanted: string | null; items: T[]; next: string | null }>({ wanted: null, items: [], next: null });
  const known = later.value.wanted === wanted && wanted !== null ? later.value : null;
  const next = known ? known.next : (first?.next ?? null);
  const load = async (): Promise<void> => {
    if (!wanted || !next) return;
    try {
      const page = await request<Page<T>>("GET", `${wanted}${wanted.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(next)}`);
      later.value = { wanted, items: [...(known?.items ?? []), ...page.items], next: page.next };
    } catch (error) {
      sayError(error);
    }
  };
  return { items: [...(first?.items ?? []), ...(known?.items ?? [])], more: next ? load : null };
}
