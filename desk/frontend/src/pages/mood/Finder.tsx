// Finding a series by a part of its name.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address } from "../../api/client";
import type { FoundSeries } from "../../api/types";
import { useData } from "../../api/useData";
import { t } from "../../i18n";
import { setQuery } from "../../router";

const WAIT_MS = 150;
const nameOf = (found: FoundSeries): string => `${found.kind}=${found.name}`;

export function Finder(): JSX.Element {
  const words = useSignal("");
  const found = useData<{ items: FoundSeries[] }>(words.value ? address("/series", { q: words.value, limit: 8 }) : null);
  const timer = useSignal(0);
  const items = found.data?.items ?? [];
  const type = (event: Event): void => {
    const text = (event.currentTarget as HTMLInputElement).value.trim();
    const chosen = items.find((item) => nameOf(item) === text);
    clearTimeout(timer.peek());
    if (chosen) {
      setQuery({ series: text, kind: chosen.kind });
      (event.currentTarget as HTMLInputElement).value = "";
      words.value = "";
    } else timer.value = window.setTimeout(() => (words.value = text), WAIT_MS);
  };
  return (
    <>
      <input class="small-field finder" list="found-series" maxLength={200} placeholder={t("finder.find")} aria-label={t("finder.find")} onInput={type} />
      <datalist id="found-series">
        {items.map((item) => (
          <option key={nameOf(item)} value={nameOf(item)}>
            {item.label}
          </option>
        ))}
      </datalist>
    </>
  );
}
