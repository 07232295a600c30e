// What is wrong right now, before anything else.
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
  if (!open.data?.items.length) return null;
  return (
    <section class="banners" aria-label={t("incidents.open")}>
      {open.data.items.map((incident) => (
        <p key={incident.id} class="banner">
          <span class="badge open">{t("state.open")}</span>
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
