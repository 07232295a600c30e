"""Labelling in a real browser, with the keyboard alone."""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psycopg
from playwright.sync_api import Page, Route, expect

from tests.desk.browser.conftest import PASSWORD, ServedDesk, VisitAs
from tests.desk.browser.invented_store import RIVAL


def _said(served: ServedDesk, analyst: str) -> list[Any]:
    """Story and label of each row of that analyst on a story, the oldest first."""
    with psycopg.connect(served.database_url) as connection:
        query = "SELECT story::text, label FROM label WHERE (analyst, task, entity) = (%s, 'sentiment', '') ORDER BY id"
        return connection.execute(query, (analyst,)).fetchall()


def _wait_for_rows(served: ServedDesk, analyst: str, count: int) -> None:
    """Labels are saved behind the analyst's back."""
    for _ in range(200):
        if len(_said(served, analyst)) >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{analyst} has {len(_said(served, analyst))} rows, not {count}")


def _shown(page: Page) -> str:
    return page.locator(".item").inner_text()


def test_twenty_presses_label_twenty_stories(visit: VisitAs, served: ServedDesk) -> None:
    desk = visit("ann")
    page = desk.open("/label")
    pressed = []
    for number in range(20):
        page.wait_for_selector(".item")
        before = _shown(page)
        key = str(1 + number % 3)
        page.keyboard.press(key)
        pressed.append(("negative", "neutral", "positive")[number % 3])
        page.wait_for_function("text => document.querySelector('.item')?.innerText !== text", arg=before)
    expect(page.locator(".figure .value").first).to_have_text("20")
    _wait_for_rows(served, "ann", 20)
    rows = _said(served, "ann")
    assert [label for _, label in rows] == pressed
    assert len({story for story, _ in rows}) == 20

    page.keyboard.press("z")
    expect(page.get_by_text("Taken back: 1")).to_be_visible()
    expect(page.locator(".figure .value").first).to_have_text("19")
    assert _said(served, "ann")[-1] == (rows[-1][0], None), "what was said is taken back by another row"
    page.keyboard.press("1")
    _wait_for_rows(served, "ann", 22)
    assert _said(served, "ann")[-1] == (rows[-1][0], "negative")


def test_two_analysts_are_not_shown_the_same_story(visit: VisitAs) -> None:
    one, other = visit("ann").open("/label"), visit("ben").open("/label")
    for page in (one, other):
        page.wait_for_selector(".item")
    assert _shown(one) != _shown(other)


def test_a_viewer_can_not_label(visit: VisitAs) -> None:
    desk = visit("vic")
    page = desk.open("/label")
    expect(page.get_by_text("Analysts label")).to_be_visible()
    assert page.locator(".label-button").count() == 0
    status = page.evaluate(
        """async () => {
            const { csrf } = await (await fetch("/api/v1/session")).json();
            const story = (await (await fetch("/api/v1/stories?limit=1")).json()).items[0].id;
            const headers = { "Content-Type": "application/json", "X-CSRF-Token": csrf };
            const body = JSON.stringify({ items: [{ story, labels: { sentiment: "negative" } }] });
            return (await fetch("/api/v1/labels", { method: "POST", headers, body })).status;
        }"""
    )
    assert status == 403
    assert ["403" in complaint for complaint in desk.complaints] == [True]
    desk.complaints.clear()


