"""What labels have come to: how many until the next training, and how often models were right."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from core.intervals import difference_interval
from core.language import ENGLISH
from core.store import training
from desk.api.parameters import LanguageCode, Share
from desk.context import Desk, desk_of
from desk.labelling.evaluation import Accuracy as Judged
from desk.problems import responses
from desk.registry import card_figures, known_manifests
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


class CardFigures(BaseModel):
    """What the model card says of the same, on the model's own test set."""

    accuracy: Share
    macro_f1: Share
    support: int = Field(description="Texts of the test set, or companies in them.")


class FromCard(BaseModel):
    """A difference of shares with its 95% interval (Newcombe 1998): more than chance where 0 lies outside."""

    by: float
    low: float
    high: float


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
    macro_f1: Share = Field(description="Plain mean of F1 over the labels that occur.")
    confusion: dict[str, dict[str, int]] = Field(
        description="Texts by the label that counts, then by what they got; zeros are left out."
    )
    card: CardFigures | None = Field(description="Null where the model is not known here, or its card is silent.")
    change: FromCard | None = Field(description="From the card's accuracy; null without a card.")


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
    manifests = known_manifests(desk.engine, desk.settings, {one.model for one in found})
    items = [_beside_card(one, manifests.get(one.model, {})) for one in found]
    return Evaluation(evaluation_share=desk.settings.desk.evaluation_share, items=items)


def _beside_card(found: Judged, manifest: dict[str, Any]) -> Accuracy:
    figures = card_figures(manifest, found.task, found.companies)
    if figures is None:
        return Accuracy(**asdict(found), card=None, change=None)
    right = round(figures["accuracy"] * figures["support"])
    low, high = difference_interval((found.right, found.texts), (right, figures["support"]))
    change = FromCard(by=found.share - figures["accuracy"], low=low, high=high)
    return Accuracy(**asdict(found), card=CardFigures.model_validate(figures), change=change)
