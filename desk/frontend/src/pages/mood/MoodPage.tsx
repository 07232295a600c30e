// The mood of the news: how bad it is, where, since when and why.
import type { JSX } from "preact";
import { useLayoutEffect } from "preact/hooks";
import type { Mood } from "../../api/types";
import { useData } from "../../api/useData";
import { t } from "../../i18n";
import { place } from "../../router";
import { head } from "../../state/view";
import { Empty, Failed, Skeleton } from "../../ui/parts";
import { answered, stripAt, useAnswers } from "./answers";
import { Controls } from "./Controls";
import { Heat } from "./Heat";
import { OpenIncidents } from "./OpenIncidents";
import { Movers } from "./Movers";
import { SeriesPanel } from "./SeriesPanel";
import { Sources } from "./Sources";
import { Stories } from "./Stories";
import { Strip } from "./Strip";
import { Terms } from "./Terms";

export function MoodPage(): JSX.Element {
  return useAnswers() ? <Views /> : <Skeleton rows={12} />;
}

function Views(): JSX.Element {
  const until = place.value.query.get("until");
  const mood = useData<Mood>(stripAt(until), [answered]);
  const end = mood.data?.until;
  useLayoutEffect(() => {
    if (end) head.value = Date.parse(end); // all views end at the same time
  }, [end]);
  if (mood.error && !mood.data) return <Failed error={mood.error} retry={mood.reload} />;
  if (!mood.data || head.value === null) return <Skeleton rows={12} />;
  return (
    <>
      <h1 class="hidden">{t("nav.mood")}</h1>
      <OpenIncidents />
      <Strip mood={mood.data} />
      <Controls />
      {mood.data.watermark === null ? (
        <div class="panel">
          <Empty title={t("mood.empty")}>{t("mood.empty.do")}</Empty>
        </div>
      ) : (
        <div class="mood-grid">
          <div class="column">
            <Heat />
            <SeriesPanel />
            <Stories />
          </div>
          <div class="column">
            <Movers />
            <Terms />
            <Sources />
          </div>
        </div>
      )}
    </>
  );
}