def test_from_a_cell_to_a_label_in_two_keys(visit: VisitAs, served: ServedDesk) -> None:
    desk = visit("ben")
    page = desk.open("/")
    page.locator(".heat").focus()
    for key in ("Home", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    for _ in range(24):
        if "0 stories" not in page.locator(".heat-foot .cell").inner_text():
            break
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.activeElement?.classList.contains('story')")
    story = page.evaluate("document.activeElement.dataset.story")
    page.keyboard.press("1")
    expect(page.get_by_text("Labelled: Negative")).to_be_visible()
    page.wait_for_timeout(200)
    assert (story, "negative") in _said(served, "ben")


def test_chosen_messages_are_labelled_alike(visit: VisitAs, served: ServedDesk) -> None:
    desk = visit("ben")
    page = desk.open("/label/bulk?q=bank")
    page.locator(".story").first.focus()
    for _ in range(3):
        page.keyboard.press("Space")
    expect(page.get_by_text("3 chosen")).to_be_visible()
    before = len(_said(served, "ben"))
    page.keyboard.press("3")
    expect(page.get_by_text("stories labelled: Positive")).to_be_visible()
    added = _said(served, "ben")[before:]
    assert added
    assert {label for _, label in added} == {"positive"}


def test_chosen_messages_are_labelled_towards_a_company(visit: VisitAs, served: ServedDesk, pictures: Path) -> None:
    desk = visit("ben")
    page = desk.open(f"/label/bulk?series=entity%3D{RIVAL}")
    companies = page.get_by_role("group", name="Companies")
    rival = companies.get_by_role("button").first
    expect(rival).to_be_visible()
    page.keyboard.press("c")
    expect(rival).to_have_attribute("aria-pressed", "true")
    expect(rival).to_contain_text(RIVAL)
    expect(page.get_by_role("group", name=f"Sentiment, {RIVAL}")).to_be_visible()
    assert f"of={RIVAL}" in page.url
    page.keyboard.press("*")
    expect(companies).to_contain_text(re.compile(rf"\d+ of the chosen stories mean for {RIVAL}"))
    page.screenshot(path=pictures / "bulk-company-chosen-wide-light.png")
    with page.expect_response("**/labels/bulk") as answered:
        page.keyboard.press("1")
    done = answered.value.json()
    assert done["kept"], "the fixture has some of the share that judges the model"
    expect(page.get_by_text(re.compile(rf"stories labelled: {RIVAL} Negative · \d+ judge the model"))).to_be_visible()
    expect(page.get_by_text(f"you: {RIVAL} Negative").first).to_be_visible()
    page.screenshot(path=pictures / "bulk-company-done-wide-light.png")
    said = [(RIVAL, "negative")] * len(done["items"])
    assert _said_of_companies(served, "ben") == said

    with page.expect_response("**/labels/undo"):
        page.keyboard.press("z")
    expect(page.get_by_text(f"you: {RIVAL} Negative")).to_have_count(0)
    assert _said_of_companies(served, "ben") == said + [(RIVAL, None)] * len(done["items"])
    page.keyboard.press("Escape")
    expect(page.locator(".labels")).to_have_accessible_name("Sentiment")
    assert "of=" not in page.url


def test_companies_have_no_topic(visit: VisitAs) -> None:
    page = visit("ben").open(f"/label/bulk?series=entity%3D{RIVAL}&of={RIVAL}")
    expect(page.get_by_role("group", name=f"Sentiment, {RIVAL}")).to_be_visible()
    page.keyboard.press("]")
    expect(page.get_by_role("group", name="Topic", exact=True)).to_be_visible()
    expect(page.get_by_role("group", name="Companies")).to_have_count(0)


def test_an_explanation_marks_the_words(visit: VisitAs) -> None:
    desk = visit("boss")
    page = desk.open("/label")
    for _ in range(60):  # some are hidden from their labellers
        page.wait_for_selector(".item")
        if page.locator(".label-button.suggested").count():
            break
        before = _shown(page)
        page.keyboard.press("s")
        page.wait_for_function("text => document.querySelector('.item')?.innerText !== text", arg=before)
    page.keyboard.press("x")
    page.wait_for_selector("mark.weight")
    assert page.locator("mark.weight").count() >= 1


def _said_of_companies(served: ServedDesk, analyst: str) -> list[Any]:
    with psycopg.connect(served.database_url) as connection:
        query = "SELECT entity, label FROM label WHERE analyst = %s AND entity <> '' ORDER BY id"
        return connection.execute(query, (analyst,)).fetchall()


def _wait_for_companies(served: ServedDesk, analyst: str, expected: list[Any]) -> None:
    for _ in range(200):
        if _said_of_companies(served, analyst) == expected:
            return
        time.sleep(0.05)
    raise AssertionError(f"{analyst} said {_said_of_companies(served, analyst)}, not {expected}")


def test_a_company_is_chosen_and_labelled_by_keys(visit: VisitAs, served: ServedDesk, pictures: Path) -> None:
    desk = visit("boss")
    page = desk.open("/label")
    for _ in range(60):  # many stories have one company, and some have none
        page.wait_for_selector(".item")
        if page.locator(".company-choice button").count() == 2:
            break
        before = _shown(page)
        page.keyboard.press("s")
        page.wait_for_function("text => document.querySelector('.item')?.innerText !== text", arg=before)
    story, (first, second) = _shown(page), page.locator(".company-choice button").all()
    names = [button.inner_text().split()[0] for button in (first, second)]
    page.keyboard.press("c")
    expect(first).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("group", name=f"Sentiment, {names[0]}")).to_be_visible()
    page.keyboard.press("3")
    expect(second).to_have_attribute("aria-pressed", "true")
    expect(first).to_have_accessible_name(f"{names[0]} Positive you")
    page.screenshot(path=pictures / "label-company-wide-light.png")
    page.keyboard.press("1")
    expect(page.get_by_role("group", name="Sentiment", exact=True)).to_be_visible()
    _wait_for_companies(served, "boss", [(names[0], "positive"), (names[1], "negative")])
    assert _said(served, "boss") == [], "no story is labelled by its companies"
    assert page.locator(".item-text").inner_text() in story, "the story is still there"

    page.keyboard.press("z")
    expect(page.get_by_text("Taken back: 1")).to_be_visible()
    _wait_for_companies(served, "boss", [(names[0], "positive"), (names[1], "negative"), (names[1], None)])
    expect(second).not_to_have_accessible_name(re.compile("you"))
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys.get_by_text("Companies of the story")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("C")
    expect(second).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Escape")
    expect(page.get_by_role("group", name="Sentiment", exact=True)).to_be_visible()
    page.keyboard.press("2")
    page.wait_for_function("text => document.querySelector('.item-text')?.innerText !== text", arg=story)

    page = desk.open("/label/history")
    page.get_by_role("row", name=re.compile(f"Sentiment, {names[0]}")).get_by_role("combobox").select_option("neutral")
    _wait_for_companies(
        served, "boss", [(names[0], "positive"), (names[1], "negative"), (names[1], None), (names[0], "neutral")]
    )


