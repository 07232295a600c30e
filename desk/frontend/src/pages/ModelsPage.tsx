// Which model runs, how good it is, what waits beside it, and how many labels are missing to the next one.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address, post } from "../api/client";
import type { Models, Training } from "../api/types";
import { useData } from "../api/useData";
import { languageName, number, percent } from "../format";
import { named, t } from "../i18n";
import { go, href, place } from "../router";
import { may } from "../state/session";
import { DataTable, type Column } from "../ui/DataTable";
import { Export } from "../ui/Export";
import { Dialog, Empty, Failed, Panel, Skeleton, Time } from "../ui/parts";
import { say, sayError } from "../ui/toasts";
import { EvaluationPanel } from "./models/EvaluationPanel";
import { ModelPanel } from "./models/ModelPanel";

type Summary = Models["items"][number];

export function ModelsPage(): JSX.Element {
  const models = useData<Models>(address("/models"), ["models"]);
  const rollingBack = useSignal(false);
  const items = models.data?.items ?? [];
  const live = models.data?.live ?? {};
  const chosen = decodeURIComponent(place.value.path.split("/")[2] ?? "") || Object.values(models.data?.shadow ?? {})[0] || items.find((item) => item.state === "candidate")?.name || items[0]?.name || "";
  return (
    <>
      <h1 class="hidden">{t("nav.models")}</h1>
      {Object.keys(live).length > 0 ? Object.entries(live).map(([code, name]) => <TrainingStrip key={code} language={code} live={name} />) : <TrainingStrip live={null} />}
      <EvaluationPanel states={new Map(items.map((item) => [item.name, item.state]))} />
      <div class="two-columns">
        <div class="column">
          <Panel
            title={t("models.list")}
            busy={models.loading}
            tools={
              <>
                {may("admin") && (
                  <button type="button" onClick={() => (rollingBack.value = true)}>
                    {t("models.rollback")}
                  </button>
                )}
                <Export name="models" columns={columns()} rows={items} />
              </>
            }
          >
            {models.error && <Failed error={models.error} retry={models.reload} />}
            {!models.data ? (
              !models.error && <Skeleton rows={5} />
            ) : items.length === 0 ? (
              <Empty title={t("models.empty")}>{t("models.empty.do")}</Empty>
            ) : (
              <DataTable caption={t("models.list")} columns={columns()} rows={items} rowId={(item) => item.name} selected={chosen} onSelect={(item) => go(href(`/models/${encodeURIComponent(item.name)}`), true)} sortable={false} />
            )}
          </Panel>
          {models.data && models.data.workers.length > 0 && (
            <Panel title={t("models.workers")}>
              <DataTable
                caption={t("models.workers")}
                rows={models.data.workers}
                rowId={(worker) => `${worker.worker} ${worker.language}`}
                columns={[
                  { id: "worker", title: t("models.worker"), value: (worker) => worker.worker },
                  { id: "language", title: t("models.language"), value: (worker) => languageName(worker.language) },
                  { id: "model", title: t("models.runs"), value: (worker) => worker.model },
                  { id: "shadow", title: t("model.shadow"), value: (worker) => worker.shadow },
                  { id: "refused", title: t("models.refused"), value: (worker) => worker.refused, render: (worker) => (worker.refused ? <span title={worker.reason ?? ""} class="bad-text">{worker.refused}</span> : "–") },
                ]}
              />
            </Panel>
          )}
        </div>
        {chosen ? <ModelPanel key={chosen} name={chosen} /> : <span />}
      </div>
      {rollingBack.value && <RollBack live={live} onClose={() => (rollingBack.value = false)} />}
    </>
  );
}

