"""`newstide dead-letters list | replay`: what could not be processed, and another try at it."""

from __future__ import annotations

import base64
import json

import click
from kafka import KafkaProducer
from rich.table import Column, Table

from core.dead_letters import UNKNOWN
from core.errors import InputError
from core.kafka import client_options
from core.settings import load_settings
from core.store.dead_letters import ArchivedLetter, list_dead_letters, mark_replayed
from newstide.commands.output import open_console
from newstide.stack.resources import store, with_broker

_ACK_TIMEOUT_S = 30


@click.group("dead-letters")
def dead_letters() -> None:
    """Inputs that could not be processed, with their original bytes and the reason."""


@dead_letters.command("list")
@click.option("--all", "every", is_flag=True, help="Also those that were replayed.")
@click.option("--limit", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
def list_(every: bool, limit: int, as_json: bool) -> None:
    """Show them, the newest first."""
    with store(load_settings()) as engine:
        letters = list_dead_letters(engine, include_replayed=every, limit=limit)
    if as_json:
        click.echo(json.dumps([_as_json(letter) for letter in letters], indent=1))
        return
    table = Table(Column("origin", overflow="fold"), "stage", "when (UTC)", "bytes", "reason", box=None)
    for letter in letters:
        table.add_row(
            letter.origin, letter.stage, f"{letter.failed_at:%Y-%m-%d %H:%M:%S}", str(len(letter.value)), letter.reason
        )
    open_console().print(table if letters else "no dead letters")


@dead_letters.command("replay")
@click.argument("origins", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every letter that was not replayed yet.")
def replay(origins: tuple[str, ...], every: bool) -> None:
    """Send letters to the topic they were meant for: those named by ORIGINS, or --all."""
    if not origins and not every:
        raise InputError("name the letters to replay by their origin (`newstide dead-letters list`), or give --all")
    settings = with_broker(load_settings())
    with store(settings) as engine:
        letters = list_dead_letters(engine, origins)
        missing = set(origins) - {letter.origin for letter in letters}
        if missing:
            raise InputError(
                f"no dead letter has the origin {', '.join(sorted(missing))}; see `newstide dead-letters list`"
            )
        producer = KafkaProducer(**client_options(settings), acks="all", enable_idempotence=True)
        try:
            for letter in letters:
                topic = settings.topic("messages") if letter.topic == UNKNOWN else letter.topic
                producer.send(topic, key=letter.key, value=letter.value).get(_ACK_TIMEOUT_S)
                mark_replayed(engine, letter.origin)
        finally:
            producer.close()
    click.echo(f"replayed {len(letters)} dead letters")


def _as_json(letter: ArchivedLetter) -> dict[str, object]:
    try:
        value: dict[str, str] = {"value": letter.value.decode()}
    except UnicodeDecodeError:
        value = {"value_base64": base64.b64encode(letter.value).decode()}
    return {
        "origin": letter.origin,
        "stage": letter.stage,
        "topic": letter.topic,
        "reason": letter.reason,
        "failed_at": letter.failed_at.isoformat(),
        "replayed_at": letter.replayed_at.isoformat() if letter.replayed_at else None,
        "bytes": len(letter.value),
        **value,
    }


COMMANDS = [dead_letters]
