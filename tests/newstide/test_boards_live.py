"""Every query of every board, asked of a real Prometheus that scraped a whole stack, and of its Postgres."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from alerting.grafana import boards
from alerting.grafana.asked import Asked, chosen, queries
from alerting.grafana.macros import Selection
from core.settings import Settings, load_settings
from core.store.connection import connect, open_engine
from core.store.models import move_model
from tests.newstide.prometheus_server import IS_HERE, Prometheus, prometheus_server
from tests.newstide.stacks import RunningStack
from tests.ports import free_port
from tests.tiny_bundles import register_tiny, write_tiny

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from history import fill

pytestmark = pytest.mark.skipif(not IS_HERE, reason="prometheus is not here (Debian: prometheus)")

ROOT = Path(__file__).parents[2]
BOARDS: dict[str, dict[str, Any]] = {
    board["title"]: board for board in map(json.loads, boards.files().values())
}  # fmt: skip
DAYS = 64  # of a board's 30 and the four weeks before them
TOKEN = "a-long-token"
MAY_BE_EMPTY = {
    "Inputs refused A": "no input was refused",
    "Inputs seen before A": "no item of the feed was edited",
}
FEED = """<?xml version="1.0"?><rss version="2.0"><channel><title>Wire</title><link>http://x.test</link>
<item><title>Mill closes</title><link>http://x.test/1</link><guid>1</guid>
<pubDate>{at:%a, %d %b %Y %H:%M:%S} GMT</pubDate></item>
<item><title>Das Werk schließt, dreihundert Stellen werden abgebaut</title><link>http://x.test/2</link><guid>2</guid>
<pubDate>{at:%a, %d %b %Y %H:%M:%S} GMT</pubDate></item></channel></rss>"""


_HISTORY = """
    INSERT INTO incident (id, leader, kind, name, signal, state, opened_at, last_at, peak_at, window_minutes, observed,
                          expected, score)
    SELECT md5('incident ' || kind)::uuid, (SELECT id FROM alert LIMIT 1), kind, name, 'negative', 'open', %(at)s,
           %(at)s, %(at)s, 60, 41, 6, 7 FROM (VALUES ('all', 'all'), ('entity', 'E1')) AS series (kind, name);
    INSERT INTO feedback (incident, verdict, analyst, note) SELECT id, 'false', 'ann', '' FROM incident;
    INSERT INTO outbox (channel, dedupe, incident, key, payload, created_at, last_error)
    SELECT 'webhook', 'd', id, 'k', '{}', %(at)s, 'refused' FROM incident LIMIT 1;
    INSERT INTO dead_letter (id, origin, stage, topic, value, reason, failed_at)
    VALUES (gen_random_uuid(), 'replay:f.csv:7', 'ingest', 't', '{}', 'bad', %(at)s);
    INSERT INTO label (text, source, task, label, analyst, labelled_at, story)
    SELECT 'text', 'desk', task, 'negative', 'ann', %(at)s, md5('text')::uuid
    FROM unnest(ARRAY['sentiment', 'topic']) AS task;
    INSERT INTO training_run (reasons) VALUES ('[]')
"""


@dataclass(frozen=True)
class Seen:
    """What a stack left: samples up to `end`, a database that got a long history, and each process' last scrape."""

    prometheus: Prometheus
    database: psycopg.Connection[Any]
    end: datetime
    scrapes: Mapping[str, str]
    values: Mapping[str, dict[str, list[str]]]

    def selection(self, board: str, hours: int, everything: bool) -> Selection:
        choice = chosen(BOARDS[board], self.values[board], everything=everything)
        return Selection(self.end - timedelta(hours=hours), self.end, choice)

    def rows(self, asked: Asked, selection: Selection) -> int:
        """How many rows of a table, or series, the query gives."""
        text = asked.expand(selection)
        if asked.source == "postgres":
            return len(self.database.execute(text).fetchall())
        end = selection.end.timestamp()
        if asked.instant:
            return len(self.prometheus.ask("query", query=text, time=end)["result"])
        span = {"start": selection.start.timestamp(), "end": end, "step": asked.step_s(selection)}
        return len(self.prometheus.ask("query_range", query=text, **span)["result"])


