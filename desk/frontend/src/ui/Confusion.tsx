// Who said what where somebody else said what: a table whose cells are shaded by their share of the row.
import type { JSX } from "preact";
import { number } from "../format";
import { named } from "../i18n";

interface Props {
  caption: string;
  labels: readonly string[];
  counts: Record<string, Record<string, number>>;
  rowTitle: string;
  columnTitle: string;
}

const SHADES = 6;

export function Confusion({ caption, labels, counts, rowTitle, columnTitle }: Props): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={caption}>
      <table class="confusion">
        <caption>{caption}</caption>
        <thead>
          <tr>
            <th scope="col">
              {rowTitle} ↓ · {columnTitle} →
            </th>
            {labels.map((label) => (
              <th key={label} scope="col" class="numeric" title={label}>
                {named("sentiment", label)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {labels.map((label) => {
            const row = counts[label] ?? {};
            const total = Object.values(row).reduce((sum, count) => sum + count, 0);
            return (
              <tr key={label}>
                <th scope="row">{named("sentiment", label)}</th>
                {labels.map((other) => {
                  const count = row[other] ?? 0;
                  const shade = total > 0 ? Math.min(SHADES, Math.ceil((count / total) * SHADES)) : 0;
                  return (
                    <td key={other} class={`numeric shade-${shade} ${label === other ? "same" : ""}`}>
                      {count > 0 ? number(count) : "·"}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
