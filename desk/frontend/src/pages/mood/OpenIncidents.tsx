// What is wrong right now, before anything else; the latest that was, where nothing is.
import type { JSX } from "preact";
import { nameOf, sentenceOf } from "../../api/incidents";
import type { Incident, Page } from "../../api/types";
import { useData } from "../../api/useData";
import { t } from "../../i18n";
import { href } from "../../router";
import { Time } from "../../ui/parts";
import { answered, latestIncidentsAt, openIncidentsAt } from "./answers";

export function OpenIncidents(): JSX.Element | null {
  const open = useData<Page<Incident>>(openIncidentsAt, [answered]);
  const calm = open.data?.items.length === 0;
  const latest = useData<Page<Incident>>(calm ? latestIncidentsAt : null, [answered]);
  const shown = calm ? (latest.data?.items ?? []) : (open.data?.items ?? []);
  if (!shown.length) return null;
  return (
    <section class="banners" aria-label={t(calm ? "incidents.latest" : "incidents.open")}>
      {shown.map((incident) => (
        <p key={incident.id} class={incident.state === "open" ? "banner" : "banner over"}>
          <span class={`badge ${incident.state}`}>{t(`state.${incident.state}`)}</span>
          <a href={href(`/alerts/${incident.id}`)}>{nameOf(incident)}</a>
          <span>{sentenceOf(incident)}</span>
          <span class="muted">
            {incident.state === "open" && t("incident.since")} <Time at={incident.opened_at} />
          </span>
          {incident.state === "open" && incident.headline && <span class="banner-story">{incident.headline}</span>}
        </p>
      ))}
    </section>
  );
}
