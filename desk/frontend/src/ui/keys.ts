// Keys without modifiers: what they do now is registered by what is on the screen, and listed under `?`.
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Text } from "../i18n";

export interface Key {
  /** As KeyboardEvent.key says. */
  key: string;
  text: Text;
  /** Of a label; it stands in place of the text. */
  name?: string;
  run: (event: KeyboardEvent) => void;
  /** It goes on while the key is held down: for keys that only move. */
  repeats?: boolean;
}

interface Scope {
  title: Text;
  keys: readonly Key[];
}

/** The last one registered comes first. */
export const scopes = signal<readonly Scope[]>([]);

export function useKeys(title: Text, keys: readonly Key[], on = true): void {
  const current = useRef(keys);
  current.current = keys;
  const names = keys.map((key) => key.key + key.text).join();
  useEffect(() => {
    if (!on) return;
    const stable = current.current.map((key, index) => ({
      ...key,
      run: (event: KeyboardEvent) => current.current[index]?.run(event),
    }));
    const scope = { title, keys: stable };
    scopes.value = [scope, ...scopes.peek()];
    return () => {
      scopes.value = scopes.peek().filter((each) => each !== scope);
    };
  }, [on, names]);
}

/** Keys that move on and back as long as they are held: by default those of a list. */
export function stepKeys(
  step: (by: number) => void,
  [next, previous]: readonly [string, string] = ["j", "k"],
  [onward, backward]: readonly [Text, Text] = ["keys.next", "keys.previous"],
): Key[] {
  return [
    { key: next, text: onward, repeats: true, run: () => step(1) },
    { key: previous, text: backward, repeats: true, run: () => step(-1) },
  ];
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "submit"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement || target.isContentEditable;
}

export function listenToKeys(): void {
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) (event.target as HTMLElement).blur();
    if (typing(event.target) || document.querySelector("dialog[open]")) return;
    const onControl = event.target instanceof HTMLElement && event.target.matches("button, a, summary");
    if (onControl && (event.key === "Enter" || event.key === " ")) {
      if (event.repeat) event.preventDefault(); // else the browser would press it again and again
      return;
    }
    for (const scope of scopes.peek()) {
      const found = scope.keys.find((key) => key.key === event.key);
      if (found) {
        event.preventDefault();
        if (!event.repeat || found.repeats) found.run(event);
        return;
      }
    }
  });
}
