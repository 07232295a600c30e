// What a reader chose for this browser: theme and language.
import { effect, signal } from "@preact/signals";

export type Theme = "system" | "light" | "dark";
export type Language = "en" | "zh";

const THEMES: readonly Theme[] = ["system", "light", "dark"];

export const theme = signal<Theme>(kept("theme", THEMES) ?? "system");
export const language = signal<Language>(kept("language", ["en", "zh"]) ?? spoken());

const systemDark = matchMedia("(prefers-color-scheme: dark)");
/** Counts changes of the colours in force, for canvases that have to be drawn again. */
export const palette = signal(0);

function kept<T extends string>(name: string, known: readonly T[]): T | undefined {
  try {
    return known.find((value) => value === localStorage.getItem(`newstide.${name}`));
  } catch {
    return undefined; // storage is switched off
  }
}

function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`newstide.${name}`, value);
  } catch {
    // then it holds for this page
  }
}

function spoken(): Language {
  return navigator.languages.some((name) => name.toLowerCase().startsWith("zh")) &&
    !navigator.languages[0]?.toLowerCase().startsWith("en")
    ? "zh"
    : "en";
}

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.peek()) + 1) % THEMES.length] ?? "system";
}

export function applySettings(): void {
  effect(() => {
    const root = document.documentElement;
    if (theme.value === "system") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", theme.value);
    keep("theme", theme.value);
    palette.value = palette.peek() + 1;
  });
  effect(() => {
    document.documentElement.lang = language.value === "zh" ? "zh-Hans" : "en";
    keep("language", language.value);
  });
  systemDark.addEventListener("change", () => (palette.value = palette.peek() + 1));
}
