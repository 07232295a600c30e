// Texts of the interface in the reader's language.
import { language } from "../state/settings";
import { catalogue } from "./catalogue";

export type Text = keyof typeof catalogue;

/** The text of that name; `{name}` in it stands for a value. */
export function t(name: Text, values: Record<string, string | number> = {}): string {
  const text: string = catalogue[name][language.value === "zh" ? 1 : 0];
  return text.replace(/\{(\w+)\}/g, (whole, key: string) => String(values[key] ?? whole));
}

/** The text of `prefix.name` where there is one, else the name as it is. */
export function named(prefix: string, name: string): string {
  const key = `${prefix}.${name}`;
  return key in catalogue ? t(key as Text) : name;
}
