"""Sources at work with a real broker: nothing lost and nothing sent twice, whatever ends when."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.metrics import INGEST
from core.settings import Settings
from ingest.confirmation import NotCommitted
from ingest.producer import DeliveryFailed, MessageProducer
from ingest.reread import reread
from ingest.sources.gathering import MOST
from ingest.sources.json_endpoint import JsonEndpoint
from ingest.sources.running import MOST_UNREADABLE, SourceRunner, run_sources
from ingest.sources.session import Network
from ingest.sources.state import MOST_PASSED, MOST_SENT, SourceState
from ingest.sources.websocket import WebSocket
from tests.ingest.ingest_helpers import Topics
from tests.ingest.sources.servers import Handler, answering, sending, serving, socket_address
from tests.ingest.test_ingest_commands import environment

MAP = {"id": "id", "text": "text"}


def metric(name: str, **labels: str) -> float:
    return INGEST.registry.get_sample_value(name, labels) or 0.0


def numbered(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": str(number), "text": f"Story {number}"} for number in numbers]


def log_of(count: int, each: int) -> Handler:
    """A websocket over a log: a connection sends `each` items from the cursor on, with that one, and breaks off."""

    async def stream(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        start = int(request.query.get("from", "0"))
        for number in range(start, min(start + each, count)):
            await socket.send_json({"id": str(number), "text": f"Story {number}", "seq": number})
        await socket.close()
        return socket

    return stream


def log_source(address: str) -> WebSocket:
    return WebSocket(source="log", url=address, map=MAP, cursor="seq", cursor_parameter="from")


async def read(
    source: Any, producer: Any, settings: Settings, *, confirmation: Any = None, times: int = 1
) -> tuple[SourceRunner, list[int]]:
    async with Network(10_000_000) as network:
        runner = SourceRunner(source, producer, settings, network, confirmation)
        return runner, [await runner.read(asyncio.Event()) for _ in range(times)]


def test_a_stream_is_read_to_its_end_over_disconnects_and_restarts(
    settings: Settings, producer: MessageProducer, topics: Topics
) -> None:
    async def scene() -> list[int]:
        counts: list[int] = []
        async with serving({"/ws": log_of(50, 8)}) as server:
            while sum(counts) < 50:
                # A new runner is a new process: it knows what stands on disk.
                _, sent = await read(log_source(socket_address(server, "/ws")), producer, settings, times=2)
                counts += sent
                assert any(sent), counts
        return counts

    counts = asyncio.run(scene())
    assert counts == [8, *[7] * 6, 0]
    assert sorted(int(message.id) for message in topics.messages(50)) == list(range(50))


class Killed(BaseException):
    """The end of a process."""


def test_a_kill_between_kafka_and_the_cursor_loses_nothing(
    settings: Settings, producer: MessageProducer, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_arguments: Any) -> None:
        raise Killed

    async def scene() -> None:
        async with serving({"/list": answering(numbered(1, 2), numbered(2, 3))}) as server:
            source = JsonEndpoint(source="kill", url=server.address + "/list", map=MAP)
            with monkeypatch.context() as patched:
                patched.setattr(SourceState, "save", killed)
                with pytest.raises(Killed):
                    await read(source, producer, settings)
            runner, sent = await read(source, producer, settings)
            assert sent == [2]
            assert runner.state.cursor == {"begun": True}

    asyncio.run(scene())
    # "2" came twice under one id, which the store knows again; nothing is missing.
    assert sorted(message.id for message in topics.messages(4)) == ["1", "2", "2", "3"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [(DeliveryFailed("away"), "kafka"), (NotCommitted("behind"), "kafka")],
    ids=["kafka", "commit"],
)
def test_nothing_moves_until_it_is_delivered_and_confirmed(
    settings: Settings, producer: MessageProducer, error: Exception, outcome: str
) -> None:
    """Beside a broker that can lose what it acknowledged, the cursor waits for the commit."""
    waited = []

    class Unanswering:
        messages_topic = "none"

        def deliver(self, *_arguments: Any, timeout_s: float) -> dict[int, int]:
            if isinstance(error, DeliveryFailed) and not waited:
                waited.append({})
                raise error
            return producer.deliver(*_arguments, timeout_s=timeout_s)

    class Unconfirmed:
        def wait(self, ends: dict[int, int], timeout_s: float) -> None:
            waited.append(ends)
            if isinstance(error, NotCommitted) and len(waited) == 1:
                raise error

    async def scene() -> None:
        versions = answering(numbered(1), ETag='"v1"')

        async def conditional(request: web.Request) -> web.StreamResponse:
            unchanged = request.headers.get("If-None-Match") == '"v1"'
            return web.Response(status=304) if unchanged else await versions(request)

        async with serving({"/list": conditional}) as server:
            source = JsonEndpoint(source=f"slow-{outcome}", url=server.address + "/list", map=MAP)
            runner, sent = await read(source, Unanswering(), settings, confirmation=Unconfirmed(), times=3)
            assert sent == [0, 1, 0], "an answer that was not delivered is asked for anew"
            assert runner.condition.failures == 0
            assert "if-none-match" not in server.asked[1][2]
            assert server.asked[2][2]["if-none-match"] == '"v1"'
            assert metric("newstide_feed_fetches_total", source=f"slow-{outcome}", outcome=outcome) >= 1

    asyncio.run(scene())
    assert sum(waited[-1].values()) >= 1


def test_what_comes_again_is_sent_again_only_if_it_says_something_else(
    settings: Settings, producer: MessageProducer, topics: Topics
) -> None:
    changed = [{"id": "1", "text": "Story 1, mended"}, *numbered(2), {"id": "3", "text": ""}, {"id": "4", "text": 5}]
    before = metric("newstide_ingest_duplicates_total", content="different")

    async def scene() -> list[int]:
        async with serving({"/list": answering([*numbered(1, 2), *numbered(2)], changed, changed)}) as server:
            source = JsonEndpoint(source="again", url=server.address + "/list", map=MAP)
            return (await read(source, producer, settings, times=3))[1]

    assert asyncio.run(scene()) == [2, 1, 0]
    assert sorted(message.text for message in topics.messages(3)) == ["Story 1", "Story 1, mended", "Story 2"]
    assert metric("newstide_ingest_duplicates_total", content="different") == before + 1
    letters = topics.dead_letters(2)
    assert sorted(letter.reason for letter in letters) == [
        "field `text` is a number; expected text",
        "the item has neither text nor title",
    ]
    assert all(letter.origin.startswith("source:again:") for letter in letters)
    assert letters[0].context["source"] == "again"


def pages_asked(
    page: Any, rounds: Iterable[None], settings: Settings, producer: MessageProducer, **options: Any
) -> list[int]:
    """How many pages of a list, which `page` answers with, are asked for in each of the `rounds`."""

    async def scene() -> list[int]:
        asked = []
        async with serving({"/list": answering(page)}) as server:
            address = server.address + "/list"
            source = JsonEndpoint(
                source="pages", url=address, items="items", next="more", next_parameter="page", **options
            )
            for _ in rounds:
                before = len(server.asked)
                await read(source, producer, settings)
                asked.append(len(server.asked) - before)
        return asked

    return asyncio.run(scene())


@pytest.mark.parametrize(
    "options",
    [
        {"map": {"text": "text"}},
        {"map": MAP, "words": ["Story 19", "Story 20"]},
        {"map": MAP, "words": ["nothing"]},
        {"map": MAP | {"source": "text"}},
        {"map": MAP, "where": {"seq": 7}},
        {"map": {"id": "id", "text": "seq"}},
    ],
    ids=["no id", "words", "no words", "source", "where", "letters"],
)
def test_a_list_is_read_to_what_is_known_whatever_it_is_known_by(
    settings: Settings, producer: MessageProducer, options: dict[str, Any]
) -> None:
    newest = [20]

    def page(query: Any) -> Any:
        first = newest[0] - 2 * (int(query.get("page", "1")) - 1)
        items = [{"id": str(number), "text": f"Story {number}", "seq": number} for number in (first, first - 1)]
        return {"items": items, "more": str(int(query.get("page", "1")) + 1) if first > 2 else None}

    def rounds() -> Iterator[None]:
        for newest[0] in (20, 24, 24):
            yield

    assert pages_asked(page, rounds(), settings, producer, **options) == [1, 3, 1]


@pytest.mark.parametrize(
    "options",
    [
        {"map": MAP | {"extra.views": "views"}, "where": {"type": "news"}},
        {"map": MAP, "words": ["news"]},
        {"map": {"text": "text", "extra.views": "views"}, "where": {"type": "news"}},
        {"map": {"id": "junk?", "text": "text"}, "where": {"type": "news"}},
    ],
    ids=["where", "words", "no id", "junk id"],
)
def test_what_is_passed_over_is_known_though_its_counters_change(
    settings: Settings, producer: MessageProducer, options: dict[str, Any]
) -> None:
    newest, views = [20], iter(range(1_000))

    def page(query: Any) -> Any:
        first = newest[0] - 2 * (int(query.get("page", "1")) - 1)
        items = [
            {"id": str(n), "junk": "null", "text": f"Advert {n}", "type": "advert", "views": next(views)}
            for n in (first, first - 1)
        ]
        if first <= 2:
            items[-1] |= {"type": "news", "text": "The news"}
        return {"items": items, "more": str(int(query.get("page", "1")) + 1) if first > 2 else None}

    def rounds() -> Iterator[None]:
        for newest[0] in (2, 6, 6, 8):
            yield

    assert pages_asked(page, rounds(), settings, producer, **options) == [1, 3, 1, 2]


@pytest.mark.parametrize("rest", ["advert", "news"])
def test_what_stays_listed_is_sent_once_whatever_comes_and_goes_beside_it(
    settings: Settings, producer: MessageProducer, topics: Topics, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    monkeypatch.setattr("ingest.sources.state.MOST_SENT", 10)
    monkeypatch.setattr("ingest.sources.state.MOST_PASSED", 10)
    pinned = {"id": "pinned", "text": "Pinned", "type": "news"}

    def page(number: int) -> list[dict[str, str]]:
        return [pinned, *({"id": f"{number}.{n}", "text": f"{rest} {number}.{n}", "type": rest} for n in range(6))]

    async def scene() -> list[int]:
        async with serving({"/list": answering(*map(page, range(5)))}) as server:
            source = JsonEndpoint(source="pins", url=server.address + "/list", map=MAP, where={"type": "news"})
            return [(await read(source, producer, settings))[1][0] for _ in range(5)]

    assert asyncio.run(scene()) == ([1, 0, 0, 0, 0] if rest == "advert" else [7, 6, 6, 6, 6])
    assert [message.id for message in topics.messages(1)].count("pinned") == 1


def test_letters_are_waited_for_as_messages_are(settings: Settings, producer: MessageProducer) -> None:
    waited: list[dict[tuple[str, int], int]] = []

    class Noting:
        def wait(self, ends: dict[tuple[str, int], int], timeout_s: float) -> None:
            waited.append(ends)

    async def scene() -> None:
        async with serving({"/list": answering([{"id": "1", "text": ""}])}) as server:
            source = JsonEndpoint(source="letters", url=server.address + "/list", map={"text": "text?", "title": "id"})
            await read(source, producer, settings, confirmation=Noting())
        async with serving({"/list": answering([7])}) as server:
            source = JsonEndpoint(source="letters", url=server.address + "/list", map=MAP)
            await read(source, producer, settings, confirmation=Noting())

    asyncio.run(scene())
    assert [{topic for topic, _ in ends} for ends in waited] == [
        {settings.topic("messages")},
        {settings.topic("dead-letters")},
    ]


def test_a_letter_of_a_mapped_source_is_read_again_as_it_was(
    settings: Settings, producer: MessageProducer, topics: Topics
) -> None:
    item = {"uid": "9", "at": "03/04/24 10:00", "by": "Desk"}

    async def scene() -> None:
        async with serving({"/list": answering([item, {**item, "head": "x"}])}) as server:
            source = JsonEndpoint(
                source="mapped",
                kind="comment",
                url=server.address + "/list",
                map={"id": "uid", "title": "head", "published_at": "at", "author": "by?"},
                day_first=True,
                time_zone="America/New_York",
            )
            await read(source, producer, settings)

    asyncio.run(scene())
    (letter,) = topics.dead_letters(1)
    # An operator has mended the bytes: the rest is read as the source reads it.
    mended = json.dumps(json.loads(letter.value or b"") | {"head": "Acme warns"}).encode()
    message = reread(mended, letter.context, datetime.now(UTC))
    assert (message.id, message.title, message.author) == ("9", "Acme warns", "Desk")
    assert (message.source, message.kind) == ("mapped", "comment")
    assert message.published_at == datetime(2024, 4, 3, 14, 0, tzinfo=UTC)


def test_a_stream_of_rubbish_is_given_up_and_kept(
    settings: Settings, producer: MessageProducer, topics: Topics
) -> None:
    frames: list[str | bytes] = [f"not json {number}" for number in range(MOST_UNREADABLE + 50)]

    async def scene() -> SourceRunner:
        async with serving({"/ws": sending(frames)}) as server:
            source = WebSocket(source="rubbish", url=socket_address(server, "/ws"), map=MAP)
            return (await read(source, producer, settings))[0]

    runner = asyncio.run(scene())
    assert runner.condition.failures == 1
    assert metric("newstide_feed_fetches_total", source="rubbish", outcome="unreadable") == 1
    assert len(topics.dead_letters(MOST_UNREADABLE)) >= MOST_UNREADABLE


def test_a_stream_that_opens_and_ends_at_once_is_asked_less_and_less(
    settings: Settings, producer: MessageProducer
) -> None:
    async def scene() -> SourceRunner:
        async with serving({"/ws": sending([])}) as server:
            source = WebSocket(source="flapping", url=socket_address(server, "/ws"), map=MAP)
            return (await read(source, producer, settings, times=4))[0]

    runner = asyncio.run(scene())
    assert runner.condition.failures == 4
    assert 14 <= runner.condition.next_pause() <= 18


def test_a_server_that_asks_for_patience_gets_it(settings: Settings, producer: MessageProducer) -> None:
    async def scene() -> float:
        busy = web.Response(status=503, headers={"Retry-After": "1800"})
        async with serving({"/list": answering(busy)}) as server:
            source = JsonEndpoint(source="busy", url=server.address + "/list", map=MAP)
            return (await read(source, producer, settings))[0].condition.next_pause()

    assert asyncio.run(scene()) >= 1800


@pytest.mark.parametrize(
    ("damage", "log"),
    [
        (lambda state: b"{", "can't be read"),
        (lambda state: json.dumps(json.loads(state) | {"place": "elsewhere"}).encode(), "begins anew"),
        (lambda state: b" " * 3_000_000, "more than 2000000 bytes"),
    ],
)
def test_a_state_that_is_of_no_use_is_left_aside(
    settings: Settings, caplog: pytest.LogCaptureFixture, damage: Callable[[bytes], bytes], log: str
) -> None:
    state = SourceState(settings, "S&P", "here")
    state.move({"last": 5})
    for number in range(MOST_SENT + 1):
        state.remember(str(number), number)
    for number in range(MOST_PASSED + 1):
        state.pass_over(str(number))
    state.save()
    again = SourceState(settings, "S&P", "here")
    assert again.cursor == {"last": 5}
    assert (again.said("0"), again.said("1"), again.said(str(MOST_SENT))) == (None, 1, MOST_SENT)
    assert [again.passed_over(known_by) for known_by in ("0", "1", str(MOST_PASSED))] == [False, True, True]
    assert not again.changed
    assert again.path.stat().st_size < 2_000_000 / 4
    again.path.write_bytes(damage(again.path.read_bytes()))
    assert SourceState(settings, "S&P", "here").cursor == {}
    assert log in caplog.text


def test_sources_run_beside_each_other_and_stop_when_told(
    settings: Settings, producer: MessageProducer, topics: Topics
) -> None:
    """One is broken, one is silent, one has something to say; all end at once."""

    async def silent(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_json({"id": "9", "text": "Story 9"})
        await socket.receive()
        return socket

    class Broken(JsonEndpoint):
        def batches(self, session: Any, cursor: Any) -> Any:
            raise ZeroDivisionError

    async def scene() -> None:
        async with serving({"/list": answering(numbered(1)), "/ws": silent}) as server:
            url = server.address + "/list"
            sources = [
                Broken(source="broken", url=url, map=MAP, interval_s=1),
                JsonEndpoint(source="list", url=url, map=MAP, interval_s=1),
                WebSocket(source="silent", url=socket_address(server, "/ws"), map=MAP),
            ]
            stop = asyncio.Event()
            running = asyncio.create_task(run_sources(settings, producer, sources, stop))
            async with asyncio.timeout(60):
                while not (
                    metric("newstide_ingested_messages_total", source="silent", kind="news")
                    and metric("newstide_feed_fetches_total", source="list", outcome="ok") >= 2
                    and metric("newstide_feed_fetches_total", source="broken", outcome="unreadable")
                ):
                    await asyncio.sleep(0.02)
                stop.set()
                await running

    asyncio.run(scene())
    assert sorted(message.id for message in topics.messages(2)) == ["1", "9"]


def test_a_process_killed_while_it_reads_misses_nothing(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    """SIGKILL in the middle of the stream; the next process reads to the end and stops when told."""
    total = 3_000

    async def paced(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for number in range(int(request.query.get("from", "0")), total):
            await socket.send_json({"id": str(number), "text": f"Story {number}", "seq": number})
            if number % 100 == 0:
                await asyncio.sleep(0.02)
        await socket.receive()
        return socket

    def last() -> int:
        try:
            return int(json.loads(state.read_bytes())["cursor"]["last"])
        except FileNotFoundError:
            return -1

    async def scene() -> None:
        async with serving({"/ws": paced}) as server:
            (tmp_path / "feeds.toml").write_text(
                f'[[source]]\ntype = "websocket"\nsource = "log"\nurl = "{socket_address(server, "/ws")}"\n'
                'map = { id = "id", text = "text" }\ncursor = "seq"\ncursor_parameter = "from"\n'
            )
            for least in (1_000, total - 1):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "newstide", "ingest", "run", cwd=tmp_path, env=environment(settings)
                )
                try:
                    async with asyncio.timeout(150):
                        while last() < least:
                            assert process.returncode is None
                            await asyncio.sleep(0.005)
                        process.send_signal(signal.SIGKILL if least < total - 1 else signal.SIGTERM)
                        await process.wait()
                finally:
                    if process.returncode is None:
                        process.kill()
                        await process.wait()
            assert process.returncode == 0

    state = tmp_path / ".newstide" / "sources" / "log.json"
    asyncio.run(scene())
    sent = [message.id for message in topics.messages(total)]
    assert {int(id) for id in sent} == set(range(total))
    assert len(sent) <= total + MOST, "a kill repeats one batch at most"
