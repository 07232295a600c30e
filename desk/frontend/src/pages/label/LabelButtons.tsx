// One button and one key for each label of a task.
import type { JSX } from "preact";
import { percent } from "../../format";
import { named } from "../../i18n";
import { keyOf } from "../../state/taxonomy";
import { subject } from "../../ui/subject";
import { useLabelKeys } from "./useLabelKeys";

interface Props {
  task: string;
  /** The company that is labelled; none where it is the text. */
  of?: string | undefined;
  labels: readonly string[];
  /** What the model says, where it may be seen. */
  scores?: Record<string, number> | undefined;
  suggested?: string | undefined;
  disabled?: boolean;
  onLabel: (label: string) => void;
}

export function LabelButtons({ task, of = "", labels, scores, suggested, disabled, onLabel }: Props): JSX.Element {
  useLabelKeys(labels, onLabel, !disabled);
  return (
    <div class={labels.length > 5 ? "labels many" : "labels"} role="group" aria-label={subject(task, of)}>
      {labels.map((label, place) => (
        <button key={label} type="button" disabled={disabled} class={`label-button ${label === suggested ? "suggested" : ""}`} onClick={() => onLabel(label)}>
          <kbd>{keyOf(place)}</kbd>
          <span class="label-name">{task === "sentiment" ? named("sentiment", label) : label}</span>
          {scores?.[label] !== undefined && (
            <>
              <small>{percent(scores[label])}</small>
              <i aria-hidden="true" style={{ width: percent(scores[label]) }} />
            </>
          )}
        </button>
      ))}
    </div>
  );
}
