// What time, and what kind of series.
import type { JSX } from "preact";
import type { Bucket, Kind } from "../../api/types";
import { iso, span } from "../../format";
import { t } from "../../i18n";
import { place, setQuery } from "../../router";
import { brush, bucket, bucketsOfRange, kind, range, RANGES, setBrush, setSeries, series, window as shownWindow, type Range } from "../../state/view";
import { Choice } from "../../ui/parts";
import { Finder } from "./Finder";

export function Controls(): JSX.Element {
  const frozen = place.value.query.get("until");
  const whole = shownWindow.value;
  return (
    <div class="controls" role="toolbar" aria-label={t("controls.title")}>
      <Choice<Range>
        label={t("controls.range")}
        value={range.value}
        options={(Object.keys(RANGES) as Range[]).map((value) => ({ value, text: t(`range.${value}`) }))}
        onChange={(value) => setQuery({ range: value, bucket: null, from: null, to: null })}
      />
      <Choice<Bucket>
        label={t("controls.bucket")}
        value={bucket.value}
        options={bucketsOfRange.value.map((value) => ({ value, text: t(`bucket.${value}`) }))}
        onChange={(value) => setQuery({ bucket: value })}
      />
      <Choice<Kind>
        label={t("controls.kind")}
        value={kind.value}
        options={(["topic", "entity", "source"] as const).map((value) => ({ value, text: t(`kind.${value}`) }))}
        onChange={(value) => setQuery({ kind: value })}
      />
      <Finder />
      <span class="grow" />
      {series.value !== "all" && (
        <button type="button" class="chip" onClick={() => setSeries("all")} aria-label={t("controls.series.clear", { name: series.value })}>
          {series.value} <span aria-hidden="true">✕</span>
        </button>
      )}
      {brush.value && (
        <button type="button" class="chip" onClick={() => setBrush(null)} aria-label={t("controls.brush.clear")}>
          {span(brush.value[0], brush.value[1])} <span aria-hidden="true">✕</span>
        </button>
      )}
      <button
        type="button"
        class="quiet"
        aria-pressed={Boolean(frozen)}
        title={t("controls.freeze.help")}
        onClick={() => setQuery({ until: frozen || !whole ? null : iso(whole.to) })}
      >
        {frozen ? t("controls.follow") : t("controls.freeze")}
      </button>
    </div>
  );
}