function RollBack({ live, onClose }: { live: Models["live"]; onClose: () => void }): JSX.Element {
  const reason = useSignal("");
  const codes = Object.keys(live);
  const language = useSignal(codes[0] ?? null);
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    try {
      const done = await post<{ model: string; state: string }>("/models/rollback", { reason: reason.value.trim() || t("models.rollback"), language: language.value });
      say(done.state === "live" ? t("models.now", { name: done.model }) : `${done.model}: ${named("model", done.state)}`);
      onClose();
    } catch (error) {
      sayError(error);
    }
  };
  return (
    <Dialog title={t("models.rollback")} onClose={onClose}>
      <form class="stack" onSubmit={(event) => void submit(event)}>
        <p>{t("models.rollback.what")}</p>
        {codes.length > 1 && (
          <label>
            {t("models.language")}
            <select value={language.value ?? ""} onChange={(event) => (language.value = event.currentTarget.value)}>
              {codes.map((code) => (
                <option key={code} value={code}>
                  {languageName(code)} · {live[code]}
                </option>
              ))}
            </select>
          </label>
        )}
        <label>
          {t("models.reason")}
          <input value={reason.value} maxLength={1000} required onInput={(event) => (reason.value = event.currentTarget.value)} />
        </label>
        <button type="submit" class="primary">
          {t("models.rollback")}
        </button>
      </form>
    </Dialog>
  );
}

function TrainingStrip({ live, language }: { live: string | null; language?: string }): JSX.Element {
  const training = useData<Training>(address("/models/training", { language }), ["labels", "models"]).data;
  const share = training && training.awaited > 0 ? Math.min(1, training.new_labels / training.awaited) : 0;
  const last = training?.runs[0];
  return (
    <section class="strip three" aria-label={language ? `${t("training.title")} · ${languageName(language)}` : t("training.title")}>
      <div class="figure">
        <h2>
          {t("model.live")}
          {language && ` · ${languageName(language)}`}
        </h2>
        <p class="value small">{live ?? t("models.shipped")}</p>
        <p class="under">{live ? "" : t("models.shipped.help")}</p>
      </div>
      <div class="figure">
        <h2>{t("training.labels")}</h2>
        <p class="value">
          {number(training?.new_labels)} <small>{t("figures.of", { n: number(training?.awaited) })}</small>
        </p>
        <p class="under">
          <span class="meter" aria-hidden="true">
            <i class="good" style={{ width: percent(share) }} />
          </span>
          {training && training.new_labels >= training.awaited ? t("training.due") : t("training.missing", { n: number(Math.max(0, (training?.awaited ?? 0) - (training?.new_labels ?? 0))) })}
        </p>
      </div>
      <div class="figure">
        <h2>{t("training.last")}</h2>
        <p class="value small">{last ? last.outcome : "–"}</p>
        <p class="under">{last ? <Time at={last.ended_at ?? last.began_at} /> : t("training.never")}</p>
      </div>
    </section>
  );
}

function columns(): Column<Summary>[] {
  const macro = (task: string): Column<Summary> => ({
    id: `f1_${task}`,
    title: t("models.f1", { task: named("task", task) }),
    numeric: true,
    value: (item) => item.figures.find((figures) => figures.task === task)?.macro_f1 ?? null,
    render: (item) => number(item.figures.find((figures) => figures.task === task)?.macro_f1, 3),
  });
  return [
    { id: "name", title: t("models.name"), value: (item) => item.name },
    { id: "languages", title: t("models.language"), wide: true, value: (item) => item.languages.join(" "), render: (item) => item.languages.map(languageName).join(", ") },
    { id: "state", title: t("alerts.state"), value: (item) => item.state, render: (item) => <span class={item.state === "live" ? "badge good" : "badge"}>{t(`model.${item.state}`)}</span> },
    macro("sentiment"),
    macro("topic"),
    { id: "size_bytes", title: t("models.size"), numeric: true, wide: true, value: (item) => item.size_bytes, render: (item) => `${number(item.size_bytes / 1e6, 1)} MB` },
    { id: "changed_at", title: t("models.changed"), wide: true, value: (item) => item.changed_at, render: (item) => <Time at={item.changed_at} /> },
  ];
}
