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
  const probe = document.createElement("i");
  probe.hidden = true;
  document.body.append(probe);
  const read = (name: string): string => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const found = Object.fromEntries(NAMES.map((name) => [name, read(name)])) as Record<(typeof NAMES)[number], string>;
  const steps = (name: string, count: number): string[] => Array.from({ length: count }, (_, step) => read(`${name}-${step}`));
  known = { ...found, pins: steps("pin", 4), surprise: steps("surprise", 9), amount: steps("amount", 7) };
  probe.remove();
  return known;
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
