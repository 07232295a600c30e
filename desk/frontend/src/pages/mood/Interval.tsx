// A share with the interval that it lies in.
import type { JSX } from "preact";
import { percent } from "../../format";

export function Interval({ share, low, high }: { share: number | null; low: number | null; high: number | null }): JSX.Element {
  if (share === null) return <span>–</span>;
  const title = low === null || high === null ? undefined : `${percent(low)}–${percent(high)}`;
  return (
    <span class="interval" title={title}>
      <span class="interval-bar" aria-hidden="true">
        {low !== null && high !== null && <i style={{ left: `${low * 100}%`, width: `${(high - low) * 100}%` }} />}
        <b style={{ left: `${share * 100}%` }} />
      </span>
      {percent(share)}
      {title && <span class="hidden">({title})</span>}
    </span>
  );
}
