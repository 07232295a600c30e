"""How well analysts agree, and verdicts on what they disagree about."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from core.label_lines import MAX_ENTITY_CHARACTERS, Subject
from desk.api.parameters import Cursor, TaskName
from desk.context import Desk, desk_of
from desk.labelling.agreement import pair_agreements
from desk.labelling.figures import disputants, read_disputes, read_words
from desk.labelling.steps import check_words, save
from desk.paging import decode_cursor, encode_cursor
from desk.problems import Problem, responses
from desk.security.audit import note
from desk.security.identity import Analyst, Viewer

router = APIRouter(tags=["labels"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN))


class PairOfAnalysts(BaseModel):
    """Two analysts on the texts, or on the companies in texts, that both labelled in one task."""

    task: str
    companies: bool = Field(description="On companies in texts; else on the texts.")
    first: str
    second: str
    texts: int = Field(description="Texts, or companies in texts, that both labelled.")
    share: float = Field(description="Those on which they agree, from 0 to 1.")
    kappa: float | None = Field(description="Cohen's kappa; null where both used one label only.")
    standard_error: float | None = Field(description="Of kappa, for many texts (Fleiss, Cohen and Everitt 1969).")
    low: float | None = Field(description="Lower end of the 95% interval of kappa.")
    high: float | None = Field(description="Upper end of the 95% interval of kappa.")
    confusion: dict[str, dict[str, int]] = Field(
        description="Texts by what `first` said, then by what `second` said; zeros are left out."
    )


class Agreement(BaseModel):
    items: list[PairOfAnalysts]


class Opinion(BaseModel):
    analyst: str
    label: str


class Dispute(BaseModel):
    """A text, or a company in it, that analysts are split on."""

    story: UUID
    uid: UUID | None
    task: str
    entity: str = Field(description="The company in the text that they are split on; empty where it is the text.")
    text: str
    source: str
    opinions: list[Opinion]


class DisputePage(BaseModel):
    items: list[Dispute]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class Verdict(BaseModel):
    """The label that counts in datasets, whatever analysts say."""

    task: str = Field(max_length=100)
    entity: str = Field(
        "", max_length=MAX_ENTITY_CHARACTERS, description="The company in the text; empty where it is of the text."
    )
    label: str = Field(max_length=200)
    request: UUID | None = Field(None, description="An id of your own; sent again with it, nothing is done twice.")


@router.get("/agreement", summary="Cohen's kappa of each pair of analysts, by task")
def read_agreement(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Agreement:
    """Over the latest 10,000 labels."""
    found = pair_agreements(read_words(desk.engine), desk.taxonomy.tasks)
    return Agreement(items=[PairOfAnalysts.model_validate(pair, from_attributes=True) for pair in found])


@router.get("/adjudications", summary="What analysts disagree about, the latest first")
def list_disputes(
    principal: Analyst,
    desk: Annotated[Desk, Depends(desk_of)],
    task: TaskName = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> DisputePage:
    at, of_task, of_entity = decode_cursor(cursor, [int, str, str]) if cursor else (None, None, None)
    before = (at, of_task, of_entity) if at is not None and of_task is not None and of_entity is not None else None
    found = read_disputes(desk.engine, task=task, before=before, limit=limit + 1)
    items = [
        Dispute(
            story=one.story,
            uid=one.uid,
            task=one.task,
            entity=one.entity,
            text=one.text,
            source=one.source,
            opinions=[Opinion(analyst=a, label=b) for a, b in zip(one.analysts, one.labels, strict=True)],
        )
        for one in found[:limit]
    ]
    last = found[limit - 1] if len(found) > limit else None
    return DisputePage(items=items, next=encode_cursor([last.at, last.task, last.entity]) if last is not None else None)


@router.post(
    "/adjudications/{story}",
    status_code=201,
    summary="Decide what analysts disagree about",
    responses=responses(HTTPStatus.NOT_FOUND),
)
def decide(story: UUID, verdict: Verdict, principal: Analyst, desk: Annotated[Desk, Depends(desk_of)]) -> Verdict:
    """For an admin, or an analyst who is not of those who disagree."""
    subject = Subject(verdict.task, verdict.entity)
    check_words({subject: verdict.label}, desk.taxonomy, "the verdict")
    request = verdict.request or uuid4()
    with desk.engine.begin() as connection:
        split = disputants(connection, story, subject)
        if not split:
            raise Problem(HTTPStatus.NOT_FOUND, f"analysts do not disagree about the {subject} of this story")
        if principal.role != "admin" and principal.name in split:
            raise Problem(
                HTTPStatus.FORBIDDEN, "you are one of those who disagree; a third analyst or an admin decides"
            )
        done = save(connection, principal.name, request, {story: {subject: verdict.label}}, final=True)
        if not done.again:
            of_company = {"entity": verdict.entity} if verdict.entity else {}
            detail = {"task": verdict.task, **of_company, "label": verdict.label, "request": str(request)}
            note(connection, principal.name, "adjudicate", str(story), detail)
    return verdict.model_copy(update={"request": request})
