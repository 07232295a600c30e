// The companies of the story on the screen: which of them the keys label, and what is said of each.
import type { JSX } from "preact";
import { towards } from "../../api/labels";
import type { QueueItem } from "../../api/types";
import { t } from "../../i18n";
import { stepKeys, useKeys } from "../../ui/keys";
import { Sentiment } from "../../ui/parts";
import { chooseCompany, company, stepCompany } from "./labelling";

export function CompanyChoice({ item }: { item: QueueItem }): JSX.Element | null {
  const chosen = company();
  useKeys(
    "keys.companies",
    [
      ...stepKeys(stepCompany, ["c", "C"], ["keys.company.next", "keys.company.previous"]),
      { key: "Escape", text: "keys.company.none", run: () => chooseCompany(undefined) },
    ],
    item.entities.length > 0,
  );
  if (item.entities.length === 0) return null;
  return (
    <div class="company-choice" role="group" aria-label={t("kind.entity")}>
      <span class="muted small">
        {t("kind.entity")} <kbd>c</kbd>
      </span>
      {item.entities.map((name) => {
        const own = towards.value.get(item.story)?.[name];
        const said = own ?? item.suggested_entities?.[name];
        return (
          <button key={name} type="button" aria-pressed={name === chosen} onClick={() => chooseCompany(name === chosen ? undefined : name)}>
            {name}
            {said && <Sentiment value={said} />}
            {said && <small>{own ? t("company.yours") : t("company.model")}</small>}
          </button>
        );
      })}
      <p class="muted small" aria-live="polite">
        {chosen ? t("company.keys", { name: chosen }) : t("company.keys.story")}
      </p>
    </div>
  );
}
