"""The registry of models: what was promoted, what is live, who changed that, when and why.

A model goes candidate -> shadow -> live -> retired. It is for the language that its manifest names first: of each
language one model is live and one shadows it, at most. Every change is one transaction, one change at a time, and is
announced to the workers when it is committed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Engine, text

from core.bundle import Manifest, named_languages
from core.errors import RegistryError
from core.fitting import reader_of
from core.language import ENGLISH
from core.store.sql import load_queries, records

_SQL = {name: text(body) for name, body in load_queries(Path(__file__).with_suffix(".sql")).items()}

State = Literal["candidate", "shadow", "live", "retired"]

CHANNEL = "newstide_models"  # of NOTIFY; the payload is empty, the registry says what changed
_LOCK = 0x6D6F6465  # any constant that all newstide processes share
_MOVES: dict[str, tuple[State, ...]] = {
    "candidate": ("shadow", "live", "retired"),
    "shadow": ("candidate", "live", "retired"),
    "retired": ("shadow", "live"),
    "live": (),  # only another one that goes live, or a rollback, retires it: workers always have one to run
}
_DISPLACED: dict[str, State] = {"live": "retired", "shadow": "candidate"}
_ROLLED_BACK = "rolled_back"
_NONE_BEFORE = "no model was live before this one, so there is none to go back to; promote another"


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
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages that it reads, the one it is for first."""
        return tuple(named_languages(self.manifest))

    @property
    def language(self) -> str:
        """Code of the language that it is for."""
        return self.languages[0]


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
    """What a transition did: `model` is now in `state`; `displaced` was there before and made room (of several, the
    names with commas between). `beside`: others that a rollback brought back with it."""

    model: str
    state: State
    displaced: str | None = None
    beside: tuple[str, ...] = ()


Deed = Callable[[Connection, StateChange], None]
"""What a caller does in the transaction of a change."""


def nothing_more(connection: Connection, change: StateChange) -> None:
    """The deed of a caller who wants the change alone."""


def list_models(engine: Engine, state: State | None = None) -> list[ModelRow]:
    """Models by state (live, shadow, candidates, retired): the first two by language, English first, the others with
    the latest change first."""
    with engine.connect() as connection:
        return _list(connection, state=state)


