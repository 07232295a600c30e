// "Why this colour": every number behind one cell, so that it can be worked out again by hand.
import type { JSX } from "preact";
import { address } from "../../api/client";
import type { Arithmetic, Piece } from "../../api/types";
import { useData } from "../../api/useData";
import { moment, number, signed, utc } from "../../format";
import { t } from "../../i18n";
import { seriesPath } from "../../state/view";
import { Dialog, Failed, Skeleton } from "../../ui/parts";

const sum = (pieces: readonly Piece[]): number => pieces.reduce((total, piece) => total + piece.negative, 0);

export function Why(props: { series: string; at: string; bucket: string; onClose: () => void }): JSX.Element {
  const found = useData<Arithmetic>(address(`${seriesPath(props.series)}/arithmetic`, { at: props.at, bucket: props.bucket }));
  return (
    <Dialog title={t("why.title", { series: props.series, time: moment(Date.parse(props.at)) })} onClose={props.onClose}>
      {found.error ? <Failed error={found.error} /> : found.data ? <Steps found={found.data} /> : <Skeleton />}
    </Dialog>
  );
}

function Steps({ found }: { found: Arithmetic }): JSX.Element {
  const hour = moment(Date.parse(found.hour));
  const more = found.expected === null || found.observed >= found.expected;
  return (
    <>
      <p class="why-sum">
        {t("why.sum", { observed: number(found.observed), expected: number(found.expected, 2), surprise: signed(found.surprise, 2) })}
        {!found.complete && <em> {t("heat.incomplete")}</em>}
      </p>
      <ol class="why">
        <li>
          <h3>{t("why.level", { hour })}</h3>
          <code>
            ({number(found.level_sum)} + 1) / ({number(found.level_hours)} + 24) = {number(found.level, 3)}
          </code>
          <p>{t("why.level.means")}</p>
        </li>
        <li>
          <h3>{t("why.daily")}</h3>
          <code>
            ({number(sum(found.days))} + 4 × {number(found.level, 3)}) / ({found.days.length} + 4) = {number(found.daily, 3)}
          </code>
          <Pieces pieces={found.days} />
        </li>
        <li>
          <h3>{t("why.weekly")}</h3>
          <code>
            ({number(sum(found.weeks))} + 4 × {number(found.daily, 3)}) / ({found.weeks.length} + 4) = {number(found.hourly, 3)}
          </code>
          <Pieces pieces={found.weeks} />
        </li>
        <li>
          <h3>{t("why.tail")}</h3>
          <code>
            P(X {more ? "≥" : "≤"} {number(found.observed)} | μ = {number(found.expected, 3)}, α = {number(found.alpha, 3)}) = {found.tail === null ? "–" : found.tail.toPrecision(3)}
          </code>
          <code>
            {more ? "−" : ""}log₁₀ = {signed(found.surprise, 2)}
          </code>
          <p>{t("why.tail.means")}</p>
        </li>
      </ol>
    </>
  );
}

function Pieces({ pieces }: { pieces: readonly Piece[] }): JSX.Element {
  return (
    <ul class="pieces">
      {pieces.map((piece) => (
        <li key={piece.at} title={utc(Date.parse(piece.at))}>
          {moment(Date.parse(piece.at))}: <b>{number(piece.negative)}</b>
        </li>
      ))}
    </ul>
  );
}
