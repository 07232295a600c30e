// Labels of people: shown at once, stored behind, and taken back where the store refuses.
import { signal } from "@preact/signals";
import { named, t } from "../i18n";
import { say, sayError } from "../ui/toasts";
import { post } from "./client";
import type { SavedLabels } from "./types";

export type Labels = Readonly<Record<string, string>>;

/** What the reader said of stories since the page was loaded, by task. */
export const labelled = signal<ReadonlyMap<string, Labels>>(new Map());
/** What they said of the companies in stories, by company. */
export const towards = signal<ReadonlyMap<string, Labels>>(new Map());

/** Show what a step that the server has done says now; null is nothing any more. */
export function showSaved(items: SavedLabels["items"]): void {
  labelled.value = changed(labelled.peek(), items.map(({ story, labels }) => [story, labels]));
  towards.value = changed(towards.peek(), items.map(({ story, entities }) => [story, entities]));
}

function changed(before: ReadonlyMap<string, Labels>, said: readonly [story: string, words: Record<string, string | null>][]): ReadonlyMap<string, Labels> {
  const now = new Map(before);
  for (const [story, words] of said) {
    const all = Object.entries({ ...now.get(story), ...words });
    now.set(story, Object.fromEntries(all.filter((each): each is [string, string] => each[1] !== null)));
  }
  return now;
}

/** Label the story of a message. */
export async function labelStory(story: string, uid: string, labels: Labels): Promise<boolean> {
  const before = labelled.peek();
  labelled.value = new Map(before).set(story, { ...before.get(story), ...labels });
  try {
    await post("/labels", { items: [{ uid, labels }] });
    say(t("label.saved", { label: Object.values(labels).map((label) => named("sentiment", label)).join(", ") }));
    return true;
  } catch (error) {
    const now = new Map(labelled.peek()); // others may have been labelled meanwhile
    const old = before.get(story);
    if (old) now.set(story, old);
    else now.delete(story);
    labelled.value = now;
    sayError(error);
    return false;
  }
}
