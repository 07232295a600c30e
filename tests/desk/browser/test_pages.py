"""Every page: nothing that axe finds, nothing wider than the screen, and a picture for people to look at."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.desk.browser.conftest import PHONE, WIDE, VisitAs

PAGES = {
    "login": None,
    "mood": "/",
    "alerts": "/alerts",
    "label": "/label",
    "bulk": "/label/bulk?q=bank",
    "history": "/label/history?who=all",
    "disputes": "/label/adjudication",
    "agreement": "/label/agreement",
    "models": "/models",
    "search": "/search?q=bank",
    "account": "/account",
}
_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_pages_are_open_to_everybody(visit: VisitAs, pictures: Path, size: tuple[int, int], theme: str) -> None:
    faults = []
    guest, boss = visit(None, size=size, theme=theme), visit("boss", size=size, theme=theme)
    for name, path in PAGES.items():
        desk = guest if path is None else boss
        page = desk.open(path or "/")
        shape = "phone" if size == PHONE else "wide"
        page.screenshot(path=pictures / f"{name}-{shape}-{theme}.png", full_page=True)
        found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]})
        faults += [
            f"{name}: {fault['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
            for fault in found.response["violations"]
            for node in fault["nodes"][:3]
        ]
        wider = page.evaluate(_TOO_WIDE)
        faults += [f"{name} is {wider} pixels too wide"] if wider > 0 else []
    assert not faults, "\n".join(faults)


def test_pages_speak_chinese(visit: VisitAs, pictures: Path) -> None:
    desk = visit("boss", language="zh-CN")
    for name in ("mood", "alerts", "label"):
        page = desk.open(PAGES[name] or "/")
        page.screenshot(path=pictures / f"{name}-wide-chinese.png", full_page=True)
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert page.get_by_role("link", name="标注", exact=True).count() == 1


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
