// Labels of people: shown at once, stored behind, and taken back where the store refuses.
import { signal } from "@preact/signals";
import { named, t } from "../i18n";
import { say, sayError } from "../ui/toasts";
import { post } from "./client";

export type Labels = Record<string, string>;

/** What the reader said of stories since the page was loaded. */
export const labelled = signal<ReadonlyMap<string, Labels>>(new Map());

/** Label the story of a message. */
export async function labelStory(story: string, uid: string, labels: Labels): Promise<boolean> {
  const before = labelled.peek();
  labelled.value = new Map(before).set(story, { ...before.get(story), ...labels });
  try {
    await post("/labels", { items: [{ uid, labels }] });
    say(t("label.saved", { label: Object.values(labels).map((label) => named("sentiment", label)).join(", ") }));
    return true;
  } catch (error) {
    labelled.value = before;
    sayError(error);
    return false;
  }
}
