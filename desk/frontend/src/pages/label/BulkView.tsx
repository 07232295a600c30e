// Many at once: search, choose, and the same keys label all that is chosen, or one company in all of it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { showSaved } from "../../api/labels";
import { post } from "../../api/client";
import type { Found, Page, SavedAlike, SavedLabels } from "../../api/types";
import { useData } from "../../api/useData";
import { number } from "../../format";
import { named, t } from "../../i18n";
import { FoundItem } from "../../ui/FoundItem";
import { useKeys } from "../../ui/keys";
import { Choice, Empty, Failed, More, Panel, Skeleton } from "../../ui/parts";
import { say, sayError } from "../../ui/toasts";
import { useList } from "../../ui/useList";
import { useMore } from "../../ui/useMore";
import { searchAddress, SearchForm } from "../SearchForm";
import { BulkCompanies, companyOf } from "./BulkCompanies";
import { LabelButtons } from "./LabelButtons";
import { useTask } from "./useTask";

export function BulkView(): JSX.Element {
  const { task, tasks, labels, choose } = useTask();
  const company = companyOf(task);
  const wanted = searchAddress(100);
  const found = useData<Page<Found>>(wanted);
  const { items, more } = useMore(wanted, wanted ? found.data : undefined);
  const chosen = useSignal<ReadonlySet<string>>(new Set());
  const saving = useRef<Promise<void>>(Promise.resolve());
  const { box, focused, focus } = useList();
  const marked = items.filter((item) => chosen.value.has(item.uid));

  const inTurn = (deed: () => Promise<void>): void => {
    saving.current = saving.current.then(deed); // else a step that is being saved would not be the latest to take back
  };
  const toggle = (uid: string): void => {
    const next = new Set(chosen.peek());
    if (!next.delete(uid)) next.add(uid);
    chosen.value = next;
  };
  const toggleFocused = (): void => {
    const item = items[focused()];
    if (item) toggle(item.uid);
    focus(focused() + 1);
  };
  const all = (): void => {
    chosen.value = marked.length === items.length ? new Set() : new Set(items.map((item) => item.uid));
  };
  const label = async (name: string): Promise<void> => {
    if (marked.length === 0) return say(t("bulk.choose"), true);
    try {
      const said = company ? { entities: { [company]: name } } : { labels: { [task]: name } };
      const done = await post<SavedAlike>("/labels/bulk", { request: crypto.randomUUID(), uids: marked.map((item) => item.uid), ...said });
      showSaved(done.items);
      chosen.value = new Set();
      say(summary(done, company ? `${company} ${named("sentiment", name)}` : named("sentiment", name)));
    } catch (error) {
      sayError(error);
    }
  };
  const undo = async (): Promise<void> => {
    try {
      const done = await post<SavedLabels>("/labels/undo", { request: crypto.randomUUID() });
      showSaved(done.items);
      say(t("label.undone", { n: number(done.items.length) }));
    } catch (error) {
      sayError(error);
    }
  };
  useKeys("keys.bulk", [
    { key: " ", text: "keys.choose", run: toggleFocused },
    { key: "*", text: "keys.choose.all", run: all },
    { key: "z", text: "keys.undo", run: () => inTurn(undo) },
  ]);

  return (
    <Panel
      title={t("label.bulk")}
      busy={found.loading}
      note={t("bulk.chosen", { n: number(marked.length) })}
      tools={tasks.length > 1 && <Choice<string> label={t("label.task")} value={task} options={tasks.map((value) => ({ value, text: named("task", value) }))} onChange={choose} />}
    >
      <SearchForm />
      {task === "sentiment" && <BulkCompanies found={items} marked={marked} chosen={company} />}
      <LabelButtons task={task} of={company} labels={labels} onLabel={(name) => inTurn(() => label(name))} />
      <p class="buttons queue-tools">
        <button type="button" onClick={all} disabled={items.length === 0}>
          {t("keys.choose.all")} <kbd>*</kbd>
        </button>
        <button type="button" onClick={() => inTurn(undo)}>
          {t("keys.undo")} <kbd>z</kbd>
        </button>
      </p>
      {found.error && <Failed error={found.error} retry={found.reload} />}
      {!wanted ? (
        <Empty title={t("search.begin")}>{t("bulk.begin.do")}</Empty>
      ) : !found.data ? (
        !found.error && <Skeleton rows={8} />
      ) : items.length === 0 ? (
        <Empty title={t("search.empty")}>{t("search.empty.do")}</Empty>
      ) : (
        <ol class="stories" ref={box}>
          {items.map((item) => (
            <FoundItem
              key={item.uid}
              found={item}
              before={<input type="checkbox" aria-label={t("bulk.choose.one", { text: (item.title || item.text).slice(0, 80) })} checked={chosen.value.has(item.uid)} onChange={() => toggle(item.uid)} />}
            />
          ))}
        </ol>
      )}
      <More more={more} />
    </Panel>
  );
}

/** What was done, and what was left out and why. */
function summary(done: SavedAlike, label: string): string {
  const parts = [t("bulk.done", { n: number(done.items.length), label })];
  if (done.kept.length > 0) parts.push(t("bulk.kept", { n: number(done.kept.length) }));
  if (done.without.length > 0) parts.push(t("bulk.without", { n: number(done.without.length) }));
  return parts.join(" · ");
}
