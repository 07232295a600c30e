from __future__ import annotations

import asyncio
import gzip
import http.server
import ipaddress
import random
import socket
import time
import tracemalloc
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from core.errors import InputError
from ingest.feeds import Feed
from ingest.fetching import LONGEST_RETRY_AFTER_S, Document, FetchFailed, Validators, fetch, new_client, retry_after
from ingest.inflate import inflate
from ingest.redirects import RedirectRefused, checked, joined
from tests.ingest.web_server import Answer, Site, in_turn, item, page, rss

BODY = rss(item("Acme cuts its forecast", "1"))
NOTHING = Validators()
PUBLIC = ipaddress.ip_address("93.184.216.34")


def get(feed: Feed | str, known: Validators = NOTHING, max_bytes: int = 10**6) -> Document | None:
    async def scene() -> Document | None:
        async with new_client() as client:
            return await fetch(client, Feed("x", feed) if isinstance(feed, str) else feed, known, max_bytes=max_bytes)

    return asyncio.run(scene())


def failure(feed: Feed | str, **options: int) -> FetchFailed:
    with pytest.raises(FetchFailed) as failed:
        get(feed, **options)
    return failed.value


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (BODY, {}),
        (gzip.compress(BODY), {}),
        (gzip.compress(BODY), {"Content_Type": "application/octet-stream"}),
        (gzip.compress(BODY), {"Content_Encoding": "gzip"}),
        (gzip.compress(BODY), {"Content_Encoding": "x-gzip"}),
        (gzip.compress(BODY), {"Content_Encoding": "deflate"}),
        (gzip.compress(BODY[:50]) + gzip.compress(BODY[50:]), {"Content_Encoding": "GZIP"}),
        (gzip.compress(BODY) + b"\x00" * 9, {}),
        (zlib.compress(BODY), {"Content_Encoding": "deflate"}),
        (raw_deflate(BODY), {"Content_Encoding": "deflate"}),
        (BODY, {"Content_Encoding": "gzip"}),
        (BODY, {"Content_Encoding": "deflate"}),
        (BODY, {"Content_Encoding": "br"}),
        (BODY, {"Content_Encoding": "identity"}),
    ],
)
def test_bodies_are_unpacked_by_what_they_are(site: Site, body: bytes, headers: dict[str, str]) -> None:
    site.pages["/a"] = page(body, **headers)
    document = get(site.address + "/a")
    assert document is not None
    assert document.content == BODY
    assert set(site.requests[0][1]["accept-encoding"].replace(",", " ").split()) == {"gzip", "deflate"}


def packed(times: int) -> bytes:
    data = b"\x00" * 50_000_000
    for _ in range(times):
        data = gzip.compress(data)
    return data


@pytest.mark.parametrize(
    ("body", "encoding", "outcome"),
    [
        (packed(1), "gzip", "too-large"),
        (packed(2), "gzip", "unreadable"),
        (packed(3), "gzip, gzip, gzip", "unreadable"),
        (packed(2), "", "unreadable"),
        (zlib.compress(b"<" * 50_000_000, 9), "deflate", "too-large"),
        (b"\x0b\x02\x80hello\x03", "br", "unreadable"),
        (b"\x28\xb5\x2f\xfd", "zstd", "unreadable"),
        (gzip.compress(BODY)[:12] + b"\xff" * 40, "gzip", "unreadable"),
    ],
)
def test_a_small_body_takes_little_memory_whatever_it_unpacks_to(
    site: Site, body: bytes, encoding: str, outcome: str
) -> None:
    site.pages["/a"] = page(body, Content_Encoding=encoding)
    tracemalloc.start()
    try:
        assert failure(site.address + "/a").outcome == outcome
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_many_members_take_linear_time_and_are_bounded() -> None:
    members = [gzip.compress(random.randbytes(1_000)) for _ in range(9_000)]
    began = time.process_time()
    data, whole = inflate(b"".join(members), "gzip", 10_000_000)
    assert (len(data), whole) == (9_000_000, True)
    assert time.process_time() - began < 2
    with pytest.raises(InputError, match="more than 10000 members"):
        inflate(gzip.compress(b"") * 20_000, "gzip", 10_000_000)


