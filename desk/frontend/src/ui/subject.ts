// What labels are of, in words: texts in one task, or companies in them.
import { named, t } from "../i18n";

/** Of one label; `of` is empty where it is of the text itself. */
export function subject(task: string, of: string): string {
  return of ? `${named("task", task)}, ${of}` : named("task", task);
}

/** Of many. */
export function subjects({ task, companies }: { task: string; companies: boolean }): string {
  return companies ? t("task.companies", { task: named("task", task) }) : named("task", task);
}
