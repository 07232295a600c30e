"""Whatever JSON a server sends, a source gives fields, dead letters or a failure that says why, and nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from core.errors import UndecodableMessage
from ingest.cleaning import clean_message
from ingest.fetching import Document, FetchFailed, Validators
from ingest.sources.bluesky import Bluesky
from ingest.sources.hackernews import HackerNews
from ingest.sources.interface import Source, Unreadable
from ingest.sources.json_endpoint import JsonEndpoint
from ingest.sources.mastodon import Mastodon
from ingest.sources.reddit import Reddit
from ingest.sources.stocktwits import StockTwits

URL = "https://e.com"
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def objects(**known: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Objects in which each known name may be missing, right or anything."""
    return st.fixed_dictionaries({}, optional={name: right | VALUES for name, right in known.items()})


TEXT = st.text(min_size=1, max_size=20)
TIMES = st.sampled_from([1, 1_709_631_000, 10**12, 10**30, -5]) | st.just("2024-03-05T09:30:00Z")
PLACES = {
    "hits": st.lists(
        objects(objectID=TEXT, title=TEXT, comment_text=TEXT, created_at_i=TIMES, url=st.just(URL), author=TEXT)
    ),
    "data": objects(
        after=st.just("t3_1"),
        children=st.lists(
            objects(data=objects(name=TEXT, title=TEXT, selftext=TEXT, created_utc=TIMES, permalink=TEXT, author=TEXT))
        ),
    ),
    "messages": st.lists(
        objects(
            id=st.integers(),
            body=TEXT,
            created_at=TIMES,
            user=objects(username=TEXT),
            symbols=st.lists(objects(symbol=TEXT)),
        )
    ),
    "cursor": objects(more=st.booleans(), since=st.integers(), max=st.integers()),
}
DOCUMENTS = objects(**PLACES) | VALUES
STATUSES = (
    st.lists(objects(id=TEXT, content=TEXT, created_at=TIMES, account=objects(acct=TEXT), language=TEXT)) | VALUES
)
LISTS = objects(list=st.lists(objects(id=TEXT | st.integers(), text=TEXT, at=TIMES, seq=TIMES)), next=TEXT) | VALUES
COMMITS = objects(
    did=TEXT,
    time_us=st.integers(),
    kind=st.just("commit"),
    commit=objects(
        collection=st.just("app.bsky.feed.post"),
        operation=st.just("create"),
        rkey=TEXT,
        record=objects(text=TEXT, createdAt=TIMES, langs=st.lists(TEXT)),
    ),
)


POST: dict[str, Any] = {
    "did": "d",
    "kind": "commit",
    "commit": {"collection": "app.bsky.feed.post", "operation": "create", "rkey": "k"},
}


class Answers:
    """A session whose server gives the same answer to everything, for ever."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.asked = 0

    def known(self, id: str) -> bool:
        return self.asked > 2

    async def json(self, *_: Any, **__: Any) -> Any:
        self.asked += 1
        return self.value

    async def get(self, *_: Any, **__: Any) -> Document:
        self.asked += 1
        return Document(json.dumps(self.value).encode(errors="replace"), "application/json", Validators(), URL)


def read(source: Source, value: Any, cursor: dict[str, Any]) -> None:
    async def scene() -> None:
        with contextlib.suppress(FetchFailed):
            async for batch in source.batches(Answers(value), cursor):  # type: ignore[arg-type]
                for item in batch.items:
                    look(source, item)
                json.dumps(batch.cursor)

    asyncio.run(scene())


def look(source: Source, item: Any) -> None:
    if isinstance(item, Unreadable):
        assert isinstance(item.value, bytes)
        assert item.reason
        return
    source.wants(item)
    with contextlib.suppress(UndecodableMessage):
        clean_message(item, source=source.source, kind=source.kind)


LISTED = JsonEndpoint(
    source="a",
    url=URL,
    items="list",
    map={"id": "id", "text": "text", "published_at": "at?"},
    cursor="seq",
    cursor_parameter="since",
    next="next",
    next_parameter="page",
)


@pytest.mark.parametrize(
    ("make", "documents"),
    [
        (lambda: HackerNews(source="a"), DOCUMENTS),
        (lambda: Reddit(source="a", subreddits=["xx"]), DOCUMENTS),
        (lambda: StockTwits(source="a", symbols=["X"]), DOCUMENTS),
        (lambda: Mastodon(source="a", url=URL, stream=False), STATUSES),
        (lambda: LISTED, LISTS),
    ],
    ids=["hackernews", "reddit", "stocktwits", "mastodon", "json"],
)
def test_any_answer(make: Callable[[], Source], documents: st.SearchStrategy[Any]) -> None:
    source = make()

    @settings(max_examples=60, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(documents, st.sampled_from([{}, {"created": 5, "X": 5, "last": "5", "begun": True}]))
    def check(value: Any, cursor: dict[str, Any]) -> None:
        read(source, value, cursor)

    check()


@settings(max_examples=200, deadline=None, database=None)
@example(POST | {"commit": POST["commit"] | {"record": {"text": "x", "langs": 5}}})
@example(POST | {"commit": POST["commit"] | {"record": {"text": 5, "langs": {"en": 1}}}})
@given(COMMITS | VALUES)
def test_any_event_of_jetstream(event: Any) -> None:
    source = Bluesky(source="a", languages=["en"])
    for one in (source, Bluesky(source="a")):
        found = one._post(event, b"{}")
        if found is not None:
            look(one, found)
