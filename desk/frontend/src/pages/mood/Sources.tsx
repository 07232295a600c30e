// Who tells the news shown.
import type { JSX } from "preact";
import type { SourceCount } from "../../api/types";
import { useData } from "../../api/useData";
import { number, signed } from "../../format";
import { t } from "../../i18n";
import { queryOf, setQuery } from "../../router";
import { shown } from "../../state/view";
import { DataTable, type Column } from "../../ui/DataTable";
import { Export } from "../../ui/Export";
import { Empty, Failed, Panel, Skeleton } from "../../ui/parts";
import { answered, sourcesAt } from "./answers";

export function Sources(): JSX.Element {
  const span = shown.value;
  const sources = useData<{ items: SourceCount[] }>(span && sourcesAt(span), [answered]);
  const rows = sources.data?.items ?? [];
  const chosen = queryOf("source");
  return (
    <Panel class="sources-panel" title={t("sources.title")} busy={sources.loading} tools={<Export name="sources" columns={columns()} rows={rows} />}>
      {sources.error && <Failed error={sources.error} retry={sources.reload} />}
      {!sources.data ? (
        !sources.error && <Skeleton rows={6} />
      ) : rows.length === 0 ? (
        <Empty title={t("sources.empty")}>{t("sources.empty.do")}</Empty>
      ) : (
        <DataTable
          caption={t("sources.title")}
          columns={columns()}
          rows={rows}
          rowId={(row) => row.name}
          selected={chosen}
          onSelect={(row) => setQuery({ source: row.name === chosen ? null : row.name }, true)}
        />
      )}
    </Panel>
  );
}

function columns(): Column<SourceCount>[] {
  return [
    { id: "source", title: t("column.source"), value: (row) => row.label },
    { id: "messages", title: t("column.messages"), numeric: true, value: (row) => row.messages, render: (row) => number(row.messages) },
    { id: "stories", title: t("column.stories"), numeric: true, value: (row) => row.stories, render: (row) => number(row.stories) },
    { id: "negative", title: t("column.negative.short"), help: t("column.negative"), numeric: true, value: (row) => row.negative, render: (row) => number(row.negative) },
    { id: "mood", title: t("strip.mood"), help: t("strip.mood.help"), numeric: true, value: (row) => row.mood, render: (row) => signed(row.mood === null ? null : row.mood * 100, 0) },
  ];
}
