"""Incidents through the judge and a real Postgres: what people are told, and the same of the same trends."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import psycopg
import pytest

from alerting.detection.detector import Series
from alerting.incidents.grouping import incident_id
from alerting.judging.runner import Runner
from core.settings import Settings
from tests.alerting.surge_streams import (
    ALL,
    BANK,
    MONDAY,
    PER_DAY,
    START,
    Cell,
    MakeSettings,
    Stream,
    arrive,
    cells_of,
    declare_replay,
    fortnight,
    time_of,
)

Connection = psycopg.Connection[Any]

LEGAL = Series("topic", "Legal")
END = MONDAY + timedelta(days=14)
_NAMES = UUID("5b1f3c0a-6e0c-4b5d-8f5e-7a2f4f1f9d23")
_COLUMNS = (
    "id, leader, kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, "
    "expected, score"
)


@pytest.fixture
def made() -> Stream:
    """The fortnight, all of the bank's stories in a topic too."""
    found = fortnight()
    found.messages[LEGAL] = found.messages[BANK]
    found.negative[LEGAL] = found.negative[BANK]
    return found


def stories_of(made: Stream, cell: Cell) -> Iterable[UUID]:
    """The bad stories of a cell; those of `all` are those of every company."""
    series, step, _, _ = cell
    within = [each for each in made.negative if each.kind == "entity"] if series == ALL else [series]
    for each in within:
        named = BANK if each == LEGAL else each
        for i in range(int(made.negative[each][step - START])):
            yield uuid5(_NAMES, f"{named} {step} {i}")


def bring(connection: Connection, made: Stream, cells: list[Cell]) -> None:
    """`cells` arrive, and the stories that are counted in them."""
    with connection.transaction(), connection.cursor() as cursor:
        arrive(connection, cells)
        with cursor.copy("COPY story_series (story, kind, name, first_at, uid, sentiment) FROM STDIN") as copy:
            for cell in cells:
                for story in stories_of(made, cell):
                    copy.write_row((story, *cell[0], time_of(cell[1]) + timedelta(minutes=1), story, "negative"))


def advance(settings: Settings, connection: Connection, step: int) -> None:
    connection.execute(
        "INSERT INTO offset_ledger (topic, partition, next_offset, end_offset, max_event_time) "
        "VALUES ('newstide.messages', 0, 9, 9, %s) ON CONFLICT (topic, partition) DO UPDATE "
        "SET max_event_time = greatest(offset_ledger.max_event_time, excluded.max_event_time)",
        (time_of(step),),
    )
    Runner(settings, ["webhook"], threading.Event()).run_once()


def finish(settings: Settings, connection: Connection) -> list[Any]:
    declare_replay(connection, END)
    assert Runner(settings, ["webhook"], threading.Event()).run(until_drained=True)
    return incidents(connection)


def incidents(connection: Connection) -> list[Any]:
    """All that must not depend on how it came about."""
    rows = connection.execute(
        f"SELECT {_COLUMNS}, (SELECT array_agg(alert.id ORDER BY alert.id) FROM alert "
        "WHERE alert.incident = incident.id AND alert.state <> 'withdrawn') "
        "FROM incident WHERE state <> 'withdrawn' ORDER BY opened_at, id"
    )
    return rows.fetchall()


def told(connection: Connection) -> list[dict[str, Any]]:
    return [payload for (payload,) in connection.execute("SELECT payload FROM outbox ORDER BY id")]


def wipe(connection: Connection) -> None:
    connection.execute(
        "TRUNCATE alert, alert_history, incident, incident_history, outbox, detector_checkpoint, trend, trend_change, "
        "alerting_progress, offset_ledger, replay, story_series"
    )


def test_incidents_follow_from_the_trends(make_settings: MakeSettings, connection: Connection, made: Stream) -> None:
    cells = cells_of(made)
    settings = make_settings()
    bring(connection, made, cells)
    whole = finish(settings, connection)
    (bank,) = [row for row in whole if row[3] == BANK.name]
    held = connection.execute("SELECT DISTINCT name FROM alert WHERE incident = %s", (bank[0],)).fetchall()
    assert {name for (name,) in held} == {"BANK", "Legal", "all"}, "the bank, its topic and all: one page"
    assert bank[0] in {incident_id(alert) for alert in bank[-1]}
    assert not {row[3] for row in whole if row[6] >= bank[6]} & {LEGAL.name}
    changes = [payload["change"] for payload in told(connection) if payload["incident"] == str(bank[0])]
    assert changes[0] == "opened"
    assert changes[-1] == "resolved"

    for seed in (1, 2):
        wipe(connection)
        disordered = list(cells)
        random.Random(seed).shuffle(disordered)
        size = -(-len(cells) // 4)
        for first in range(0, len(cells), size):
            chunk = disordered[first : first + size]
            bring(connection, made, chunk)
            advance(settings, connection, max(cell[1] for cell in chunk))
        assert finish(settings, connection) == whole


def test_what_joins_later_updates_the_page(make_settings: MakeSettings, connection: Connection, made: Stream) -> None:
    """Hour by hour, as it would be told on the day."""
    settings = make_settings()
    cells = cells_of(made)
    trouble = START + int(6.5 * PER_DAY)
    bring(connection, made, [cell for cell in cells if cell[1] < trouble])
    advance(settings, connection, trouble)
    reached = trouble
    for step in [*range(trouble + 1, trouble + 30), trouble + 200]:
        bring(connection, made, [cell for cell in cells if reached <= cell[1] < step])
        advance(settings, connection, step)
        reached = step
    payloads = told(connection)
    (incident,) = {payload["incident"] for payload in payloads if payload["name"] == BANK.name}
    mine = [payload for payload in payloads if payload["incident"] == incident]
    changes = [payload["change"] for payload in mine]
    assert changes[0] == "opened"
    assert set(changes[1:-1]) <= {"updated"}
    assert changes[-1] == "resolved"
    assert len({payload["dedupe"] for payload in payloads}) == len(payloads)
    opened, resolved = mine[0], mine[-1]
    known = {alert["id"] for alert in opened["alerts"]}
    assert len(known) < 3 or len({alert["opened_at"] for alert in opened["alerts"]}) == 1
    assert [payload["state"] for payload in mine] == [*["open"] * (len(mine) - 1), "closed"]
    assert resolved["series"] == "entity=BANK"
    assert {alert["series"] for alert in resolved["alerts"]} == {"entity=BANK", "topic=Legal", "all"}
    assert resolved["closed_at"] == max(alert["closed_at"] for alert in resolved["alerts"])
    assert opened["opened_at"] == min(alert["opened_at"] for alert in resolved["alerts"])
    (bank,) = [row for row in incidents(connection) if row[3] == BANK.name]
    wipe(connection)
    bring(connection, made, [cell for cell in cells if cell[1] < reached])
    advance(settings, connection, reached)
    assert [row for row in incidents(connection) if row[3] == BANK.name] == [bank]
