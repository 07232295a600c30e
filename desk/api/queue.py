"""The queue of stories to label."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import BaseModel, Field

from desk.api.parameters import SourceName, TaskName
from desk.context import Desk, desk_of
from desk.labelling.items import Item
from desk.labelling.queue import MOST_HELD, Queued
from desk.problems import Problem, responses
from desk.security.identity import Analyst

router = APIRouter(prefix="/queue", tags=["labels"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))


class Suggestion(BaseModel):
    """What the model said in one task."""

    label: str
    scores: dict[str, float] = Field(description="Probability of each label; they add up to 1.")


class QueueItem(BaseModel):
    """A story that you have on the screen: nobody else gets it meanwhile."""

    story: UUID
    uid: UUID | None = Field(description="The message it is labelled by; null for a text that was never a message.")
    title: str
    text: str
    source: str
    url: str
    published_at: datetime | None = Field(description="Null where retention has dropped the message.")
    copies: int = Field(description="Messages that the story has; a label is of all of them.")
    entities: list[str] = Field(description="Companies in it, whose sentiment can be labelled too.")
    reason: Literal["uncertain", "disagreement", "impact", "random"] = Field(description="Why it is here.")
    blind: bool = Field(description="Another analyst labelled it too; what they said is not shown.")
    model: str = Field(description="The model that labelled it; empty where none did.")
    suggested: dict[str, Suggestion] | None = Field(
        description="What the model said, by task; null on the evaluation share and for a blind second opinion."
    )
    suggested_entities: dict[str, str] | None = Field(
        description="What the model said of companies, as it is counted; null where `suggested` is."
    )


class Queue(BaseModel):
    items: list[QueueItem]
    lease_seconds: int = Field(description="How long they are yours, counted from now.")


@router.get("", summary="The next stories to label")
def take_items(
    principal: Analyst,
    desk: Annotated[Desk, Depends(desk_of)],
    count: Annotated[int, Query(ge=1, le=20)] = 3,
    task: TaskName = None,
    source: SourceName = None,
    holding: Annotated[
        list[UUID] | None, Query(max_length=MOST_HELD, description="Stories that you have on the page: others come.")
    ] = None,
) -> Queue:
    """Stories you were given before and did not label come first, unless they are named in `holding`. With `task`, only
    stories that lack a label of it; otherwise those without any label."""
    if task is not None and task not in desk.taxonomy.tasks:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"there is no task {task!r:.80}; see /settings/taxonomy")
    found = desk.queue.take(principal.name, count, task=task, source=source, holding=holding or [])
    items = [queue_item(desk, queued) for queued in found]
    return Queue(items=items, lease_seconds=desk.settings.desk.lease_minutes * 60)


@router.delete(
    "/{story}", status_code=204, summary="Give a story back unlabelled", responses=responses(HTTPStatus.NOT_FOUND)
)
def give_back(story: UUID, principal: Analyst, desk: Annotated[Desk, Depends(desk_of)]) -> Response:
    """Others may get it at once; you are not asked again before somebody else had it."""
    if not desk.queue.skip(principal.name, story):
        raise Problem(HTTPStatus.NOT_FOUND, "you do not have this story, or no longer")
    return Response(status_code=204)


def queue_item(desk: Desk, queued: Queued) -> QueueItem:
    """A queued story as the API shows it."""
    item = queued.item
    return QueueItem(
        story=item.story,
        uid=item.uid,
        title=item.title,
        text=item.text,
        source=item.source,
        url=item.url,
        published_at=item.published_at,
        copies=item.copies,
        entities=item.entities,
        reason=queued.reason,
        blind=queued.blind,
        model=item.model if not queued.hidden else "",
        suggested=None if queued.hidden else suggestions(desk, item),
        suggested_entities=None if queued.hidden else item.towards,
    )


def suggestions(desk: Desk, item: Item) -> dict[str, Suggestion]:
    """What the model said of `item`, its scores by label where the number of labels is that of the taxonomy."""
    found = {}
    for task, guess in item.guesses.items():
        labels = desk.taxonomy.tasks.get(task, ())
        scores = dict(zip(labels, guess.scores, strict=True)) if len(labels) == len(guess.scores) else {}
        found[task] = Suggestion(label=guess.label, scores=scores)
    return found
