"""Quiet hours, digests, receivers that are away or refuse: to a real webhook, by a clock that is set."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from core.errors import InputError
from tests.alerting.delivery_desk import Clock, Desk, document, rows, rules_of
from tests.alerting.surge_streams import MakeSettings
from tests.alerting.webhook_receiver import Receiver

Connection = psycopg.Connection[Any]
MakeDesk = Callable[..., Desk]


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 7, 1, 12, tzinfo=UTC))


@pytest.fixture
def make_desk(make_settings: MakeSettings, connection: Connection, tmp_path: Path, clock: Clock) -> Iterator[MakeDesk]:
    desks = []

    def make(text: str, **settings: Any) -> Desk:
        desks.append(Desk(make_settings(**settings), connection, rules_of(tmp_path, text), clock))
        return desks[-1]

    yield make
    for desk in desks:
        desk.close()


def receiver_table(name: str, receiver: Receiver) -> str:
    return f"\n[[receiver]]\nname = '{name}'\ntype = 'webhook'\nurl = '{receiver.url}'\n"


NIGHT = """
[[rule]]
name = "holdings"
series = "entity=GOOD"
severity = "critical"
receivers = "desk"
quiet_hours = "22:00-07:00"
[[rule]]
name = "rest"
receivers = "desk"
quiet_hours = "22:00-07:00"
"""


def test_pages_wait_for_the_end_of_quiet_hours_and_come_as_one(
    make_desk: MakeDesk, connection: Connection, receiver: Receiver, clock: Clock
) -> None:
    desk = make_desk(NIGHT + receiver_table("desk", receiver))
    clock.set("2026-07-01 21:59")
    desk.enqueue(document(1))
    assert desk.deliver() == 1
    clock.set("2026-07-01 23:00")
    desk.enqueue(document(2), document(3), document(4), document(5, series="entity=GOOD"), document(6))
    assert desk.deliver() == 1, "what is critical waits for nothing"
    assert [each["incident"][-1] for each in receiver.documents] == ["1", "5"]
    clock.move(hours=2)
    desk.enqueue(
        document(1, "resolved"),  # people were told of it: they want to know
        document(2, "updated"),
        document(3, "resolved"),  # it came and went: nobody is woken up
        document(4, "withdrawn"),
    )
    desk.restart()
    clock.set("2026-07-02 06:59")
    assert desk.deliver() == 0
    desk.enqueue(document(6, "updated", severity="x", alerts=[{"series": "entity=GOOD", "signal": "negative"}]))
    assert desk.deliver() == 1, "it has become critical"
    clock.set("2026-07-02 07:00")
    desk.restart()
    assert desk.deliver() == 1
    delivered = receiver.documents[-1]
    assert delivered["held"] == "quiet"
    assert [(each["incident"][-1], each["change"]) for each in delivered["incidents"]] == [
        ("2", "opened"),
        ("1", "resolved"),
    ]
    assert desk.deliver() == 0
    assert all(delivered or given_up for *_, delivered, given_up in rows(connection))
    reasons = connection.execute("SELECT DISTINCT last_error FROM outbox WHERE given_up_at IS NOT NULL").fetchall()
    assert {reason for (reason,) in reasons} == {
        "it was over before its time came",
        "a later change was sent before this one was due",
    }


def test_a_page_that_could_not_be_notified_before_quiet_hours_waits_for_their_end(
    make_desk: MakeDesk, receiver: Receiver, clock: Clock
) -> None:
    desk = make_desk(NIGHT + receiver_table("desk", receiver))
    receiver.statuses = [503]
    clock.set("2026-07-01 21:59:59")
    desk.enqueue(document(1))
    assert desk.deliver() == 0
    clock.move(minutes=1)
    assert desk.deliver() == 0
    assert receiver.documents == []
    clock.set("2026-07-02 07:00")
    assert desk.deliver() == 1
    assert receiver.documents == [document(1) | {"severity": "warning"}]


def test_a_digest_lists_the_incidents_since_the_last(
    make_desk: MakeDesk, connection: Connection, receiver: Receiver, clock: Clock
) -> None:
    desk = make_desk(
        "[[rule]]\nname = 'a'\nreceivers = 'desk'\ndigest = ['08:00', '17:30']\n" + receiver_table("desk", receiver)
    )
    clock.set("2026-07-01 08:00")
    desk.enqueue(document(1), document(2), document(1, "updated"))
    clock.set("2026-07-01 17:29")
    desk.enqueue(document(2, "resolved"), document(3), document(3, "withdrawn"))
    desk.restart()
    assert desk.deliver() == 0
    clock.set("2026-07-01 17:30")
    receiver.statuses = [500]
    assert desk.deliver() == 0
    clock.move(minutes=10)
    desk.enqueue(document(4))
    desk.restart()
    assert desk.deliver() == 1
    (digest,) = receiver.documents
    assert digest["dedupe"].startswith("digest:desk:2026-07-01T17:30:00+00:00:")
    assert digest["dedupe"] == receiver.refused[0], "the same at every try"
    assert [(each["incident"][-1], each["change"]) for each in digest["incidents"]] == [
        ("1", "opened"),
        ("2", "resolved"),
    ]
    assert desk.deliver() == 0
    # away at the time of a digest: it comes when all is up again, and the next one is another message
    clock.set("2026-07-02 17:30")
    desk.enqueue(document(5))
    clock.set("2026-07-03 09:00")
    assert desk.deliver() == 2
    assert [each["dedupe"][12:28] for each in receiver.documents[1:]] == ["2026-07-02T08:00", "2026-07-03T08:00"]
    clock.move(days=2)
    assert desk.deliver() == 0, "a digest of nothing is no message"
    assert {delivered or given_up for *_, delivered, given_up in rows(connection)} == {True}


def test_a_receiver_that_was_away_for_an_hour_misses_nothing_and_holds_up_nobody(
    make_desk: MakeDesk, connection: Connection, receiver: Receiver, clock: Clock
) -> None:
    away = Receiver()
    away.close()
    desk = make_desk(
        "[[rule]]\nname = 'a'\nreceivers = ['away', 'desk']\n"
        + receiver_table("away", away)
        + receiver_table("desk", receiver)
    )
    desk.enqueue(document(1), document(2))
    for _ in range(30):
        desk.deliver()
        clock.move(minutes=2)
    assert [each["incident"][-1] for each in receiver.documents] == ["1", "2"]
    desk.enqueue(document(1, "resolved"))
    (tries,) = connection.execute("SELECT sum(attempts) FROM outbox WHERE channel = 'away'").fetchone() or (0,)
    assert 5 < tries < 30, "its pauses grow"
    back = Receiver(away.port)
    try:
        for _ in range(5):
            clock.move(minutes=8)
            desk.deliver()
        delivered = sorted((each["incident"][-1], each["change"]) for each in back.documents)
        assert delivered == [("1", "opened"), ("1", "resolved"), ("2", "opened")]
    finally:
        back.close()


def test_what_is_refused_for_good_is_given_up_and_the_next_goes_on(
    make_desk: MakeDesk, connection: Connection, receiver: Receiver
) -> None:
    desk = make_desk("[[rule]]\nname = 'a'\nreceivers = 'desk'\n" + receiver_table("desk", receiver))
    receiver.statuses = [400]
    desk.enqueue(document(1), document(2), document(1, "resolved"))
    assert desk.deliver() == 1
    assert desk.deliver() == 1
    assert [(each["incident"][-1], each["change"]) for each in receiver.documents] == [
        ("2", "opened"),
        ("1", "resolved"),
    ]
    assert connection.execute("SELECT dedupe, last_error FROM outbox WHERE given_up_at IS NOT NULL").fetchall() == [
        (document(1)["dedupe"], "the webhook answered with status 400")
    ]


def test_headers_of_a_receiver_go_with_each_request(
    make_desk: MakeDesk, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DESK_TOKEN", "Bearer s3cretword")
    rules = "[[rule]]\nname = 'a'\nreceivers = 'desk'\n" + receiver_table("desk", receiver)
    desk = make_desk(rules + "headers = { Authorization = 'env:DESK_TOKEN' }\n")
    desk.enqueue(document(1))
    assert desk.deliver() == 1
    assert receiver.headers[0]["Authorization"] == "Bearer s3cretword"
    monkeypatch.delenv("DESK_TOKEN")
    with pytest.raises(InputError, match="receiver `desk`: the environment variable DESK_TOKEN is not set"):
        desk.restart()


def test_a_receiver_is_left_alone_for_as_long_as_it_asks(make_desk: MakeDesk, receiver: Receiver, clock: Clock) -> None:
    desk = make_desk("[[rule]]\nname = 'a'\nreceivers = 'desk'\n" + receiver_table("desk", receiver))
    receiver.statuses, receiver.retry_after = [429], "1800"
    desk.enqueue(document(1), document(2))
    assert desk.deliver() == 0
    clock.move(seconds=1799)
    assert desk.deliver() == 0
    assert receiver.refused == [document(1)["dedupe"]], "one request, and no other"
    clock.move(seconds=1)
    assert desk.deliver() == 2


def test_a_clock_that_was_ahead_puts_nothing_off_for_long(
    make_desk: MakeDesk, receiver: Receiver, clock: Clock
) -> None:
    desk = make_desk(NIGHT + receiver_table("desk", receiver))
    clock.set("2036-07-01 23:00")
    desk.enqueue(document(1))
    receiver.statuses, receiver.retry_after = [429], "3600"
    desk.enqueue(document(2, series="entity=GOOD"))
    assert desk.deliver() == 0
    clock.set("2026-07-01 12:00")
    assert desk.deliver() == 2


def test_a_change_enters_the_outbox_once_and_goes_to_whoever_was_notified_before(
    make_desk: MakeDesk, connection: Connection, receiver: Receiver, tmp_path: Path, clock: Clock
) -> None:
    names = "\n[[rule]]\nname = 'bank'\nseries = 'entity=BANK'\nreceivers = 'one'\nseverity = 'info'\n" + (
        "[[rule]]\nname = 'rest'\nreceivers = 'two'\n"
    )
    desk = make_desk(names + receiver_table("one", receiver) + receiver_table("two", receiver))
    desk.enqueue(document(1), document(1))
    assert rows(connection) == [("one", 1, "opened", False, False)]
    # the incident is named after another series now, which other rules match
    desk.enqueue(document(1, "updated", series="topic=Earnings"))
    assert [row[:3] for row in rows(connection)[1:]] == [("two", 1, "updated"), ("one", 1, "updated")]
    severities = connection.execute("SELECT severity, payload ->> 'severity', rules FROM outbox ORDER BY id").fetchall()
    assert severities == [
        ("info", "info", ["bank"]),
        ("warning", "warning", ["rest"]),
        ("info", "info", ["bank"]),
    ]


def test_what_a_later_change_has_overtaken_is_not_told(
    make_desk: MakeDesk, connection: Connection, receiver: Receiver, clock: Clock
) -> None:
    desk = make_desk(NIGHT + receiver_table("desk", receiver))
    clock.set("2026-07-01 21:50")
    desk.enqueue(document(1))
    assert desk.deliver() == 1
    receiver.statuses, receiver.retry_after = [503], "36000"
    desk.enqueue(document(1, "updated"))
    assert desk.deliver() == 0
    clock.set("2026-07-01 23:00")
    desk.enqueue(document(1, "resolved"))
    clock.set("2026-07-02 07:00")
    desk.restart()
    assert desk.deliver() == 1
    clock.set("2026-07-02 09:00")
    assert desk.deliver() == 0
    assert [each["change"] for each in receiver.documents] == ["opened", "resolved"]
    assert [row[2:] for row in rows(connection)] == [
        ("opened", True, False),
        ("updated", False, True),
        ("resolved", True, False),
    ]


def test_what_a_receiver_knows_in_the_end_is_how_things_stand(
    make_desk: MakeDesk, connection: Connection, clock: Clock
) -> None:
    """Two days of changes in any order, by receivers that fail one time in three and a process that is restarted."""
    receivers = {"desk": Receiver(), "digest": Receiver()}
    desk = make_desk(
        NIGHT.replace("receivers", "continue = true\nreceivers")
        + "[[rule]]\nname = 'digest'\nseries = 'topic=*'\nreceivers = 'digest'\ndigest = ['08:00', '17:30']\n"
        + "".join(receiver_table(name, each) for name, each in receivers.items())
    )
    chance = random.Random(7)
    stands: dict[str, str] = {}
    changes: Counter[tuple[str, str]] = Counter()
    good = [{"series": "entity=GOOD", "signal": "negative"}]
    after = {"": ["opened"], "withdrawn": ["opened"], "resolved": ["withdrawn", "opened"]}
    for _ in range(300):
        name = document(chance.randrange(1, 40))["incident"]
        change = chance.choice(after.get(stands.get(name, ""), ["updated", "updated", "resolved", "withdrawn"]))
        stands[name] = change
        changes[name, change] += 1
        delivered = document(
            int(name[-12:]),
            change,
            series=chance.choice(["entity=BANK", "topic=Earnings"]),
            dedupe=f"{name}:{change}:{changes[name, change]}",
            alerts=chance.choice([[], [], good]),
        )
        desk.enqueue(delivered)
        clock.move(minutes=chance.expovariate(0.1))
        for receiver in receivers.values():
            receiver.statuses = [chance.choice([200, 200, 503]) for _ in range(3)]
        if chance.random() < 0.5:
            desk.deliver()
        if chance.random() < 0.1:
            desk.restart()
    for receiver in receivers.values():
        receiver.statuses = []
    for _ in range(40):
        clock.move(hours=1)
        desk.deliver()
    assert all(delivered != given_up for *_, delivered, given_up in rows(connection))
    over = ("resolved", "withdrawn")
    for channel, receiver in receivers.items():
        known = {
            each["incident"]: each["change"] for sent in receiver.documents for each in sent.get("incidents", [sent])
        }
        asked = {document(number)["incident"] for name, number, *_ in rows(connection) if name == channel}
        assert len(known) > 20
        assert known.keys() <= asked
        for name in asked:
            assert (known.get(name, "withdrawn") in over) == (stands[name] in over), (channel, name)
        assert any("incidents" in sent for sent in receiver.documents)
        receiver.close()


_KILLED = """
import os, signal, sys, threading
from pathlib import Path
from alerting.delivery.channels import open_channel
from alerting.delivery.courier import Courier
from alerting.rules.alerts_file import load_rules
from core.settings import load_settings
from core.store.connection import connect
settings = load_settings()
rules = load_rules(settings)
channel = open_channel(rules.receivers[0], "")
send = channel.send
def send_and_die(delivery):
    send(delivery)
    os.kill(os.getpid(), signal.SIGKILL)
channel.send = send_and_die
with connect(settings, autocommit=True) as connection:
    Courier(settings, channel, threading.Event(), threading.Event(), rules).deliver_due(connection)
"""


def test_a_process_killed_between_send_and_mark_sends_again_under_the_same_key(
    make_desk: MakeDesk, connection: Connection, receiver: Receiver, database_url: str, tmp_path: Path
) -> None:
    desk = make_desk("[[rule]]\nname = 'a'\nreceivers = 'desk'\n" + receiver_table("desk", receiver))
    desk.enqueue(document(1))
    environment = {
        **os.environ,
        "NEWSTIDE_DATABASE__URL": database_url,
        "NEWSTIDE_ALERTING__RULES": str(tmp_path / "alerts.toml"),
    }
    died = subprocess.run([sys.executable, "-c", _KILLED], env=environment, capture_output=True, timeout=60)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert rows(connection) == [("desk", 1, "opened", False, False)]
    assert desk.deliver() == 1
    assert [each["dedupe"] for each in receiver.documents] == [document(1)["dedupe"]] * 2
    assert rows(connection) == [("desk", 1, "opened", True, False)]
    assert desk.deliver() == 0
