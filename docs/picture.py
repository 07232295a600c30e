"""`python docs/picture.py`: replay the demo's news until its bank is in trouble, and take the picture of the desk that
the README shows. It needs Chromium and the extra `dev`.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

import httpx
from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.chromium import find_chromium
from newstide.embedded.process import free_port
from newstide.scenario import generate_feed
from newstide.scenario.feed import START, SURGE_AFTER

PICTURE = Path(__file__).with_name("desk.png")
SIZE = {"width": 1280, "height": 800}
_COLOURS = 128
_IN_TROUBLE = timedelta(hours=7)
_STANDS_STILL = "() => !document.querySelector('[aria-busy=true], .skeleton')"


def main() -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as home:
        environment = os.environ | {"NEWSTIDE_EMBEDDED__DIRECTORY": home, "NEWSTIDE_METRICS__DESK_PORT": "0"}
        newstide = [sys.executable, "-m", "newstide"]
        replay = ["up", "--replay", str(_write_news(Path(home) / "news.jsonl")), "--until-drained"]
        subprocess.run([*newstide, *replay], env=environment, check=True)
        port = free_port()
        environment["NEWSTIDE_DESK__PORT"] = str(port)
        desk = subprocess.Popen([*newstide, "desk"], env=environment)
        try:
            _wait_for(f"http://127.0.0.1:{port}/")
            subprocess.run([*newstide, "desk", "add", "ada", "--no-password"], env=environment, check=True)
            link = subprocess.run(
                [*newstide, "desk", "link", "ada"], env=environment, check=True, stdout=subprocess.PIPE
            )
            _take(link.stdout.decode().split()[-1])
        finally:
            desk.terminate()
            desk.wait()


def _write_news(file: Path) -> Path:
    until = (START + SURGE_AFTER + _IN_TROUBLE).isoformat()
    rows = itertools.takewhile(lambda row: row["published_at"] < until, generate_feed())
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def _wait_for(address: str) -> None:
    for _ in range(300):
        try:
            httpx.get(address).raise_for_status()
            return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise SystemExit(f"{address} does not answer")


def _take(address: str) -> None:
    chromium = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, locale="en-GB", timezone_id="UTC", reduced_motion="reduce")
        page.goto(address)
        page.wait_for_selector("main[id=page]")
        page.get_by_role("button", name="Companies", exact=True).click()
        page.wait_for_function(_STANDS_STILL)
        page.screenshot(path=PICTURE)
        browser.close()
    Image.open(PICTURE).convert("RGB").quantize(_COLOURS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
