"""What people do on the other pages: an incident is handled and marked, a model goes live, a series is compared."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from playwright.sync_api import expect

from core.bundle import load_bundle
from core.settings import PROJECT
from tests.desk.browser.conftest import ServedDesk, VisitAs
from tests.desk.browser.invented_models import CANDIDATE
from tests.desk.browser.invented_store import MODEL

OUTAGE = {"id": "0e1a6f0c-52b1-4d0c-9d39-6f7f3a1f9d11"}


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


def test_what_others_do_about_an_incident_is_shown_after_ones_own_deeds(visit: VisitAs, served: ServedDesk) -> None:
    page = visit("ann").open("/alerts")
    page.locator(".row", has_text="TSLA").click()
    expect(page.locator(".incident h2")).to_contain_text("TSLA")
    page.wait_for_selector(".incident .evidence")
    latest = page.locator(".history li").first
    page.keyboard.press("s")
    expect(latest).to_contain_text("ann snoozed it")
    page.keyboard.press("c")
    expect(latest).to_contain_text("ann acknowledged it")
    assert _row(
        served, "SELECT snoozed_until > now(), acknowledged FROM incident_handling ORDER BY id DESC LIMIT 1"
    ) == (
        True,
        True,
    ), "what was snoozed stays so"
    with psycopg.connect(served.database_url) as connection:
        connection.execute(
            "INSERT INTO feedback (incident, verdict, analyst, note) "
            "SELECT incident, 'useful', 'ben', 'seen by me too' FROM incident_handling ORDER BY id DESC LIMIT 1"
        )
    expect(page.locator(".history")).to_contain_text("seen by me too")


_WITH_LINKS = ("alerts.example.toml", "deploy/compose/alerts.toml")


@pytest.mark.parametrize("form", [*_WITH_LINKS, 'an older copy: "https://desk.example.com/incidents/$incident"'])
def test_the_link_in_a_message_leads_to_its_incident(visit: VisitAs, served: ServedDesk, form: str) -> None:
    """As the examples of alerts.toml have it, and as they had it before."""
    told = (PROJECT / form).read_text() if form in _WITH_LINKS else form
    links = re.findall(r'"https?://[^/"]+(/[^"]*\$incident[^"]*)"', told)
    assert len(links) == 1
    earliest = "SELECT id::text, name FROM incident WHERE kind = 'entity' ORDER BY opened_at LIMIT 1"
    incident, name = _row(served, earliest)
    page = visit("vic").open(links[0].replace("$incident", incident))
    expect(page.locator(".incident h2")).to_contain_text(name)
    expect(page.locator("nav a[aria-current=page]")).to_have_attribute("href", "/alerts")


def test_a_viewer_has_no_buttons_for_incidents(visit: VisitAs) -> None:
    page = visit("vic").open("/alerts")
    page.wait_for_selector(".incident .evidence")
    assert page.locator(".incident .handling").count() == 0


def test_an_outage_is_said_in_words_and_leads_nowhere(visit: VisitAs, served: ServedDesk) -> None:
    """It has no story, and is no series of the mood."""
    values = "'outage', 'ingest', 'volume', 'closed', now() - interval '90 min', now(), now(), now(), 60, 0, 40, 9"
    columns = (
        "kind, name, signal, state, opened_at, last_at, closed_at, peak_at, window_minutes, observed, expected, score"
    )
    with psycopg.connect(served.database_url, autocommit=True) as connection:
        connection.execute(f"INSERT INTO incident (id, leader, {columns}) VALUES (%(id)s, %(id)s, {values})", OUTAGE)
        connection.execute(
            f"INSERT INTO alert (id, incident, evidence, {columns}) VALUES (%(id)s, %(id)s, '{{}}', {values})", OUTAGE
        )
        try:
            page = visit("vic").open(f"/alerts/{OUTAGE['id']}")
            panel = page.locator(".incident")
            expect(panel.locator("h2")).to_contain_text("Feeds are silent")
            expect(panel.locator(".lead")).to_have_text("No message in 60 min where 40 were expected")
            assert panel.get_by_role("link").count() == 0
        finally:
            connection.execute("DELETE FROM alert WHERE id = %(id)s", OUTAGE)
            connection.execute("DELETE FROM incident WHERE id = %(id)s", OUTAGE)


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


def test_models_are_judged_beside_their_cards(visit: VisitAs) -> None:
    """The model is wrong about every third story, which is worse than its card says, and about every ninth company."""
    page = visit("vic").open("/models")
    judged = page.get_by_role("region", name="Judged by analysts")
    story, company = judged.get_by_role("group", name="Judged by analysts").locator("tbody tr").all()
    expect(story).to_contain_text(re.compile(rf"^Sentiment{re.escape(MODEL)} Live\d\d"))
    card = load_bundle(PROJECT / "models" / "default").manifest
    assert card.entity is not None
    figures = [*card.evaluation["int8"], card.entity.evaluation["int8"].mentions]
    promised = {one.task: f"{100 * one.accuracy:.1f}%" for one in figures}
    expect(story).to_contain_text(re.compile(rf"6\d\.\d% \d+–\d+%{re.escape(promised['sentiment'])}−1\d\.\d worse"))
    expect(company).to_contain_text(re.compile(rf"^Sentiment of companies{re.escape(MODEL)} Live\d\d"))
    expect(company).to_contain_text(promised["entity"])
    judged.locator("summary", has_text=re.compile(r"gets wrong: Sentiment$")).click()
    texts = int(story.locator("td").nth(1).inner_text())
    table = judged.get_by_role("group", name=f"What {MODEL} gets wrong: Sentiment", exact=True)
    cells = [int(each) for each in table.locator("td").all_inner_texts() if each != "·"]
    assert sum(cells) == texts > 50
    judged.get_by_label("Take along: evaluation").click()
    with page.expect_download() as download:
        judged.get_by_role("button", name="CSV").click()
    header, *lines = download.value.path().read_text("utf-8-sig").splitlines()
    assert header == "task,model,texts,accuracy,card_accuracy,change,macro_f1,card_macro_f1,low,high,card_texts"
    assert lines[0].startswith(f"Sentiment,{MODEL},{texts},")
    assert len(lines) == 2


@pytest.mark.parametrize(("share", "words"), [(0.05, "5.0% of the stories"), (0, "desk.evaluation_share")])
def test_without_judgements_the_page_says_what_to_do(visit: VisitAs, share: float, words: str) -> None:
    desk = visit("vic")
    answer = {"evaluation_share": share, "items": []}
    desk.page.route("**/api/v1/models/evaluation", lambda route: route.fulfill(json=answer))
    expect(desk.open("/models").get_by_role("region", name="Judged by analysts")).to_contain_text(words)


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


_HISTORY = """rows => rows.map(row => [
    row.cells[0].innerText, row.cells[1].innerText, row.cells[3].innerText, row.querySelector("time").dateTime])"""
_CHANGEABLE = """rows => rows.map(row => [
    row.cells[3].innerText, row.cells[5].innerText, row.querySelector("select") !== null])"""


def test_only_ones_own_labels_are_changed_in_the_history(visit: VisitAs) -> None:
    desk = visit("ben")
    desk.open("/").locator(".story").nth(5).focus()
    desk.page.keyboard.press("2")
    expect(desk.page.get_by_text("Labelled: Neutral")).to_be_visible()
    page = desk.open("/label/adjudication")
    neutral = page.get_by_role("button", name="Neutral").first
    for other in page.locator(".upcoming button").all():
        if neutral.is_enabled():
            break
        other.click()  # nobody decides what they have said something of
    neutral.click()
    expect(desk.page.get_by_role("status").get_by_text("Neutral")).to_be_visible()
    page = desk.open("/label/history?who=all")
    while not page.locator("tbody tr", has_text="dana").count():  # other tests label, and theirs come first
        page.get_by_role("button", name="More").click()
        desk.settle()
    rows = page.locator("tbody tr").evaluate_all(_CHANGEABLE)
    assert {("ben", "✓"), ("ben", "verdict"), ("dana", "✓")} <= {(analyst, counts) for analyst, counts, _ in rows}
    assert [change for *_, change in rows] == [(analyst, counts) == ("ben", "✓") for analyst, counts, _ in rows]


def test_no_row_is_lost_between_pages_when_others_come(visit: VisitAs) -> None:
    page = visit("ben").open("/label/history?who=all")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(50)
    page.get_by_role("button", name="More").click()
    expect(rows).to_have_count(100)
    before = rows.evaluate_all(_HISTORY)
    page.evaluate(
        """async () => {
            const { csrf } = await (await fetch("/api/v1/session")).json();
            const story = (await (await fetch("/api/v1/stories?limit=50")).json()).items.at(-1).id;
            const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
            const said = { model_hidden: true, items: [{ story, labels: { sentiment: "negative" } }] };
            await fetch("/api/v1/labels", { method: "POST", headers, body: JSON.stringify(said) });
        }"""
    )
    page.wait_for_function("at => document.querySelector('tbody time').dateTime !== at", arg=before[0][-1])
    assert rows.evaluate_all(_HISTORY)[1:] == before[:-1]


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
