"""How long people wait for the desk: a real Chromium on a store of 5 million messages and 30 days of minute trends.

    python benchmarks/bench_browser.py [--messages 5000000] [--days 30] [--rounds 20] [--presses 200] [--seed 1]

It fills an embedded database (or takes the one at `--database`, which it fills if it is empty), starts `newstide desk`
on it, and measures within the page, to the frame that shows the result:

- load: a page from its address to the last of its views, the browser's cache warm
- brush: from letting go of a span on the heat map until every view shows it
- key: from pressing the key of a label to the next story, at the pace of people and in a burst
- update: from a commit in the store to the figure on the screen, the page left alone

It prints the machine, its own command, and for each the median, the 95% quantile and the longest in milliseconds; it
exits with 1 where a 95% quantile is above its limit. It needs Chromium.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import psycopg
from bench_classifier import in_words, processor
from bench_desk import quantile, running_desk, wait_until_rolled_up
from chromium import find_chromium
from playwright.sync_api import Page, sync_playwright
from scratch_store import add_options, filled_store

from core.settings import load_settings
from core.store.connection import open_engine
from desk.security.accounts import Accounts
from desk.security.sessions import Sessions

PAGES = {
    "mood": "/",
    "mood, 30 days": "/?range=30d",
    "alerts": "/alerts",
    "label": "/label",
    "bulk": "/label/bulk?q=w3",
    "models": "/models",
    "search": "/search?q=w3",
    "account": "/account",
}
LIMITS_MS = {"load": 300.0, "brush": 300.0, "key": 50.0, "update": 2000.0}
SIZE = {"width": 1280, "height": 800}
_LOGIN = "bench"

# When the next frame is drawn, and nothing on the page is loading any more.
_STILL = "!document.querySelector('[aria-busy=true], .skeleton') && document.querySelector('main[id=page]')"
_LOADED = f"() => {_STILL} && performance.now()"
_WATCH_KEYS = """() => {
    window.delays = [];
    let pressed = 0, before = "";
    const text = () => document.querySelector(".item-text")?.textContent ?? "";
    const drawn = new MessageChannel();
    drawn.port1.onmessage = () => { if (pressed) window.delays.push(performance.now() - pressed); pressed = 0; };
    addEventListener("keydown", event => { pressed = event.timeStamp; before = text(); }, true);
    new MutationObserver(() => {
        if (pressed && text() && text() !== before) requestAnimationFrame(() => drawn.port2.postMessage(0));
    }).observe(document.body, { childList: true, characterData: true, subtree: true });
}"""
_WATCH_BRUSH = """() => {
    performance.setResourceTimingBufferSize(100000);
    addEventListener("pointerup", event => {
        window.brushed = 0;
        const views = ["mood/movers", "terms", "sources", "stories"];
        const look = () => {
            const from = encodeURIComponent(new URLSearchParams(location.search).get("from") ?? "nothing");
            const answered = performance.getEntriesByType("resource").map(entry => entry.name)
                .filter(name => name.includes(`from=${from}`));
            const here = views.every(view => answered.some(name => name.includes(`/api/v1/${view}?`)));
            const busy = document.querySelector("[aria-busy=true]");
            if (here && !busy) window.brushed = performance.now() - event.timeStamp;
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, true);
}"""


@dataclass(frozen=True)
class Timing:
    """Milliseconds that something took."""

    what: str
    median_ms: float
    p95_ms: float
    longest_ms: float
    times: int
    limit_ms: float

    @classmethod
    def of(cls, what: str, taken: list[float]) -> Timing:
        limit = LIMITS_MS[what.split()[0].rstrip(",")]
        return cls(what, median(taken), quantile(taken, 0.95), max(taken), len(taken), limit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, days=30)
    parser.add_argument("--rounds", type=int, default=20, help="times that each page is loaded, and other things done")
    parser.add_argument("--presses", type=int, default=200, help="labels given at either pace")
    parser.add_argument("--seed", type=int, default=1, help="of spans, labels and pauses")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit("Chromium is not installed; on Debian: apt install chromium")
    with filled_store(options.database, options.messages, options.days) as settings, ExitStack() as stack:
        url = settings.database.url or ""
        address, _ = stack.enter_context(running_desk(url))
        wait_until_rolled_up(url)
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=chromium, args=["--no-sandbox"]
        )
        page = browser.new_page(base_url=address, viewport=SIZE)  # type: ignore[arg-type]
        page.goto(f"/login#token={login_token(url)}")
        page.wait_for_function(_LOADED)
        chance = random.Random(options.seed)
        timings = loads(page, options.rounds)
        timings.append(Timing.of("brush", brush(page, options.rounds, chance)))
        for pace, pauses in (("people's pace", (0.15, 0.6)), ("burst", (0.05, 0.12))):
            timings.append(Timing.of(f"key, {pace}", press(page, options.presses, pauses, chance)))
        with psycopg.connect(url) as store:
            timings.append(Timing.of("update", update(page, store, options.rounds, chance)))
        browser.close()
    report = {
        "machine": in_words(processor()),
        "command": " ".join(["python", *sys.argv]).replace(str(options.database), "URL"),
        "messages": options.messages,
        "days": options.days,
        "seed": options.seed,
        "timings": [asdict(timing) for timing in timings],
    }
    show(report, as_json=options.json)
    sys.exit(1 if any(timing.p95_ms > timing.limit_ms for timing in timings) else 0)


def login_token(url: str) -> str:
    """A token that logs in once, as an account made for this."""
    engine = open_engine(load_settings(database={"url": url}))
    try:
        Accounts(engine).add(_LOGIN, "admin")
        return Sessions(engine, 1).make_link(_LOGIN, 60)
    finally:
        engine.dispose()


def settle(page: Page) -> float:
    """Wait until nothing is loading; the milliseconds since the page was asked for."""
    return float(page.wait_for_function(_LOADED).json_value())


def loads(page: Page, rounds: int) -> list[Timing]:
    """Each page, after a first time that nobody counts."""
    taken: dict[str, list[float]] = {name: [] for name in PAGES}
    for turn in range(rounds + 1):
        for name, path in PAGES.items():
            page.goto(path, wait_until="commit")
            milliseconds = settle(page)
            if turn:
                taken[name].append(milliseconds)
    return [Timing.of(f"load {name}", times) for name, times in taken.items()]


def brush(page: Page, rounds: int, chance: random.Random) -> list[float]:
    """Spans of the last day, chosen on the heat map with the mouse."""
    page.goto("/")
    settle(page)
    page.evaluate(_WATCH_BRUSH)
    canvas = page.locator(".heat canvas")
    taken = []
    for _ in range(rounds + 1):
        box = canvas.bounding_box()
        assert box is not None
        left, right = sorted(chance.sample(range(28, 98, 3), 2))
        page.mouse.move(box["x"] + left / 100 * box["width"], box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + right / 100 * box["width"], box["y"] + 40, steps=4)
        page.mouse.up()
        taken.append(float(page.wait_for_function("() => window.brushed").json_value()))
        page.wait_for_timeout(300)
    return taken[1:]


def press(page: Page, presses: int, pauses: tuple[float, float], chance: random.Random) -> list[float]:
    """Labels given by keyboard with pauses of so many seconds between them."""
    page.goto("/label")
    settle(page)
    page.wait_for_selector(".item-text")
    page.evaluate(_WATCH_KEYS)
    for given in range(presses):
        page.keyboard.press(chance.choice("123"))
        page.wait_for_timeout(1000 * chance.uniform(*pauses))
        page.wait_for_function("count => window.delays.length >= count", arg=given + 1)
    return [float(delay) for delay in page.evaluate("window.delays")]


def update(page: Page, store: psycopg.Connection[Any], rounds: int, chance: random.Random) -> list[float]:
    """One more story of all news, until the strip of the Mood page counts it."""
    page.goto("/")
    settle(page)
    taken = []
    for _ in range(rounds):
        page.wait_for_timeout(1000 * chance.uniform(1.0, 3.0))
        before = page.locator(".strip").inner_text()
        store.execute(
            "UPDATE trend SET neutral = neutral + 1, neutral_stories = neutral_stories + 1 WHERE kind = 'all' "
            "AND name = 'all' AND minute = (SELECT max(minute) FROM trend WHERE kind = 'all' AND name = 'all')"
        )
        store.execute("UPDATE offset_ledger SET messages = messages + 1, updated_at = now()")
        store.commit()
        began = time.perf_counter()
        page.wait_for_function("before => document.querySelector('.strip').innerText !== before", arg=before)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def show(report: dict[str, Any], *, as_json: bool) -> None:
    """Print the report."""
    if as_json:
        print(json.dumps(report, indent=1))
        return
    print(*(f"{name}: {value}" for name, value in report.items() if name != "timings"), sep="\n")
    for timing in report["timings"]:
        print(
            f"{timing['what']:22} median {timing['median_ms']:7.1f}  p95 {timing['p95_ms']:7.1f}  "
            f"longest {timing['longest_ms']:7.1f} ms of {timing['times']}; at most {timing['limit_ms']:.0f}"
            f"{'  MISSED' if timing['p95_ms'] > timing['limit_ms'] else ''}"
        )


if __name__ == "__main__":
    main()
