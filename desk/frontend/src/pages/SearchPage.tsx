// Finding messages by their words, series, sentiment, source and time.
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { labelStory } from "../api/labels";
import { SENTIMENTS, type Found, type Page } from "../api/types";
import { useData } from "../api/useData";
import { number } from "../format";
import { t } from "../i18n";
import { href } from "../router";
import { may } from "../state/session";
import type { Column } from "../ui/DataTable";
import { Export } from "../ui/Export";
import { FoundItem } from "../ui/FoundItem";
import { useKeys } from "../ui/keys";
import { Empty, Failed, More, Panel, Skeleton } from "../ui/parts";
import { useList } from "../ui/useList";
import { useMore } from "../ui/useMore";
import { searchAddress, SearchForm } from "./SearchForm";

export function SearchPage(): JSX.Element {
  const wanted = searchAddress(50);
  const found = useData<Page<Found>>(wanted);
  const { items, more } = useMore(wanted, wanted ? found.data : undefined);
  const { box, focused } = useList();
  useEffect(() => {
    if (!wanted) document.querySelector<HTMLInputElement>("input[type=search]")?.focus();
  }, []);
  useKeys(
    "keys.labelling",
    SENTIMENTS.map((name, index) => ({
      key: String(index + 1),
      text: `keys.${name}` as const,
      run: () => {
        const item = items[focused()];
        if (item) void labelStory(item.story, item.uid, { sentiment: name });
      },
    })),
    may("analyst"),
  );
  const file = (format: string): string => (wanted ?? "").replace("/search?", `/search/export?format=${format}&`).replace(/&limit=\d+/, "");
  return (
    <>
      <h1 class="hidden">{t("nav.search")}</h1>
      <Panel title={t("nav.search")} busy={found.loading}>
        <SearchForm />
      </Panel>
      <Panel
        class="results"
        title={t("search.results")}
        note={wanted && found.data && t(more ? "search.more" : "search.count", { n: number(items.length) })}
        tools={
          wanted && (
            <>
              {may("analyst") && (
                <a class="button" href={href("/label/bulk") + location.search}>
                  {t("search.bulk")}
                </a>
              )}
              <Export
                name="search"
                columns={columns()}
                rows={items}
                server={[
                  { text: t("export.all"), address: file("csv") },
                  { text: "Parquet", address: file("parquet") },
                ]}
              />
            </>
          )
        }
      >
        {found.error && <Failed error={found.error} retry={found.reload} />}
        {!wanted ? (
          <Empty title={t("search.begin")}>{t("search.begin.do")}</Empty>
        ) : !found.data ? (
          !found.error && <Skeleton rows={8} />
        ) : items.length === 0 ? (
          <Empty title={t("search.empty")}>{t("search.empty.do")}</Empty>
        ) : (
          <ol class="stories" ref={box}>
            {items.map((item) => (
              <FoundItem key={item.uid} found={item} />
            ))}
          </ol>
        )}
        <More more={more} />
      </Panel>
    </>
  );
}

function columns(): Column<Found>[] {
  return [
    { id: "published_at", title: t("column.from"), value: (found) => found.published_at },
    { id: "title", title: t("column.headline"), value: (found) => found.title || found.text },
    { id: "source", title: t("column.source"), value: (found) => found.source },
    { id: "sentiment", title: t("column.sentiment"), value: (found) => found.sentiment },
    { id: "topic", title: t("column.topic"), value: (found) => found.topic },
    { id: "url", title: t("column.url"), value: (found) => found.url },
  ];
}
