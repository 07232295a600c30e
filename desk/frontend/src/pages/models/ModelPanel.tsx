// One model beside the live one: class by class, on the same traffic, and what the gates say.
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { address, post } from "../../api/client";
import type { Comparison, ModelDetail, TaskComparison, Verdict } from "../../api/types";
import { useData } from "../../api/useData";
import { number, percent, signed } from "../../format";
import { named, t } from "../../i18n";
import { may } from "../../state/session";
import { Confusion } from "../../ui/Confusion";
import { DataTable, type Column } from "../../ui/DataTable";
import { Export } from "../../ui/Export";
import { Empty, Failed, Panel, Skeleton, Time } from "../../ui/parts";
import { say, sayError } from "../../ui/toasts";

type ClassRow = TaskComparison["labels"][number];

export function ModelPanel({ name }: { name: string }): JSX.Element {
  const model = useData<ModelDetail>(address(`/models/${encodeURIComponent(name)}`), ["models"]);
  const beside = useData<Comparison>(address(`/models/${encodeURIComponent(name)}/comparison`), ["models"]);
  if (model.error) return <Failed error={model.error} retry={model.reload} />;
  if (!model.data || !beside.data) return <Skeleton rows={10} />;
  const comparison = beside.data;
  const live = comparison.live;
  return (
    <Panel title={name} class="whole" note={<span class={model.data.state === "live" ? "badge good" : "badge"}>{t(`model.${model.data.state}`)}</span>}>
      {may("admin") && model.data.state !== "live" && <Promote comparison={comparison} shadow={model.data.state === "shadow"} />}
      {!may("admin") && comparison.objection && model.data.state !== "live" && <p class="muted">{comparison.objection}</p>}
      {comparison.verdict && <Gates verdict={comparison.verdict} />}
      {comparison.agreement.length > 0 && (
        <>
          <h3 class="over-table">{t("models.agreement", { live: live ?? "" })}</h3>
          <DataTable
            caption={t("models.agreement", { live: live ?? "" })}
            rows={comparison.agreement}
            rowId={(row) => `${row.live} ${row.task}`}
            columns={[
              { id: "task", title: t("column.task"), value: (row) => row.task, render: (row) => named("task", row.task) },
              { id: "messages", title: t("column.messages"), numeric: true, value: (row) => row.messages, render: (row) => number(row.messages) },
              { id: "share", title: t("agreement.share"), numeric: true, value: (row) => row.share, render: (row) => <span title={`${percent(row.low, 1)}–${percent(row.high, 1)}`}>{percent(row.share, 1)}</span> },
            ]}
          />
        </>
      )}
      {comparison.tasks.length === 0 && <Empty title={t("models.unmeasured")}>{t("models.unmeasured.do")}</Empty>}
      {comparison.tasks.map((task) => (
        <section key={task.task} class="alert">
          <header class="panel-head">
            <h3>{named("task", task.task)}</h3>
            <span class="grow" />
            <Export name={`${name}-${task.task}`} columns={columns(name, live)} rows={task.labels} />
          </header>
          {task.model && (
            <p class="small">
              {t("models.figures", { f1: number(task.model.macro_f1, 3), accuracy: percent(task.model.accuracy, 1), ece: percent(task.model.ece, 1), support: number(task.model.support) })}
            </p>
          )}
          <DataTable caption={named("task", task.task)} columns={columns(name, live)} rows={task.labels} rowId={(row) => row.label} />
          {task.model && Object.keys(task.model.confusion ?? {}).length > 0 && (
            <details>
              <summary>{t("models.confusion")}</summary>
              <Confusion caption={t("models.confusion")} labels={task.model.labels.map((label) => label.label)} counts={task.model.confusion ?? {}} rowTitle={t("models.true")} columnTitle={t("models.got")} />
            </details>
          )}
        </section>
      ))}
      <section class="history">
        <h3>{t("incident.history")}</h3>
        <ol>
          {model.data.history.map((change) => (
            <li key={change.id}>
              <Time at={change.at} />
              <span>
                <b>{named("model", change.to_state)}</b> · {change.actor}: {change.reason}
                {change.forced && ` (${t("models.forced")})`}
              </span>
            </li>
          ))}
        </ol>
      </section>
    </Panel>
  );
}

function Promote({ comparison, shadow }: { comparison: Comparison; shadow: boolean }): JSX.Element {
  const reason = useSignal("");
  const promote = async (to: "live" | "shadow", force: boolean): Promise<void> => {
    try {
      const done = await post<{ model: string; state: string }>(`/models/${encodeURIComponent(comparison.model)}/promote`, { to, force, reason: reason.value.trim() });
      say(t("models.now", { name: `${done.model} (${named("model", done.state)})` }));
    } catch (error) {
      sayError(error);
    }
  };
  const forced = !comparison.promotable && comparison.forcible;
  return (
    <div class="handling">
      <input aria-label={t("models.reason")} placeholder={t(forced ? "models.reason.force" : "models.reason")} maxLength={1000} value={reason.value} onInput={(event) => (reason.value = event.currentTarget.value)} />
      <button type="button" class="primary" disabled={!comparison.promotable && !(forced && reason.value.trim())} onClick={() => void promote("live", forced)}>
        {t(forced ? "models.promote.force" : "models.promote")}
      </button>
      {!shadow && (
        <button type="button" onClick={() => void promote("shadow", false)}>
          {t("models.promote.shadow")}
        </button>
      )}
      {comparison.objection && <p class="small">{comparison.objection}</p>}
    </div>
  );
}

function Gates({ verdict }: { verdict: Verdict }): JSX.Element {
  return (
    <section class="gates" aria-label={t("models.gates")}>
      <h3 class="over-table">
        {t("models.gates")} · <Time at={verdict.at} />
      </h3>
      <ul>
        {verdict.gates.map((gate) => (
          <li key={gate.name}>
            <span class={gate.passed ? "badge good" : "badge open"}>{t(gate.passed ? "gate.passed" : "gate.failed")}</span> <b>{gate.name}</b> {gate.summary}
          </li>
        ))}
      </ul>
    </section>
  );
}

function columns(name: string, live: string | null): Column<ClassRow>[] {
  const same = name === live;
  return [
    { id: "label", title: t("column.label"), value: (row) => row.label, render: (row) => named("sentiment", row.label) },
    ...(same ? [] : [{ id: "live_f1", title: t("models.f1.live"), numeric: true, value: (row: ClassRow) => row.live_f1, render: (row: ClassRow) => number(row.live_f1, 3) }]),
    { id: "model_f1", title: same ? "F1" : t("models.f1.this"), numeric: true, value: (row) => row.model_f1, render: (row) => number(row.model_f1, 3) },
    ...(same
      ? []
      : [{ id: "difference", title: t("models.difference"), numeric: true, value: (row: ClassRow) => row.difference, render: (row: ClassRow) => <b class={(row.difference ?? 0) < -0.005 ? "bad-text" : (row.difference ?? 0) > 0.005 ? "good-text" : ""}>{signed(row.difference, 3)}</b> }]),
    { id: "support", title: t("column.texts"), numeric: true, value: (row) => row.support, render: (row) => number(row.support) },
  ];
}
