// Incidents in words.
import { duration, number } from "../format";
import { named, t } from "../i18n";
import type { Incident } from "./types";

export const seriesOf = (incident: { kind: string; name: string }): string => (incident.kind === "all" ? "all" : `${incident.kind}=${incident.name}`);
export const nameOf = (incident: { kind: string; name: string }): string => (incident.kind === "all" ? t("series.all") : incident.name);

export function sentenceOf(incident: Pick<Incident, "signal" | "observed" | "expected" | "window_minutes">): string {
  return t("incident.count", {
    observed: number(incident.observed),
    expected: number(incident.expected, incident.expected < 10 ? 1 : 0),
    window: duration(incident.window_minutes * 60_000),
    signal: named("signal", incident.signal),
  });
}
