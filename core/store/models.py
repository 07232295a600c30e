"""The registry of models: what was promoted, what is live, who changed that, when and why, and what each worker runs.

A model goes candidate -> shadow -> live -> retired. One is live and one shadows at most; every change is one
transaction, one change at a time, and is announced to the workers when it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine, text

from core.bundle import Manifest
from core.errors import RegistryError
from core.store.sql import load_queries, records

_SQL = {name: text(body) for name, body in load_queries(Path(__file__).with_suffix(".sql")).items()}

State = Literal["candidate", "shadow", "live", "retired"]

CHANNEL = "newstide_models"  # of NOTIFY; the payload is empty, the registry says what changed
WORKER_AGE_S = 60  # a worker that said nothing for this long is gone
_LOCK = 0x6D6F6465  # any constant that all newstide processes share
_FORGET_WORKERS_S = 86_400
_MOVES: dict[str, tuple[State, ...]] = {
    "candidate": ("shadow", "live", "retired"),
    "shadow": ("candidate", "live", "retired"),
    "retired": ("shadow", "live"),
    "live": (),  # only another one that goes live retires it: workers always have one to run
}
_DISPLACED: dict[str, State] = {"live": "retired", "shadow": "candidate"}
_ROLLED_BACK = "rolled_back"


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A registered bundle. `checksum` is the SHA-256 of its manifest, `manifest` that file's content."""

    name: str
    state: State
    location: str
    checksum: str
    size_bytes: int
    manifest: dict[str, Any]
    created_at: datetime
    changed_at: datetime

    @property
    def languages(self) -> frozenset[str]:
        """Codes of the languages that it reads; a manifest of before they were named reads English."""
        return frozenset(self.manifest.get("languages") or ["en"])


@dataclass(frozen=True, slots=True)
class ModelEvent:
    """A change of a model's state; `from_state` is None for its registration."""

    id: int
    model: str
    from_state: str | None
    to_state: str
    at: datetime
    actor: str
    reason: str
    evidence: dict[str, Any]


@dataclass(frozen=True, slots=True)
class StateChange:
    """What a transition did: `model` is now in `state`; `displaced` was there before and made room."""

    model: str
    state: State
    displaced: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerModel:
    """What a worker runs, and the last model it refused with the reason."""

    worker: str
    model: str
    shadow: str | None
    refused: str | None
    reason: str | None
    updated_at: datetime


Deed = Callable[[Connection, StateChange], None]
"""What a caller does in the transaction of a change."""


def nothing_more(connection: Connection, change: StateChange) -> None:
    """The deed of a caller who wants the change alone."""


def list_models(engine: Engine, state: State | None = None) -> list[ModelRow]:
    """Models by state (live, shadow, candidates, retired), in each the latest change first."""
    with engine.connect() as connection:
        return records(ModelRow, connection.execute(_SQL["models"], {"name": None, "state": state}))


def find_model(engine: Engine, *, name: str | None = None, state: State | None = None) -> ModelRow | None:
    """The model of that name, or in that state (`live`, `shadow`), or None."""
    with engine.connect() as connection:
        return _find(connection, name=name, state=state)


def list_proven(engine: Engine) -> list[ModelRow]:
    """Models that were live until another one was promoted, the last one first: what can be gone back to.

    In whatever state they are now: one of them may shadow the live model. A model that was rolled back is not among
    them.
    """
    with engine.connect() as connection:
        return records(ModelRow, connection.execute(_SQL["proven"]))


def read_history(engine: Engine, name: str | None = None, limit: int = 100) -> list[ModelEvent]:
    """Changes of state, the newest first, of all models or of one."""
    with engine.connect() as connection:
        return records(ModelEvent, connection.execute(_SQL["history"], {"name": name, "limit": limit}))


def read_version(engine: Engine) -> int:
    """A number that grows with every change of the registry; 0 while it is empty."""
    with engine.connect() as connection:
        return int(connection.execute(_SQL["version"]).scalar_one())


def register_model(
    engine: Engine, manifest: Manifest, *, location: str, checksum: str, size_bytes: int, actor: str, reason: str
) -> ModelRow:
    """Register a bundle as a candidate; the same bundle again changes nothing.

    Raises RegistryError if another bundle has that name: it stands beside every message a model labelled, so no two
    models may share one.
    """
    with engine.begin() as connection:
        _lock(connection)
        check_name(_find(connection, name=manifest.name), manifest.name, checksum)
        if _find(connection, name=manifest.name) is None:
            connection.execute(
                _SQL["add_model"],
                {
                    "name": manifest.name,
                    "location": location,
                    "checksum": checksum,
                    "size_bytes": size_bytes,
                    "manifest": msgspec.json.encode(manifest).decode(),
                },
            )
            _record(connection, manifest.name, None, "candidate", actor, reason, {})
        return _known(connection, manifest.name)


def check_name(known: ModelRow | None, name: str, checksum: str) -> None:
    """Raise RegistryError if `known`, the model registered as `name`, is another bundle than the one of `checksum`."""
    if known is not None and known.checksum != checksum:
        raise RegistryError(
            f"another bundle is registered as {name!r} (state {known.state}, SHA-256 {known.checksum[:16]}…, at "
            f"{known.location}); a name stands beside every message, so it must be unique: pass --name NEW-NAME"
        )


