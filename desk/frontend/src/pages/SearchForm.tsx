// What is searched for: all of it in the address.
import type { JSX } from "preact";
import { address } from "../api/client";
import { SENTIMENTS, type SentimentName } from "../api/types";
import { t } from "../i18n";
import { queryOf, setQuery } from "../router";
import { Choice } from "../ui/parts";

const NAMES = ["q", "series", "source", "sentiment", "from", "to"] as const;

/** The address of what the reader searches for; null for nothing at all. */
export function searchAddress(limit: number): string | null {
  const query = Object.fromEntries(NAMES.map((name) => [name, queryOf(name)]));
  return Object.values(query).some(Boolean) ? address("/search", { ...query, limit }) : null;
}

export function SearchForm(): JSX.Element {
  const field = (event: Event): string => (event.currentTarget as HTMLInputElement).value.trim();
  const sentiment = queryOf("sentiment");
  const moment = (event: Event): string => {
    const at = new Date(field(event));
    return Number.isNaN(at.getTime()) ? "" : at.toISOString().replace(".000Z", "Z");
  };
  return (
    <form
      role="search"
      class="search-form"
      onSubmit={(event) => {
        event.preventDefault();
        const text = new FormData(event.currentTarget).get("q");
        setQuery({ q: String(text ?? "").trim() });
        (document.activeElement as HTMLElement | null)?.blur();
      }}
    >
      <input type="search" name="q" key={queryOf("q")} defaultValue={queryOf("q")} maxLength={200} placeholder={t("search.words")} aria-label={t("search.words")} />
      <button type="submit" class="primary">
        {t("nav.search")}
      </button>
      <Choice<"" | SentimentName>
        label={t("stories.sentiment")}
        value={SENTIMENTS.find((each) => each === sentiment) ?? ""}
        options={[{ value: "", text: t("choice.all") }, ...SENTIMENTS.map((value) => ({ value, text: t(`sentiment.${value}`) }))]}
        onChange={(value) => setQuery({ sentiment: value })}
      />
      <input class="small-field" value={queryOf("series")} placeholder={t("search.series")} aria-label={t("search.series")} onChange={(event) => setQuery({ series: field(event) })} />
      <input class="small-field" value={queryOf("source")} placeholder={t("column.source")} aria-label={t("column.source")} onChange={(event) => setQuery({ source: field(event) })} />
      {(["from", "to"] as const).map((end) => (
        <label key={end} class="named-field">
          {t(`search.${end}`)}
          <input class="small-field" type="datetime-local" value={local(queryOf(end))} onChange={(event) => setQuery({ [end]: moment(event) })} />
        </label>
      ))}
    </form>
  );
}

/** A time of the address as the field takes it: in the reader's zone. */
function local(at: string): string {
  const value = Date.parse(at);
  return Number.isNaN(value) ? "" : new Date(value - new Date(value).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}
