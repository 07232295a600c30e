// Incidents in words.
import { duration, number } from "../format";
import { named, t } from "../i18n";
import type { Incident } from "./types";

export const seriesOf = (incident: { kind: string; name: string }): string => (incident.kind === "all" ? "all" : `${incident.kind}=${incident.name}`);
/** The feeds fell silent: there is no story to look at, and no series. */
export const isOutage = (incident: { kind: string }): boolean => incident.kind === "outage";

export function nameOf(incident: { kind: string; name: string }): string {
  if (isOutage(incident)) return t("series.outage");
  return incident.kind === "all" ? t("series.all") : incident.name;
}

export function sentenceOf(incident: Pick<Incident, "kind" | "signal" | "observed" | "expected" | "window_minutes">): string {
  return t(isOutage(incident) ? "incident.silence" : "incident.count", {
    observed: number(incident.observed),
    expected: number(incident.expected, incident.expected < 10 ? 1 : 0),
    window: duration(incident.window_minutes * 60_000),
    signal: named("signal", incident.signal),
  });
}
