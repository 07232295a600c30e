// A text with the words that moved the model's score: for its label, or against it.
import type { JSX } from "preact";
import { address } from "../../api/client";
import type { Explanation, WordWeight } from "../../api/types";
import { useData } from "../../api/useData";
import { percent, signed } from "../../format";
import { t } from "../../i18n";

const LEAST = 0.02;

export function ExplainedText({ uid, task, text }: { uid: string; task: string; text: string }): JSX.Element {
  const found = useData<Explanation>(address(`/explanations/${uid}`, { task }));
  const explained = found.data?.uid === uid ? found.data.tasks[task] : undefined;
  if (!explained || !found.data)
    return (
      <>
        <p class="item-text">{text}</p>
        <p class="muted small">{found.error ? found.error.message : t("state.loading")}</p>
      </>
    );
  return (
    <>
      <p class="item-text">{marked(found.data.text, explained.spans)}</p>
      <p class="muted small">{t("explain.means", { label: explained.label, score: percent(explained.score) })}</p>
    </>
  );
}

/** Places are in code points, so the text is taken apart by those. */
function marked(text: string, spans: readonly WordWeight[]): (string | JSX.Element)[] {
  const points = Array.from(text);
  const parts: (string | JSX.Element)[] = [];
  let at = 0;
  for (const span of [...spans].sort((one, other) => one.start - other.start)) {
    if (span.start < at || Math.abs(span.weight) < LEAST) continue;
    parts.push(points.slice(at, span.start).join(""));
    const strength = Math.min(4, Math.ceil(Math.abs(span.weight) * 8));
    parts.push(
      <mark key={span.start} class={`weight ${span.weight > 0 ? "for" : "against"}-${strength}`} title={signed(span.weight * 100, 0)}>
        {points.slice(span.start, span.end).join("")}
      </mark>,
    );
    at = span.end;
  }
  parts.push(points.slice(at).join(""));
  return parts;
}
