"""Every page: nothing that axe finds, nothing wider than the screen, and a picture for people to look at."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from newstide.scenario import BANK
from tests.desk.browser.conftest import PHONE, WIDE, VisitAs
from tests.desk.browser.invented_store import RIVAL

PAGES = {
    "login": None,
    "mood": "/",
    "alerts": "/alerts",
    "label": "/label",
    "bulk": "/label/bulk?q=bank",
    "bulk-company": f"/label/bulk?q=deposits&series=entity%3D{BANK.ticker}&of={BANK.ticker}",
    "history": "/label/history?who=all",
    "disputes": "/label/adjudication",
    "agreement": "/label/agreement",
    "models": "/models",
    "search": "/search?q=bank",
    "account": "/account",
}
_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
_DRAWN = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
_SIGHTS: tuple[tuple[str, tuple[int, int], Literal["light", "dark"]], ...] = (
    ("wide", WIDE, "light"),
    ("wide", WIDE, "dark"),
    ("phone", PHONE, "dark"),
    ("phone", PHONE, "light"),
)


def test_pages_are_open_to_everybody(visit: VisitAs, pictures: Path) -> None:
    """Each is opened once, and looked at in both sizes and both themes."""
    faults = []
    guest, boss = visit(None), visit("boss")
    for name, path in PAGES.items():
        page = (guest if path is None else boss).open(path or "/")
        for shape, (width, height), theme in _SIGHTS:
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=theme)
            page.evaluate(_DRAWN)
            page.screenshot(path=pictures / f"{name}-{shape}-{theme}.png", full_page=True)
            wider = page.evaluate(_TOO_WIDE)
            faults += [f"{name}, {shape}, is {wider} pixels too wide"] if wider > 0 else []
            found = Axe().run(page, options={"runOnly": _RULES, "resultTypes": ["violations"]})
            faults += [
                f"{name}, {shape}, {theme}: {fault['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
                for fault in found.response["violations"]
                for node in fault["nodes"][:3]
            ]
    assert not faults, "\n".join(faults)


def test_pages_speak_chinese(visit: VisitAs, pictures: Path) -> None:
    desk = visit("boss", language="zh-CN")
    for name in ("mood", "alerts", "bulk-company", "models", "label"):
        page = desk.open(PAGES[name] or "/")
        page.screenshot(path=pictures / f"{name}-wide-chinese.png", full_page=True)
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.get_by_role("link", name="标注", exact=True).count() == 1


def test_what_is_said_of_companies_is_shown(visit: VisitAs) -> None:
    """In words where it is not what the story says as a whole; in both languages."""
    for language, words in (("en-GB", "Positive|Negative"), ("zh-CN", "正面|负面")):
        desk = visit("ann", language=language)
        for path in (f"/?series=entity%3D{RIVAL}", f"/search?series=entity%3D{RIVAL}"):
            page = desk.open(path)
            expect(page.locator(".company.differs").first).to_have_text(re.compile(f"{RIVAL} [▲▼] ({words})"))
    page = visit("ann").open(f"/?series=entity%3D{RIVAL}")
    expect(page.get_by_text(re.compile("as a whole: (Positive|Negative)")).first).to_be_visible()
    page = visit("ann").open("/alerts")
    driving = page.locator(".evidence .company", has_text=BANK.ticker).first
    expect(driving).to_have_accessible_name(f"{BANK.ticker} Negative")


def test_keys_are_listed_and_lead_to_pages(visit: VisitAs, pictures: Path) -> None:
    desk = visit("ann")
    page = desk.open("/")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.screenshot(path=pictures / "keys-wide-light.png")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_url("**/alerts")
    page.keyboard.press("/")
    page.wait_for_url("**/search")
    page.keyboard.type("bank")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search?q=bank")
    page.wait_for_selector(".story")
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.classList.contains('story')")
