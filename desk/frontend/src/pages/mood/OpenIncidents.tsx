// What is wrong right now, before anything else; the latest that was, where nothing is.
import type { JSX } from "preact";
import { address } from "../../api/client";
import { nameOf, sentenceOf } from "../../api/incidents";
import type { Incident, Page } from "../../api/types";
import { useData } from "../../api/useData";
import { t } from "../../i18n";
import { href } from "../../router";
import { Time } from "../../ui/parts";

const SHOWN = 3;

export function OpenIncidents(): JSX.Element | null {
  const open = useData<Page<Incident>>(address("/incidents", { state: "open", limit: SHOWN }), ["incidents"]);
  const latest = useData<Page<Incident>>(address("/incidents", { limit: SHOWN }), ["incidents"]);
  const shown = open.data?.items.length ? open.data.items : (latest.data?.items ?? []);
  if (!shown.length) return null;
  return (
    <section class="banners" aria-label={t(open.data?.items.length ? "incidents.open" : "incidents.latest")}>
      {shown.map((incident) => (
        <p key={incident.id} class={incident.state === "open" ? "banner" : "banner over"}>
          <span class={`badge ${incident.state}`}>{t(`state.${incident.state}`)}</span>
          <a href={href(`/alerts/${incident.id}`)}>{nameOf(incident)}</a>
          <span>{sentenceOf(incident)}</span>
          <span class="muted">
            {t("incident.since")} <Time at={incident.opened_at} />
          </span>
        </p>
      ))}
    </section>
  );
}