def move_model(
    engine: Engine,
    name: str,
    state: State,
    *,
    actor: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
    judged_against: str | None = None,
    also: Deed = nothing_more,
) -> StateChange:
    """Move a model to `state`; what was live is retired, what was shadow is a candidate again. One transaction.

    A model that is in that state changes nothing. `also` is done in the transaction of the change. A model goes live
    only if it reads all languages that the live one reads.
    With `judged_against` the move is refused unless that model is the live one: another promotion may have come in
    between. Raises RegistryError for an unknown model or a move that is not allowed.
    """
    with engine.begin() as connection:
        _lock(connection)
        model = _known(connection, name)
        if model.state == state:
            return StateChange(name, state)
        if state not in _MOVES[model.state]:
            raise RegistryError(
                f"{name} is {model.state} and can't become {state}; it may become "
                f"{' or '.join(_MOVES[model.state]) or 'nothing else: promote another model over it'}"
            )
        live = _find(connection, state="live")
        if state == "live" and live is not None and (lost := live.languages - model.languages):
            raise RegistryError(
                f"{name} does not read {', '.join(sorted(lost))}, as the live model {live.name} does: messages in it "
                "would be left unread; promote a model that reads what that one reads"
            )
        if judged_against is not None and (live is None or live.name != judged_against):
            raise RegistryError(
                f"{name} was judged against {judged_against}, but {live.name if live else 'nothing'} is live now; "
                "promote it again"
            )
        change = _move(connection, model, state, actor, reason, evidence or {}, {})
        also(connection, change)
        return change


def record_verdict(engine: Engine, name: str, *, actor: str, reason: str, evidence: Mapping[str, Any]) -> None:
    """Note in the history how a model was judged that stays what it is. RegistryError if it is unknown."""
    with engine.begin() as connection:
        _lock(connection)
        model = _known(connection, name)
        _record(connection, name, model.state, model.state, actor, reason, evidence)


def roll_back(engine: Engine, *, actor: str, reason: str, also: Deed = nothing_more) -> StateChange:
    """Make the model live that was live before the present one; that one is retired as rolled back.

    Where it is the shadow now, nothing shadows it afterwards. A second time goes one step further back, never to a
    model that was rolled back. `also` is done in the transaction of the change. Raises RegistryError where there is
    none.
    """
    with engine.begin() as connection:
        _lock(connection)
        proven = records(ModelRow, connection.execute(_SQL["proven"]))
        if not proven:
            raise RegistryError("no model was live before this one, so there is none to go back to; promote another")
        change = _move(connection, proven[0], "live", actor, reason, {}, {_ROLLED_BACK: True})
        also(connection, change)
        return change


def report_worker(
    engine: Engine, worker: str, model: str, shadow: str | None, refused: str | None, reason: str | None
) -> None:
    """Note what `worker` runs and what it refused; workers not heard of for a day are forgotten."""
    values = {"worker": worker, "model": model, "shadow": shadow, "refused": refused, "reason": reason}
    with engine.begin() as connection:
        connection.execute(_SQL["report_worker"], values)
        connection.execute(_SQL["forget_workers"], {"age_s": _FORGET_WORKERS_S})


def list_workers(engine: Engine, age_s: float = WORKER_AGE_S) -> list[WorkerModel]:
    """Workers heard of in the last `age_s` seconds."""
    with engine.connect() as connection:
        return records(WorkerModel, connection.execute(_SQL["workers"], {"age_s": age_s}))


def _lock(connection: Connection) -> None:
    """One change at a time: the next one sees what this one did."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _find(connection: Connection, *, name: str | None = None, state: State | None = None) -> ModelRow | None:
    found = records(ModelRow, connection.execute(_SQL["models"], {"name": name, "state": state}))
    return found[0] if found else None


def _known(connection: Connection, name: str) -> ModelRow:
    model = _find(connection, name=name)
    if model is None:
        raise RegistryError(f"no model is registered as {name!r}; `newstide models` lists them")
    return model


def _move(
    connection: Connection,
    model: ModelRow,
    state: State,
    actor: str,
    reason: str,
    evidence: Mapping[str, Any],
    displaced_evidence: Mapping[str, Any],
) -> StateChange:
    if not reason.strip():
        raise RegistryError("a change of the registry needs a reason; pass --reason")
    displaced = None
    if state in _DISPLACED and (before := _find(connection, state=state)) is not None:
        displaced, after = before.name, _DISPLACED[state]
        why = f"{model.name} takes its place: {reason}"
        connection.execute(_SQL["set_state"], {"name": displaced, "state": after})
        _record(connection, displaced, state, after, actor, why, displaced_evidence)
    connection.execute(_SQL["set_state"], {"name": model.name, "state": state})
    _record(connection, model.name, model.state, state, actor, reason, evidence)
    return StateChange(model.name, state, displaced)


def _record(
    connection: Connection,
    name: str,
    before: str | None,
    state: str,
    actor: str,
    reason: str,
    evidence: Mapping[str, Any],
) -> None:
    content = {"before": before, "state": state, "actor": actor, "reason": reason, "evidence": json.dumps(evidence)}
    connection.execute(_SQL["add_event"], {"name": name, **content})
    connection.execute(text(f"NOTIFY {CHANNEL}"))