def test_half_a_packed_body_is_read_but_its_version_is_not_remembered(site: Site) -> None:
    site.pages["/a"] = page(gzip.compress(BODY)[:-10], Content_Encoding="gzip", ETag='"1"')
    document = get(site.address + "/a")
    assert document is not None
    assert BODY.startswith(document.content[:100])
    assert document.validators == Validators()


@pytest.mark.parametrize("status", [200, 203])
def test_answers_that_are_accepted(site: Site, status: int) -> None:
    site.pages["/a"] = page(BODY, status)
    assert get(site.address + "/a") is not None


@pytest.mark.parametrize("status", [201, 202, 204, 206, 300, 304, 400, 403, 404, 410, 418, 429, 500, 503])
def test_answers_that_are_not(site: Site, status: int) -> None:
    site.pages["/a"] = page(b"" if status in (204, 304) else BODY, status)
    failed = failure(site.address + "/a")
    assert failed.outcome == "http-error"
    assert str(status) in str(failed)


def test_both_forms_of_retry_after_are_read() -> None:
    now = datetime.now(UTC)
    assert retry_after("120") == retry_after(" 120 ") == 120
    later = format_datetime(now + timedelta(hours=2), usegmt=True)
    assert 7_190 <= retry_after(later) <= 7_200
    # The server's clock is five hours slow; what it means is two hours from its own now.
    slow = now - timedelta(hours=5)
    assert retry_after(format_datetime(slow + timedelta(hours=2)), format_datetime(slow)) == 7_200
    assert retry_after(format_datetime(now - timedelta(days=1))) == 0
    for nothing in ("", "soon", "-5", "1.5", "Thu, 99 Foo 2024", "²", "9" * 400 + "x"):
        assert retry_after(nothing) == 0
    assert retry_after("9" * 400) > LONGEST_RETRY_AFTER_S


def test_a_wish_for_patience_is_kept_up_to_a_day_and_said(site: Site) -> None:
    for written, wait in (("86400", 86_400), ("900", 900), ("2592000", LONGEST_RETRY_AFTER_S)):
        site.pages["/a"] = page(b"", 429, Retry_After=written)
        failed = failure(site.address + "/a")
        assert failed.retry_after_s == wait
        assert f"for {wait:.0f} seconds" in str(failed)
    assert "it asks for 2592000" in str(failed)


def redirect(to: str, status: int = 302, **headers: str) -> Answer:
    return page(b"", status, Location=to, **headers)


def elsewhere(site: Site) -> str:
    """Another origin that leads to the same server."""
    return site.address.replace("127.0.0.1", "localhost")


def test_headers_never_come_back_once_a_redirect_has_left_their_origin(site: Site) -> None:
    site.pages["/a"] = redirect("/b")
    site.pages["/b"] = redirect(elsewhere(site) + "/c")
    site.pages["/c"] = redirect(site.address + "/d")
    site.pages["/d"] = page(BODY)
    document = get(Feed("x", site.address + "/a", headers={"Authorization": "Bearer k", "X-Key": "k"}))
    assert document is not None
    assert [headers.get("x-key") for _, headers in site.requests] == ["k", "k", None, None]
    assert [headers.get("authorization") for _, headers in site.requests] == ["Bearer k", "Bearer k", None, None]
    site.pages["/c"] = page(b"", 401)
    assert "headers were not sent there" in str(failure(Feed("x", site.address + "/a", headers={"X-Key": "k"})))


def test_a_password_in_the_address_is_sent_and_never_shown(site: Site) -> None:
    address = site.address.replace("//", "//reader:s3cret@")
    site.pages["/a"] = page(b"", 403)
    assert "s3cret" not in str(failure(address + "/a"))
    assert site.requests[0][1]["authorization"].startswith("Basic ")
    site.pages["/a"] = redirect(elsewhere(site) + "/b", 301)
    site.pages["/b"] = page(BODY)
    document = get(address + "/a")
    assert document is not None
    assert "s3cret" not in document.address + document.moved_to
    assert "authorization" not in site.requests[-1][1]


