"""Incidents: what people were paged for, and what they did about it."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from core.budget import stated_budget
from core.store.incidents import measure_false_alarms
from desk.api.parameters import Cursor, Moment, key_cursor, key_of
from desk.context import Desk, desk_of
from desk.problems import Problem, responses
from desk.security.audit import note
from desk.security.identity import Analyst, Viewer
from desk.store import incidents as store

router = APIRouter(
    prefix="/incidents",
    tags=["incidents"],
    responses=responses(HTTPStatus.UNAUTHORIZED),
)
_CHANGES = responses(HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN)

State = Literal["open", "closed", "withdrawn"]
IncidentId = Annotated[UUID, Path(description="Id of the incident.")]


class IncidentBody(BaseModel):
    """An incident, with the figures of the alert it is named after."""

    id: UUID
    kind: str
    name: str
    signal: str = Field(description="What is out of the ordinary: negative, share, positive or volume.")
    state: State
    opened_at: datetime
    last_at: datetime = Field(description="When one of its alerts was last elevated.")
    closed_at: datetime | None
    peak_at: datetime
    window_minutes: int
    observed: float = Field(description="Stories of the signal in the window that ends at the peak.")
    expected: float = Field(description="Their expected number there.")
    score: float = Field(description="-log10 of the recalibrated tail probability.")
    alerts: int = Field(description="Alerts that are told as this one incident.")
    verdict: Literal["useful", "false"] | None = Field(description="The latest verdict on it.")
    acknowledged: bool
    snoozed_until: datetime | None = Field(description="Time of the clock.")
    handled_by: str | None = Field(description="Who acknowledged or snoozed it last.")
    handled_at: datetime | None
    headline: str | None = Field(description="Of the first of the stories behind it.")


class IncidentPage(BaseModel):
    items: list[IncidentBody]
    next: str | None = Field(description="The cursor of the next page; null on the last one.")


class AlertBody(BaseModel):
    """One surge of a series within an incident."""

    id: UUID
    kind: str
    name: str
    signal: str
    state: State
    opened_at: datetime
    last_at: datetime
    closed_at: datetime | None
    peak_at: datetime
    window_minutes: int
    observed: float
    expected: float
    score: float
    evidence: dict[str, Any] = Field(
        description="The stories and words that drove it, as `newstide alerts list` tells."
    )


class ChangeBody(BaseModel):
    """What people were told, at which event time, and when."""

    change: Literal["opened", "updated", "resolved", "withdrawn"]
    times: int = Field(description="How often this had happened to the incident.")
    at: datetime
    recorded_at: datetime


class MarkBody(BaseModel):
    """What an analyst said of it."""

    verdict: Literal["useful", "false"]
    analyst: str
    note: str
    at: datetime


class HandlingBody(BaseModel):
    """How it is handled from then on."""

    account: str
    acknowledged: bool
    snoozed_until: datetime | None
    at: datetime


class IncidentDetail(BaseModel):
    """An incident with everything known of it."""

    incident: IncidentBody
    alerts: list[AlertBody] = Field(description="The one it is named after first.")
    history: list[ChangeBody]
    handling: list[HandlingBody] = Field(description="The latest first.")
    feedback: list[MarkBody] = Field(description="The latest first.")


class Snooze(BaseModel):
    """How long nobody needs to look."""

    until: Moment = Field(description="Time of the clock; one in the past ends a snooze.")


class Feedback(BaseModel):
    """What you say of an incident."""

    verdict: Literal["useful", "false"]
    note: str = Field("", max_length=2000, pattern=r"^[^\x00]*$", examples=["a takeover, rightly told"])


class Figures(BaseModel):
    """False alarms as they were measured, beside the budget."""

    weeks: float = Field(description="Judged time looked at.")
    incidents: int = Field(description="Incidents that opened in that time.")
    useful: int = Field(description="Of those, marked useful.")
    false: int = Field(description="Of those, marked false.")
    per_week: float = Field(description="Incidents a week, false or not.")
    false_per_week: float = Field(description="Incidents marked false a week.")
    false_share: float | None = Field(description="Marked false of marked; null while none is marked.")
    budget_per_week: float = Field(description="False pages a week that the rules allow.")


@router.get("", summary="Incidents, the last that opened first")
def list_incidents(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    state: Annotated[State | None, Query(description="Open and closed ones if empty.")] = None,
    since: Annotated[Moment | None, Query(description="Not yet quiet at this event time.")] = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most items.")] = 50,
) -> IncidentPage:
    with desk.engine.connect() as connection:
        return incidents_of(connection, state, since, key_of(cursor), limit)


def incidents_of(
    connection: Connection,
    state: State | None,
    since: datetime | None = None,
    before: store.IncidentKey | None = None,
    limit: int = 50,
) -> IncidentPage:
    """A page of at most `limit` incidents after the one `before`."""
    found = store.list_incidents(connection, state, since, before, limit + 1)
    items = [IncidentBody.model_validate(each, from_attributes=True) for each in found[:limit]]
    after = key_cursor(items[-1].opened_at, items[-1].id) if len(found) > limit else None
    return IncidentPage(items=items, next=after)


@router.get("/figures", summary="Measured false alarms against the budget")
def read_figures(
    principal: Viewer,
    desk: Annotated[Desk, Depends(desk_of)],
    weeks: Annotated[int, Query(ge=1, le=52, description="Judged time to look at.")] = 4,
) -> Figures:
    found = measure_false_alarms(desk.engine, weeks)
    return Figures(
        weeks=found.weeks,
        incidents=found.incidents,
        useful=found.useful,
        false=found.false,
        per_week=found.per_week,
        false_per_week=found.false / found.weeks,
        false_share=found.false_share,
        budget_per_week=stated_budget(desk.settings),
    )


@router.get("/{incident}", summary="An incident with everything known of it", responses=responses(HTTPStatus.NOT_FOUND))
def read_incident(incident: IncidentId, principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> IncidentDetail:
    return _detail(desk, incident)


@router.post("/{incident}/acknowledgement", summary="Say that somebody looks after it", responses=_CHANGES)
def acknowledge(incident: IncidentId, principal: Analyst, desk: Annotated[Desk, Depends(desk_of)]) -> IncidentDetail:
    with desk.engine.begin() as connection:
        _known(store.handle(connection, incident, principal.name, acknowledged=True))
        note(connection, principal.name, "acknowledge incident", str(incident))
    return _detail(desk, incident)


@router.post("/{incident}/snooze", summary="Look again later", responses=_CHANGES)
def snooze(
    incident: IncidentId, wanted: Snooze, principal: Analyst, desk: Annotated[Desk, Depends(desk_of)]
) -> IncidentDetail:
    with desk.engine.begin() as connection:
        _known(store.handle(connection, incident, principal.name, snoozed_until=wanted.until))
        note(connection, principal.name, "snooze incident", str(incident), {"until": wanted.until.isoformat()})
    return _detail(desk, incident)


@router.post("/{incident}/feedback", summary="Mark it useful or false", responses=_CHANGES)
def give_feedback(
    incident: IncidentId, given: Feedback, principal: Analyst, desk: Annotated[Desk, Depends(desk_of)]
) -> IncidentDetail:
    """The latest verdict counts; the earlier ones stay."""
    with desk.engine.begin() as connection:
        _known(store.mark(connection, incident, principal.name, given.verdict, given.note))
        note(connection, principal.name, "mark incident", str(incident), {"verdict": given.verdict})
    return _detail(desk, incident)


def _known(found: bool) -> None:
    if not found:
        raise Problem(HTTPStatus.NOT_FOUND, "there is no such incident")


def _detail(desk: Desk, incident: UUID) -> IncidentDetail:
    with desk.engine.connect() as connection:
        found = store.find_incident(connection, incident)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such incident")
        alerts, history = store.alerts_of(connection, incident), store.history_of(connection, incident)
        handling, feedback = store.handling_of(connection, incident), store.marks_of(connection, incident)
    return IncidentDetail(
        incident=IncidentBody.model_validate(found, from_attributes=True),
        alerts=[AlertBody.model_validate(alert, from_attributes=True) for alert in alerts],
        history=[ChangeBody.model_validate(change, from_attributes=True) for change in history],
        handling=[HandlingBody.model_validate(each, from_attributes=True) for each in handling],
        feedback=[MarkBody.model_validate(each, from_attributes=True) for each in feedback],
    )
