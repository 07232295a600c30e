// What is wrong right now, before anything else; the latest that was, where nothing is.
import type { JSX } from "preact";
import { address } from "../../api/client";
import { nameOf, sentenceOf } from "../../api/incidents";
import type { Evidence, Incident, IncidentDetail, Page } from "../../api/types";
import { useData } from "../../api/useData";
import { t } from "../../i18n";
import { href } from "../../router";
import { Time } from "../../ui/parts";

const SHOWN = 3;

export function OpenIncidents(): JSX.Element | null {
  const open = useData<Page<Incident>>(address("/incidents", { state: "open", limit: SHOWN }), ["incidents"]);
  const calm = open.data?.items.length === 0;
  const latest = useData<Page<Incident>>(calm ? address("/incidents", { limit: SHOWN }) : null, ["incidents"]);
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
          {incident.state === "open" && <Lead id={incident.id} />}
        </p>
      ))}
    </section>
  );
}

/** The first of the stories behind an incident, on a line of its own that is there from the beginning. */
function Lead({ id }: { id: string }): JSX.Element {
  const found = useData<IncidentDetail>(address(`/incidents/${id}`), ["incidents"]);
  const evidence: Evidence | undefined = found.data?.alerts[0]?.evidence;
  return <span class="banner-story">{evidence?.stories?.[0]?.headline ?? "\u00a0"}</span>;
}
