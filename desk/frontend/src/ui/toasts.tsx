// Short news of what was just done, or why it was not.
import { signal } from "@preact/signals";
import type { JSX } from "preact";

interface Toast {
  number: number;
  text: string;
  bad: boolean;
}

const SHOWN_MS = 4000;
const toasts = signal<readonly Toast[]>([]);
let count = 0;

export function say(text: string, bad = false): void {
  const number = ++count;
  toasts.value = [...toasts.peek().slice(-2), { number, text, bad }];
  setTimeout(() => (toasts.value = toasts.peek().filter((each) => each.number !== number)), bad ? 2 * SHOWN_MS : SHOWN_MS);
}

export function sayError(error: unknown): void {
  say(error instanceof Error ? error.message : String(error), true);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map((toast) => (
        <div key={toast.number} class={toast.bad ? "toast bad" : "toast"}>
          {toast.text}
        </div>
      ))}
    </div>
  );
}
