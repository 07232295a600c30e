// The keys of labels: digits first, then the row of letters below them.
import { keyOf } from "../../state/taxonomy";
import { useKeys } from "../../ui/keys";

export function useLabelKeys(labels: readonly string[], onLabel: (label: string) => void, on: boolean): void {
  useKeys(
    "keys.labelling",
    labels.flatMap((label, place) => (keyOf(place) ? [{ key: keyOf(place), text: "keys.label" as const, name: label, run: () => onLabel(label) }] : [])),
    on,
  );
}