def find_model(
    engine: Engine, *, name: str | None = None, state: State | None = None, language: str | None = None
) -> ModelRow | None:
    """The model of that name, or the one for `language` in that state (`live`, `shadow`), or None."""
    with engine.connect() as connection:
        return next(iter(_list(connection, name=name, state=state, language=language)), None)


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
        known = next(iter(_list(connection, name=manifest.name)), None)
        check_name(known, manifest.name, checksum)
        if known is None:
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
    """Move a model to `state`; what it replaces is retired if it was live, a candidate again if it was a shadow.

    Room is made by those in `state` that are for a language which the model reads; those of other languages stay. A
    model that is in that state changes nothing. `also` is done in the transaction of the change. A model goes live only
    if every language is read afterwards that was read before.
    With `judged_against`, the names of its `rivals`, the move is refused unless those are live: another promotion may
    have come in between. Raises RegistryError for an unknown model or a move that is not allowed.
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
        live = _list(connection, state="live")
        against = listed(rivals(model.languages, live))
        if judged_against is not None and against != judged_against:
            raise RegistryError(
                f"{name} was judged against {judged_against}, but {against or 'nothing'} is live now; promote it again"
            )
        leaving = _leaving(model, _list(connection, state=state)) if state in _DISPLACED else []
        if state == "live":
            _check_languages(model, live, leaving)
        _check_reason(reason)
        for row in leaving:
            _move(connection, row, _DISPLACED[state], actor, f"{name} takes its place: {reason}")
        _move(connection, model, state, actor, reason, evidence)
        change = StateChange(name, state, listed(leaving))
        also(connection, change)
        return change


def rivals(languages: Iterable[str], live: Sequence[ModelRow]) -> list[ModelRow]:
    """Those of the `live` models that read one of `languages` now: what a model of these must be better than."""
    readers = {row.name for language in languages if (row := reader_of(language, live)) is not None}
    return [row for row in live if row.name in readers]


def listed(models: Iterable[ModelRow]) -> str | None:
    """Names with commas between, which no name has; None without any."""
    return ", ".join(model.name for model in models) or None


def record_verdict(engine: Engine, name: str, *, actor: str, reason: str, evidence: Mapping[str, Any]) -> None:
    """Note in the history how a model was judged that stays what it is. RegistryError if it is unknown."""
    with engine.begin() as connection:
        _lock(connection)
        model = _known(connection, name)
        _record(connection, name, model.state, model.state, actor, reason, evidence)


def roll_back(
    engine: Engine, *, actor: str, reason: str, language: str | None = None, also: Deed = nothing_more
) -> StateChange:
    """Retire the model that reads `language` as rolled back, and make live again what read its languages before.

    `language` may be left out where one model is live. Models of other languages stay. Where nothing read the language
    before, nothing does afterwards. What was the shadow is none any more. A second time goes one step further back,
    never to a model that was rolled back. `also` is done in the transaction of the change. Raises RegistryError where
    nothing would be live.
    """
    with engine.begin() as connection:
        _lock(connection)
        _check_reason(reason)
        gone, back = _plan_rollback(connection, language)
        names = [row.name for row in back]
        why = f"{' and '.join(names)} takes its place: {reason}" if back else reason
        _move(connection, gone, "retired", actor, why, {_ROLLED_BACK: True})
        for row in back:
            _move(connection, row, "live", actor, reason)
        change = StateChange(gone.name, "retired")
        if back:
            change = StateChange(names[0], "live", gone.name, tuple(names[1:]))
        also(connection, change)
        return change


def find_rollback(engine: Engine, language: str | None = None) -> list[ModelRow]:
    """What a rollback of `language` would make live. Raises RegistryError as `roll_back` does."""
    with engine.connect() as connection:
        return _plan_rollback(connection, language)[1]


def _lock(connection: Connection) -> None:
    """One change at a time: the next one sees what this one did."""
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _list(
    connection: Connection, *, name: str | None = None, state: State | None = None, language: str | None = None
) -> list[ModelRow]:
    which = {"name": name, "state": state, "language": language, "english": ENGLISH}
    return records(ModelRow, connection.execute(_SQL["models"], which))


def _known(connection: Connection, name: str) -> ModelRow:
    model = next(iter(_list(connection, name=name)), None)
    if model is None:
        raise RegistryError(f"no model is registered as {name!r}; `newstide models` lists them")
    return model


def _plan_rollback(connection: Connection, language: str | None) -> tuple[ModelRow, list[ModelRow]]:
    """What is to be retired, and what is to come back."""
    live = _list(connection, state="live")
    if language is None and len(live) > 1:
        choice = ", ".join(f"{row.name} ({', '.join(row.languages)})" for row in live)
        raise RegistryError(f"several models are live: {choice}; say which language is to be rolled back")
    gone = reader_of(language or "", live)
    if gone is None:
        raise RegistryError(f"no live model reads {language}; promote one" if language else _NONE_BEFORE)
    stay = [row for row in live if row is not gone]
    lost = set(gone.languages).difference(*(row.languages for row in stay))
    back: list[ModelRow] = []
    for row in records(ModelRow, connection.execute(_SQL["proven"])):
        if lost.intersection(row.languages) and row.language not in {other.language for other in (*stay, *back)}:
            back.append(row)
            lost.difference_update(row.languages)
    if not back and not stay:
        raise RegistryError(_NONE_BEFORE)
    return gone, back


def _leaving(model: ModelRow, there: Iterable[ModelRow]) -> list[ModelRow]:
    """Those `there`, in the state that `model` gets, that make room for it: they are for a language which it reads."""
    return [row for row in there if row.language in model.languages]


def _check_languages(model: ModelRow, live: Sequence[ModelRow], leaving: Sequence[ModelRow]) -> None:
    staying = [row for row in live if row not in leaving]
    read = {language for row in (model, *staying) for language in row.languages}
    lost = {language for row in leaving for language in row.languages} - read
    if lost:
        raise RegistryError(
            f"{model.name} does not read {', '.join(sorted(lost))}, as the live model {listed(leaving)} does: messages "
            "in it would be left unread; promote a model that reads what that one reads"
        )


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise RegistryError("a change of the registry needs a reason; pass --reason")


def _move(
    connection: Connection,
    model: ModelRow,
    state: State,
    actor: str,
    reason: str,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    connection.execute(_SQL["set_state"], {"name": model.name, "state": state})
    _record(connection, model.name, model.state, state, actor, reason, evidence or {})


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
