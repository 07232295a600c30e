// What is new, as the server tells it: a page hears that something changed and asks for what it shows.
import { signal, type Signal } from "@preact/signals";
import { API } from "./client";

export type Topic = "trends" | "incidents" | "labels" | "models";

const LEAST_BETWEEN_MS = 1000;

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

export function listen(): void {
  if (source) return;
  document.addEventListener("visibilitychange", catchUp);
  source = new EventSource(`${API}/events`);
  source.onopen = () => {
    connected.value = true;
  };
  source.onerror = () => {
    connected.value = false; // the browser tries again by itself
  };
  source.onmessage = (event: MessageEvent<string>) => hear(event.data);
}

export function stopListening(): void {
  document.removeEventListener("visibilitychange", catchUp);
  source?.close();
  source = null;
  connected.value = false;
}

function hear(data: string): void {
  let topic: unknown;
  try {
    topic = (JSON.parse(data) as { topic?: unknown }).topic;
  } catch {
    return;
  }
  if (topic === "connected") for (const each of Object.keys(changes) as Topic[]) soon(each);
  else if (typeof topic === "string" && topic in changes) soon(topic as Topic);
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
