"""The Mood page in a real browser."""

from __future__ import annotations

import re

import psycopg
import pytest
from playwright.sync_api import expect

from tests.desk.browser.conftest import ServedDesk, VisitAs
from tests.desk.browser.invented_store import HOSTILE


def test_a_wrong_password_is_answered_in_words(visit: VisitAs) -> None:
    page = visit(None).open("/")
    page.fill("input[name=name]", "ann")
    page.fill("input[name=password]", "not it")
    page.click("button[type=submit]")
    expect(page.get_by_role("alert")).to_have_text("no account has this name and password")


def test_the_bank_in_trouble_is_seen_without_a_click(visit: VisitAs) -> None:
    page = visit().open("/")
    expect(page.get_by_role("region", name="Open incidents")).to_contain_text("NMRB")
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


_HEAD = "(SELECT max(minute) + interval '1 minute' AS until FROM trend WHERE kind = 'all') AS head"
_WHOLE = "date_bin('1 hour', until - interval '1 minute', 'epoch') + interval '1 hour'"  # where the last cell ends


def _number(text: str) -> float:
    return float(text.strip().replace(",", "").replace("−", "-").replace("+", ""))


def test_figures_of_the_strip_are_those_of_the_store(visit: VisitAs, served: ServedDesk) -> None:
    page = visit().open("/")
    shown = page.locator(".strip").inner_text()
    stories = re.search(r"([\d,]+) stories", shown)
    assert stories, shown
    with psycopg.connect(served.database_url) as connection:
        counted = connection.execute(
            f"SELECT sum(negative_stories + neutral_stories + positive_stories), "
            f"sum(positive_stories) - sum(negative_stories) FROM trend, {_HEAD} "
            "WHERE kind = 'all' AND minute >= until - interval '1 day' AND minute < until"
        ).fetchone()
        pages = connection.execute(
            f"SELECT count(*) FROM incident, {_HEAD} "
            "WHERE state <> 'withdrawn' AND opened_at > until - interval '7 days'"
        ).fetchone()
    assert counted is not None
    assert pages is not None
    assert _number(stories[1]) == counted[0]
    mood, _, _, _, told = (value.split()[0] for value in page.locator(".strip .value").all_inner_texts())
    assert _number(mood) == round(100 * counted[1] / counted[0])
    assert _number(told) == pages[0]


@pytest.mark.parametrize(("panel", "kind"), [("movers", "topic"), ("sources", "source")])
def test_figures_of_the_tables_are_those_of_the_store(
    visit: VisitAs, served: ServedDesk, panel: str, kind: str
) -> None:
    page = visit().open("/")
    titles = [title.strip() for title in page.locator(f".{panel}-panel thead th").all_inner_texts()]
    columns = {"Stories": "negative_stories + neutral_stories + positive_stories", "Neg.": "negative_stories"}
    with psycopg.connect(served.database_url) as connection:
        counted = connection.execute(
            f"SELECT name, {', '.join(f'sum({column})' for column in columns.values())} FROM trend, {_HEAD} "
            f"WHERE kind = %s AND minute >= {_WHOLE} - interval '1 day' AND minute < {_WHOLE} GROUP BY name",
            (kind,),
        ).fetchall()
    known = {name: dict(zip(columns, map(float, counts), strict=True)) for name, *counts in counted}
    rows = [row.locator("th, td").all_inner_texts() for row in page.locator(f".{panel}-panel tbody tr").all()]
    assert len(rows) >= 5
    shown = {row[0].strip(): {title: _number(row[titles.index(title)]) for title in columns} for row in rows}
    assert shown == {name: known[name] for name in shown}


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
