"""Delivery from the outbox to a real webhook and a real broker."""

from __future__ import annotations

import gc
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from kafka import KafkaConsumer

from alerting.delivery.alerts_topic import AlertsTopic
from alerting.delivery.channel import Delivery, DeliveryFailed, Notice
from alerting.delivery.channels import open_channel, open_channels
from alerting.delivery.courier import Courier, orphans, pause_before_retry
from alerting.delivery.webhook import DEDUPE_HEADER, Webhook
from alerting.process import run_alerting
from alerting.rules.alert_rules import AlertRules
from alerting.rules.unseen import unseen_entities
from core.errors import InputError
from core.settings import Settings
from newstide.embedded.broker import EmbeddedBroker
from tests.alerting.delivery_desk import Clock, rules_of
from tests.alerting.delivery_desk import courier as courier_by
from tests.alerting.surge_streams import MONDAY, MakeSettings, declare_replay, fill_trends, fortnight
from tests.alerting.webhook_receiver import Receiver
from tests.ports import free_port

Connection = psycopg.Connection[Any]


def enqueue(connection: Connection, dedupe: str, channel: str = "webhook", alert: int = 1, age: str = "0") -> None:
    connection.execute(
        "INSERT INTO outbox (channel, dedupe, incident, key, payload, created_at) "
        "VALUES (%s, %s, %s, 'entity=BANK', %s, now() - %s::interval)",
        (channel, dedupe, f"00000000-0000-0000-0000-{alert:012}", orjson.dumps({"dedupe": dedupe}).decode(), age),
    )


def courier(settings: Settings, channel: Any) -> Courier:
    leading = threading.Event()
    leading.set()
    return Courier(settings, channel, leading, threading.Event())


def due_now(connection: Connection) -> None:
    connection.execute("UPDATE outbox SET next_try_at = now()")


def state(connection: Connection) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT dedupe, attempts, delivered_at IS NOT NULL, given_up_at IS NOT NULL FROM outbox ORDER BY id"
    ).fetchall()


def read_into(records: list[Any], consumer: KafkaConsumer) -> int:
    for part in consumer.poll(200).values():
        records += part
    return len(records)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that in 30 s"
        time.sleep(0.05)


def test_what_is_refused_is_tried_again_until_it_arrives(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver
) -> None:
    enqueue(connection, "a:open")
    receiver.statuses = [500, 429, 302]
    carrier = courier(make_settings(), Webhook(receiver.url, 5))
    for attempts in (1, 2, 3):
        assert carrier.deliver_due(connection) == 0
        assert state(connection) == [("a:open", attempts, False, False)]
        waits = connection.execute("SELECT next_try_at > now(), last_error FROM outbox").fetchone()
        assert waits is not None
        assert waits[0]
        assert "status" in waits[1]
        assert carrier.deliver_due(connection) == 0, "it must wait for its turn"
        due_now(connection)
    assert carrier.deliver_due(connection) == 1
    assert state(connection) == [("a:open", 4, True, False)]
    assert carrier.deliver_due(connection) == 0
    assert receiver.documents == [{"dedupe": "a:open"}]
    assert receiver.headers[0][DEDUPE_HEADER] == "a:open"
    assert receiver.refused == ["a:open"] * 3


def test_an_alert_s_changes_arrive_in_order_and_others_go_on(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver
) -> None:
    enqueue(connection, "a:open")
    enqueue(connection, "a:closed")
    enqueue(connection, "b:open", alert=2)
    receiver.statuses = [503]
    carrier = courier(make_settings(), Webhook(receiver.url, 5))
    carrier.deliver_due(connection)
    assert [d["dedupe"] for d in receiver.documents] == ["b:open"]
    for _ in range(2):
        due_now(connection)
        carrier.deliver_due(connection)
    assert [d["dedupe"] for d in receiver.documents] == ["b:open", "a:open", "a:closed"]


