// The mood in five figures.
import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import type { Mood } from "../../api/types";
import { duration, moment, number, percent, signed, utc } from "../../format";
import { t } from "../../i18n";
import { href } from "../../router";

const STALE_S = 15 * 60;
const TICK_MS = 15_000;

const answeredAt = new WeakMap<Mood, number>(); // by the clock of the browser, in ms

export function Strip({ mood }: { mood: Mood }): JSX.Element {
  const fresh = useFreshness(mood);
  const late = (fresh ?? 0) > STALE_S;
  const complete = mood.complete_until ? Date.parse(mood.complete_until) : null;
  const used = mood.budget_per_week > 0 ? mood.pages_7d / mood.budget_per_week : 0;
  return (
    <section class="strip" aria-label={t("strip.title")}>
      <Figure name={t("strip.mood")} value={signed(mood.mood === null ? null : mood.mood * 100, 0)} unit={t("strip.mood.unit")} help={t("strip.mood.help")}>
        {mood.mood !== null && <Balance negative={mood.negative} positive={mood.positive} stories={mood.stories} />}
        {t("strip.mood.of", { n: number(mood.stories) })}
      </Figure>
      <Figure name={t("strip.change")} value={signed(mood.change === null ? null : mood.change * 100, 0)} unit={t("unit.points")} help={t("strip.change.help")}>
        {t("strip.change.usual", { n: signed(mood.mood === null || mood.usual === null ? null : (mood.mood - mood.usual) * 100, 0) })}
      </Figure>
      <Figure name={t("strip.fresh")} value={fresh === null ? "–" : duration(fresh * 1000)} help={t("strip.fresh.help")} bad={late}>
        {t(fresh === null ? "strip.fresh.none" : late ? "strip.fresh.late" : "strip.fresh.good")}
      </Figure>
      <Figure name={t("strip.watermark")} value={complete === null ? "–" : moment(complete)} help={t("strip.watermark.help", { time: complete === null ? "–" : utc(complete) })} small>
        {mood.judged_until ? t("strip.judged", { time: moment(Date.parse(mood.judged_until)) }) : t("strip.judged.not")}
      </Figure>
      <Figure name={t("strip.budget")} value={number(mood.pages_7d)} unit={t("strip.budget.of", { n: number(mood.budget_per_week, mood.budget_per_week % 1 ? 1 : 0) })} help={t("strip.budget.help")} bad={used > 1}>
        <span class="meter" aria-hidden="true">
          <i style={{ width: `${Math.min(100, used * 100)}%` }} />
        </span>
        <a href={href("/alerts")}>{t("strip.budget.link", { share: percent(used) })}</a>
      </Figure>
    </section>
  );
}

/** Seconds since a worker stored anything, as far as this page knows: while none does, nothing asks the server again. */
function useFreshness(mood: Mood): number | null {
  const now = useSignal(Date.now());
  useEffect(() => {
    const tick = (): void => {
      if (!document.hidden) now.value = Date.now();
    };
    const timer = setInterval(tick, TICK_MS);
    document.addEventListener("visibilitychange", tick);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", tick);
    };
  }, []);
  const at = answeredAt.get(mood) ?? Date.now();
  answeredAt.set(mood, at);
  return mood.freshness_s === null ? null : mood.freshness_s + Math.max(0, now.value - at) / 1000;
}

function Figure(props: { name: string; value: string; unit?: string; help: string; bad?: boolean; small?: boolean; children?: ComponentChildren }): JSX.Element {
  return (
    <div class={`figure ${props.bad ? "bad" : ""}`} title={props.help}>
      <h2>{props.name}</h2>
      <p class={props.small ? "value small" : "value"}>
        {props.value} {props.unit && <small>{props.unit}</small>}
      </p>
      <p class="under">{props.children}</p>
    </div>
  );
}

/** Negative, neutral and positive stories as parts of one bar. */
function Balance({ negative, positive, stories }: { negative: number; positive: number; stories: number }): JSX.Element {
  const share = (count: number): string => `${stories > 0 ? (100 * count) / stories : 0}%`;
  return (
    <span class="balance" aria-hidden="true">
      <i class="negative" style={{ width: share(negative) }} />
      <i class="positive" style={{ width: share(positive) }} />
    </span>
  );
}
