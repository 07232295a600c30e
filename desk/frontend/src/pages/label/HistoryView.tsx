// What was said, the newest first; saying something else adds a row.
import type { JSX } from "preact";
import { address, post } from "../../api/client";
import type { LabelEvent, Page } from "../../api/types";
import { useData } from "../../api/useData";
import { named, t } from "../../i18n";
import { queryOf, setQuery } from "../../router";
import { may, me } from "../../state/session";
import { labelsOf, taxonomy } from "../../state/taxonomy";
import { Export } from "../../ui/Export";
import { ImportButton } from "./ImportButton";
import { subject } from "../../ui/subject";
import { useMore } from "../../ui/useMore";
import { DataTable, type Column } from "../../ui/DataTable";
import { Choice, Empty, Failed, More, Panel, Skeleton, Time } from "../../ui/parts";
import { say, sayError } from "../../ui/toasts";

/** What was said by oneself can be changed; a verdict, or what others said, only by another verdict. */
const isOwn = (event: LabelEvent): boolean => may("analyst") && event.analyst === me.value?.name && !event.final;

export function HistoryView(): JSX.Element {
  const everyone = queryOf("who") === "all" || !may("analyst");
  const task = queryOf("task");
  const wanted = address("/labels", { mine: !everyone, task, q: queryOf("q"), limit: 50 });
  const list = useData<Page<LabelEvent>>(wanted, ["labels"]);
  const { items, more } = useMore(wanted, list.data);
  const change = async (event: LabelEvent, label: string): Promise<void> => {
    try {
      // Nothing here tells what the model says.
      await post("/labels", { model_hidden: true, items: [{ story: event.story, [event.entity ? "entities" : "labels"]: { [event.entity || event.task]: label || null } }] });
      say(label ? t("label.saved", { label: named("sentiment", label) }) : t("label.taken"));
      list.reload();
    } catch (error) {
      list.reload(); // the row shows again what is stored
      sayError(error);
    }
  };
  const columns: Column<LabelEvent>[] = [
    { id: "text", title: t("column.text"), value: (event) => event.text, render: (event) => <span class="clip">{event.text}</span> },
    { id: "task", title: t("column.task"), value: (event) => event.task, render: (event) => subject(event.task, event.entity) },
    {
      id: "label",
      title: t("column.label"),
      value: (event) => event.label,
      render: (event) =>
        isOwn(event) && event.counts ? (
          <select aria-label={t("history.change", { text: event.text.slice(0, 60) })} value={event.label ?? ""} onChange={(change_) => void change(event, change_.currentTarget.value)}>
            <option value="">{t("label.none")}</option>
            {labelsOf(event.task).map((label) => (
              <option key={label} value={label}>
                {named("sentiment", label)}
              </option>
            ))}
          </select>
        ) : (
          <span class="muted">{event.label === null ? t("label.none") : named("sentiment", event.label)}</span>
        ),
    },
    { id: "analyst", title: t("column.analyst"), value: (event) => event.analyst, wide: true },
    { id: "labelled_at", title: t("column.at"), value: (event) => event.labelled_at, render: (event) => <Time at={event.labelled_at} />, wide: true },
    { id: "counts", title: t("column.counts"), value: (event) => String(event.counts), render: (event) => (event.final ? t("history.final") : event.counts ? "✓" : "–") },
  ];
  return (
    <Panel
      class="whole"
      title={t("label.history")}
      busy={list.loading}
      tools={
        <>
          <input type="search" class="small-field" placeholder={t("history.find")} aria-label={t("history.find")} value={queryOf("q")} onChange={(event) => setQuery({ q: event.currentTarget.value }, true)} />
          <Choice<string> label={t("label.task")} value={task} options={[{ value: "", text: t("choice.all") }, ...(taxonomy.value?.tasks ?? []).map(({ name }) => ({ value: name, text: named("task", name) }))]} onChange={(value) => setQuery({ task: value })} />
          {may("analyst") && (
            <Choice<string>
              label={t("history.whose")}
              value={everyone ? "all" : ""}
              options={[
                { value: "", text: t("history.mine") },
                { value: "all", text: t("choice.all") },
              ]}
              onChange={(value) => setQuery({ who: value })}
            />
          )}
          {may("analyst") && <ImportButton onDone={list.reload} />}
          <Export
            name="labels"
            columns={columns}
            rows={items}
            server={[
              { text: "JSON lines", address: address("/labels/export", { format: "jsonl" }) },
              { text: "Label Studio", address: address("/labels/export", { format: "label-studio" }) },
            ]}
          />
        </>
      }
    >
      {list.error && <Failed error={list.error} retry={list.reload} />}
      {!list.data ? !list.error && <Skeleton rows={8} /> : items.length === 0 ? <Empty title={t("history.empty")}>{t("history.empty.do")}</Empty> : <DataTable caption={t("label.history")} columns={columns} rows={items} rowId={(event) => String(event.id)} sortable={false} />}
      <More more={more} />
    </Panel>
  );
}
