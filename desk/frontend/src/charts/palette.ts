// Colours for canvases. Blue to orange is safe for the colour-blind, and bad news differs most in lightness from the
// ground, so that a print in grey shows it too; cells calmer than expected bear a dash.
import { palette } from "../state/settings";

export interface Colours {
  surface: string;
  ground: string;
  text: string;
  muted: string;
  line: string;
  accent: string;
  band: string;
  negative: string;
  neutral: string;
  positive: string;
  late: string;
  pins: readonly string[];
  /** From far fewer bad stories than expected to far more. */
  surprise: readonly string[];
  /** From none to most. */
  amount: readonly string[];
}

const NAMES = ["surface", "ground", "text", "muted", "line", "accent", "band", "negative", "neutral", "positive", "late"] as const;

let version = -1;
let known: Colours | null = null;

/** The colours in force: read from the style sheet again when the theme changes. */
export function colours(): Colours {
  if (known && version === palette.value) return known;
  version = palette.value;
  const scales = { pins: steps("pin", 4), surprise: steps("surprise", 9), amount: steps("amount", 7) };
  const found = readAll([...NAMES, ...Object.values(scales).flat()]);
  const of = (names: readonly string[]): string[] => names.map((name) => found.get(name) ?? "");
  const single = Object.fromEntries(NAMES.map((name) => [name, found.get(name) ?? ""])) as Record<(typeof NAMES)[number], string>;
  known = { ...single, pins: of(scales.pins), surprise: of(scales.surprise), amount: of(scales.amount) };
  return known;
}

const steps = (name: string, count: number): string[] => Array.from({ length: count }, (_, step) => `${name}-${step}`);

/** What the style sheet's variables are as colours; all at once, for which the browser works out styles once. */
function readAll(names: readonly string[]): Map<string, string> {
  const box = document.createElement("i");
  box.hidden = true;
  const probes = names.map((name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(--${name})`;
    return probe;
  });
  box.append(...probes);
  document.body.append(box);
  const found = new Map(names.map((name, place) => [name, getComputedStyle(probes[place] ?? box).color]));
  box.remove();
  return found;
}

/** Least surprise of each step of the scale, in powers of ten: the middle step is what chance does often. */
export const SURPRISE_STEPS: readonly number[] = [-5, -3, -2, -1, 1, 2, 3, 5];

export function surpriseStep(surprise: number): number {
  let step = 0;
  while (step < SURPRISE_STEPS.length && surprise >= (SURPRISE_STEPS[step] ?? 0)) step += 1;
  return step;
}

export function amountStep(share: number, steps: number): number {
  return share <= 0 ? 0 : Math.min(steps - 1, 1 + Math.floor(share * (steps - 1)));
}