def test_a_delivery_is_given_up_when_it_is_too_old(make_settings: MakeSettings, connection: Connection) -> None:
    enqueue(connection, "old:open", age="3 hours")
    enqueue(connection, "young:open", alert=2, age="1 hour")
    connection.execute("UPDATE outbox SET attempts = 7")
    url = "http://user:secret@127.0.0.1:1/token"
    carrier = courier(make_settings(delivery_max_age_hours=2), Webhook(url, 1))
    assert carrier.deliver_due(connection) == 0
    assert state(connection) == [("old:open", 7, False, True), ("young:open", 7, False, False)]
    errors = connection.execute("SELECT string_agg(last_error, ' ') FROM outbox").fetchone()
    assert errors is not None
    assert "ConnectError" in errors[0]
    assert "secret" not in errors[0]
    assert "token" not in errors[0]


def test_what_waited_untried_for_long_is_not_given_up_at_a_passing_fault(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver
) -> None:
    enqueue(connection, "old:open", age="100 hours")
    carrier = courier(make_settings(), Webhook(receiver.url, 5))
    receiver.statuses = [503] * 3
    for _ in range(4):
        due_now(connection)
        carrier.deliver_due(connection)
    assert state(connection) == [("old:open", 4, True, False)]


def test_a_backlog_is_given_up_with_the_channel_that_can_t_be_reached(
    make_settings: MakeSettings, connection: Connection
) -> None:
    clock = Clock(datetime.now(UTC))
    carrier = courier_by(make_settings(), Webhook(f"http://127.0.0.1:{free_port()}/", 1), clock=clock)
    for number in range(20):
        enqueue(connection, f"old-{number}:opened", alert=number, age="100 hours")
    enqueue(connection, "young:opened", alert=20)
    enqueue(connection, "other:opened", channel="other", alert=21, age="100 hours")
    clock.move(minutes=1)
    for _ in range(7):
        carrier.deliver_due(connection)
        clock.move(minutes=10)
    assert not any(given_up for *_, given_up in state(connection)), "that may pass"
    carrier.deliver_due(connection)
    given_up = {dedupe for dedupe, _, _, given_up in state(connection) if given_up}
    assert given_up == {f"old-{number}:opened" for number in range(20)}
    assert connection.execute(
        "SELECT count(*) FROM outbox WHERE given_up_at IS NOT NULL AND last_error <> ''"
    ).fetchone() == (20,)


