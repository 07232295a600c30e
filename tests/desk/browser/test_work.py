"""What people do on the other pages: an incident is handled and marked, a model goes live, a series is compared."""

from __future__ import annotations

import re
from typing import Any

import psycopg
from playwright.sync_api import expect

from tests.desk.browser.conftest import ServedDesk, VisitAs
from tests.desk.browser.invented_models import CANDIDATE


def _row(served: ServedDesk, query: str) -> Any:
    with psycopg.connect(served.database_url) as connection:
        return connection.execute(query).fetchone()


def test_an_incident_is_opened_acknowledged_and_marked(visit: VisitAs, served: ServedDesk) -> None:
    desk = visit("ann")
    page = desk.open("/")
    page.get_by_role("region", name="Open incidents").get_by_role("link", name="NMRB").click()
    page.wait_for_selector(".incident .evidence li")
    assert "Northmere" in page.locator(".incident").inner_text()
    page.keyboard.press("c")
    expect(page.locator(".incident .badge", has_text="Acknowledged")).to_be_visible()
    page.get_by_label("Note, if you mark it").fill("a run on the bank")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page.locator(".incident .badge", has_text="Useful")).to_be_visible()
    expect(page.locator(".history")).to_contain_text("a run on the bank")
    marked = _row(served, "SELECT verdict, analyst, note FROM feedback ORDER BY id DESC LIMIT 1")
    assert marked == ("useful", "ann", "a run on the bank")
    assert _row(served, "SELECT account, acknowledged FROM incident_handling ORDER BY id LIMIT 1") == ("ann", True)


def test_a_viewer_has_no_buttons_for_incidents(visit: VisitAs) -> None:
    page = visit("vic").open("/alerts")
    page.wait_for_selector(".incident .evidence")
    assert page.locator(".incident .handling").count() == 0


def test_an_admin_promotes_the_candidate_and_goes_back(visit: VisitAs, served: ServedDesk) -> None:
    live = "SELECT name FROM model WHERE state = 'live'"
    before = _row(served, live)
    desk = visit("boss")
    page = desk.open(f"/models/{CANDIDATE}")
    beside = page.get_by_role("group", name="On the same traffic").locator("tbody tr")
    expect(beside).to_contain_text(re.compile(r"Sentiment\s*300\s*90\.0%"))
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_text("In service now")).to_be_visible(timeout=20_000)
    assert _row(served, live) == (CANDIDATE,)
    page.get_by_role("button", name="Roll back").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Reason").fill("too eager")
    dialog.get_by_role("button", name="Roll back").click()
    expect(page.get_by_text(f"In service now: {before[0]}")).to_be_visible(timeout=20_000)
    assert _row(served, live) == before
    actions = _row(served, "SELECT array_agg(action ORDER BY id) FROM audit_event WHERE action LIKE '%model%'")
    assert actions == (["promote model", "roll back model"],)


def test_a_label_is_changed_in_the_history(visit: VisitAs, served: ServedDesk) -> None:
    desk = visit("ben")
    page = desk.open("/")
    page.locator(".story").nth(4).focus()
    page.keyboard.press("1")
    expect(page.get_by_text("Labelled: Negative")).to_be_visible()
    page = desk.open("/label/history")
    page.locator("tbody select").first.select_option("positive")
    expect(page.get_by_text("Labelled: Positive")).to_be_visible()
    page.wait_for_function("() => document.querySelector('tbody select')?.value === 'positive'")
    query = "SELECT label FROM label WHERE analyst = 'ben' ORDER BY id DESC LIMIT 1"
    assert _row(served, query) == ("positive",)


def test_a_pinned_series_is_compared(visit: VisitAs) -> None:
    desk = visit()
    page = desk.open("/")
    page.get_by_role("button", name="Compare Financials in the chart").click()
    expect(page.locator(".legend .key.pin")).to_contain_text("Financials")
    assert "pin=topic" in page.url


def test_a_token_is_made_shown_once_and_ended(visit: VisitAs) -> None:
    desk = visit("ann")
    page = desk.open("/account")
    page.get_by_label("Name").fill("nightly export")
    page.get_by_role("button", name="Make a token").click()
    token = page.locator(".made code").inner_text()
    assert len(token) > 30
    page.reload()
    page.wait_for_selector("tbody tr")
    assert token not in page.content()
    page.get_by_role("button", name="End the token nightly export").click()
    expect(page.locator("tbody")).to_contain_text("ended")
