"""Models: their figures, and a candidate beside the live one."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from core.fitting import reader_of
from core.store.models import ModelRow, State, list_models, listed, read_history, rivals
from core.store.shadows import read_agreement
from core.store.worker_models import list_workers
from desk.api.parameters import ModelName, Share
from desk.context import Desk, desk_of
from desk.problems import responses
from desk.registry import HISTORY, known_model, latest_verdict, objection, served_figures
from desk.security.identity import Viewer

router = APIRouter(
    prefix="/models", tags=["models"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
)


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
    languages: list[str] = Field(description="Codes of those that it reads, the one it is for first.")
    created_at: datetime
    changed_at: datetime
    size_bytes: int
    backbone: str
    figures: list[TaskFigures]


class Worker(BaseModel):
    """What a worker runs for a language, and the last model of it that it refused."""

    worker: str
    language: str
    model: str | None = Field(description="Null where it can use none.")
    shadow: str | None
    refused: str | None
    reason: str | None
    updated_at: datetime


class Models(BaseModel):
    live: dict[str, str] = Field(
        description="Names by the language that each is for; none before the first promotion: workers run what the "
        "settings name."
    )
    shadow: dict[str, str] = Field(description="Names by language.")
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
    against: str | None = Field(description="The model that was live then; of several, with commas between.")
    gates: list[Gate]


class ModelDetail(ModelSummary):
    tasks: dict[str, list[str]] = Field(description="Labels by task, in the order of the scores.")
    sources: list[dict[str, Any]] = Field(description="What it learned from.")
    verdict: Verdict | None = Field(description="Null where no gate judged it.")
    history: list[ModelChange]


class ShadowAgreement(BaseModel):
    """How often the model agrees with a live one on sampled messages, with the 95% Wilson interval."""

    live: str
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
    """A model beside the live one of its language."""

    model: str
    live: str | None = Field(description="The model that reads its language now.")
    tasks: list[TaskComparison]
    agreement: list[ShadowAgreement] = Field(description="Empty where it never was the shadow of this live model.")
    verdict: Verdict | None
    promotable: bool = Field(description="Whether it may go live without overruling a gate.")
    forcible: bool = Field(description="Whether it may go live by overruling gates.")
    objection: str | None = Field(description="Why it may not go live as it is.")


@router.get("", summary="All models, the live ones first")
def read_models(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Models:
    rows = list_models(desk.engine)
    return Models(
        live={row.language: row.name for row in rows if row.state == "live"},
        shadow={row.language: row.name for row in rows if row.state == "shadow"},
        items=[ModelSummary(**_summary(row)) for row in rows],
        workers=[Worker.model_validate(worker, from_attributes=True) for worker in list_workers(desk.engine)],
    )


@router.get("/{name}", summary="One model, with its figures per label", responses=responses(HTTPStatus.NOT_FOUND))
def read_model(name: ModelName, principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> ModelDetail:
    row = known_model(desk.engine, name)
    history = read_history(desk.engine, name, HISTORY)
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


@router.get(
    "/{name}/comparison",
    summary="A model beside the live one",
    responses=responses(HTTPStatus.NOT_FOUND),
)
def compare_model(name: ModelName, principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Comparison:
    """Figures of both test sets side by side; the verdict is from one test set, where there is one."""
    row = known_model(desk.engine, name)
    beside = rivals(row.languages, list_models(desk.engine, "live"))
    live = reader_of(row.language, beside)
    verdict = latest_verdict(read_history(desk.engine, name, HISTORY))
    agreement = [
        ShadowAgreement(live=rival.name, **asdict(task))
        for rival in beside
        if rival.name != name
        for task in read_agreement(desk.engine, name, rival.name)
    ]
    objections = {force: objection(row, listed(beside), verdict, "live", force) for force in (False, True)}
    return Comparison(
        model=row.name,
        live=live.name if live is not None else None,
        tasks=_compared(row, live),
        agreement=agreement,
        verdict=Verdict.model_validate(verdict, from_attributes=True) if verdict else None,
        promotable=row.state != "live" and objections[False] is None,
        forcible=row.state != "live" and objections[True] is None,
        objection=objections[False],
    )


def _summary(row: ModelRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "state": row.state,
        "languages": list(row.languages),
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
