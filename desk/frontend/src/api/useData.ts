// What a view shows: the answer at an address, asked for again when something of its topics changes.
import { useSignal, type Signal } from "@preact/signals";
import { useCallback, useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { ApiError, request } from "./client";
import { changes, type Topic } from "./live";

export interface Loaded<T> {
  /** The latest answer; that of the address before stays until the new one is here. */
  data: T | undefined;
  error: Error | undefined;
  loading: boolean;
  reload: () => void;
  /** Show what another request told of it, and ask for it again all the same. */
  show: (data: T) => void;
}

const MOST_KEPT = 60;
const SUPPLIED_MS = 1000; // longer than a page takes to draw what was supplied
const BUSY: readonly number[] = [429, 503];
export const AGAIN_MS = 2000;
const kept = new Map<string, unknown>();
const supplied = new Map<string, unknown>();
let expiry = 0;

function keep(address: string, answer: unknown): void {
  kept.delete(address);
  kept.set(address, answer);
  const oldest = kept.keys().next();
  if (kept.size > MOST_KEPT && !oldest.done) kept.delete(oldest.value);
}

export function forget(): void {
  kept.clear();
  supplied.clear();
}

/** Whether something was answered at this address before. */
export const isKept = (address: string): boolean => kept.has(address);

/** Whether the desk has too much to do just now: worth asking again. */
export const isBusy = (error: unknown): boolean => error instanceof ApiError && BUSY.includes(error.status);

/** Answers that came together: views that are about to be drawn need not ask for them. */
export function supply(answers: Iterable<readonly [address: string, answer: unknown]>): void {
  for (const [address, answer] of answers) supplied.set(address, answer);
  clearTimeout(expiry);
  expiry = window.setTimeout(() => supplied.clear(), SUPPLIED_MS);
}

interface State<T> {
  address: string | null;
  data: T | undefined;
  error: Error | undefined;
  loading: boolean;
}

/** `news`: what it is asked for again at; topics, or what counts the answers that were supplied. */
export function useData<T>(address: string | null, news: readonly (Topic | Signal<number>)[] = []): Loaded<T> {
  const state: Signal<State<T>> = useSignal({ address, data: address === null ? undefined : (supplied.get(address) as T | undefined), error: undefined, loading: false });
  const running = useRef<AbortController | null>(null);
  let version = 0;
  for (const each of news) version += (typeof each === "string" ? changes[each] : each).value;

  const load = useCallback((wanted: string) => {
    running.current?.abort();
    const given = supplied.get(wanted) as T | undefined;
    if (given !== undefined) {
      supplied.delete(wanted);
      keep(wanted, given);
      if (state.peek().data !== given) state.value = { address: wanted, data: given, error: undefined, loading: false };
      return;
    }
    const abort = new AbortController();
    running.current = abort;
    const known = kept.get(wanted) as T | undefined;
    const before = state.peek();
    state.value = { address: wanted, data: known ?? before.data, error: undefined, loading: true };
    request<T>("GET", wanted, undefined, abort.signal)
      .then((data) => {
        if (abort.signal.aborted) return;
        keep(wanted, data);
        state.value = { address: wanted, data, error: undefined, loading: false };
      })
      .catch((error: unknown) => {
        if (abort.signal.aborted) return;
        if (isBusy(error) && state.peek().data !== undefined) {
          // What is shown stays, and is asked for again.
          const timer = setTimeout(() => load(wanted), AGAIN_MS);
          abort.signal.addEventListener("abort", () => clearTimeout(timer));
          return;
        }
        state.value = { ...state.peek(), error: error instanceof Error ? error : new Error(String(error)), loading: false };
      });
  }, []);

  // Before the frame is drawn: a view waits for nothing to ask.
  useLayoutEffect(() => {
    if (address) load(address);
    else if (state.peek().address) state.value = { address: null, data: undefined, error: undefined, loading: false };
  }, [address, version]);
  useEffect(() => () => running.current?.abort(), []);

  const { data, error, loading } = state.value;
  const reload = useCallback(() => {
    const wanted = state.peek().address;
    if (wanted) load(wanted);
  }, []);
  const show = useCallback((told: T) => {
    const wanted = state.peek().address;
    if (!wanted) return;
    keep(wanted, told);
    load(wanted);
  }, []);
  return { data, error, loading, reload, show };
}
