// Tasks and their labels, asked for once, and the keys that stand for them.
import { signal } from "@preact/signals";
import { get } from "../api/client";
import type { Taxonomy } from "../api/types";
import { sayError } from "../ui/toasts";

const KEYS = "1234567890qwertyuiop";

export const taxonomy = signal<Taxonomy | null>(null);
let asked = false;

export function loadTaxonomy(): void {
  if (asked) return;
  asked = true;
  get<Taxonomy>("/settings/taxonomy")
    .then((found) => (taxonomy.value = found))
    .catch((error: unknown) => {
      asked = false;
      sayError(error);
    });
}

export function labelsOf(task: string): readonly string[] {
  return taxonomy.value?.tasks.find((each) => each.name === task)?.labels ?? [];
}

/** The key of the label at this place; none where there are more labels than keys. */
export function keyOf(place: number): string {
  return KEYS[place] ?? "";
}
