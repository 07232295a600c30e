// What is new, as the server tells it: a page hears that something changed and asks for what it shows.
import { signal, type Signal } from "@preact/signals";
import { API } from "./client";

export type Topic = "trends" | "incidents" | "labels" | "models";

const LEAST_BETWEEN_MS = 1000;
const LEAST_PAUSE_MS = 1000;
const MOST_PAUSE_MS = 30_000;

/** Counts changes by what they are of. */
export const changes: Record<Topic, Signal<number>> = {
  trends: signal(0),
  incidents: signal(0),
  labels: signal(0),
  models: signal(0),
};
export const connected = signal(false);

const unseen = new Set<Topic>(); // what changed while nobody looked
const waiting = new Map<Topic, number>();
const lastAt = new Map<Topic, number>();
let source: EventSource | null = null;
let pause = LEAST_PAUSE_MS; // before the next try, after one that was refused
let retry = 0; // the timer of it
let first = true; // no connection of this page was lost yet

export function listen(): void {
  if (source) return;
  document.addEventListener("visibilitychange", catchUp);
  connect();
}

function connect(): void {
  const opened = new EventSource(`${API}/events`);
  source = opened;
  opened.onopen = () => {
    connected.value = true;
    pause = LEAST_PAUSE_MS;
  };
  opened.onerror = () => {
    connected.value = false;
    first = false;
    if (opened.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
    retry = window.setTimeout(connect, pause); // after an answer with an error it never does
    pause = Math.min(MOST_PAUSE_MS, 2 * pause);
  };
  opened.onmessage = (event: MessageEvent<string>) => hear(event.data);
}

export function stopListening(): void {
  document.removeEventListener("visibilitychange", catchUp);
  clearTimeout(retry);
  source?.close();
  source = null;
  pause = LEAST_PAUSE_MS;
  connected.value = false;
}

interface News {
  topic?: unknown;
  /** When connected: seconds since each topic changed. */
  quiet_s?: Partial<Record<Topic, number>>;
}

function hear(data: string): void {
  let news: News;
  try {
    news = JSON.parse(data) as News;
  } catch {
    return;
  }
  const { topic, quiet_s } = news;
  if (topic === "connected") {
    for (const each of Object.keys(changes) as Topic[]) if (!first || !isSince(quiet_s?.[each])) soon(each);
  } else if (typeof topic === "string" && topic in changes) soon(topic as Topic);
}

/** Whether all of this page was asked for since a change so many seconds ago: then it shows that change. */
function isSince(quiet: number | undefined): boolean {
  return quiet !== undefined && 1000 * quiet > performance.now();
}

function catchUp(): void {
  if (document.hidden) return;
  for (const topic of unseen) soon(topic);
  unseen.clear();
}

/** At once, but no oftener than once in a second; a page that nobody looks at waits until somebody does. */
function soon(topic: Topic): void {
  if (document.hidden) {
    unseen.add(topic);
    return;
  }
  if (waiting.has(topic)) return;
  const wait = Math.max(0, (lastAt.get(topic) ?? 0) + LEAST_BETWEEN_MS - Date.now());
  waiting.set(
    topic,
    window.setTimeout(() => {
      waiting.delete(topic);
      lastAt.set(topic, Date.now());
      changes[topic].value = changes[topic].peek() + 1;
    }, wait),
  );
}
