// Walking through a list with j and k: the item that has the focus is the one that keys act on.
import type { RefObject } from "preact";
import { useRef } from "preact/hooks";
import { stepKeys, useKeys } from "./keys";

export interface List {
  box: RefObject<HTMLOListElement | null>;
  /** Place of the item with the focus; -1 for none. */
  focused: () => number;
  focus: (place: number) => void;
}

export function useList(selector = ".story"): List {
  const box = useRef<HTMLOListElement>(null);
  const items = (): HTMLElement[] => [...(box.current?.querySelectorAll<HTMLElement>(selector) ?? [])];
  const focused = (): number => items().findIndex((item) => item.contains(document.activeElement));
  const focus = (place: number): void => {
    const all = items();
    all[Math.min(all.length - 1, Math.max(0, place))]?.focus();
  };
  useKeys("keys.stories", [
    ...stepKeys((by) => focus(focused() + by)),
    { key: "o", text: "keys.open", run: () => items()[focused()]?.querySelector<HTMLElement>("a[target]")?.click() },
  ]);
  return { box, focused, focus };
}
