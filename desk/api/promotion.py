"""Which model runs: promotion by the verdict of the gates, and the way back."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from core.errors import BundleError, RegistryError, ShelfUnreachable
from core.rollback import go_back, prove
from core.store.models import State, StateChange, list_models, listed, move_model, read_history, rivals
from desk.api.parameters import LanguageCode, ModelName, PlainText
from desk.context import Desk, desk_of
from desk.problems import Problem, responses
from desk.registry import HISTORY, known_model, latest_verdict, objection
from desk.security.audit import note
from desk.security.identity import Admin

router = APIRouter(
    prefix="/models", tags=["models"], responses=responses(HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
)


class Promotion(BaseModel):
    """What to do with a model, and why."""

    to: Literal["live", "shadow"] = "live"
    reason: PlainText = Field("", max_length=1000, description="For the history; needed to overrule a gate.")
    force: bool = Field(False, description="Overrule gates that failed.")


class Rollback(BaseModel):
    reason: PlainText = Field("rolled back", min_length=1, max_length=1000)
    language: LanguageCode | None = Field(None, description="Whose model; needed where several are live.")


class Change(BaseModel):
    """What a change did; workers switch between two batches."""

    model: str
    state: State
    displaced: str | None = Field(description="The model whose place it took; of several, with commas between.")


@router.post("/rollback", summary="Bring back what was live before", responses=responses(HTTPStatus.CONFLICT))
def roll_back(wanted: Rollback, principal: Admin, desk: Annotated[Desk, Depends(desk_of)]) -> Change:
    """The bundle is verified first. The one that is live is retired, and is never gone back to; models of other
    languages stay. Where nothing read its language before, nothing does afterwards."""

    def record(connection: Connection, change: StateChange) -> None:
        detail = {"reason": wanted.reason, "displaced": change.displaced, "beside": change.beside}
        note(connection, principal.name, "roll back model", change.model, detail)

    try:
        done = go_back(
            desk.settings,
            desk.engine,
            language=wanted.language,
            actor=principal.name,
            reason=wanted.reason,
            also=record,
        )
    except (RegistryError, BundleError, ShelfUnreachable) as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from None
    return Change(model=done.model, state=done.state, displaced=done.displaced)


@router.post(
    "/{name}/promote",
    summary="Put a model into service",
    responses=responses(HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT),
)
def promote(name: ModelName, wanted: Promotion, principal: Admin, desk: Annotated[Desk, Depends(desk_of)]) -> Change:
    """The gates must have passed it against what reads its languages now. The bundle is verified once more."""
    if wanted.force and not wanted.reason.strip():
        raise Problem(HTTPStatus.CONFLICT, "the history must say why a gate was overruled: give a reason")
    row = known_model(desk.engine, name)
    against = listed(rivals(row.languages, list_models(desk.engine, "live")))
    verdict = latest_verdict(read_history(desk.engine, name, HISTORY))
    refusal = objection(row, against, verdict, wanted.to, wanted.force)
    if refusal is not None and row.state != wanted.to:
        raise Problem(HTTPStatus.CONFLICT, refusal)
    forced = objection(row, against, verdict, wanted.to, force=False) is not None
    failed = [gate.name for gate in verdict.failed] if verdict is not None else []
    reason = wanted.reason.strip() or (f"failed gates: {', '.join(failed)}" if failed else "every gate passed")

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
            judged_against=against,
            also=record,
        )
    except (RegistryError, BundleError, ShelfUnreachable) as error:
        raise Problem(HTTPStatus.CONFLICT, str(error)) from None
    return Change(model=done.model, state=done.state, displaced=done.displaced)
