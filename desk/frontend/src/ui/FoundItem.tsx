// A message that a search found.
import type { ComponentChildren, JSX } from "preact";
import { labelled, towards } from "../api/labels";
import type { Found } from "../api/types";
import { named, t } from "../i18n";
import { href } from "../router";
import { Companies } from "./Companies";
import { OutLink, Sentiment, Time } from "./parts";

export function FoundItem({ found, before, current }: { found: Found; before?: ComponentChildren; current?: boolean }): JSX.Element {
  const said = labelled.value.get(found.story)?.sentiment;
  const own = towards.value.get(found.story);
  return (
    <li class="story" tabIndex={-1} data-uid={found.uid} aria-current={current ? "true" : undefined}>
      <div class="story-line">
        {before}
        <Sentiment value={said ?? found.sentiment ?? t("sentiment.unread")} short />
        <OutLink url={found.url} class="headline">
          {found.title || found.text}
        </OutLink>
      </div>
      {found.title && found.text !== found.title && <p class="story-text">{found.text}</p>}
      <p class="story-facts">
        <Time at={found.published_at} />
        <span>{found.source}</span>
        {found.topic && <a href={href("/", { series: `topic=${found.topic}` })}>{found.topic}</a>}
        <Companies names={found.entities} towards={found.entities.map((name, place) => own?.[name] ?? found.entity_sentiments?.[place] ?? found.sentiment)} whole={found.sentiment} />
        {said && <b>{t("story.labelled", { label: named("sentiment", said) })}</b>}
        {Object.entries(own ?? {}).map(([name, label]) => (
          <b key={name}>{t("story.labelled", { label: `${name} ${named("sentiment", label)}` })}</b>
        ))}
      </p>
    </li>
  );
}
