// One story: its headline, who told it and how often, and what the model, or a person, makes of it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address } from "../../api/client";
import { labelled } from "../../api/labels";
import { SENTIMENTS, type Message, type Story } from "../../api/types";
import { useData } from "../../api/useData";
import { number, percent } from "../../format";
import { named, t } from "../../i18n";
import { href } from "../../router";
import { Companies } from "../../ui/Companies";
import type { Column } from "../../ui/DataTable";
import { OutLink, Sentiment, Time } from "../../ui/parts";

export function StoryItem({ story }: { story: Story }): JSX.Element {
  const open = useSignal(false);
  const said = labelled.value.get(story.id)?.sentiment;
  const whole = story.message_sentiment; // of the series that are shown, a company's has a sentiment of its own
  const score = story.sentiment ? story.scores?.[SENTIMENTS.indexOf(story.sentiment)] : undefined;
  return (
    <li class="story" tabIndex={-1} data-story={story.id}>
      <div class="story-line">
        <Sentiment value={said ?? story.sentiment ?? (story.uid ? t("sentiment.unread") : "")} short />
        <OutLink url={story.url} class="headline">
          {story.headline || t("story.untitled")}
        </OutLink>
      </div>
      <p class="story-facts">
        <Time at={story.first_at} />
        <span title={story.sources.join(", ")}>{story.sources[0]}</span>
        {story.copies > 1 && (
          <button type="button" class="link" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
            {t("story.copies", { n: number(story.copies) })}
          </button>
        )}
        {story.topic && <a href={href("/", { series: `topic=${story.topic}` })}>{story.topic}</a>}
        {whole && whole !== story.sentiment && <span>{t("story.whole", { label: named("sentiment", whole) })}</span>}
        <Companies names={story.entities} towards={story.entity_sentiments} whole={whole} />
        {said ? <b>{t("story.labelled", { label: named("sentiment", said) })}</b> : score !== undefined && <span>{t("story.sure", { share: percent(score) })}</span>}
      </p>
      {open.value && <Copies id={story.id} />}
    </li>
  );
}

function Copies({ id }: { id: string }): JSX.Element {
  const found = useData<{ items: Message[] }>(address(`/stories/${id}`));
  return (
    <ul class="copies">
      {found.data?.items.map((copy) => (
        <li key={copy.uid}>
          <Time at={copy.published_at} /> <b>{copy.source}</b> <OutLink url={copy.url}>{copy.title || copy.text}</OutLink>
        </li>
      ))}
    </ul>
  );
}

export function storyColumns(): Column<Story>[] {
  return [
    { id: "first_at", title: t("column.from"), value: (story) => story.first_at },
    { id: "headline", title: t("column.headline"), value: (story) => story.headline },
    { id: "source", title: t("column.source"), value: (story) => story.sources.join(", ") },
    { id: "copies", title: t("column.copies"), numeric: true, value: (story) => story.copies },
    { id: "sentiment", title: t("column.sentiment"), value: (story) => story.sentiment },
    { id: "companies", title: t("kind.entity"), value: (story) => story.entities.map((name, place) => `${name} ${story.entity_sentiments[place] ?? ""}`.trim()).join(", ") },
    { id: "topic", title: t("column.topic"), value: (story) => story.topic },
    { id: "url", title: t("column.url"), value: (story) => story.url },
  ];
}