def test_nothing_is_sent_while_the_database_is_read_only(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """As a standby before it takes over: what arrived could not be noted, and would be sent again and again."""
    enqueue(connection, "a:opened")
    name = connection.info.dbname
    leading, stop = threading.Event(), threading.Event()
    leading.set()
    carrier = Courier(make_settings(), Webhook(receiver.url, 5), leading, stop)
    connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    carrier.start()
    try:
        until(lambda: caplog.text.count("the database failed") >= 2)
        assert receiver.documents == []
        assert state(connection) == [("a:opened", 0, False, False)]
        connection.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        until(lambda: state(connection) == [("a:opened", 1, True, False)])
    finally:
        stop.set()
        carrier.join(20)
    assert receiver.documents == [{"dedupe": "a:opened"}]


def test_a_webhook_that_never_answers_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        channel = Webhook(f"http://127.0.0.1:{deaf.getsockname()[1]}/", 0.2)
        with pytest.raises(DeliveryFailed, match="Timeout"):
            channel.send(Delivery("a", "all", (Notice({}),)))
        channel.close()


def test_a_webhook_url_that_is_none_fails_as_a_delivery() -> None:
    for url in ("not a url", "http://", "ftp://x.test/"):
        channel = Webhook(url, 1)
        with pytest.raises(DeliveryFailed):
            channel.send(Delivery("a", "all", (Notice({}),)))
        channel.close()


def test_pauses_double_up_to_a_limit() -> None:
    assert [pause_before_retry(n, 0.5) for n in (1, 2, 3)] == [1, 2, 4]
    assert pause_before_retry(500, 1.0) == 450
    assert pause_before_retry(1, 0.0) == 0.5


def test_channels_are_those_that_are_set(make_settings: MakeSettings) -> None:
    assert open_channels(make_settings(), AlertRules()) == []
    both = open_channels(make_settings("127.0.0.1:1", webhook_url="http://127.0.0.1:1/"), AlertRules())
    assert [channel.name for channel in both] == ["kafka", "webhook"]


def test_a_dead_webhook_holds_up_neither_judging_nor_kafka(
    make_settings: MakeSettings, connection: Connection, tmp_path: Path
) -> None:
    fill_trends(connection, fortnight())
    declare_replay(connection, MONDAY.replace(day=16))
    with EmbeddedBroker(tmp_path / "broker") as broker, socket.create_server(("127.0.0.1", 0)) as deaf:
        settings = make_settings(
            broker.bootstrap_servers,
            webhook_url=f"http://127.0.0.1:{deaf.getsockname()[1]}/",
            webhook_timeout_s=1,
        )
        opened = run_alerting(settings, threading.Event(), until_drained=True)
        assert opened >= 1
        sent = connection.execute(
            "SELECT dedupe, payload FROM outbox WHERE channel = 'kafka' AND delivered_at IS NOT NULL ORDER BY id"
        ).fetchall()
        assert len(sent) >= 2
        consumer = KafkaConsumer(
            settings.topic("alerts"),
            bootstrap_servers=broker.bootstrap_servers,
            auto_offset_reset="earliest",
            group_id=None,
        )
        records: list[Any] = []
        until(
            lambda: records.extend(r for part in consumer.poll(200).values() for r in part) or len(records) >= len(sent)
        )
        consumer.close()
    records.sort(key=lambda record: [dedupe for dedupe, _ in sent].index(orjson.loads(record.value)["dedupe"]))
    assert [(orjson.loads(r.value)["dedupe"], orjson.loads(r.value)) for r in records] == sent
    assert "entity=BANK" in {r.key.decode() for r in records}
    assert [dict(r.headers)[DEDUPE_HEADER.lower()].decode() for r in records] == [dedupe for dedupe, _ in sent]
    assert connection.execute(
        "SELECT bool_or(delivered_at IS NOT NULL) FROM outbox WHERE channel = 'webhook'"
    ).fetchone() == (False,)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_absent_broker_is_a_failed_delivery(make_settings: MakeSettings) -> None:
    channel = AlertsTopic(make_settings("127.0.0.1:1"))
    with pytest.raises(DeliveryFailed, match="Kafka"):
        channel.send(Delivery("a", "all", (Notice({}),)))
    channel.close()
    gc.collect()  # kafka-python leaves the sockets of a client that never connected to the collector


def test_the_process_delivers_while_it_judges(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver
) -> None:
    fill_trends(connection, fortnight())
    declare_replay(connection, MONDAY.replace(day=16))
    stop = threading.Event()
    settings = make_settings(webhook_url=receiver.url)
    thread = threading.Thread(target=run_alerting, args=(settings, stop))
    thread.start()
    changes = "SELECT count(*) FROM outbox"
    progress = "SELECT count(*) FROM alerting_progress WHERE drained"
    until(lambda: connection.execute(progress).fetchone() == (1,))
    until(lambda: connection.execute(changes).fetchone() == (len(receiver.documents),))
    stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert {d["series"] for d in receiver.documents} >= {"entity=BANK"}
    assert len({d["dedupe"] for d in receiver.documents}) == len(receiver.documents)


class Faulty(Webhook):
    """One that a bad message brings down, by `fault`."""

    fault: Exception = ZeroDivisionError()

    def send(self, delivery: Delivery) -> None:
        if delivery.payload["dedupe"].startswith("bad"):
            raise self.fault
        super().send(delivery)


def test_a_message_that_brings_a_courier_down_keeps_no_other_from_going_out(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver
) -> None:
    enqueue(connection, "bad:opened")
    enqueue(connection, "good:opened", alert=2)
    carrier = courier(make_settings(), Faulty(receiver.url, 5))
    assert carrier.deliver_due(connection) == 1
    assert state(connection) == [("bad:opened", 1, False, False), ("good:opened", 1, True, False)]
    assert connection.execute("SELECT last_error FROM outbox WHERE dedupe = 'bad:opened'").fetchone() == (
        "it could not be sent (ZeroDivisionError)",
    )


def test_what_seems_to_be_an_outage_and_is_a_bad_message_keeps_none_back_for_long(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver
) -> None:
    clock = Clock(datetime.now(UTC))
    carrier = courier_by(make_settings(), channel := Faulty(receiver.url, 5), clock=clock)
    channel.fault = DeliveryFailed("no answer", unreachable=True)
    enqueue(connection, "bad:opened")
    enqueue(connection, "good:opened", alert=2)
    clock.move(minutes=1)
    assert carrier.deliver_due(connection) == 0
    assert receiver.documents == []
    clock.move(minutes=10)
    assert carrier.deliver_due(connection) == 1
    assert [each["dedupe"] for each in receiver.documents] == ["good:opened"]


def test_a_courier_begins_anew_after_a_fault(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    leading, stop = threading.Event(), threading.Event()
    leading.set()
    carrier = Courier(make_settings(), Webhook(receiver.url, 5), leading, stop)
    faults = iter([ZeroDivisionError()])
    look = carrier.deliver_due

    def fail_once(connection: Connection) -> int:
        for fault in faults:
            raise fault
        return look(connection)

    monkeypatch.setattr(carrier, "deliver_due", fail_once)
    enqueue(connection, "a:opened")
    carrier.start()
    until(lambda: bool(receiver.documents))
    assert carrier.is_alive()
    stop.set()
    carrier.join(10)


def test_what_waits_for_nobody_and_who_was_never_seen_is_said(
    make_settings: MakeSettings, connection: Connection, tmp_path: Path
) -> None:
    enqueue(connection, "a:opened", channel="gone")
    enqueue(connection, "b:opened", channel="webhook")
    assert orphans(connection, ["webhook"]) == [
        "1 deliveries wait for the receiver `gone`, which neither settings nor rules name"
    ]
    fill_trends(connection, fortnight())
    rules = rules_of(tmp_path, "[[rule]]\nname = 'a'\nseries = ['entity=BANK', 'entity=BNAK', 'entity=B*', 'all']")
    (warning,) = unseen_entities(connection, rules)
    assert warning.startswith("rule `a`: no message has named the entity `BNAK` so far")


def test_the_process_tells_receivers_by_rules(
    make_settings: MakeSettings, connection: Connection, receiver: Receiver, tmp_path: Path
) -> None:
    everything = Receiver()
    rules = tmp_path / "alerts.toml"
    rules.write_text(
        "[[rule]]\nname = 'bank'\nseries = 'entity=BANK'\nreceivers = 'desk'\ncontinue = true\n"
        "[[rule]]\nname = 'rest'\n"
        f"[[receiver]]\nname = 'desk'\ntype = 'webhook'\nurl = '{receiver.url}'\n",
        encoding="utf-8",
    )
    try:
        fill_trends(connection, fortnight())
        declare_replay(connection, MONDAY.replace(day=16))
        settings = make_settings(webhook_url=everything.url, rules=rules)
        assert run_alerting(settings, threading.Event(), until_drained=True) >= 1
        delivered = [each["dedupe"] for each in receiver.documents]
        assert delivered == [each["dedupe"] for each in everything.documents if "entity=BANK" in series_of(each)]
        assert delivered
    finally:
        everything.close()


def series_of(document: dict[str, Any]) -> set[str]:
    return {each["series"] for each in [document, *document["alerts"]]}


@pytest.mark.parametrize("kind", ["webhook", "alertmanager"])
@pytest.mark.parametrize(
    ("url", "token", "fault"),
    [
        ("hooks.test/s3cret", "Bearer a", "the `url` in env:DESK_URL is no web address"),
        ("http://hooks.test/s3\ncret", "Bearer a", "the `url` in env:DESK_URL is no web address"),
        ("http://hooks.test/", "Bearer s3crét", "the header `Authorization` in env:DESK_TOKEN has characters"),
        ("http://hooks.test/", "Bearer\ns3cret", "the header `Authorization` in env:DESK_TOKEN has characters"),
        ("http://hooks.test/", None, "the environment variable DESK_TOKEN is not set"),
    ],
)
def test_a_secret_of_no_use_is_named_by_where_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, url: str, token: str | None, fault: str
) -> None:
    monkeypatch.setenv("DESK_URL", url)
    if token:
        monkeypatch.setenv("DESK_TOKEN", token)
    rules = rules_of(
        tmp_path,
        f"[[receiver]]\nname = 'desk'\ntype = '{kind}'\nurl = 'env:DESK_URL'\n"
        "headers = { Authorization = 'env:DESK_TOKEN' }\n",
    )
    with pytest.raises(InputError, match=f"receiver `desk`: {fault}") as raised:
        open_channel(rules.receivers[0], "")
    assert "cret" not in str(raised.value)
