"""Models: their figures, the candidate beside the live one, and which one runs."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from core.errors import BundleError, RegistryError, ShelfUnreachable
from core.rollback import go_back, prove
from core.store import training
from core.store.models import ModelRow, StateChange, find_model, list_models, list_workers, move_model, read_history
from core.store.shadows import read_agreement
from desk.api.parameters import ModelName, PlainText
from desk.context import Desk, desk_of
from desk.labelling.evaluation import measure_accuracy
from desk.problems import Problem, responses
from desk.registry import latest_verdict, objection, served_figures
from desk.security.audit import note
from desk.security.identity import Admin, Viewer

router = APIRouter(
    prefix="/models", tags=["models"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
)

State = Literal["candidate", "shadow", "live", "retired"]
Share = Annotated[float, Field(ge=0, le=1)]
_HISTORY = 200  # events of one model that are looked at


class ClassFigures(BaseModel):
    """Figures of one label on the model's test set."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int = Field(description="Texts that truly carry the label.")


class TaskFigures(BaseModel):
    """Figures of one task on the model's test set."""

    task: str
    accuracy: float
    macro_f1: float
    ece: float = Field(description="Expected calibration error.")
    support: int = Field(description="Texts of the test set.")
    labels: list[ClassFigures]
    confusion: dict[str, dict[str, int]] = Field({}, description="Texts by true label, then by what they got.")


class ModelSummary(BaseModel):
    """A registered model."""

    name: str
    state: State
    created_at: datetime
    changed_at: datetime
    size_bytes: int
    backbone: str
    figures: list[TaskFigures]


class Worker(BaseModel):
    """What a worker runs, and the last model that it refused."""

    worker: str
    model: str
    shadow: str | None
    refused: str | None
    reason: str | None
    updated_at: datetime


class Models(BaseModel):
    live: str | None = Field(description="Null before the first promotion: workers run the bundle of the settings.")
    shadow: str | None
    items: list[ModelSummary]
    workers: list[Worker] = Field(description="Workers heard of in the last minute.")


class ModelChange(BaseModel):
    """A change of state, or a promotion that was refused."""

    id: int
    model: str
    from_state: str | None
    to_state: str
    at: datetime
    actor: str
    reason: str
    forced: bool


class Gate(BaseModel):
    """What one gate says."""

    name: str
    passed: bool
    summary: str
    forcible: bool = Field(description="Whether an admin may overrule it.")
    figures: dict[str, Any]


class Verdict(BaseModel):
    """The latest verdicts of the gates on a model."""

    at: datetime
    against: str | None = Field(description="The model that was live then.")
    gates: list[Gate]


class ModelDetail(ModelSummary):
    tasks: dict[str, list[str]] = Field(description="Labels by task, in the order of the scores.")
    sources: list[dict[str, Any]] = Field(description="What it learned from.")
    verdict: Verdict | None = Field(description="Null where no gate judged it.")
    history: list[ModelChange]


class ShadowAgreement(BaseModel):
    """How often the model agrees with the live one on sampled messages, with the 95% Wilson interval."""

    task: str
    messages: int
    agreeing: int
    share: Share
    low: Share
    high: Share


class ClassComparison(BaseModel):
    """F1 of one label in both models, each on its own test set."""

    label: str
    live_f1: float | None
    model_f1: float | None
    difference: float | None
    support: int = Field(description="Texts of the label in the test set of the model.")


class TaskComparison(BaseModel):
    task: str
    live: TaskFigures | None
    model: TaskFigures | None
    labels: list[ClassComparison]


class Comparison(BaseModel):
    """A model beside the live one."""

    model: str
    live: str | None
    tasks: list[TaskComparison]
    agreement: list[ShadowAgreement] = Field(description="Empty where it never was the shadow of this live model.")
    verdict: Verdict | None
    promotable: bool = Field(description="Whether it may go live without overruling a gate.")
    forcible: bool = Field(description="Whether it may go live by overruling gates.")
    objection: str | None = Field(description="Why it may not go live as it is.")


class Promotion(BaseModel):
    """What to do with a model, and why."""

    to: Literal["live", "shadow"] = "live"
    reason: PlainText = Field("", max_length=1000, description="For the history; needed to overrule a gate.")
    force: bool = Field(False, description="Overrule gates that failed.")


