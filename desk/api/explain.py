"""Which words moved a score."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from core.errors import BundleError, ShelfUnreachable
from core.explanation import explain
from desk.api.parameters import TaskName
from desk.context import Desk, desk_of
from desk.labelling.items import find_stories, read_items
from desk.labelling.live_models import Busy
from desk.problems import Problem, responses
from desk.security.identity import Viewer

router = APIRouter(
    prefix="/explanations", tags=["labels"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
)


class WordWeight(BaseModel):
    """`text[start:end]` of the explained text, in characters (Unicode code points)."""

    start: int
    end: int
    text: str
    weight: float = Field(
        description="How much likelier the label is with these words than without, from -1 to 1. Of words that "
        "weigh much, the mean over the text and the text without its heaviest words."
    )


class TaskExplanation(BaseModel):
    label: str
    score: float = Field(description="Probability of the label, from 0 to 1.")
    spans: list[WordWeight]


class Explanation(BaseModel):
    """Why the live model of a message's language labels it as it does."""

    uid: UUID
    model: str
    text: str
    tasks: dict[str, TaskExplanation]


@router.get(
    "/{uid}",
    summary="The words that moved the score of a message",
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.SERVICE_UNAVAILABLE),
)
def explain_message(
    uid: UUID,
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    task: TaskName = None,
) -> Explanation:
    """Each word is left out in turn and the rest is scored by the live model of the message's language, as `newstide
    classify --explain` does. `task`: only this one."""
    with desk.engine.connect() as connection:
        stories = find_stories(connection, [uid])
        items = read_items(connection, list(stories.values()))
    item = items.get(stories[uid]) if uid in stories else None
    if item is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no message {uid} is stored")
    if desk.queue.is_to_be_labelled(principal.name, item.story):
        raise Problem(HTTPStatus.CONFLICT, "you are to label this story without seeing what the model says of it")
    try:
        with desk.live_models.reading(item.language) as classifier:
            if classifier is None:
                raise Problem(HTTPStatus.CONFLICT, f"no live model reads {item.language!r:.20}: no labels")
            found = explain(classifier, item.body)
            model = classifier.name
    except Busy:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "others ask the model at the moment; try again", {"Retry-After": "1"}
        ) from None
    except (BundleError, ShelfUnreachable) as error:
        raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"the live model can't be loaded: {error}") from None
    if task is not None and task not in found:
        raise Problem(HTTPStatus.NOT_FOUND, f"the live model has no task {task!r:.80}")
    chosen = found if task is None else {task: found[task]}
    tasks = {name: TaskExplanation.model_validate(one, from_attributes=True) for name, one in chosen.items()}
    return Explanation(uid=uid, model=model, text=item.body, tasks=tasks)
