// What drove one alert: its stories, words, companies, sources and counts, as alerting wrote them down.
import type { JSX } from "preact";
import { nameOf, sentenceOf, seriesOf } from "../../api/incidents";
import type { Evidence, IncidentDetail } from "../../api/types";
import { number } from "../../format";
import { t } from "../../i18n";
import { href } from "../../router";
import { Companies } from "../../ui/Companies";
import { OutLink, Time } from "../../ui/parts";

type Alert = IncidentDetail["alerts"][number];

export function EvidenceSection({ alert, until }: { alert: Alert; until: string }): JSX.Element {
  const evidence: Evidence = alert.evidence;
  const series = seriesOf(alert);
  return (
    <div class="alert">
      <h3>
        <a href={href("/", { series, until })}>{nameOf(alert)}</a> · {sentenceOf(alert)}
      </h3>
      <ul class="evidence">
        {evidence.stories?.map((story) => (
          <li key={story.headline + story.first_at}>
            <OutLink url={story.url} class="headline">
              {story.headline}
            </OutLink>
            <span class="muted small">
              <Time at={story.first_at} /> · {story.sources.join(", ")}
              {story.messages > 1 && ` · ${t("story.copies", { n: number(story.messages) })}`}
            </span>
            {story.entities && (
              <span class="words small">
                <Companies names={Object.keys(story.entities)} towards={Object.values(story.entities)} whole={story.sentiment ?? null} />
              </span>
            )}
          </li>
        ))}
      </ul>
      {Boolean(evidence.words?.length) && (
        <p class="words">
          {evidence.words?.map((word) => (
            <a key={word} class="badge" href={href("/search", { q: word, series })}>
              {word}
            </a>
          ))}
        </p>
      )}
      <Names title={t("kind.entity")} kind="entity" names={evidence.entities} />
      <Names title={t("kind.source")} kind="source" names={evidence.sources} />
      {evidence.counts && (
        <p class="small muted">
          {t("evidence.counts", { negative: number(evidence.counts.negative), stories: number(evidence.counts.stories), messages: number(evidence.counts.messages) })}
          {evidence.corrected && ` ${t("evidence.corrected", { negative: number(evidence.corrected.negative, 1) })}`}
        </p>
      )}
    </div>
  );
}

function Names({ title, kind, names }: { title: string; kind: string; names: Evidence["entities"] }): JSX.Element | null {
  if (!names?.length) return null;
  return (
    <p class="words small">
      <span class="muted">{title}</span>
      {names.map((each) => (
        <a key={each.name} href={href("/", { kind, series: `${kind}=${each.name}` })}>
          {each.name} ({number(each.stories)})
        </a>
      ))}
    </p>
  );
}
