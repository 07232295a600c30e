// The stories behind what is shown, copies folded; the keys of the label page label them here too.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { get } from "../../api/client";
import { labelStory } from "../../api/labels";
import { SENTIMENTS, type Page, type SentimentName, type Story } from "../../api/types";
import { useData } from "../../api/useData";
import { t } from "../../i18n";
import { queryOf, setQuery } from "../../router";
import { may } from "../../state/session";
import { series, shown } from "../../state/view";
import { Export, fileOf } from "../../ui/Export";
import { stepKeys, useKeys } from "../../ui/keys";
import { Choice, Empty, Failed, More, Panel, Skeleton } from "../../ui/parts";
import { sayError } from "../../ui/toasts";
import { answered, storiesAt } from "./answers";
import { StoryItem, storyColumns } from "./StoryItem";

let focusSoon = false;

/** Put the focus on the first story once those of the next choice are here. */
export function focusStories(): void {
  focusSoon = true;
}

export function Stories(): JSX.Element {
  const span = shown.value;
  const sentiment = queryOf("sentiment");
  const wanted = span && storiesAt(series.value, sentiment, queryOf("source"), span);
  const answer = useData<Page<Story>>(wanted, [answered]);
  // What is on the screen stays where it is: newer stories wait until they are asked for.
  const held = useSignal<{ wanted: string | null; first: Page<Story> | null; more: Story[]; next: string | null }>({ wanted: null, first: null, more: [], next: null });
  const list = useRef<HTMLOListElement>(null);
  const moreLoading = useSignal(false);

  useLayoutEffect(() => {
    if (!answer.data || answer.loading) return;
    if (held.peek().wanted !== wanted) take();
    else refresh(answer.data);
  }, [answer.data, answer.loading, wanted]);

  const take = (): void => {
    if (!answer.data) return;
    held.value = { wanted, first: answer.data, more: [], next: answer.data.next };
    if (focusSoon) {
      focusSoon = false;
      requestAnimationFrame(() => focusItem(0));
    }
  };
  const refresh = (page: Page<Story>): void => {
    const news = new Map(page.items.map((story) => [story.id, story]));
    const { first, more } = held.peek();
    const update = (stories: Story[]): Story[] => stories.map((story) => news.get(story.id) ?? story);
    if (first) held.value = { ...held.peek(), first: { ...first, items: update(first.items) }, more: update(more) };
  };
  const stories = [...(held.value.first?.items ?? []), ...held.value.more];
  const known = new Set(stories.map((story) => story.id));
  const fresh = held.value.wanted === wanted && !answer.loading ? (answer.data?.items ?? []).filter((story) => !known.has(story.id)).length : 0;

  const items = (): HTMLElement[] => [...(list.current?.querySelectorAll<HTMLElement>(".story") ?? [])];
  const focusItem = (index: number): void => {
    const all = items();
    all[Math.min(all.length - 1, Math.max(0, index))]?.focus();
  };
  const focused = (): number => items().findIndex((item) => item.contains(document.activeElement));
  const label = (name: SentimentName): void => {
    const story = stories[focused()];
    if (story?.uid) void labelStory(story.id, story.uid, { sentiment: name });
  };
  const more = async (): Promise<void> => {
    const { next } = held.peek();
    if (!wanted || !next) return;
    moreLoading.value = true;
    try {
      const page = await get<Page<Story>>("/stories", { ...Object.fromEntries(new URL(wanted, location.origin).searchParams), cursor: next });
      held.value = { ...held.peek(), more: [...held.peek().more, ...page.items], next: page.next };
    } catch (error) {
      sayError(error);
    } finally {
      moreLoading.value = false;
    }
  };

  useKeys("keys.stories", [
    ...stepKeys((by) => focusItem(focused() + by)),
    { key: "o", text: "keys.open", run: () => items()[focused()]?.querySelector<HTMLElement>("a[target]")?.click() },
    { key: ".", text: "keys.fresh", run: take },
  ]);
  useKeys("keys.labelling", SENTIMENTS.map((name, index) => ({ key: String(index + 1), text: `keys.${name}` as const, run: () => label(name) })), may("analyst"));

  return (
    <Panel
      id="stories"
      class="stories-panel"
      title={t("stories.title")}
      busy={answer.loading}
      note={
        fresh > 0 && (
          <button type="button" class="link" onClick={take}>
            {t("stories.fresh", { n: fresh })}
          </button>
        )
      }
      tools={
        <>
          <Choice<"" | SentimentName>
            label={t("stories.sentiment")}
            value={SENTIMENTS.find((each) => each === sentiment) ?? ""}
            options={[{ value: "", text: t("choice.all") }, ...SENTIMENTS.map((value) => ({ value, text: t(`sentiment.${value}`) }))]}
            onChange={(value) => setQuery({ sentiment: value }, true)}
          />
          <Export name="stories" columns={storyColumns()} rows={stories} server={fileOf(wanted && wanted.replace(/&limit=\d+/, ""))} />
        </>
      }
    >
      {answer.error && <Failed error={answer.error} retry={answer.reload} />}
      {!held.value.first ? (
        !answer.error && <Skeleton rows={8} />
      ) : stories.length === 0 ? (
        <Empty title={t("stories.empty")}>{t("stories.empty.do")}</Empty>
      ) : (
        <ol class="stories" ref={list}>
          {stories.map((story) => (
            <StoryItem key={story.id} story={story} />
          ))}
        </ol>
      )}
      <More more={held.value.next ? more : null} busy={moreLoading.value} />
    </Panel>
  );
}