def test_validators_go_to_the_address_that_gave_them(site: Site) -> None:
    site.pages["/a"] = redirect("/b")
    site.pages["/b"] = page(BODY, ETag='"1"', Last_Modified="Tue, 05 Mar 2024 09:30:00 GMT")
    document = get(site.address + "/a")
    assert document is not None
    site.pages["/b"] = page(b"", 304)
    site.pages["/c"] = page(BODY)
    assert get(site.address + "/a", document.validators) is None
    conditions = [(path, headers.get("if-none-match"), headers.get("cache-control")) for path, headers in site.requests]
    assert conditions[2:] == [("/a", None, "no-cache"), ("/b", '"1"', None)]
    site.pages["/a"] = redirect("/c")
    assert get(site.address + "/a", document.validators) is not None
    assert "if-none-match" not in site.requests[-1][1]


def test_a_move_for_good_is_told_only_if_every_step_is_one(site: Site) -> None:
    site.pages["/a"] = redirect("/b", 308)
    site.pages["/b"] = in_turn(redirect("/c", 301), redirect("/c", 302))
    site.pages["/c"] = page(BODY)
    first, second = get(site.address + "/a"), get(site.address + "/a")
    assert first is not None
    assert second is not None
    assert (first.moved_to, second.moved_to) == (site.address + "/c", "")
    assert first.address == second.address == site.address + "/c"


def test_redirects_that_lead_nowhere_are_named(site: Site) -> None:
    site.pages["/a"] = redirect("/b")
    site.pages["/b"] = redirect("/a")
    assert "in a circle" in str(failure(site.address + "/a"))
    for n in range(9):
        site.pages[f"/{n}"] = redirect(f"/{n + 1}")
    assert "more than 5 times" in str(failure(site.address + "/0"))
    for bad in ("file:///etc/passwd", "ftp://e.com/", "javascript:alert(1)", "http://", "http://[::1", "gopher://x"):
        site.pages["/x"] = redirect(bad)
        assert failure(site.address + "/x").outcome in ("redirect", "connection"), bad


def test_a_private_address_is_reached_by_no_redirect(site: Site) -> None:
    # The feed's own host is the loopback here, so only the link's addresses (cloud metadata) are closed to it.
    for target in ("http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://[::ffff:169.254.169.254]/"):
        site.pages["/a"] = redirect(target)
        failed = failure(site.address + "/a")
        assert failed.outcome == "redirect"
        assert "private address" in str(failed)
    site.pages["/a"] = redirect(elsewhere(site) + "/b")
    site.pages["/b"] = page(BODY)
    assert get(site.address + "/a") is not None
    assert site.requests[-1][1]["host"] == elsewhere(site).removeprefix("http://")


@pytest.mark.parametrize(
    "target",
    [
        *("http://127.0.0.1/", "http://localhost:9/", "http://10.1.2.3/", "http://192.168.0.1/", "http://172.16.0.9/"),
        *("http://[::1]/", "http://[fd00::1]/", "http://[::ffff:10.0.0.1]/", "http://[64:ff9b::a00:1]/"),
        *(
            "http://[2002:7f00:1::]/",
            "http://100.64.0.1/",
            "http://0.0.0.0/",
            "http://224.0.0.1/",
            "http://2130706433/",
        ),
    ],
)
def test_a_public_feed_is_not_led_inside(target: str) -> None:
    with pytest.raises(RedirectRefused, match="private address"):
        asyncio.run(checked(httpx.URL(target), PUBLIC))
    with pytest.raises(RedirectRefused, match="private address"):
        asyncio.run(checked(httpx.URL(target), None))


def test_a_redirect_connects_to_the_address_that_was_looked_at() -> None:
    target = asyncio.run(checked(httpx.URL("https://localhost:8443/a?b=c"), ipaddress.ip_address("127.0.0.1")))
    for url, headers, extensions in target.requests({"X": "y"}):
        assert ipaddress.ip_address(url.host).is_loopback
        assert (url.port, url.raw_path) == (8443, b"/a?b=c")
        assert headers == {"X": "y", "Host": "localhost:8443"}
        assert extensions == {"sni_hostname": "localhost"}
    assert target.addresses
    assert asyncio.run(checked(httpx.URL("https://1.1.1.1/"), PUBLIC)).addresses == (ipaddress.ip_address("1.1.1.1"),)


Resolver = Callable[[dict[str, list[list[str]]]], list[str]]


