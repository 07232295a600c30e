"""The Mood page in a real browser."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
from playwright.sync_api import Page, Route, expect

from tests.desk.browser.conftest import PHONE, ServedDesk, Visit, VisitAs
from tests.desk.browser.invented_store import HOSTILE
from tests.desk.browser.mood_figures import wrong_figures
from tests.desk.browser.why_figures import arithmetic_by_hand


def test_a_wrong_password_is_answered_in_words(visit: VisitAs) -> None:
    page = visit(None).open("/")
    page.fill("input[name=name]", "ann")
    page.fill("input[name=password]", "not it")
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_have_text("no account has this name and password")


def test_the_bank_in_trouble_is_seen_without_a_click(mood: Visit) -> None:
    banner = mood.page.get_by_role("region", name="Open incidents")
    expect(banner).to_contain_text("NMRB")
    expect(banner.locator(".banner-story")).to_contain_text(re.compile("Northmere|NMRB"))
    expect(mood.page.get_by_role("region", name="Movers").locator("tbody tr").first).to_contain_text("Financials")


def test_the_charts_draw(mood: Visit) -> None:
    for chart in (".heat canvas", ".series-chart canvas"):
        colours = mood.page.locator(chart).first.evaluate(
            """canvas => {
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                return new Set(new Uint32Array(data.buffer)).size;
            }"""
        )
        assert colours > 10, chart


def test_a_script_in_a_headline_does_not_run(mood: Visit) -> None:
    headline = mood.page.locator(".story .headline", has_text="onerror").first
    expect(headline).to_have_text(HOSTILE)
    assert headline.evaluate("element => element.tagName") == "SPAN", "an address that is not http is no link"
    assert mood.page.title() == "Mood · newstide"
    assert mood.page.locator(".stories img, .stories script").count() == 0


def test_links_of_feeds_tell_nothing_to_where_they_lead(mood: Visit) -> None:
    links = mood.page.locator(".story a[target]").evaluate_all("links => links.map(link => [link.rel, link.protocol])")
    assert len(links) > 5
    assert {rel for rel, _ in links} == {"noopener noreferrer"}
    assert {protocol for _, protocol in links} <= {"http:", "https:"}


def test_what_the_page_asks_for_first_was_on_its_way(mood: Visit) -> None:
    """The desk names it with the document; asked for in another way, the script would ask a second time."""
    asked = mood.page.evaluate(
        """() => performance.getEntriesByType("resource").map(entry => [new URL(entry.name).pathname,
            entry.initiatorType])"""
    )
    for address in ("/api/v1/session", "/api/v1/mood/overview"):
        assert [how for path, how in asked if path == address][:1] == ["link"], asked
    assert [path for path, _ in asked].count("/api/v1/session") == 1


def _drawn(page: Page) -> dict[str, str]:
    """What each view says."""
    views = ("heat", "series", "movers", "stories", "terms", "sources")
    return {view: page.locator(f".{view}-panel").inner_text() for view in views}


def test_all_views_come_with_one_answer(visit: VisitAs) -> None:
    desk, query = visit(), "?range=3d&kind=entity&series=entity%3DNMRB&sentiment=negative"
    desk.open(f"/{query}")
    drawn = _drawn(desk.page)
    assert all(len(text.splitlines()) > 4 for text in drawn.values()), drawn
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(urlsplit(route.request.url).path.removeprefix("/api/v1"))
        if asked[-1] in ("/session", "/mood/overview"):
            route.continue_()  # all others wait for as long as the page is there

    desk.page.route("**/api/v1/**", answer)
    desk.open(f"/{query}")
    assert _drawn(desk.page) == drawn
    assert set(asked) <= {"/session", "/mood/overview", "/events"}


def test_views_ask_by_themselves_where_one_answer_is_refused(visit: VisitAs) -> None:
    desk = visit()
    desk.open("/")
    drawn = _drawn(desk.page)
    desk.page.route("**/api/v1/mood/overview", lambda route: route.fulfill(status=503, json={"detail": "busy"}))
    desk.open("/")
    assert _drawn(desk.page) == drawn
    desk.complaints[:] = [each for each in desk.complaints if "503" not in each]


def test_every_view_can_be_taken_along(mood: Visit, tmp_path: Path) -> None:
    for panel in ("heat", "series", "movers", "stories", "terms", "sources"):
        menu = mood.page.locator(f".{panel}-panel .menu")
        for kind in ("CSV", "PNG"):
            menu.locator("summary").click()
            with mood.page.expect_download() as download:
                menu.get_by_role("button", name=kind, exact=True).click()
            download.value.save_as(tmp_path / kind)
        with (tmp_path / "CSV").open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
        assert len(lines) > 5, panel
        assert len({len(line) for line in lines}) == 1, panel
        picture = (tmp_path / "PNG").read_bytes()
        assert picture[1:4] == b"PNG", panel
        assert min(int.from_bytes(picture[16:20]), int.from_bytes(picture[20:24])) > 200, f"size of {panel}"
        assert len(picture) > 4000, f"an empty picture of {panel} would be smaller"


def test_why_a_cell_has_its_colour(mood: Visit, served: ServedDesk) -> None:
    """Every number of the dialog is that of plain SQL and the sums that it names."""
    page = mood.page
    page.locator(".heat").focus()
    for key in ("End", "ArrowLeft", "ArrowLeft", "w"):
        page.keyboard.press(key)
    dialog = page.get_by_role("dialog")
    expect(dialog.locator(".why > li")).to_have_count(4)
    title = dialog.get_attribute("aria-label") or ""
    shown = dialog.locator("code").all_inner_texts()
    pieces = dialog.locator(".pieces").evaluate_all(
        "lists => lists.map(list => [...list.children].map(piece => [piece.title, piece.querySelector('b').innerText]))"
    )
    said = dialog.locator(".why-sum").inner_text()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.classList.contains('heat')"), "the focus is where it was"
    with psycopg.connect(served.database_url) as store:
        assert (title, said, shown, pieces) == arithmetic_by_hand(page, store, "Financials")


def test_every_figure_equals_its_sql(mood: Visit, served: ServedDesk) -> None:
    with psycopg.connect(served.database_url) as store:
        assert wrong_figures(mood.page, store) == []


def test_a_brush_on_a_chart_filters_every_view(visit: VisitAs) -> None:
    desk = visit()
    page = desk.open("/")
    views = ("movers", "terms", "sources", "stories")
    for chart in ("heat", "series-chart"):
        before = {name: page.locator(f".{name}-panel").inner_text() for name in views}
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
            assert page.locator(f".{name}-panel").inner_text() != text, (chart, name)
        shared = page.url
        page.keyboard.press("Escape")
        page.wait_for_url(lambda url: "from=" not in url)
        desk.settle()
    desk.page.goto(shared)
    desk.settle()
    assert page.locator(".controls .chip").count() == 1, "the brush is in the address"


def _chosen(page: Page) -> tuple[datetime, datetime] | None:
    """The brush, as the address has it."""
    query = parse_qs(urlsplit(page.url).query)
    if "from" not in query:
        return None
    return datetime.fromisoformat(query["from"][0]), datetime.fromisoformat(query["to"][0])


def test_a_finger_chooses_a_span_and_still_scrolls(visit: VisitAs) -> None:
    page = visit(size=PHONE, touch=True).open("/")
    for chart in ("heat", "series-chart"):
        _choose_with_a_finger(page, chart)
        page.locator(".controls .chip").click()
        page.wait_for_url(lambda url: "from=" not in url)


def _choose_with_a_finger(page: Page, chart: str) -> None:
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


def test_keys_choose_a_span(visit: VisitAs) -> None:
    page = visit().open("/")
    hour = timedelta(hours=1)
    for chart in ("heat", "series-chart"):
        page.locator(f".{chart}").focus()
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
    asked: list[str] = []
    page.on("request", lambda request: asked.append(urlsplit(request.url).path))
    with (
        psycopg.connect(served.database_url, autocommit=True) as connection,
        page.expect_response(lambda answer: "/api/v1/mood/overview" in answer.url) as heard,
    ):
        connection.execute("UPDATE offset_ledger SET messages = messages + 1, updated_at = now()")
    heard.value.finished()
    page.wait_for_timeout(100)
    desk.settle()
    assert page.evaluate("[scrollY, document.activeElement.dataset.story]") == before
    assert set(asked) == {"/api/v1/mood/overview"}, "all views take the one answer"


def test_a_refused_stream_of_news_is_asked_for_again(visit: VisitAs) -> None:
    desk = visit()
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) > 2:
            route.continue_()
        else:
            route.fulfill(status=503, json={"detail": "busy"})

    desk.page.route("**/api/v1/events", answer)
    page = desk.open("/")
    expect(page.locator(".live.lost")).to_be_visible()
    expect(page.locator(".live:not(.lost)")).to_be_visible(timeout=10_000)
    assert len(asked) == 3
    desk.complaints[:] = [each for each in desk.complaints if "503" not in each]


def test_freshness_grows_while_nothing_is_stored(visit: VisitAs) -> None:
    desk = visit()

    def answer(route: Route) -> None:
        told = route.fetch()
        found = told.json()
        found["strip"]["freshness_s"] = 60
        route.fulfill(response=told, json=found)

    desk.page.route("**/api/v1/mood/overview*", answer)
    desk.page.clock.install()
    page = desk.open("/")
    fresh = page.locator(".strip .figure", has_text="Freshness")
    expect(fresh).to_contain_text("behind the news")
    page.clock.fast_forward(20 * 60 * 1000)
    expect(fresh).to_contain_text("check the feeds")
    expect(fresh.locator(".value")).to_contain_text("21 min")


def test_a_held_key_moves_on_but_labels_once(visit: VisitAs) -> None:
    desk = visit("ben")
    page = desk.open("/")
    said: list[str] = []
    page.on("request", lambda request: request.method == "POST" and said.append(urlsplit(request.url).path))
    page.locator(".story").first.focus()
    for _ in range(4):
        page.keyboard.down("j")
    page.keyboard.up("j")
    assert page.locator(".story").nth(4).evaluate("story => story === document.activeElement")
    for _ in range(3):
        page.keyboard.down("1")
    page.keyboard.up("1")
    expect(page.get_by_text("Labelled: Negative")).to_have_count(1)
    assert said == ["/api/v1/labels"]
