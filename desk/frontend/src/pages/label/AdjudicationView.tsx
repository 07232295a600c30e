// What analysts disagree about: somebody else decides, with the same keys.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address, post } from "../../api/client";
import type { Dispute, Page } from "../../api/types";
import { useData } from "../../api/useData";
import { named, t } from "../../i18n";
import { me } from "../../state/session";
import { stepKeys, useKeys } from "../../ui/keys";
import { Choice, Empty, Failed, Panel, Skeleton } from "../../ui/parts";
import { say, sayError } from "../../ui/toasts";
import { LabelButtons } from "./LabelButtons";
import { subject } from "../../ui/subject";
import { useTask } from "./useTask";

const keyOf = (one: Dispute): string => `${one.story}${one.task}${one.entity}`;

export function AdjudicationView(): JSX.Element {
  const { task, tasks, labels, choose } = useTask();
  const list = useData<Page<Dispute>>(task ? address("/adjudications", { task, limit: 50 }) : null, ["labels"]);
  const decided = useSignal<ReadonlySet<string>>(new Set());
  const place = useSignal(0);
  const items = (list.data?.items ?? []).filter((item) => !decided.value.has(keyOf(item)));
  const current = items[Math.min(place.value, items.length - 1)];
  const own = current?.opinions.some((opinion) => opinion.analyst === me.value?.name) && me.value?.role !== "admin";
  const step = (by: number): void => {
    place.value = Math.min(Math.max(0, items.length - 1), Math.max(0, place.peek() + by));
  };
  useKeys("keys.stories", stepKeys(step));
  const decide = async (label: string): Promise<void> => {
    if (!current) return;
    const key = keyOf(current);
    decided.value = new Set(decided.peek()).add(key);
    try {
      await post(`/adjudications/${current.story}`, { task: current.task, entity: current.entity, label, request: crypto.randomUUID() });
      say(t("adjudication.done", { label: named("sentiment", label) }));
    } catch (error) {
      const kept = new Set(decided.peek());
      kept.delete(key);
      decided.value = kept;
      sayError(error);
    }
  };
  return (
    <div class="two-columns queue">
      <Panel
        title={t("label.adjudication")}
        busy={list.loading}
        tools={tasks.length > 1 && <Choice<string> label={t("label.task")} value={task} options={tasks.map((value) => ({ value, text: named("task", value) }))} onChange={choose} />}
      >
        {list.error && <Failed error={list.error} retry={list.reload} />}
        {!list.data ? (
          !list.error && <Skeleton rows={5} />
        ) : !current ? (
          <Empty title={t("adjudication.empty")}>{t("adjudication.empty.do")}</Empty>
        ) : (
          <>
            <article class="item" aria-live="polite">
              <p class="item-facts">
                {current.entity && <b class="badge">{subject(current.task, current.entity)}</b>}
                <span>{current.source}</span>
              </p>
              <p class="item-text">{current.text}</p>
              <ul class="opinions">
                {current.opinions.map((opinion) => (
                  <li key={opinion.analyst}>
                    <b>{opinion.analyst}</b> {named("sentiment", opinion.label)}
                  </li>
                ))}
              </ul>
              {own && <p class="muted small">{t("adjudication.own")}</p>}
            </article>
            <LabelButtons task={task} of={current.entity} labels={labels} disabled={own ?? false} onLabel={(label) => void decide(label)} />
          </>
        )}
      </Panel>
      <Panel title={t("adjudication.list")}>
        <ol class="rows small">
          {items.map((item, index) => (
            <li key={keyOf(item)} class="upcoming">
              <button type="button" class="link" aria-current={item === current ? "true" : undefined} onClick={() => (place.value = index)}>
                {item.entity && <b>{item.entity} </b>}
                {item.text.slice(0, 120)}
              </button>
            </li>
          ))}
          {items.length === 0 && <li class="muted">{t("state.none")}</li>}
        </ol>
      </Panel>
    </div>
  );
}
