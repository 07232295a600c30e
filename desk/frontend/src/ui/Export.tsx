// The files of a view, behind one small button.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { t } from "../i18n";
import type { Column } from "./DataTable";
import { csv, save, savePng, tablePicture } from "./files";

interface Props<Row> {
  /** Of the view, and of its files. */
  name: string;
  columns: readonly Column<Row>[];
  rows: readonly Row[];
  /** The picture of it; that of the table where there is none. */
  picture?: () => HTMLCanvasElement | null;
  /** All of it from the server, not only what is shown: names and addresses. */
  server?: readonly { text: string; address: string }[];
}

/** The file of all that a view's address answers. */
export const fileOf = (address: string | null): NonNullable<Props<unknown>["server"]> => (address ? [{ text: t("export.all"), address: address.replace("?", "/export?format=csv&") }] : []);

export function Export<Row>({ name, columns, rows, picture, server }: Props<Row>): JSX.Element {
  const menu = useRef<HTMLDetailsElement>(null);
  const done = (): void => {
    if (menu.current) menu.current.open = false;
  };
  return (
    <details
      class="menu"
      ref={menu}
      onFocusOut={(event) => !menu.current?.contains(event.relatedTarget as Node | null) && done()}
    >
      <summary title={t("export.title", { name })} aria-label={t("export.title", { name })}>
        ⤓
      </summary>
      <div class="menu-items">
        <button
          type="button"
          onClick={() => {
            save(csv(columns, rows), `${name}.csv`);
            done();
          }}
        >
          CSV
        </button>
        <button
          type="button"
          onClick={() => {
            const canvas = picture ? picture() : tablePicture(name, columns, rows);
            if (canvas) savePng(canvas, name);
            done();
          }}
        >
          PNG
        </button>
        {server?.map((file) => (
          <a key={file.text} href={file.address} download onClick={done}>
            {file.text}
          </a>
        ))}
      </div>
    </details>
  );
}
