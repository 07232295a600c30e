// Labels of a file: JSON lines, or what Label Studio exports.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { address, request } from "../../api/client";
import { number } from "../../format";
import { t } from "../../i18n";
import { say, sayError } from "../../ui/toasts";

export function ImportButton({ onDone }: { onDone: () => void }): JSX.Element {
  const field = useRef<HTMLInputElement>(null);
  const take = async (file: File): Promise<void> => {
    const format = /\.json$/i.test(file.name) ? "label-studio" : "jsonl";
    const type = format === "jsonl" ? "application/x-ndjson" : "application/json";
    try {
      const done = await request<{ added: number; already_given: number }>("POST", address("/labels/import", { format }), new Blob([file], { type }));
      say(t("import.done", { added: number(done.added), known: number(done.already_given) }));
      onDone();
    } catch (error) {
      sayError(error);
    }
  };
  return (
    <>
      <input
        ref={field}
        type="file"
        hidden
        accept=".jsonl,.ndjson,.json"
        aria-label={t("import.file")}
        onChange={() => {
          const file = field.current?.files?.[0];
          if (file) void take(file);
          if (field.current) field.current.value = "";
        }}
      />
      <button type="button" title={t("import.help")} onClick={() => field.current?.click()}>
        {t("import.file")}
      </button>
    </>
  );
}
