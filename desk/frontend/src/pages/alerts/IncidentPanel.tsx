// One incident: what happened, what drove it, and what people did about it.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address, post } from "../../api/client";
import { isOutage, nameOf, sentenceOf, seriesOf } from "../../api/incidents";
import type { Handling, IncidentDetail } from "../../api/types";
import { useData } from "../../api/useData";
import { duration, iso, number } from "../../format";
import { named, t } from "../../i18n";
import { href } from "../../router";
import { may } from "../../state/session";
import { useKeys } from "../../ui/keys";
import { Failed, Panel, Skeleton, Time } from "../../ui/parts";
import { say, sayError } from "../../ui/toasts";
import { Badges } from "./Badges";
import { EvidenceSection } from "./EvidenceSection";

const HOUR = 3_600_000;
const SNOOZES = [1, 4, 24];

export function IncidentPanel({ id }: { id: string }): JSX.Element {
  const found = useData<IncidentDetail>(address(`/incidents/${id}`), ["incidents"]);
  const note = useSignal("");
  const change = async (what: string, body: unknown, done: string): Promise<void> => {
    try {
      found.show(await post<IncidentDetail>(`/incidents/${id}/${what}`, body));
      say(done);
    } catch (error) {
      sayError(error);
    }
  };
  const acknowledge = (): void => void change("acknowledgement", {}, t("incident.acknowledged"));
  const mark = (verdict: "useful" | "false"): void => void change("feedback", { verdict, note: note.value }, t(`verdict.${verdict}`));
  const snooze = (hours: number): void => void change("snooze", { until: iso(Date.now() + hours * HOUR) }, t("incident.snooze.done"));
  useKeys(
    "keys.incident",
    [
      { key: "c", text: "action.acknowledge", run: acknowledge },
      { key: "u", text: "action.useful", run: () => mark("useful") },
      { key: "f", text: "action.false", run: () => mark("false") },
      { key: "s", text: "action.snooze", run: () => snooze(1) },
    ],
    may("analyst"),
  );

  if (found.error) return <Failed error={found.error} retry={found.reload} />;
  const detail = found.data;
  if (!detail) return <Skeleton rows={10} />;
  const { incident } = detail;
  const from = Date.parse(incident.opened_at) - 6 * HOUR;
  const to = Date.parse(incident.last_at) + HOUR;
  const until = iso(Math.max(to, from + 24 * HOUR));
  return (
    <Panel title={nameOf(incident)} class="incident" note={<Badges incident={incident} />}>
      <p class="lead">{sentenceOf(incident)}</p>
      <dl class="facts figures">
        <Fact name={t("incident.opened")} value={<Time at={incident.opened_at} />} />
        <Fact name={t("incident.peak")} value={<Time at={incident.peak_at} />} />
        <Fact name={t("incident.lasted")} value={duration(Date.parse(incident.closed_at ?? incident.last_at) - Date.parse(incident.opened_at))} />
        <Fact name={t("incident.score")} value={number(incident.score, 1)} help={t("incident.score.help")} />
      </dl>
      {!isOutage(incident) && (
        <p class="buttons">
          <a class="button" href={href("/", { series: seriesOf(incident), kind: incident.kind === "all" ? null : incident.kind, until, from: incident.opened_at, to: iso(to) })}>
            {t("incident.mood")}
          </a>
          <a class="button" href={href("/search", { series: seriesOf(incident), from: incident.opened_at, to: iso(to), sentiment: "negative" })}>
            {t("incident.search")}
          </a>
        </p>
      )}
      {may("analyst") && (
        <div class="handling">
          <button type="button" class="primary" disabled={incident.acknowledged} onClick={acknowledge}>
            {t("action.acknowledge")} <kbd>c</kbd>
          </button>
          <span class="group" role="group" aria-label={t("action.snooze")}>
            {t("action.snooze")}
            {SNOOZES.map((hours) => (
              <button key={hours} type="button" onClick={() => snooze(hours)}>
                {t("unit.h", { n: hours })}
              </button>
            ))}
          </span>
          <span class="grow" />
          <input aria-label={t("incident.note")} placeholder={t("incident.note")} maxLength={2000} value={note.value} onInput={(event) => (note.value = event.currentTarget.value)} />
          <button type="button" aria-pressed={incident.verdict === "useful"} onClick={() => mark("useful")}>
            {t("action.useful")} <kbd>u</kbd>
          </button>
          <button type="button" aria-pressed={incident.verdict === "false"} onClick={() => mark("false")}>
            {t("action.false")} <kbd>f</kbd>
          </button>
        </div>
      )}
      {(isOutage(incident) ? [] : detail.alerts).map((alert) => (
        <EvidenceSection key={alert.id} alert={alert} until={until} />
      ))}
      <History detail={detail} />
    </Panel>
  );
}

function Fact({ name, value, help }: { name: string; value: JSX.Element | string; help?: string }): JSX.Element {
  return (
    <div title={help}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

/** Whether this row snoozed it, rather than acknowledged it: what a deed leaves alone is as in the row before. */
function isSnooze({ acknowledged, snoozed_until }: Handling, before: Handling | undefined): boolean {
  return !acknowledged || snoozed_until !== (before?.snoozed_until ?? null);
}

/** All notifications, what people did and what they said, the latest first. */
function History({ detail }: { detail: IncidentDetail }): JSX.Element {
  const lines = [
    ...detail.history.map((each) => ({ at: each.at, text: t("history.notified", { change: named("change", each.change) }) })),
    ...detail.handling.map((each, place) => ({
      at: each.at,
      text: t(isSnooze(each, detail.handling[place + 1]) ? "history.snoozed" : "history.acknowledged", { who: each.account }),
    })),
    ...detail.feedback.map((each) => ({ at: each.at, text: `${t("history.marked", { who: each.analyst, verdict: t(`verdict.${each.verdict}`) })}${each.note ? `: ${each.note}` : ""}` })),
  ].sort((one, other) => other.at.localeCompare(one.at));
  return (
    <section class="history">
      <h3>{t("incident.history")}</h3>
      <ol>
        {lines.map((line) => (
          <li key={line.at + line.text}>
            <Time at={line.at} /> <span>{line.text}</span>
          </li>
        ))}
      </ol>
    </section>
  );
}
