"""What labels have come to: how many until the next training, and how often models were right."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from core.language import ENGLISH
from core.store import training
from desk.api.parameters import LanguageCode, Share
from desk.context import Desk, desk_of
from desk.problems import responses
from desk.security.identity import Viewer

router = APIRouter(
    prefix="/models", tags=["models"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
)


class TrainingRun(BaseModel):
    id: int
    began_at: datetime
    ended_at: datetime | None
    outcome: str
    model: str | None
    reasons: list[str]


class Training(BaseModel):
    """Labels until the next training for a language."""

    language: str
    new_labels: int = Field(description="Texts labelled since the last training that learned from labels, per task.")
    awaited: int = Field(description="How many are a reason to train.")
    learned_until: datetime | None = Field(description="Labels given later are in no model; null before any training.")
    runs: list[TrainingRun]


class Accuracy(BaseModel):
    """How often a model gave the label that counts, with the 95% Wilson interval."""

    model: str
    task: str
    companies: bool = Field(description="On companies in stories; else on the stories.")
    texts: int = Field(description="Stories, or companies in stories, with a label and without a tie.")
    right: int
    share: Share
    low: Share
    high: Share


class Evaluation(BaseModel):
    evaluation_share: Share = Field(description="Share of all stories that is kept for evaluation.")
    items: list[Accuracy] = Field(description="By model and task; empty before a story of the share is labelled.")


@router.get("/training", summary="Labels until the next training")
def read_training(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    language: Annotated[LanguageCode, Query(description="Whose model is to be trained.")] = ENGLISH,
    runs: Annotated[int, Query(ge=0, le=100, description="Latest trainings to list.")] = 10,
) -> Training:
    since = training.learned_until(desk.engine, language)
    return Training(
        language=language,
        new_labels=training.count_new_labels(desk.engine, since, language),
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
            for run in training.list_runs(desk.engine, runs, language)
        ],
    )


@router.get("/evaluation", summary="How often models were right where nobody saw what they said")
def read_evaluation(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Evaluation:
    """Over the stories of the evaluation share that were labelled last: drawn at random, so that they speak for all."""
    found = desk.evaluation.read()
    return Evaluation(
        evaluation_share=desk.settings.desk.evaluation_share,
        items=[Accuracy.model_validate(one, from_attributes=True) for one in found],
    )
