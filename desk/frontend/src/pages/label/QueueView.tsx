// The queue: one story, one press, the next story.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { address } from "../../api/client";
import type { LabelFigures } from "../../api/types";
import { useData } from "../../api/useData";
import { number } from "../../format";
import { named, t } from "../../i18n";
import { queryOf } from "../../router";
import { labelsOf } from "../../state/taxonomy";
import { me } from "../../state/session";
import { useKeys } from "../../ui/keys";
import { Choice, Empty, Failed, OutLink, Panel, Skeleton, Time } from "../../ui/parts";
import { CompanyChoice } from "./CompanyChoice";
import { ExplainedText } from "./ExplainedText";
import { LabelButtons } from "./LabelButtons";
import { begin, company, empty, given, items, label, loading, problem, retry, skip, steps, undo, undoable } from "./labelling";
import { useTask } from "./useTask";

const HOUR = 3_600_000;

export function QueueView(): JSX.Element {
  const { task, tasks, labels, choose } = useTask();
  const source = queryOf("source");
  const explained = useSignal(false);
  const figures = useData<LabelFigures>(address("/labels/figures", { hours: 1 }), ["labels"]);
  useEffect(() => {
    if (task) begin(task, source);
  }, [task, source]);
  useEffect(() => {
    if (figures.data) undoable.value = figures.data.undoable;
  }, [figures.data]);

  const [item, ...next] = items.value;
  const of = company();
  const suggestion = of ? undefined : item?.suggested?.[task];
  const suggested = of ? item?.suggested_entities?.[of] : suggestion?.label;
  useKeys("keys.queue", [
    { key: "Enter", text: "keys.accept", run: () => suggested && label(suggested) },
    { key: "z", text: "keys.undo", run: undo },
    { key: "s", text: "keys.skip", run: () => void skip() },
    { key: "x", text: "keys.explain", run: () => (explained.value = !explained.value) },
  ]);

  return (
    <div class="two-columns queue">
      <Panel
        title={t("label.queue")}
        busy={loading.value && !item}
        tools={tasks.length > 1 && <Choice<string> label={t("label.task")} value={task} options={tasks.map((value) => ({ value, text: named("task", value) }))} onChange={choose} />}
      >
        {problem.value && <Failed error={problem.value} retry={retry} />}
        {item ? (
          <article class="item" aria-live="polite">
            <p class="item-facts">
              <span class={`badge reason-${item.reason}`} title={t(`reason.${item.reason}.help`)}>
                {t(`reason.${item.reason}`)}
              </span>
              {item.blind && (
                <span class="badge" title={t("label.blind.help")}>
                  {t("label.blind")}
                </span>
              )}
              {item.copies > 1 && <span class="badge">{t("story.copies", { n: number(item.copies) })}</span>}
              <span>{item.source}</span>
              <Time at={item.published_at} />
              <OutLink url={item.url}>{item.url.startsWith("http") ? t("label.source") : ""}</OutLink>
            </p>
            {item.title && item.title !== item.text && <h2 class="item-title">{item.title}</h2>}
            {explained.value && item.uid && item.suggested ? <ExplainedText uid={item.uid} task={task} text={item.text} /> : <p class="item-text">{item.text}</p>}
            {!item.suggested && <p class="muted small">{t("label.hidden")}</p>}
            <CompanyChoice item={item} />
          </article>
        ) : empty.value ? (
          <Empty title={t("label.done")}>{t("label.done.do")}</Empty>
        ) : (
          !problem.value && <Skeleton rows={5} />
        )}
        <LabelButtons task={of ? "sentiment" : task} of={of} labels={of ? labelsOf("sentiment") : labels} scores={suggestion?.scores} suggested={suggested} disabled={!item} onLabel={label} />
        <p class="buttons queue-tools">
          <button type="button" onClick={undo} disabled={undoable.value === 0}>
            {t("keys.undo")} <kbd>z</kbd>
          </button>
          <button type="button" onClick={() => void skip()} disabled={!item}>
            {t("keys.skip")} <kbd>s</kbd>
          </button>
          <button type="button" aria-pressed={explained.value} onClick={() => (explained.value = !explained.value)}>
            {t("keys.explain")} <kbd>x</kbd>
          </button>
          <span class="muted small">{t("label.undoable", { n: number(undoable.value) })}</span>
        </p>
      </Panel>
      <div class="column">
        <Speed figures={figures.data} />
        <Panel title={t("label.next")}>
          <ol class="rows small">
            {next.slice(0, 3).map((each) => (
              <li key={each.story} class="upcoming">
                {each.title || each.text}
              </li>
            ))}
            {next.length === 0 && <li class="muted">{t("state.none")}</li>}
          </ol>
        </Panel>
        <Panel title={t("label.latest")}>
          <ol class="rows small">
            {steps.value
              .slice(-6)
              .reverse()
              .map((step) => (
                <li key={step.request} class="upcoming">
                  <b>
                    {named("sentiment", step.label)}
                    {step.company && ` · ${step.company}`}
                  </b>{" "}
                  {step.item.title || step.item.text}
                </li>
              ))}
            {steps.value.length === 0 && <li class="muted">{t("label.latest.none")}</li>}
          </ol>
        </Panel>
      </div>
    </div>
  );
}

function Speed({ figures }: { figures: LabelFigures | undefined }): JSX.Element {
  const times = given.value;
  const lasted = times.length > 1 ? (times.at(-1) ?? 0) - (times[0] ?? 0) : 0;
  const mine = figures?.counts.filter((count) => count.analyst === me.value?.name) ?? [];
  const hour = figures?.hours.filter((each) => each.analyst === me.value?.name && Date.parse(each.hour) > Date.now() - 2 * HOUR).at(-1);
  return (
    <section class="strip three" aria-label={t("label.speed")}>
      <div class="figure">
        <h2>{t("label.visit")}</h2>
        <p class="value">{number(times.length)}</p>
        <p class="under">{lasted > 0 ? t("label.per_hour", { n: number(((times.length - 1) * HOUR) / lasted) }) : t("label.this_visit")}</p>
      </div>
      <div class="figure">
        <h2>{t("label.hour")}</h2>
        <p class="value">{number(hour?.labels ?? 0)}</p>
        <p class="under">{t("label.given")}</p>
      </div>
      <div class="figure">
        <h2>{t("label.yours")}</h2>
        <p class="value">{number(mine.reduce((sum, count) => sum + (count.label === null ? 0 : count.current), 0))}</p>
        <p class="under">{t("label.of_all", { n: number(figures?.current ?? 0) })}</p>
      </div>
    </section>
  );
}
