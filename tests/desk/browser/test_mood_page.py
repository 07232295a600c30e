"""The Mood page in a real browser."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from playwright.sync_api import Page, expect

from tests.desk.browser.conftest import PHONE, ServedDesk, VisitAs
from tests.desk.browser.invented_store import HOSTILE


def test_a_wrong_password_is_answered_in_words(visit: VisitAs) -> None:
    page = visit(None).open("/")
    page.fill("input[name=name]", "ann")
    page.fill("input[name=password]", "not it")
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_have_text("no account has this name and password")


def test_the_bank_in_trouble_is_seen_without_a_click(visit: VisitAs) -> None:
    page = visit().open("/")
    banner = page.get_by_role("region", name="Open incidents")
    expect(banner).to_contain_text("NMRB")
    expect(banner.locator(".banner-story")).to_contain_text(re.compile("Northmere|NMRB"))
    expect(page.get_by_role("region", name="Movers").locator("tbody tr").first).to_contain_text("Financials")


def test_the_charts_draw(visit: VisitAs) -> None:
    desk = visit()
    page = desk.open("/")
    for chart in (".heat canvas", ".series-chart canvas"):
        colours = page.locator(chart).first.evaluate(
            """canvas => {
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                const found = new Set();
                for (let at = 0; at < data.length; at += 4) found.add(data.slice(at, at + 4).join());
                return found.size;
            }"""
        )
        assert colours > 10, chart


def test_a_script_in_a_headline_does_not_run(visit: VisitAs) -> None:
    page = visit().open("/")
    headline = page.locator(".story .headline", has_text="onerror").first
    expect(headline).to_have_text(HOSTILE)
    assert headline.evaluate("element => element.tagName") == "SPAN", "an address that is not http is no link"
    assert page.title() == "Mood · newstide"
    assert page.locator(".stories img, .stories script").count() == 0


def test_links_of_feeds_tell_nothing_to_where_they_lead(visit: VisitAs) -> None:
    page = visit().open("/")
    links = page.locator(".story a[target]")
    assert links.count() > 5
    for link in links.all():
        assert link.get_attribute("rel") == "noopener noreferrer"
        assert (link.get_attribute("href") or "").startswith(("http://", "https://"))


@pytest.mark.parametrize("chart", ["heat", "series-chart"])
def test_a_brush_on_a_chart_filters_every_view(visit: VisitAs, chart: str) -> None:
    desk = visit()
    page = desk.open("/")
    before = {name: page.locator(f".{name}-panel").inner_text() for name in ("movers", "terms", "sources", "stories")}
    page.locator(f".{chart} canvas").first.scroll_into_view_if_needed()
    box = page.locator(f".{chart} canvas").first.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 70)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 70, steps=5)
    page.mouse.up()
    page.wait_for_url(re.compile("from=.*to="))
    desk.settle()
    page.wait_for_timeout(100)
    desk.settle()
    for name, text in before.items():
        assert page.locator(f".{name}-panel").inner_text() != text, name
    shared = page.url
    page.keyboard.press("Escape")
    desk.page.goto(shared)
    desk.settle()
    assert page.locator(".controls .chip").count() == 1, "the brush is in the address"


def _chosen(page: Page) -> tuple[datetime, datetime] | None:
    """The brush, as the address has it."""
    query = parse_qs(urlsplit(page.url).query)
    if "from" not in query:
        return None
    return datetime.fromisoformat(query["from"][0]), datetime.fromisoformat(query["to"][0])


@pytest.mark.parametrize("chart", ["heat", "series-chart"])
def test_a_finger_chooses_a_span_and_still_scrolls(visit: VisitAs, chart: str) -> None:
    desk = visit(size=PHONE, touch=True)
    page = desk.open("/")
    canvas = page.locator(f".{chart} canvas").first
    canvas.scroll_into_view_if_needed()
    finger = page.context.new_cdp_session(page)

    def drag(*points: tuple[float, float]) -> None:
        """A finger along these places, each given as shares of the chart's width and height."""
        box = canvas.bounding_box()
        assert box is not None
        places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
        finger.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": places[:1]})
        for place in places[1:]:
            finger.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [place]})
        finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    before = page.evaluate("scrollY")
    drag(*((0.6, 0.8 - step / 20) for step in range(12)))
    page.wait_for_function("before => scrollY > before", arg=before)
    assert _chosen(page) is None, "up and down scrolls"
    canvas.scroll_into_view_if_needed()
    drag(*((0.5 + step / 30, 0.5) for step in range(8)))
    page.wait_for_url(re.compile("from=.*to="))
    span = _chosen(page)
    assert span is not None
    assert timedelta(hours=4) <= span[1] - span[0] <= timedelta(hours=12)


@pytest.mark.parametrize("chart", ["heat", "series-chart"])
def test_keys_choose_a_span(visit: VisitAs, chart: str) -> None:
    page = visit().open("/")
    page.locator(f".{chart}").focus()
    hour = timedelta(hours=1)
    lengths = []
    for key in ("End", "ArrowLeft", *["Shift+ArrowLeft"] * 3, "Shift+ArrowRight"):
        page.keyboard.press(key)
        page.wait_for_timeout(50)
        span = _chosen(page)
        lengths.append(span and (span[1] - span[0]) / hour)
    assert lengths == [None, None, 2, 3, 4, 3], "the end under the cursor moves, the other one stays"
    page.keyboard.press("Escape")
    page.wait_for_url(lambda url: "from=" not in url)


def test_a_live_update_moves_neither_focus_nor_scroll(visit: VisitAs, served: ServedDesk) -> None:
    desk = visit()
    page = desk.open("/")
    page.locator(".story").nth(6).focus()
    page.mouse.wheel(0, 300)
    page.wait_for_timeout(200)
    before = page.evaluate("[scrollY, document.activeElement.dataset.story]")
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        connection.execute("UPDATE offset_ledger SET messages = messages + 1, updated_at = now()")
    with page.expect_response(lambda answer: "/api/v1/stories" in answer.url):
        pass
    desk.settle()
    assert page.evaluate("[scrollY, document.activeElement.dataset.story]") == before