@pytest.fixture
def resolve(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """A DNS with answers of its own, each name's in turn; returns the names as they are asked for."""

    def install(answers: dict[str, list[list[str]]]) -> list[str]:
        asked: list[str] = []
        real = asyncio.BaseEventLoop.getaddrinfo

        async def getaddrinfo(self: asyncio.BaseEventLoop, host: str, port: int, **options: int) -> object:
            asked.append(host)
            rest = answers.get(host)
            if rest is None:
                return await real(self, host, port, **options)
            found = rest.pop(0) if len(rest) > 1 else rest[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
        return asked

    return install


def test_a_name_that_leads_inside_a_moment_later_is_connected_to_where_it_was_checked(
    site: Site, resolve: Resolver
) -> None:
    """DNS rebinding: the first answer passes the check, the second would be the cloud's metadata."""
    port = site.address.rpartition(":")[2]
    site.pages["/feed"] = page(BODY)
    asked = resolve({"feed.internal": [["127.0.0.1"], ["169.254.169.254"]]})
    assert get(f"http://feed.internal:{port}/feed") is not None
    assert asked.count("feed.internal") == 1
    assert site.requests[-1][1]["host"] == f"feed.internal:{port}"
    # Of a redirect the same: the feed is the loopback's, and so may be where it leads.
    site.pages["/feed"] = redirect(f"http://other.internal:{port}/moved")
    site.pages["/moved"] = page(BODY)
    asked = resolve({"other.internal": [["127.0.0.1"], ["169.254.169.254"]]})
    assert get(site.address + "/feed") is not None
    assert asked.count("other.internal") == 1


def test_a_public_name_with_a_private_address_is_asked_for_nothing(site: Site, resolve: Resolver) -> None:
    port = site.address.rpartition(":")[2]
    site.pages["/feed"] = page(BODY)
    resolve({"feeds.example.com": [["93.184.216.34", "127.0.0.1"]], "inside.example.com": [["127.0.0.1"]]})
    for host in ("feeds.example.com", "inside.example.com"):
        failed = failure(f"http://{host}:{port}/feed")
        assert failed.outcome == "connection"
        assert "private address 127.0.0.1" in str(failed)
        assert "private = true" in str(failed)
    assert site.requests == []
    assert get(Feed("x", f"http://inside.example.com:{port}/feed", private=True)) is not None


def test_an_address_that_does_not_answer_gives_way_to_the_next(site: Site, resolve: Resolver) -> None:
    port = site.address.rpartition(":")[2]
    site.pages["/feed"] = page(BODY)
    resolve({"feed.internal": [["127.0.0.9", "127.0.0.1"]], "gone.internal": [["127.0.0.9"]]})
    assert get(f"http://feed.internal:{port}/feed") is not None
    assert failure(f"http://gone.internal:{port}/feed").outcome == "connection"


def test_no_connection_is_used_twice(site: Site) -> None:
    """Two names can share an address: what was verified for one of them says nothing of the other."""
    peers: list[object] = []

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.protocol_version = "HTTP/1.1"
        peers.append(handler.client_address)
        page(BODY)(handler)

    site.pages["/feed"] = answer

    async def scene() -> None:
        async with new_client() as client:
            for _ in range(3):
                await fetch(client, Feed("x", site.address + "/feed"), NOTHING, max_bytes=10**6)

    asyncio.run(scene())
    assert len(set(peers)) == 3


def test_a_secure_feed_is_not_led_to_an_open_line() -> None:
    secure = httpx.URL("https://e.com/a/feed")
    with pytest.raises(RedirectRefused, match="not secure"):
        joined(secure, "http://e.com/a/feed")
    assert joined(secure, "//e.org/b") == httpx.URL("https://e.org/b")
    assert joined(secure, "../c#top") == httpx.URL("https://e.com/c")
    assert joined(httpx.URL("http://e.com/"), "https://e.com/") == httpx.URL("https://e.com/")


def test_a_body_that_never_ends_and_one_that_lies_about_its_length(site: Site) -> None:
    def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):
            handler.wfile.write(b"x" * 65_536)

    def short(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100000")
        handler.end_headers()
        handler.wfile.write(BODY)

    site.pages["/endless"], site.pages["/short"] = endless, short
    assert failure(site.address + "/endless", max_bytes=10**5).outcome == "too-large"
    assert failure(site.address + "/short").outcome == "connection"
