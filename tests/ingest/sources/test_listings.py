"""Listings that show the newest first: Hacker News, Reddit, StockTwits, EDGAR."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from ingest.sources.edgar import Edgar
from ingest.sources.hackernews import HackerNews
from ingest.sources.interface import Source
from ingest.sources.reddit import Reddit
from ingest.sources.stocktwits import StockTwits
from tests.ingest.sources.servers import Handler, Round, Server, answering, read_round, serving

NOW = int(time.time())


def rounds(
    routes: dict[str, Handler], make: Callable[[str], Source], *cursors: dict[str, Any]
) -> tuple[list[Round], Server]:
    async def scene() -> tuple[list[Round], Server]:
        async with serving(routes) as server:
            return [await read_round(make(server.address), cursor) for cursor in cursors], server

    return asyncio.run(scene())


def hit(age_s: int, **more: Any) -> dict[str, Any]:
    at = NOW - age_s
    return {"objectID": str(at), "title": f"Story {at}", "created_at_i": at, "author": "pg", "story_text": None} | more


def algolia(hits: list[dict[str, Any]]) -> Handler:
    def answer(query: Any) -> Any:
        limits = dict(part.split("=") for part in query["numericFilters"].split(","))
        low, high = int(limits["created_at_i>"]), int(limits["created_at_i<"])
        found = sorted(
            (one for one in hits if low <= one["created_at_i"] <= high), key=lambda one: -one["created_at_i"]
        )
        return {"hits": found[: int(query["hitsPerPage"])], "nbHits": len(found)}

    return answering(answer)


def test_hacker_news_is_read_down_to_the_last_round() -> None:
    hits = [hit(10 * number) for number in range(1, 700)]
    (first, later), server = rounds(
        {"/s": algolia(hits)},
        lambda address: HackerNews(source="hn", url=address + "/s", query="bank", tags=["story", "comment"]),
        {},
        {"created": NOW - 5_000},
    )
    assert len(first.ids) == 200
    assert first.cursor == {"created": NOW - 10}
    # Down to a quarter of an hour before the last round: items are found some time after they were written.
    assert set(later.ids) == {one["objectID"] for one in hits if one["created_at_i"] >= NOW - 5_900}
    assert [batch.cursor for batch in later.batches] == [None, None, {"created": NOW - 10}]
    assert server.queries()[0]["tags"] == "(story,comment)"
    assert server.queries()[0]["query"] == "bank"


def test_items_of_hacker_news() -> None:
    comment = hit(5, title=None, comment_text="<p>Sell", story_title="Acme", url=None)
    hits = [hit(9, url="https://e.com/a", story_text="more"), comment, hit(7, title=None), {"x": 1}, hit(-9_000)]
    (found,), _ = rounds({"/s": answering({"hits": hits})}, lambda a: HackerNews(source="hn", url=a + "/s"), {})
    story, said, ahead = found.items
    assert (story["title"], story["text"], story["url"]) == (f"Story {NOW - 9}", "more", "https://e.com/a")
    assert (said["text"], said["kind"], said["extra"]) == ("<p>Sell", "comment", {"story": "Acme"})
    assert said["url"] == f"https://news.ycombinator.com/item?id={NOW - 5}"
    assert ahead["id"] == str(NOW + 9_000)
    assert found.cursor == {"created": NOW - 5}, "a time that has not come yet is no cursor"
    assert len(found.unreadable) == 1


def post(number: int, **more: Any) -> dict[str, Any]:
    data = {
        "name": f"t3_{number}",
        "title": f"Post {number}",
        "selftext": "words",
        "created_utc": float(NOW - 60 * number),
        "permalink": f"/r/stocks/comments/{number}/",
        "author": "u",
        "subreddit": "stocks",
    }
    return {"kind": "t3", "data": data | more}


def listing(posts: list[dict[str, Any]]) -> Handler:
    def answer(query: Any) -> Any:
        names = [one["data"]["name"] for one in posts]
        start = names.index(query["after"]) + 1 if "after" in query else 0
        page = posts[start : start + int(query["limit"])]
        after = page[-1]["data"]["name"] if start + len(page) < len(posts) else None
        return {"kind": "Listing", "data": {"children": page, "after": after, "before": None}}

    return answering(answer)


def test_reddit_is_read_down_to_the_last_round() -> None:
    posts = [post(number) for number in range(1, 400)]
    path = "/r/stocks+investing/new.json"
    (first, later), server = rounds(
        {path: listing(posts)},
        lambda address: Reddit(source="r", url=address, subreddits=["stocks", "investing"], contact="/u/me"),
        {},
        {"created": NOW - 60 * 150},
    )
    assert len(first.ids) == 100
    assert first.cursor == {"created": NOW - 60}
    assert later.ids[:200] == [f"t3_{number}" for number in range(1, 201)]
    assert [batch.cursor for batch in later.batches] == [None, {"created": NOW - 60}]
    assert server.asked[0][2]["user-agent"].endswith("/u/me")
    assert server.queries()[0]["raw_json"] == "1"


def test_posts_and_comments_of_reddit() -> None:
    comment = {"kind": "t1", "data": {"name": "t1_9", "body": "Sell", "created_utc": NOW - 5, "permalink": "/r/x/9/"}}
    gone = post(1, title="[removed]", selftext="[deleted]")
    things = [comment, gone, post(2, selftext="[removed]"), {"kind": "t3"}]
    (found,), _ = rounds(
        {"/r/stocks/comments.json": answering({"data": {"children": things, "after": None}})},
        lambda address: Reddit(source="r", url=address, subreddits=["stocks"], comments=True),
        {},
    )
    assert [(item["id"], item["text"]) for item in found.items] == [("t1_9", "Sell"), ("t3_2", "")]
    assert found.items[0]["url"] == "https://www.reddit.com/r/x/9/"
    assert len(found.unreadable) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, ""),
        (web.Response(status=401), "gave no access token but 401 Unauthorized; check the application's id and secret"),
        (web.Response(status=302, headers={"Location": "/elsewhere"}), "gave no access token but 302"),
        (web.Response(body=b'{"error": "invalid_grant"}'), "answered no access token"),
        (web.Response(body=b"x" * 200_000), "answered more than an access token"),
    ],
)
def test_reddit_is_read_as_an_application(answer: Any, said: str) -> None:
    async def token(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Basic " + base64.b64encode(b"id:s3cret").decode()
        assert (request.method, (await request.post())["grant_type"]) == ("POST", "client_credentials")
        return web.json_response({"access_token": "t0k", "token_type": "bearer", "expires_in": 3600, "scope": "*"})

    routes = {
        "/api/v1/access_token": token if answer is None else answering(answer),
        "/r/stocks/new.json": listing([post(number) for number in range(1, 300)]),
    }
    (found,), server = rounds(
        routes,
        lambda address: Reddit(
            source="r",
            url=address,
            oauth_url=address.replace("127.0.0.1", "localhost"),
            subreddits=["stocks"],
            client_id="id",
            client_secret="s3cret",
        ),
        {"created": NOW - 60 * 250},
    )
    if answer is None:
        assert len(found.ids) == 299
        assert [headers["authorization"] for *_, headers in server.asked[1:]] == ["Bearer t0k"] * 3
    else:
        assert found.failure is not None
        assert said in str(found.failure)
        assert len(server.asked) == 1


def test_a_secret_is_not_sent_to_a_private_address_of_a_public_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_: Any, **__: Any) -> Any:
        return [(2, 1, 6, "", ("127.0.0.1", 80))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    source = Reddit(source="r", url="https://reddit.example", subreddits=["stocks"], client_id="id", client_secret="s")
    found = asyncio.run(read_round(source))
    assert found.failure is not None
    assert "has the private address 127.0.0.1" in str(found.failure)


def twit(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "body": f"$ACME {number}",
        "created_at": "2024-03-05T09:30:00Z",
        "user": {"username": "bull"},
        "symbols": [{"symbol": "ACME"}, 5],
    }


def twits(count: int) -> Handler:
    def answer(query: Any) -> Any:
        since, below = int(query.get("since", 0)), int(query.get("max", count + 1))
        found = [twit(number) for number in range(count, 0, -1) if since < number < below]
        more = {"more": len(found) > 30, "since": count, "max": found[29]["id"] if len(found) > 30 else 0}
        return {"response": {"status": 200}, "cursor": more, "messages": found[:30]}

    return answering(answer)


def test_stocktwits_is_read_down_to_the_last_round() -> None:
    (first, later), server = rounds(
        {"/ACME.json": twits(100), "/BTC.X.json": twits(3)},
        lambda address: StockTwits(source="st", url=address, symbols=["ACME", "BTC.X"], token="t0k"),
        {},
        {"ACME": 20, "BTC.X": 3},
    )
    assert first.cursor == {"ACME": 100, "BTC.X": 3}
    assert later.ids == [str(number) for number in range(100, 20, -1)]
    assert [batch.cursor for batch in later.batches[:3]] == [None, None, {"ACME": 100, "BTC.X": 3}]
    assert server.asked[0][2]["authorization"] == "OAuth t0k"
    item = first.items[0]
    assert (item["author"], item["entities"]) == ("bull", ["ACME"])
    assert item["url"] == "https://stocktwits.com/bull/message/100"


def test_more_pages_of_a_symbol_than_are_read_are_told(caplog: pytest.LogCaptureFixture) -> None:
    (found,), _ = rounds(
        {"/ACME.json": twits(1_000)},
        lambda address: StockTwits(source="st", url=address, symbols=["ACME"]),
        {"ACME": 50},
    )
    assert len(found.ids) == 900
    assert found.cursor == {"ACME": 1_000}
    assert "source st: no more than 30 pages of ACME are read at once; older ones are missed" in caplog.text


def test_a_symbol_that_there_is_not_is_told_and_holds_up_no_other() -> None:
    routes = {"/GONE.json": answering(web.Response(status=404)), "/ACME.json": twits(2)}
    symbols = ["GONE", "ACME"]
    (found,), _ = rounds(routes, lambda address: StockTwits(source="st", url=address, symbols=symbols), {})
    assert found.ids == ["2", "1"]
    assert found.failure is not None
    assert "GONE.json answered 404" in str(found.failure)


def filing(number: int, cik: str = "0000320193", role: str = "Filer", form: str = "8-K") -> str:
    at = datetime.fromtimestamp(NOW - 60 * number, UTC).isoformat()
    accession = f"0000320193-24-{number:06}"
    folder = accession.replace("-", "")
    return (
        f"<entry><title>{form} - ACME CORP ({cik}) ({role})</title>"
        f'<link rel="alternate" type="text/html" href="/Archives/edgar/data/{cik}/{folder}/{accession}-index.htm"/>'
        f'<summary type="html">&lt;b&gt;Filed:&lt;/b&gt; 2024-03-05 &lt;b&gt;AccNo:&lt;/b&gt; {accession}'
        f"&lt;br&gt;Item 2.02: Results of Operations</summary><updated>{at}</updated>"
        f'<category scheme="https://www.sec.gov/" label="form type" term="{form}"/>'
        f"<id>urn:tag:sec.gov,2008:accession-number={accession}</id></entry>"
    )


def filings(entries: list[str]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        start, count = int(request.query["start"]), int(request.query["count"])
        body = "".join(entries[start : start + count])
        feed = f'<?xml version="1.0" encoding="ISO-8859-1" ?><feed xmlns="http://www.w3.org/2005/Atom">{body}</feed>'
        return web.Response(body=feed.encode("latin-1"), content_type="application/atom+xml")

    return answer


def test_edgar_is_read_down_to_the_last_round() -> None:
    entries = [filing(number) for number in range(1, 320)]
    since = datetime.fromtimestamp(NOW - 60 * 150, UTC).isoformat()
    newest = datetime.fromtimestamp(NOW - 60, UTC).isoformat()
    (first, later), server = rounds(
        {"/browse": filings(entries)},
        lambda address: Edgar(source="sec", url=address + "/browse", contact="Acme Research it@acme.example"),
        {},
        {"8-K": since},
    )
    assert len(first.ids) == 100
    assert first.cursor == {"8-K": newest}
    assert len(later.ids) == 200
    assert [batch.cursor for batch in later.batches] == [None, {"8-K": newest}]
    assert server.asked[0][2]["user-agent"].endswith("Acme Research it@acme.example")
    assert [query["start"] for query in server.queries()] == ["0", "0", "100"]
    assert server.queries()[0] | {"start": ""} == {
        "action": "getcurrent",
        "type": "8-K",
        "owner": "include",
        "start": "",
        "count": "100",
        "output": "atom",
    }


def test_each_company_of_a_filing_is_a_message() -> None:
    entries = [
        filing(1, "0000000001", "Subject"),
        filing(1, "0000000002", "Filed by"),
        filing(1, "0000000002", "Filer"),
    ]
    (found,), _ = rounds(
        {"/browse": filings(entries)},
        lambda address: Edgar(source="sec", url=address + "/browse", contact="a@b.example", forms=["8-K", "SC 13D"]),
        {},
    )
    accession = "0000320193-24-000001"
    expected = {f"{accession}/0000000001/Subject", f"{accession}/0000000002/Filed by", f"{accession}/0000000002/Filer"}
    assert set(found.ids) == expected
    assert found.items[0]["extra"] == {"accession": accession, "cik": "0000000002"}
    assert set(found.cursor) == {"8-K", "SC 13D"}


@pytest.mark.parametrize(
    "make",
    [
        lambda address: HackerNews(source="a", url=address + "/x"),
        lambda address: Reddit(source="a", url=address, subreddits=["xx"]),
        lambda address: StockTwits(source="a", url=address, symbols=["X"]),
        lambda address: Edgar(source="a", url=address + "/x", contact="a@b.example"),
    ],
)
@pytest.mark.parametrize("answer", [[], {"hits": 1, "data": [], "messages": {}}, web.Response(body=b"<p>Wait</p>")])
def test_another_answer_is_a_failure_and_moves_no_cursor(make: Callable[[str], Source], answer: Any) -> None:
    handler = answering(answer)
    routes = {"/x": handler, "/r/xx/new.json": handler, "/X.json": handler}
    (found,), _ = rounds(routes, make, {"created": 5, "X": 5})
    assert found.failure is not None
    assert found.failure.outcome == "unreadable"
    assert found.cursor == {}
