"""Labels: given one by one or many at once, taken back, and their history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field, model_validator
from sqlalchemy import Connection

from core.label_lines import MAX_ENTITY_CHARACTERS, Subject
from core.labelled import SENTIMENT
from core.records import MAX_ENTITIES
from desk.api.parameters import AccountName, Cursor, TaskName, Words
from desk.context import Desk, desk_of
from desk.labelling.alike import share_words
from desk.labelling.figures import count_by_hour, read_history
from desk.labelling.steps import Saved, check_words, is_done, keep_for_evaluation, resolve, save, steps_left, undo
from desk.paging import decode_cursor, encode_cursor
from desk.problems import Problem, responses
from desk.security.audit import note
from desk.security.identity import Analyst, Viewer

router = APIRouter(
    prefix="/labels", tags=["labels"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
)

MOST_ITEMS = 500
_BY_TASK = "Label by task; null takes back what you said."
_BY_COMPANY = "Sentiment by company, one of the `entities` of the story; null takes back what you said."
_Company = Annotated[str, Field(min_length=1, max_length=MAX_ENTITY_CHARACTERS)]


class _Words(BaseModel):
    labels: dict[str, str | None] = Field(
        default_factory=dict, max_length=20, description=_BY_TASK, examples=[{"sentiment": "negative"}]
    )
    entities: dict[_Company, str | None] = Field(
        default_factory=dict, max_length=MAX_ENTITIES, description=_BY_COMPANY, examples=[{"AAPL": "positive"}]
    )

    @property
    def words(self) -> dict[Subject, str | None]:
        """All that is said."""
        return {Subject(task): label for task, label in self.labels.items()} | {
            Subject(SENTIMENT, company): label for company, label in self.entities.items()
        }


class LabelItem(_Words):
    """What you say of a story, and of the companies in it: name it, or any message of it."""

    uid: UUID | None = None
    story: UUID | None = None

    @model_validator(mode="after")
    def _one_key(self) -> LabelItem:
        if (self.uid is None) == (self.story is None):
            raise ValueError("expected one of `uid` and `story`")
        return self


class NewLabels(BaseModel):
    """One step: done once for each `request`, and taken back as one."""

    request: UUID | None = Field(None, description="An id of your own; sent again with it, nothing is done twice.")
    model_hidden: bool = Field(
        False, description="What the model says was not on the screen, as in the queue: only so are stories labelled "
        "that judge it.",
    )  # fmt: skip
    items: list[LabelItem] = Field(min_length=1, max_length=MOST_ITEMS)


class BulkLabels(_Words):
    """The same labels for many messages, and for the companies in them, as one step."""

    request: UUID | None = Field(None, description="An id of your own; sent again with it, nothing is done twice.")
    uids: list[UUID] = Field(min_length=1, max_length=MOST_ITEMS)


class Undo(BaseModel):
    request: UUID | None = Field(None, description="An id of your own; sent again with it, nothing is done twice.")


class SavedStory(BaseModel):
    """What you say of a story now; null: nothing any more."""

    story: UUID
    labels: dict[str, str | None]
    entities: dict[str, str | None] = Field(description="Sentiment by company.")


class SavedLabels(BaseModel):
    """What a step did."""

    request: UUID
    items: list[SavedStory]
    rows: int = Field(description="Rows added; what you had said already adds none.")
    again: bool = Field(description="It was done before, and was not done again.")
    undoable: int = Field(description="Steps that you can take back now.")
    kept: list[UUID] = Field([], description="Stories not labelled: they judge the model, and you saw what it says.")


class SavedAlike(SavedLabels):
    """What a step did to many stories, and to which it did nothing."""

    without: list[UUID] = Field(description="Stories in which none of the companies is.")


class LabelEvent(BaseModel):
    """A row of the history of labels."""

    id: int
    story: UUID
    uid: UUID | None
    text: str
    source: str
    task: str
    entity: str = Field(description="The company in the text that it is of; empty where it is of the text.")
    label: str | None = Field(description="Null: what was said before is taken back.")
    analyst: str
    labelled_at: datetime
    final: bool = Field(description="A verdict on what analysts disagree about.")
    counts: bool = Field(description="No later row replaced it.")


class LabelPage(BaseModel):
    items: list[LabelEvent]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class LabelCounts(BaseModel):
    """Rows of one analyst, task and label."""

    analyst: str
    task: str
    companies: bool = Field(description="They are of companies in texts; else of the texts.")
    label: str | None = Field(description="Null counts what was taken back.")
    given: int = Field(description="Rows.")
    current: int = Field(description="Rows that no later one replaced.")


class HourOfLabels(BaseModel):
    analyst: str
    hour: datetime
    labels: int


class LabelFigures(BaseModel):
    """`rows` and `current` are the sums of `given` and of `current` in `counts`; what was taken back is not current."""

    rows: int
    current: int
    counts: list[LabelCounts]
    hours: list[HourOfLabels] = Field(
        description="Labels per hour of the last hours; hours without labels are left out."
    )
    undoable: int = Field(description="Steps that you can take back.")


@router.post("", summary="Label stories", responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT))
def add_labels(given: NewLabels, principal: Analyst, desk: Annotated[Desk, Depends(desk_of)]) -> SavedLabels:
    """A label is of the story, whatever message of it is named; one of a company is of what the story says of it.

    Stories of the evaluation share are labelled with `model_hidden` alone, and else left out: 409 where nothing is
    left. What you said of them you may take back all the same."""
    for place, item in enumerate(given.items):
        check_words(item.words, desk.taxonomy, f"items.{place}")
    with desk.engine.begin() as connection:
        keys = [item.uid or item.story for item in given.items]
        stories = resolve(connection, [key for key in keys if key is not None])
        said: dict[UUID, dict[Subject, str | None]] = {}
        for key, item in zip(keys, given.items, strict=True):
            assert key is not None  # checked by the model
            said.setdefault(stories[key], {}).update(item.words)
        request = given.request or uuid4()
        words, kept = keep_for_evaluation(said, lambda story: not given.model_hidden and desk.queue.is_hidden(story))
        if kept and not words and not is_done(connection, principal.name, request):
            raise Problem(
                HTTPStatus.CONFLICT,
                "this story is one of those that judge the model, and the model's label of it was on the screen; label "
                "it in the queue, or change what you said in the history, which do not show it",
            )
        return _save(connection, principal.name, request, words, "label", kept)


@router.post("/bulk", summary="Label many messages alike", responses=responses(HTTPStatus.NOT_FOUND))
def add_labels_alike(given: BulkLabels, principal: Analyst, desk: Annotated[Desk, Depends(desk_of)]) -> SavedAlike:
    """The same of each story; of a company in those that have it. Stories of the evaluation share are left out: they
    are labelled without seeing what the model said, and who chooses many saw it."""
    check_words(given.words, desk.taxonomy, "labels")
    with desk.engine.begin() as connection:
        stories = resolve(connection, given.uids)
        alike = share_words(connection, stories.values(), given.words, desk.queue.is_hidden)
        done = _save(connection, principal.name, given.request or uuid4(), alike.words, "label in bulk", alike.kept)
    return SavedAlike(**done.model_dump(), without=alike.without)


@router.post("/undo", summary="Take back your latest step", responses=responses(HTTPStatus.NOT_FOUND))
def undo_step(given: Undo, principal: Analyst, desk: Annotated[Desk, Depends(desk_of)]) -> SavedLabels:
    """Again and again, up to 50 steps. What you had said before counts again; stories without a label come back to
    your queue."""
    request = given.request or uuid4()
    with desk.engine.begin() as connection:
        done = undo(connection, principal.name, request)
        if done is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no step of yours left to take back")
        if not done.again:
            note(connection, principal.name, "undo label", _subject(done), _detail(request, done))
        left = steps_left(connection, principal.name)
    if not done.again:
        desk.queue.take_again(
            principal.name, [story for story, words in done.stories.items() if None in _of_text(words).values()]
        )
    return _answer(request, done, left)


@router.get("", summary="The history of labels, the newest first")
def list_labels(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    mine: Annotated[bool, Query(description="Only yours.")] = False,
    analyst: AccountName = None,
    task: TaskName = None,
    story: UUID | None = None,
    q: Words = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> LabelPage:
    """`q`: words somewhere in the text."""
    before = decode_cursor(cursor, [int])[0] if cursor else None
    chosen = {"analyst": principal.name if mine else analyst, "task": task, "words": q}
    found = read_history(desk.engine, principal.name, before=before, story=story, limit=limit + 1, **chosen)
    items = [LabelEvent.model_validate(row, from_attributes=True) for row in found[:limit]]
    return LabelPage(items=items, next=encode_cursor([items[-1].id]) if len(found) > limit else None)


@router.get("/figures", summary="How many labels there are, and labels per hour")
def read_figures(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    hours: Annotated[int, Query(ge=1, le=168)] = 24,
) -> LabelFigures:
    counts = desk.label_counter.read()
    with desk.engine.connect() as connection:
        left = steps_left(connection, principal.name)
    return LabelFigures(
        rows=sum(count.given for count in counts),
        current=sum(count.current for count in counts if count.label is not None),
        counts=[LabelCounts.model_validate(count, from_attributes=True) for count in counts],
        hours=[HourOfLabels.model_validate(hour, from_attributes=True) for hour in count_by_hour(desk.engine, hours)],
        undoable=left,
    )


def _save(
    connection: Connection,
    analyst: str,
    request: UUID,
    words: Mapping[UUID, Mapping[Subject, str | None]],
    action: str,
    kept: Sequence[UUID],
) -> SavedLabels:
    done = save(connection, analyst, request, words)
    if done.again:  # the first time it may have labelled what would be kept now
        kept = [story for story in kept if not any(done.stories.get(story, {}).values())]
    else:
        note(connection, analyst, action, _subject(done), _detail(request, done))
    return _answer(request, done, steps_left(connection, analyst), kept)


def _subject(done: Saved) -> str:
    return str(next(iter(done.stories))) if len(done.stories) == 1 else f"{len(done.stories)} stories"


def _detail(request: UUID, done: Saved) -> dict[str, object]:
    of_texts = {str(story): of_text for story, words in done.stories.items() if (of_text := _of_text(words))}
    of_companies = {str(story): of_each for story, words in done.stories.items() if (of_each := _of_companies(words))}
    said = {"labels": of_texts, "entities": of_companies} if of_companies else {"labels": of_texts}
    return {"request": str(request), "rows": done.rows, **said}


def _answer(request: UUID, done: Saved, left: int, kept: Sequence[UUID] = ()) -> SavedLabels:
    items = [
        SavedStory(story=story, labels=_of_text(words), entities=_of_companies(words))
        for story, words in done.stories.items()
    ]
    return SavedLabels(request=request, items=items, rows=done.rows, again=done.again, undoable=left, kept=list(kept))


def _of_text(words: Mapping[Subject, str | None]) -> dict[str, str | None]:
    return {subject.task: label for subject, label in words.items() if not subject.entity}


def _of_companies(words: Mapping[Subject, str | None]) -> dict[str, str | None]:
    return {subject.entity: label for subject, label in words.items() if subject.entity}