@pytest.fixture
def seen(database_url: str, tmp_path: Path) -> Iterator[Seen]:
    settings = load_settings(database={"url": database_url}, embedded={"directory": tmp_path / "newstide"})
    _prepare(settings, tmp_path)
    ports = {name: free_port() for name in ("ingest", "worker", "alerting", "push", "site")}
    targets = {f"newstide-{name}": [ports[name]] for name in ("ingest", "worker", "alerting")}
    with prometheus_server(tmp_path, targets) as server, _site(ports["site"], tmp_path):
        with RunningStack(
            tmp_path, "--feeds", str(_feeds(tmp_path, ports["site"])), **_environment(database_url, ports)
        ) as stack:
            end = _run(stack, server, ports)
            scrapes = {
                name: httpx.get(f"http://127.0.0.1:{ports[name]}/metrics", timeout=20).text
                for name in ("ingest", "worker", "alerting")
            }
            stack.end()
        with connect(settings, autocommit=True) as connection:
            _write_history(connection, end)
            values = {title: _values(board, connection, server, end) for title, board in BOARDS.items()}
            yield Seen(server, connection, end, scrapes, values)


def test_all_queries_metrics_and_rules_hold_on_a_live_stack(seen: Seen) -> None:
    """One test, so that the stack is started once, however tests are shared out."""
    for title, board in BOARDS.items():
        asked = [each for each in queries(board) if each.values_of is None]
        for hours, everything in product((1, 30 * 24), (False, True)):
            selection = seen.selection(title, hours, everything)
            empty = {each.place for each in asked if not seen.rows(each, selection)}
            assert empty <= set(MAY_BE_EMPTY), (title, hours, "all" if everything else "one")
    assert _named() - _shown(seen.scrapes.values()) == set()

    rules = [rule for group in seen.prometheus.look("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 20
    assert {rule["name"]: rule.get("lastError") for rule in rules if rule["health"] != "ok"} == {}
    alerts = seen.prometheus.ask("query", query="ALERTS", time=seen.end.timestamp())["result"]
    found = {
        (each["metric"]["alertname"], each["metric"].get("source"), each["metric"]["alertstate"]) for each in alerts
    }
    assert ("NewstideFeedDead", "gone", "pending") in found
    assert {each["metric"]["alertname"] for each in alerts if each["metric"]["severity"] == "critical"} == set()


def _named() -> set[str]:
    """Metrics that rules and boards name."""
    rules = yaml.safe_load((ROOT / "alerting" / "prometheus" / "rules.yml").read_text(encoding="utf-8"))["groups"]
    texts = [rule["expr"] for group in rules for rule in group["rules"]]
    texts += [asked.text for board in BOARDS.values() for asked in queries(board) if asked.source == "prometheus"]
    return {name for text in texts for name in re.findall(r"\b(?:newstide|process)_\w+", text)}


def _shown(scrapes: Iterable[str]) -> set[str]:
    """Metrics that processes show, with samples or without."""
    parts = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
    families = [family for text in scrapes for family in text_string_to_metric_families(text)]
    return {family.name + part for family in families for part in parts.get(family.type, [""])}


def _prepare(settings: Settings, folder: Path) -> None:
    """A live model and a shadow of it, so small that they take no time."""
    engine = open_engine(settings)
    for name, role in (("first", "live"), ("second", "shadow")):
        write_tiny(folder / name, name, seed=len(name))
        register_tiny(settings, engine, folder / name)
        move_model(engine, name, role, actor="test", reason="test")
    engine.dispose()


def _environment(url: str, ports: Mapping[str, int]) -> dict[str, str]:
    settings = {
        "DATABASE__URL": url,
        "INGEST__PUSH_TOKEN": TOKEN,
        "INGEST__PUSH_PORT": ports["push"],
        "METRICS__INGEST_PORT": ports["ingest"],
        "METRICS__WORKER_PORT": ports["worker"],
        "METRICS__ALERTING_PORT": ports["alerting"],
        "KAFKA__PARTITIONS": 1,
        "ALERTING__CLOCK": "event",
        "ALERTING__ALLOWED_LATENESS_S": 0,
        "MODELS__SHADOW_SHARE": 1,
    }
    return {f"NEWSTIDE_{name}": str(value) for name, value in settings.items()}


def _run(stack: RunningStack, server: Prometheus, ports: Mapping[str, int]) -> datetime:
    """Push news until all that boards need was scraped more than once; the time of the last scrape."""
    pushed = 0

    def push() -> None:
        nonlocal pushed
        try:
            response = httpx.post(
                f"http://127.0.0.1:{ports['push']}/v1/messages",
                json=[_message(number) for number in range(pushed, pushed + 20)],
                headers={"Authorization": f"Bearer {TOKEN}"},
                timeout=30,
            )
        except httpx.TransportError:
            return
        pushed += 20 if response.status_code == 202 else 0

    def is_scraped() -> bool:
        push()
        time.sleep(0.5)
        needed = (
            "min_over_time(newstide_series_score[1m])",
            'rate(newstide_messages_total{outcome="stored"}[1m]) > 0',
            "newstide_shadow_labels_total > 0",
            "rate(newstide_ingested_messages_total[1m]) > 0",
            "newstide_model_registered_timestamp_seconds",
            'newstide_feed_up{source="gone"} == 0',
            "rate(newstide_marked_messages_total[1m])",
            "rate(newstide_duplicates_total[1m])",
        )
        return pushed > 100 and all(server.values(expression) for expression in needed)

    stack.wait_for(is_scraped, "metrics of all processes scraped")
    time.sleep(2)
    return datetime.now(UTC) - timedelta(seconds=1)


def _message(number: int) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(minutes=20) + timedelta(seconds=number)
    fields = {
        "id": str(number // 2),
        "source": "desk",
        "text": f"Shares of mill {number // 2} fell by {number} percent",
    }
    return fields | ({"published_at": at.isoformat()} if number % 10 else {})


def _write_history(connection: psycopg.Connection[Any], end: datetime) -> None:
    """Weeks of news in the place of those few, and a row of each kind that no process had a reason to write."""
    connection.execute("TRUNCATE message, message_key, story, story_text, story_band, story_series, trend")
    today = end.date()
    fill(connection, today - timedelta(days=DAYS), today - timedelta(days=2), 50, entities=5)
    fill(connection, today - timedelta(days=1), today, 2400, entities=5)
    for statement in _HISTORY.split(";\n"):
        connection.execute(statement, {"at": end - timedelta(minutes=5)})


def _values(
    board: dict[str, Any], connection: psycopg.Connection[Any], server: Prometheus, end: datetime
) -> dict[str, list[str]]:
    """What each variable of a board offers; of series those first that have both a present and a past."""
    found = {}
    for asked in queries(board):
        if asked.values_of is None:
            continue
        if asked.source == "postgres":
            names = [name for (name,) in connection.execute(asked.text).fetchall()]
            found[asked.values_of] = sorted(names, key=lambda name: (name not in ("T1", "E1"), name))
        else:
            matched = re.fullmatch(r"label_values\((.*), (\w+)\)", asked.text)
            assert matched is not None
            window = {"start": end.timestamp() - 60, "end": end.timestamp(), "match[]": matched[1]}
            labels = httpx.get(f"{server.address}/api/v1/label/{matched[2]}/values", params=window, timeout=20).json()
            found[asked.values_of] = labels["data"]
        assert found[asked.values_of], asked
    return found


@contextmanager
def _site(port: int, folder: Path) -> Iterator[None]:
    """Serves a feed of one item."""
    (folder / "site").mkdir()
    (folder / "site" / "feed.xml").write_text(FEED.format(at=datetime.now(UTC)), encoding="utf-8")
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(_Quiet, directory=str(folder / "site")))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


def _feeds(folder: Path, site: int) -> Path:
    file = folder / "feeds.toml"
    feeds = {"wire": "feed.xml", "gone": "nothing"}
    file.write_text(
        "".join(
            f'[[feed]]\nsource = "{name}"\nurl = "http://127.0.0.1:{site}/{path}"\n' for name, path in feeds.items()
        )
    )
    return file
