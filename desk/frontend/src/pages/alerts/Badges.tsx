// How an incident stands, in a few words.
import type { JSX } from "preact";
import type { Incident } from "../../api/types";
import { moment } from "../../format";
import { t } from "../../i18n";

export function Badges({ incident }: { incident: Incident }): JSX.Element {
  const snoozed = incident.snoozed_until && Date.parse(incident.snoozed_until) > Date.now() ? incident.snoozed_until : null;
  return (
    <>
      <span class={incident.state === "open" ? "badge open" : "badge"}>{t(`state.${incident.state}`)}</span>
      {incident.acknowledged && <span class="badge good">{t("incident.acknowledged")}</span>}
      {snoozed && <span class="badge">{t("incident.snoozed", { time: moment(Date.parse(snoozed)) })}</span>}
      {incident.verdict && <span class={incident.verdict === "useful" ? "badge good" : "badge"}>{t(`verdict.${incident.verdict}`)}</span>}
    </>
  );
}
