"""`newstide dead-letters list | replay`: what could not be processed, and another try at it."""

from __future__ import annotations

import base64
import json
from typing import Any
from uuid import UUID

import click
from rich.table import Column, Table
from sqlalchemy import Engine

from core.errors import InputError
from core.settings import load_settings
from core.store.dead_letters import ArchivedLetter, find_dead_letters, list_dead_letters, open_dead_letters
from ingest.second_try import replay_letters
from newstide.commands.output import open_console
from newstide.stack.resources import store, with_broker


@click.group("dead-letters")
def dead_letters() -> None:
    """Inputs that could not be processed, with their original bytes and the reason."""


@dead_letters.command("list")
@click.option("--all", "every", is_flag=True, help="Also those that were replayed.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True, help="The newest ones.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(every: bool, limit: int, as_json: bool) -> None:
    """Show them, the newest first."""
    with store(load_settings()) as engine:
        letters = list_dead_letters(engine, include_replayed=every, limit=limit, values=as_json)
        if as_json:
            _print_json(letters)
            return
        rows = list(letters)
    table = Table(Column("origin", overflow="fold"), "stage", "when (UTC)", "bytes", "reason", box=None)
    for letter in rows:
        table.add_row(
            letter.origin, letter.stage, f"{letter.failed_at:%Y-%m-%d %H:%M:%S}", str(letter.size), letter.reason
        )
    open_console().print(table if rows else "no dead letters")


@dead_letters.command("replay")
@click.argument("names", metavar="ORIGIN|ID...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every letter that was not replayed yet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def replay(names: tuple[str, ...], every: bool, as_json: bool) -> None:
    """Try letters again: those named by their origin or id, or --all.

    What ingest could not read is read again; what the workers could not process is sent to them again. Letters that
    still can't be read stay, with the new reason.
    """
    if not names and not every:
        raise InputError("name the letters to replay by their origin (`newstide dead-letters list`), or give --all")
    if names and every:
        raise InputError("--all replays every letter; leave it or the names out")
    settings = with_broker(load_settings())
    with store(settings) as engine:
        ids = list(dict.fromkeys(_named(engine, names))) if names else open_dead_letters(engine)
        done = replay_letters(settings, engine, ids)
    if as_json:
        click.echo(json.dumps({"replayed": done.replayed, "still_dead": done.still_dead}))
    else:
        left = f"; {done.still_dead} still can't be read, `list` says why" if done.still_dead else ""
        click.echo(f"replayed {done.replayed} dead letters{left}")


def _named(engine: Engine, names: tuple[str, ...]) -> list[UUID]:
    found = {name: find_dead_letters(engine, name) for name in names}
    missing = sorted(name for name, ids in found.items() if not ids)
    if missing:
        raise InputError(f"no dead letter has the origin {', '.join(missing)}; see `newstide dead-letters list`")
    return [letter for ids in found.values() for letter in ids]


def _print_json(letters: Any) -> None:
    separator = "["
    for letter in letters:
        click.echo(separator + json.dumps(_as_json(letter), indent=1), nl=False)
        separator = ",\n"
    click.echo("]" if separator != "[" else "[]")


def _as_json(letter: ArchivedLetter) -> dict[str, object]:
    raw = letter.value or b""
    try:
        value: dict[str, str] = {"value": raw.decode()}
    except UnicodeDecodeError:
        value = {"value_base64": base64.b64encode(raw).decode()}
    return {
        "id": str(letter.id),
        "origin": letter.origin,
        "stage": letter.stage,
        "topic": letter.topic,
        "reason": letter.reason,
        "failed_at": letter.failed_at.isoformat(),
        "replayed_at": letter.replayed_at.isoformat() if letter.replayed_at else None,
        "bytes": letter.size,
        "context": dict(letter.context),
        **value,
    }


COMMANDS = [dead_letters]