def test_two_quick_presses_take_two_steps_back(visit: VisitAs, served: ServedDesk) -> None:
    page = visit("ben").open("/label")
    said, shown = _said(served, "ben"), []
    for key in ("1", "3"):
        page.wait_for_selector(".item")
        shown.append(_shown(page))
        page.keyboard.press(key)
        page.wait_for_function("text => document.querySelector('.item')?.innerText !== text", arg=shown[-1])
    _wait_for_rows(served, "ben", len(said) + 2)
    page.keyboard.press("z")
    page.keyboard.press("z")
    expect(page.locator(".figure .value").first).to_have_text("0")
    first, second, *back = _said(served, "ben")[len(said) :]
    assert back == [(second[0], None), (first[0], None)]
    assert _shown(page) == shown[0]
    expect(page.locator(".upcoming").first).to_be_visible()
    assert page.locator(".upcoming").first.inner_text() in shown[1], "each of them is there again"


_HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_stories_on_the_screen_stay_ones_own(visit: VisitAs) -> None:
    """Asked for again before the lease ends: also after a refusal, and at once when somebody looks again."""
    desk = visit("ben")
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 2:
            route.fulfill(status=503, json={"detail": "busy"})
        else:
            told = route.fetch()
            route.fulfill(response=told, json={**told.json(), "lease_seconds": 1})

    def renewed(page: Page) -> None:
        with page.expect_response(lambda found: "/api/v1/queue" in found.url and found.ok, timeout=5_000):
            pass

    desk.page.route("**/api/v1/queue?*", answer)
    page = desk.open("/label")
    page.wait_for_selector(".item")
    story = _shown(page)
    renewed(page)
    expect(page.get_by_role("alert")).to_have_count(0)
    page.evaluate(_HIDE, True)
    page.wait_for_timeout(1000)
    before = len(asked)
    page.wait_for_timeout(1000)
    assert len(asked) == before, "nobody looks"
    page.evaluate(_HIDE, False)
    renewed(page)
    renewed(page)
    assert _shown(page) == story
    desk.complaints[:] = [each for each in desk.complaints if "503" not in each]


def _press(page: Page, key: str) -> str:
    """Press `key` on the story that is shown, and wait for the next one. What was shown."""
    page.wait_for_selector(".item")
    before = _shown(page)
    page.keyboard.press(key)
    page.wait_for_function("text => document.querySelector('.item')?.innerText !== text", arg=before)
    return before


def test_a_step_is_taken_back_whatever_is_labelled_while_it_is_saved(visit: VisitAs, served: ServedDesk) -> None:
    desk = visit("ben")
    held: list[Route] = []

    def hold(route: Route) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    desk.page.route("**/api/v1/labels", hold)
    page = desk.open("/label")
    said = _said(served, "ben")
    first = _press(page, "1")
    page.wait_for_timeout(200)
    page.keyboard.press("z")
    second = _press(page, "3")
    assert len(held) == 1
    held[0].continue_()
    expect(page.get_by_text("Taken back: 1")).to_be_visible()
    _wait_for_rows(served, "ben", len(said) + 3)
    (one, _), *others = _said(served, "ben")[len(said) :]
    assert others == [(one, None), (others[1][0], "positive")]
    assert others[1][0] != one
    assert _shown(page) == first, "it is taken back, and is on the screen again"
    latest = page.get_by_role("region", name="Just labelled").locator(".upcoming")
    expect(latest).to_have_count(1)
    assert latest.inner_text().removeprefix("Positive").strip() in second


