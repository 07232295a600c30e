// A table that can be sorted, walked through with the keyboard and taken along.
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { t } from "../i18n";

export interface Column<Row> {
  id: string;
  title: string;
  /** What the title means, for who hovers. */
  help?: string;
  numeric?: boolean;
  /** For sorting, and for files. */
  value: (row: Row) => string | number | null;
  render?: (row: Row) => ComponentChildren;
  /** Not to be sorted by. */
  plain?: boolean;
  /** Left out where there is little room. */
  wide?: boolean;
}

interface Props<Row> {
  caption: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  rowId: (row: Row) => string;
  selected?: string;
  onSelect?: (row: Row) => void;
  sortable?: boolean;
}

export function sortedRows<Row>(rows: readonly Row[], column: Column<Row> | undefined, down: boolean): readonly Row[] {
  if (!column) return rows;
  const sign = down ? -1 : 1;
  return [...rows].sort((one, other) => {
    const a = column.value(one);
    const b = column.value(other);
    if (a === null || b === null) return a === b ? 0 : a === null ? 1 : -1;
    return sign * (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
  });
}

export function DataTable<Row>(props: Props<Row>): JSX.Element {
  const order = useSignal<{ id: string; down: boolean } | null>(null);
  const { columns, sortable = true } = props;
  const chosen = order.value;
  const rows = sortedRows(props.rows, columns.find((column) => column.id === chosen?.id), chosen?.down ?? false);

  const sort = (column: Column<Row>): void => {
    order.value =
      chosen?.id !== column.id
        ? { id: column.id, down: column.numeric ?? false }
        : chosen.down === (column.numeric ?? false)
          ? { id: column.id, down: !chosen.down }
          : null;
  };
  const direction = (column: Column<Row>): "ascending" | "descending" | "none" =>
    chosen?.id !== column.id ? "none" : chosen.down ? "descending" : "ascending";

  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={props.caption}>
      <table>
        <caption class="hidden">{props.caption}</caption>
        <thead>
          <tr>
            {columns.map((column) => (
              <th
                key={column.id}
                scope="col"
                class={cell(column)}
                title={column.help}
                {...(sortable && !column.plain ? { "aria-sort": direction(column) } : {})}
              >
                {sortable && !column.plain ? (
                  <button type="button" class="sort" onClick={() => sort(column)}>
                    {column.title}
                    <span aria-hidden="true">{chosen?.id === column.id ? (chosen.down ? " ↓" : " ↑") : ""}</span>
                  </button>
                ) : (
                  column.title
                )}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const id = props.rowId(row);
            const choose = props.onSelect;
            return (
              <tr key={id} class={id === props.selected ? "selected" : undefined} onClick={choose && (() => choose(row))}>
                {columns.map((column, index) => {
                  const shown = column.render ? column.render(row) : (column.value(row) ?? "–");
                  return index === 0 ? (
                    <th key={column.id} scope="row" class={cell(column)}>
                      {choose ? (
                        <button type="button" class="link" aria-pressed={id === props.selected}>
                          {shown}
                        </button>
                      ) : (
                        shown
                      )}
                    </th>
                  ) : (
                    <td key={column.id} class={cell(column)}>
                      {shown}
                    </td>
                  );
                })}
              </tr>
            );
          })}
        </tbody>
      </table>
      {rows.length === 0 && <p class="empty">{t("state.none")}</p>}
    </div>
  );
}

function cell<Row>(column: Column<Row>): string {
  return `${column.numeric ? "numeric" : ""} ${column.wide ? "wide-only" : ""}`.trim();
}
