"""Incidents in a real Alertmanager: as its API shows them, and as it passes them on."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from alerting.delivery.channels import open_channel
from alerting.delivery.trial import send_trial
from tests.alerting.delivery_desk import Clock, Desk, document, rows, rules_of
from tests.alerting.surge_streams import MakeSettings
from tests.alerting.webhook_receiver import Receiver
from tests.ports import free_port

PROGRAM = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
pytestmark = pytest.mark.skipif(
    PROGRAM is None, reason="needs Alertmanager (Debian: apt-get install prometheus-alertmanager)"
)

ROUTES = """
route: {{receiver: hook, group_by: [incident, severity], group_wait: 50ms, group_interval: 1s, repeat_interval: 1h}}
receivers:
  - name: hook
    webhook_configs: [{{url: "{url}", send_resolved: true}}]
"""
RULES = """
link = "https://desk.test/alerts/$incident"
[[rule]]
name = "holdings"
series = "entity=GOOD"
severity = "critical"
receivers = "am"
[[rule]]
name = "rest"
receivers = "am"
[[receiver]]
name = "am"
type = "alertmanager"
url = "{url}"
"""


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to that in 30 s"
        time.sleep(0.05)
    return found


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def alertmanager(tmp_path: Path, receiver: Receiver) -> Iterator[str]:
    """The address of an Alertmanager that passes everything on to `receiver`."""
    file = tmp_path / "alertmanager.yml"
    file.write_text(ROUTES.format(url=receiver.url), encoding="utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    with (tmp_path / "alertmanager.log").open("wb") as log:
        process = subprocess.Popen(
            [
                str(PROGRAM),
                f"--config.file={file}",
                f"--storage.path={tmp_path / 'alertmanager'}",
                f"--web.listen-address={url.removeprefix('http://')}",
                "--cluster.listen-address=",
            ],
            stdout=log,
            stderr=log,
        )
        try:
            until(lambda: answers(url))
            yield url
        finally:
            process.terminate()
            process.wait(10)


def test_an_incident_fires_is_updated_and_resolved(
    make_settings: MakeSettings,
    connection: psycopg.Connection[Any],
    receiver: Receiver,
    alertmanager: str,
    tmp_path: Path,
) -> None:
    def shown() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = httpx.get(f"{alertmanager}/api/v2/alerts").json()
        return sorted(found, key=lambda alert: alert["labels"]["severity"])

    def heard(status: str, severity: str) -> bool:
        """Whether the Alertmanager has passed on that the alert of that severity has this status."""
        return any(
            (alert["status"], alert["labels"]["severity"]) == (status, severity)
            for message in receiver.documents
            for alert in message["alerts"]
        )

    clock = Clock(datetime.now(UTC))
    desk = Desk(make_settings(), connection, rules_of(tmp_path, RULES.format(url=alertmanager)), clock)
    first = document(1, series="entity=BA<NK")
    desk.enqueue(first)
    assert desk.deliver() == 1
    (alert,) = shown()
    identity = {
        "alertname": "NewstideIncident",
        "incident": first["incident"],
        "severity": "warning",
        "kind": "entity",
        "name": "BA‹NK",
        "series": "entity=BA‹NK",
        "signal": "negative",
    }
    assert alert["labels"] == identity
    assert alert["annotations"] == {
        "summary": "BA‹NK: 41 negative stories in 60 min, 6 expected, since 14:05",
        "stories": "- Bank fails (Wire)\n  https://news.test/a?b=1",
        "words": "fails, run",
        "link": f"https://desk.test/alerts/{first['incident']}",
    }
    assert alert["generatorURL"] == alert["annotations"]["link"]
    assert datetime.fromisoformat(alert["startsAt"]) == datetime.fromisoformat(first["opened_at"])
    until(lambda: heard("firing", "warning"))

    # the incident is named after another series now: to the Alertmanager it is the same alert
    desk.enqueue(document(1, "updated", series="topic=Earnings", sentence="Earnings: 90 negative stories"))
    assert desk.deliver() == 1
    (alert,) = shown()
    assert alert["labels"] == identity
    assert alert["annotations"]["summary"] == "Earnings: 90 negative stories"

    # while it is open the Alertmanager is reminded, by a process that has just begun too
    before = datetime.fromisoformat(alert["endsAt"])
    desk.restart()
    clock.move(minutes=2)
    desk.deliver()
    (alert,) = shown()
    assert before < datetime.fromisoformat(alert["endsAt"]) <= datetime.now(UTC) + timedelta(minutes=5)

    # what joins makes it critical: another alert to whoever routes by severity, and the end of the first
    joined = [{"series": "entity=GOOD", "signal": "negative", "state": "open"}]
    desk.enqueue(document(1, "updated", dedupe="more", alerts=joined))
    assert desk.deliver() == 1
    until(lambda: heard("firing", "critical") and heard("resolved", "warning"))
    assert [alert["labels"] for alert in shown()] == [identity | {"severity": "critical"}]

    desk.enqueue(document(1, "resolved", alerts=joined))
    assert desk.deliver() == 1
    until(lambda: heard("resolved", "critical"))
    assert shown() == []
    clock.move(minutes=2)
    desk.deliver()
    assert shown() == [], "what is over is not told again"
    assert {delivered for _, _, _, delivered, _ in rows(connection)} == {True}
    desk.close()


def test_a_test_message_is_an_alert_that_ends_by_itself(alertmanager: str, tmp_path: Path) -> None:
    (receiver,) = rules_of(tmp_path, RULES.format(url=alertmanager)).receivers
    send_trial(open_channel(receiver, ""))
    (alert,) = httpx.get(f"{alertmanager}/api/v2/alerts").json()
    assert alert["annotations"]["summary"] == "A test of newstide: nothing has happened"
    assert datetime.now(UTC) < datetime.fromisoformat(alert["endsAt"]) < datetime.now(UTC) + timedelta(minutes=5)


def test_what_the_alertmanager_refuses_is_given_up(
    make_settings: MakeSettings, connection: psycopg.Connection[Any], alertmanager: str, tmp_path: Path
) -> None:
    desk = Desk(
        make_settings(),
        connection,
        rules_of(tmp_path, RULES.format(url=alertmanager)),
        Clock(datetime.now(UTC)),
    )
    desk.enqueue(document(1), document(2))
    connection.execute("UPDATE outbox SET labels = jsonb_build_array(jsonb_build_object('no label', 'x')) WHERE id = 1")
    assert desk.deliver() == 1
    assert [row[3:] for row in rows(connection)] == [(False, True), (True, False)]
    desk.close()