class Rollback(BaseModel):
    reason: PlainText = Field("rolled back", min_length=1, max_length=1000)


class Change(BaseModel):
    """What a change did; workers switch between two batches."""

    model: str
    state: State
    displaced: str | None = Field(description="The model whose place it took.")


class TrainingRun(BaseModel):
    id: int
    began_at: datetime
    ended_at: datetime | None
    outcome: str
    model: str | None
    reasons: list[str]


class Training(BaseModel):
    """Labels until the next training."""

    new_labels: int = Field(description="Texts labelled since the last training that learned from labels, per task.")
    awaited: int = Field(description="How many are a reason to train.")
    learned_until: datetime | None = Field(description="Labels given later are in no model; null before any training.")
    runs: list[TrainingRun]


class Accuracy(BaseModel):
    """How often a model gave the label that counts, with the 95% Wilson interval."""

    model: str
    task: str
    texts: int = Field(description="Stories with a label and without a tie.")
    right: int
    share: Share
    low: Share
    high: Share


class Evaluation(BaseModel):
    evaluation_share: Share = Field(description="Share of all stories that is kept for evaluation.")
    items: list[Accuracy] = Field(description="By model and task; empty before a story of the share is labelled.")


@router.get("", summary="All models, the live one first")
def read_models(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Models:
    rows = list_models(desk.engine)
    return Models(
        live=next((row.name for row in rows if row.state == "live"), None),
        shadow=next((row.name for row in rows if row.state == "shadow"), None),
        items=[ModelSummary(**_summary(row)) for row in rows],
        workers=[Worker.model_validate(worker, from_attributes=True) for worker in list_workers(desk.engine)],
    )


@router.get("/training", summary="Labels until the next training")
def read_training(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    runs: Annotated[int, Query(ge=0, le=100, description="Latest trainings to list.")] = 10,
) -> Training:
    since = training.learned_until(desk.engine)
    return Training(
        new_labels=training.count_new_labels(desk.engine, since),
        awaited=desk.settings.models.train_after_labels,
        learned_until=since,
        runs=[
            TrainingRun(
                id=run.id,
                began_at=run.began_at,
                ended_at=run.ended_at,
                outcome=run.outcome,
                model=run.model,
                reasons=[str(reason.get("text", "")) for reason in run.reasons],
            )
            for run in training.list_runs(desk.engine, runs)
        ],
    )


@router.get("/evaluation", summary="How often models were right where nobody saw what they said")
def read_evaluation(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Evaluation:
    """Over the stories of the evaluation share that were labelled last: drawn at random, so that they speak for all."""
    found = measure_accuracy(desk.engine, desk.settings.desk.evaluation_share)
    return Evaluation(
        evaluation_share=desk.settings.desk.evaluation_share,
        items=[Accuracy.model_validate(one, from_attributes=True) for one in found],
    )


@router.post("/rollback", summary="Bring back the model that was live before", responses=responses(HTTPStatus.CONFLICT))
def roll_back(wanted: Rollback, principal: Admin, desk: Annotated[Desk, Depends(desk_of)]) -> Change:
    """The bundle is verified first. The one that is live is retired, and is never gone back to."""

    def record(connection: Connection, change: StateChange) -> None:
        detail = {"reason": wanted.reason, "displaced": change.displaced}
        note(connection, principal.name, "roll back model", change.model, detail)

    try:
        done = go_back(desk.settings, desk.engine, actor=principal.name, reason=wanted.reason, also=record)
    except (RegistryError, BundleError, ShelfUnreachable) as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from None
    return Change(model=done.model, state=done.state, displaced=done.displaced)


@router.get("/{name}", summary="One model, with its figures per label", responses=responses(HTTPStatus.NOT_FOUND))
def read_model(name: ModelName, principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> ModelDetail:
    row = _known(desk, name)
    history = read_history(desk.engine, name, _HISTORY)
    return ModelDetail(
        **_summary(row),
        tasks={task: spec["labels"] for task, spec in row.manifest["tasks"].items()},
        sources=row.manifest.get("data") or [],
        verdict=Verdict.model_validate(verdict, from_attributes=True) if (verdict := latest_verdict(history)) else None,
        history=[
            ModelChange(
                id=event.id,
                model=event.model,
                from_state=event.from_state,
                to_state=event.to_state,
                at=event.at,
                actor=event.actor,
                reason=event.reason,
                forced=bool(event.evidence.get("forced")),
            )
            for event in history
        ],
    )


@router.get("/{name}/comparison", summary="A model beside the live one", responses=responses(HTTPStatus.NOT_FOUND))
def compare_model(name: ModelName, principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Comparison:
    """Figures of both test sets side by side; the verdict is from one test set, where there is one."""
    row, live = _known(desk, name), find_model(desk.engine, state="live")
    verdict = latest_verdict(read_history(desk.engine, name, _HISTORY))
    agreement = read_agreement(desk.engine, name, live.name) if live is not None and live.name != name else []
    objections = {force: objection(row, live, verdict, "live", force) for force in (False, True)}
    return Comparison(
        model=row.name,
        live=live.name if live is not None else None,
        tasks=_compared(row, live),
        agreement=[ShadowAgreement.model_validate(task, from_attributes=True) for task in agreement],
        verdict=Verdict.model_validate(verdict, from_attributes=True) if verdict else None,
        promotable=row.state != "live" and objections[False] is None,
        forcible=row.state != "live" and objections[True] is None,
        objection=objections[False],
    )


@router.post(
    "/{name}/promote",
    summary="Put a model into service",
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def promote(name: ModelName, wanted: Promotion, principal: Admin, desk: Annotated[Desk, Depends(desk_of)]) -> Change:
    """The gates must have passed it against the model that is live now. The bundle is verified once more."""
    if wanted.force and not wanted.reason.strip():
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the history must say why a gate was overruled: give a reason")
    row, live = _known(desk, name), find_model(desk.engine, state="live")
    verdict = latest_verdict(read_history(desk.engine, name, _HISTORY))
    refusal = objection(row, live, verdict, wanted.to, wanted.force)
    if refusal is not None and row.state != wanted.to:
        raise Problem(HTTPStatus.CONFLICT, refusal)
    forced = bool(verdict and verdict.failed and wanted.to == "live")
    reason = wanted.reason.strip() or "every gate passed"

    def record(connection: Connection, change: StateChange) -> None:
        detail = {"to": change.state, "reason": reason, "displaced": change.displaced, "forced": forced}
        note(connection, principal.name, "promote model", change.model, detail)

    try:
        prove(desk.settings, row)
        done = move_model(
            desk.engine,
            name,
            wanted.to,
            actor=principal.name,
            reason=reason,
            evidence={"forced": forced, "verdict_at": verdict.at.isoformat() if verdict else None},
            judged_against=live.name if live is not None else None,
            also=record,
        )
    except (RegistryError, BundleError, ShelfUnreachable) as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from None
    return Change(model=done.model, state=done.state, displaced=done.displaced)


def _known(desk: Desk, name: str) -> ModelRow:
    row = find_model(desk.engine, name=name)
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no model is registered as {name!r:.120}")
    return row


def _summary(row: ModelRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": row.state,
        "created_at": row.created_at,
        "changed_at": row.changed_at,
        "size_bytes": row.size_bytes,
        "backbone": row.manifest.get("backbone") or "",
        "figures": [TaskFigures.model_validate(score) for score in served_figures(row.manifest)],
    }


def _compared(row: ModelRow, live: ModelRow | None) -> list[TaskComparison]:
    mine = {score["task"]: TaskFigures.model_validate(score) for score in served_figures(row.manifest)}
    others = {
        score["task"]: TaskFigures.model_validate(score) for score in served_figures(live.manifest if live else {})
    }
    return [_compared_task(task, others.get(task), mine.get(task)) for task in dict.fromkeys([*others, *mine])]


def _compared_task(task: str, live: TaskFigures | None, model: TaskFigures | None) -> TaskComparison:
    old = {label.label: label.f1 for label in live.labels} if live else {}
    new = {label.label: label for label in model.labels} if model else {}
    labels = []
    for label in dict.fromkeys([*old, *new]):
        before, after = old.get(label), new[label].f1 if label in new else None
        labels.append(
            ClassComparison(
                label=label,
                live_f1=before,
                model_f1=after,
                difference=after - before if after is not None and before is not None else None,
                support=new[label].support if label in new else 0,
            )
        )
    return TaskComparison(task=task, live=live, model=model, labels=labels)
