// Incidents, open and past, and what is known of one of them.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { address } from "../../api/client";
import { nameOf, sentenceOf } from "../../api/incidents";
import type { Figures, Incident, Page } from "../../api/types";
import { useData } from "../../api/useData";
import { number, percent } from "../../format";
import { t } from "../../i18n";
import { go, href, place, queryOf, setQuery } from "../../router";
import type { Column } from "../../ui/DataTable";
import { Export } from "../../ui/Export";
import { stepKeys, useKeys } from "../../ui/keys";
import { useMore } from "../../ui/useMore";
import { Choice, Empty, Failed, More, Panel, Skeleton, Time } from "../../ui/parts";
import { IncidentPanel } from "./IncidentPanel";
import { Badges } from "./Badges";

const AT_ONCE = 50;
const STATES = ["", "open", "closed", "withdrawn"] as const;

export function AlertsPage(): JSX.Element {
  const state = STATES.find((each) => each === queryOf("state")) ?? "";
  const wanted = address("/incidents", { state, limit: AT_ONCE });
  const list = useData<Page<Incident>>(wanted, ["incidents"]);
  const { items, more } = useMore(wanted, list.data);
  const chosen = place.value.path.split("/")[2] || items[0]?.id || "";
  const box = useRef<HTMLOListElement>(null);

  const open = (id: string | undefined): void => {
    if (id) go(href(`/alerts/${id}`, { state }), true);
  };
  const step = (by: number): void => {
    const index = items.findIndex((incident) => incident.id === chosen);
    open(items[Math.min(items.length - 1, Math.max(0, index + by))]?.id);
  };
  useEffect(() => box.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" }), [chosen]);
  useKeys("keys.alerts", stepKeys(step));

  return (
    <>
      <h1 class="hidden">{t("nav.alerts")}</h1>
      <FalseAlarms />
      <div class="two-columns alerts">
        <Panel
          title={t("alerts.list")}
          busy={list.loading}
          tools={
            <>
              <Choice<string>
                label={t("alerts.state")}
                value={state}
                options={STATES.map((value) => ({ value, text: value ? t(`state.${value}`) : t("choice.all") }))}
                onChange={(value) => setQuery({ state: value })}
              />
              <Export name="incidents" columns={columns()} rows={items} />
            </>
          }
        >
          {list.error && <Failed error={list.error} retry={list.reload} />}
          {!list.data ? (
            !list.error && <Skeleton rows={8} />
          ) : items.length === 0 ? (
            <Empty title={t("alerts.empty")}>{t("alerts.empty.do")}</Empty>
          ) : (
            <ol class="rows" ref={box}>
              {items.map((incident) => (
                <li key={incident.id}>
                  <a href={href(`/alerts/${incident.id}`, { state })} class="row" aria-current={incident.id === chosen ? "true" : undefined}>
                    <span class="row-head">
                      <b>{nameOf(incident)}</b>
                      <Badges incident={incident} />
                    </span>
                    <span>{sentenceOf(incident)}</span>
                    <span class="muted small">
                      <Time at={incident.opened_at} />
                    </span>
                  </a>
                </li>
              ))}
            </ol>
          )}
          <More more={more} />
        </Panel>
        {chosen ? <IncidentPanel key={chosen} id={chosen} /> : <span />}
      </div>
    </>
  );
}

/** What was promised, and what was kept. */
function FalseAlarms(): JSX.Element | null {
  const figures = useData<Figures>(address("/incidents/figures"), ["incidents"]).data;
  if (!figures) return null;
  const over = figures.false_per_week > figures.budget_per_week;
  return (
    <section class="strip four" aria-label={t("figures.title")}>
      <div class={`figure ${over ? "bad" : ""}`}>
        <h2>{t("figures.false")}</h2>
        <p class="value">
          {number(figures.false_per_week, 1)} <small>{t("figures.budget", { n: number(figures.budget_per_week, 1) })}</small>
        </p>
        <p class="under">{t("figures.weeks", { n: number(figures.weeks, 1) })}</p>
      </div>
      <div class="figure">
        <h2>{t("figures.pages")}</h2>
        <p class="value">
          {number(figures.per_week, 1)} <small>{t("figures.per_week")}</small>
        </p>
        <p class="under">{t("figures.incidents", { n: number(figures.incidents) })}</p>
      </div>
      <div class="figure">
        <h2>{t("figures.marked")}</h2>
        <p class="value">
          {number(figures.useful + figures.false)} <small>{t("figures.of", { n: number(figures.incidents) })}</small>
        </p>
        <p class="under">{t("figures.marks", { useful: number(figures.useful), false: number(figures.false) })}</p>
      </div>
      <div class="figure">
        <h2>{t("figures.share")}</h2>
        <p class="value">{percent(figures.false_share)}</p>
        <p class="under">{t("figures.share.of")}</p>
      </div>
    </section>
  );
}

function columns(): Column<Incident>[] {
  return [
    { id: "id", title: "id", value: (incident) => incident.id },
    { id: "series", title: t("column.series"), value: nameOf },
    { id: "state", title: t("alerts.state"), value: (incident) => incident.state },
    { id: "opened_at", title: t("column.from"), value: (incident) => incident.opened_at },
    { id: "observed", title: t("column.negative"), numeric: true, value: (incident) => incident.observed },
    { id: "expected", title: t("column.expected"), numeric: true, value: (incident) => incident.expected },
    { id: "score", title: t("incident.score"), numeric: true, value: (incident) => incident.score },
    { id: "verdict", title: t("incident.verdict"), value: (incident) => incident.verdict },
  ];
}
