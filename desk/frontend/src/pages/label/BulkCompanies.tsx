// Of what many stories are labelled: of themselves, or of one company in those that name it. The address says which.
import type { JSX } from "preact";
import type { Found } from "../../api/types";
import { number } from "../../format";
import { t } from "../../i18n";
import { queryOf, setQuery } from "../../router";
import { seriesParts } from "../../state/view";
import { stepKeys, useKeys } from "../../ui/keys";

const MOST = 8;

/** The company in the address; none where it is the stories that are labelled. Companies have a sentiment alone. */
export const companyOf = (task: string): string => (task === "sentiment" ? queryOf("of") : "");

/** The company that was searched for, and those that most of the stories name; the one that is labelled in any case. */
function companiesIn(found: readonly Found[], chosen: string): string[] {
  const counts = new Map<string, number>();
  for (const name of found.flatMap((item) => item.entities)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const frequent = [...counts.keys()].sort((one, other) => (counts.get(other) ?? 0) - (counts.get(one) ?? 0));
  const series = seriesParts(queryOf("series"));
  const shown = [...new Set([...(series.kind === "entity" ? [series.name] : []), ...frequent])].slice(0, MOST);
  return !chosen || shown.includes(chosen) ? shown : [...shown.slice(0, MOST - 1), chosen];
}

export function BulkCompanies({ found, marked, chosen }: { found: readonly Found[]; marked: readonly Found[]; chosen: string }): JSX.Element | null {
  const names = companiesIn(found, chosen);
  const choose = (name: string): void => setQuery({ of: name }, true);
  const step = (by: number): void => {
    const places = ["", ...names];
    choose(places[(places.indexOf(chosen) + by + places.length) % places.length] ?? "");
  };
  useKeys(
    "keys.companies.bulk",
    [
      ...stepKeys(step, ["c", "C"], ["keys.company.next", "keys.company.previous"]),
      { key: "Escape", text: "keys.company.none", run: () => choose("") },
    ],
    names.length > 0,
  );
  if (names.length === 0) return null;
  const naming = (name: string): number => marked.filter((item) => item.entities.includes(name)).length;
  return (
    <div class="company-choice" role="group" aria-label={t("kind.entity")}>
      <span class="muted small">
        {t("kind.entity")} <kbd>c</kbd>
      </span>
      {names.map((name) => (
        <button key={name} type="button" aria-pressed={name === chosen} onClick={() => choose(name === chosen ? "" : name)}>
          {name} {marked.length > 0 && <small>{number(naming(name))}</small>}
        </button>
      ))}
      <p class="muted small" aria-live="polite">
        {!chosen ? t("bulk.company.keys") : marked.length > 0 ? t("bulk.company.few", { n: number(naming(chosen)), name: chosen }) : t("company.keys", { name: chosen })}
      </p>
    </div>
  );
}