def _end_of_queue(page: Page, left: Collection[str] = ()) -> None:
    """Let `page` see of the queue no stories but those that are `left`."""

    def answer(route: Route) -> None:
        wider = re.sub(r"\bcount=\d+", "count=20", route.request.url)  # other tests left stories that come first
        told = route.fetch(url=wider if left else None)
        found = told.json()
        items = [item for item in found["items"] if item["story"] in left]
        route.fulfill(response=told, json={**found, "items": items})

    page.route("**/api/v1/queue?*", answer)


def test_a_step_of_an_earlier_visit_is_taken_back_at_the_end_of_the_queue(visit: VisitAs, served: ServedDesk) -> None:
    desk = visit("ben")
    page = desk.open("/label")
    rows = len(_said(served, "ben"))
    labelled = _press(page, "1")
    _wait_for_rows(served, "ben", rows + 1)
    _end_of_queue(page)
    desk.open("/label")
    expect(page.get_by_text("Nothing is left to label")).to_be_visible()
    page.unroute("**/api/v1/queue?*")
    _end_of_queue(page, {_said(served, "ben")[-1][0]})
    page.keyboard.press("z")
    page.wait_for_selector(".item")
    assert page.locator(".item-text").inner_text() in labelled
    page.unroute_all(behavior="wait")


def _pass_renewal(page: Page) -> None:
    """Let so much of the lease pass that it is renewed."""
    page.clock.fast_forward("11:00")


def test_a_renewal_that_failed_is_tried_again_by_hand(visit: VisitAs) -> None:
    desk = visit("ben")
    desk.page.clock.install()
    page = desk.open("/label")
    page.wait_for_selector(".item")
    story = _shown(page)
    page.route("**/api/v1/queue?*", lambda route: route.fulfill(status=503, json={"detail": "busy"}))
    _pass_renewal(page)
    expect(page.get_by_role("alert")).to_contain_text("busy")
    page.unroute("**/api/v1/queue?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert _shown(page) == story
    desk.complaints[:] = [each for each in desk.complaints if "503" not in each]


def test_a_queue_that_ends_in_the_background_says_so(visit: VisitAs) -> None:
    desk = visit("ben")
    desk.page.clock.install()
    page = desk.open("/label")
    page.wait_for_selector(".item")
    _end_of_queue(page)
    _pass_renewal(page)
    expect(page.get_by_text("Nothing is left to label")).to_be_visible()
    assert page.locator(".skeleton").count() == 0
    page.unroute_all(behavior="wait")


def _log_in(page: Page, person: str) -> None:
    page.fill("input[name=name]", person)
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    expect(page.locator(".who")).to_have_text(person)


def _label_one(page: Page) -> str:
    """Label a story. What the next one says, which is held on the page."""
    with page.expect_response("**/api/v1/labels"):
        _press(page, "1")
    expect(page.get_by_role("region", name="Just labelled").locator(".upcoming")).to_have_count(1)
    return page.locator(".item-text").inner_text()


def _is_clean(page: Page, of_another: str) -> None:
    """Whether the label page holds nothing of whoever was here before."""
    if not page.url.endswith("/label"):
        page.keyboard.press("l")
    page.wait_for_selector(".item")
    assert page.locator(".item-text").inner_text() != of_another
    expect(page.locator(".figure .value").first).to_have_text("0")
    expect(page.get_by_role("region", name="Just labelled").locator(".upcoming")).to_have_count(0)


def test_whoever_logs_in_next_finds_nothing_of_the_one_before(visit: VisitAs) -> None:
    page = visit(None).open("/label")
    _log_in(page, "ann")
    held = _label_one(page)
    with page.expect_navigation(url="**/"):
        page.get_by_role("button", name="Log out").click()
    _log_in(page, "ben")
    _is_clean(page, held)


def test_whoever_logs_in_after_a_session_has_ended_finds_nothing_of_the_one_before(visit: VisitAs) -> None:
    page = visit("ann").open("/label")
    held = _label_one(page)
    page.context.clear_cookies()
    page.keyboard.press("m")
    page.wait_for_selector("main.login")
    page.evaluate("window.before = true")
    _log_in(page, "ben")
    page.wait_for_function("() => !window.before")
    page.wait_for_selector("header.top")
    _is_clean(page, held)


def test_another_tab_changes_who_is_here(visit: VisitAs, cookies: dict[str, Any]) -> None:
    page = visit("ann").open("/label")
    held = _label_one(page)
    visit("ben")  # whose cookies are known from now on
    page.context.add_cookies(cookies["ben"]["cookies"])
    other = page.context.new_page()
    other.goto(page.url)
    expect(page.locator(".who")).to_have_text("ben")
    _is_clean(page, held)
