"""`newstide demo` as whoever starts it meets it: what it prints, and its desk in a real browser."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect

from core.classifier import Classifier
from core.taxonomy import load_taxonomy
from core.text import model_input
from newstide.cli import newstide
from newstide.embedded.postgres import EmbeddedPostgres
from newstide.scenario import BANK, IPO, generate_feed
from tests.desk.browser.conftest import Visit, new_visit
from tests.desk.browser.mood_figures import wrong_figures
from tests.newstide.stacks import RunningStack
from tests.tiny_bundles import write_tiny
from trainer.data.dataset import load_dataset

SHORT = ("--seconds", "12")
LABELLED = 20
CANDIDATE = "tiny-candidate"
SPEC = """
[options]
least_texts = 1
[[corpus]]
name = "wire"
path = "corpus.jsonl"
licence = "MIT"
fields = {text = "text", sentiment = "sentiment", topic = "topic"}
"""
LATER = f"{BANK.name} opens a branch after the promotion"


@dataclass
class Demo:
    """A demo under way, somebody who opened its desk with the link it printed, and its store."""

    stack: RunningStack
    home: Path
    visit: Visit
    store: psycopg.Connection[Any]

    @property
    def page(self) -> Page:
        return self.visit.page

    def row(self, query: str) -> Any:
        return self.store.execute(query).fetchone()

    def command(self, *arguments: str) -> str:
        """What a command prints that is given in the directory of the demo."""
        settings = {"NEWSTIDE_EMBEDDED__DIRECTORY": str(self.home), "NEWSTIDE_MODELS__GATE_SPEED_RATIO": "0.01"}
        return CliRunner().invoke(newstide, arguments, env=settings, catch_exceptions=False).stdout


@pytest.mark.timeout(600)
def test_the_demo(tmp_path: Path, chromium: Browser, pictures: Path) -> None:
    """One demo for all of it: starting it is what takes the time."""
    with RunningStack(tmp_path, *SHORT, command=("demo",), NEWSTIDE_DESK__PORT="0") as stack:
        stack.wait_for(lambda: bool(stack.lines("the desk:")), "the address of the desk")
        address, _, token = stack.lines("the desk:")[0].removeprefix("the desk: ").partition("/login#token=")
        home = tmp_path / "newstide" / "demo"
        with (
            EmbeddedPostgres(home) as server,
            psycopg.connect(server.url, autocommit=True) as store,
            new_visit(chromium, address) as visit,
        ):
            demo = Demo(stack, home, visit, store)
            visit.open(f"/login#token={token}")
            _bank_in_trouble_is_seen_without_a_click(demo)
            visit.settle()
            visit.page.screenshot(path=pictures / "demo-mood.png", full_page=True)
            _its_alert_is_acknowledged_and_marked(demo)
            visit.page.screenshot(path=pictures / "demo-alert.png", full_page=True)
            labelled = _twenty_are_labelled_by_keyboard(demo)
            stack.wait_for(lambda: bool(demo.row("SELECT drained FROM alerting_progress")[0]), "all of it judged")
            visit.open("/")
            visit.page.screenshot(path=pictures / "demo-mood-at-the-end.png", full_page=True)
            assert wrong_figures(visit.page, store) == []
            _labels_are_in_the_next_dataset(demo, labelled)
            _link_is_good_once(demo, token)
            _alerts_are_for_the_right_reason(demo)
            _promotion_swaps_what_the_worker_runs(demo)
            assert {file.name for file in tmp_path.iterdir()} <= {"up.log", "newstide", *_MADE}, "something lies about"
        assert stack.end() == 0, stack.said()


def _bank_in_trouble_is_seen_without_a_click(demo: Demo) -> None:
    """The page is open before it happens: the news comes to it."""
    banner = demo.page.get_by_role("region", name="Open incidents")
    expect(banner).to_contain_text(BANK.ticker, timeout=120_000)


def _its_alert_is_acknowledged_and_marked(demo: Demo) -> None:
    page = demo.page
    page.get_by_role("region", name="Open incidents").get_by_role("link", name=BANK.ticker).first.click()
    page.wait_for_selector(".incident .evidence li")
    page.keyboard.press("c")
    expect(page.locator(".incident .badge", has_text="Acknowledged")).to_be_visible()
    page.keyboard.press("u")
    expect(page.locator(".incident .badge", has_text="Useful")).to_be_visible()
    marked = (
        "SELECT feedback.verdict, feedback.analyst, name, acknowledged FROM feedback "
        "JOIN incident ON incident.id = feedback.incident "
        "JOIN incident_handling AS handling ON handling.incident = incident.id"
    )
    assert demo.row(marked) == ("useful", "admin", BANK.ticker, True)


def _twenty_are_labelled_by_keyboard(demo: Demo) -> dict[str, str]:
    """Label by story, the last of which was taken back and said otherwise."""
    page = demo.visit.open("/label")
    said: list[str] = []
    for number in range(LABELLED):
        page.wait_for_selector(".item")
        before = page.locator(".item").inner_text()
        page.keyboard.press(str(1 + number % 3))
        said.append(("negative", "neutral", "positive")[number % 3])
        page.wait_for_function("text => document.querySelector('.item')?.innerText !== text", arg=before)
    page.keyboard.press("z")
    expect(page.get_by_text("Taken back: 1")).to_be_visible()
    page.keyboard.press("1")
    said[-1] = "negative"
    expect(page.locator(".figure .value").first).to_have_text(str(LABELLED))
    rows = "FROM label WHERE analyst = 'admin' AND task = 'sentiment'"
    demo.stack.wait_for(lambda: demo.row(f"SELECT count(*) {rows}")[0] == LABELLED + 2, "rows of all labels")
    stored = demo.store.execute(f"SELECT story::text, label {rows} ORDER BY id").fetchall()
    latest = dict(stored)
    assert list(latest.values()) == said
    assert stored[-3:] == [(stored[-1][0], "neutral"), (stored[-1][0], None), (stored[-1][0], "negative")]
    return latest


_MADE = ("corpus.jsonl", "spec.toml", "dataset", "candidate", "frozen.jsonl", "later.jsonl")


def _texts() -> list[str]:
    return sorted({row["text"] for row, _ in zip(generate_feed(), range(240), strict=False)})


def _write_lines(file: Path, lines: list[dict[str, str]]) -> Path:
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


def _labels_are_in_the_next_dataset(demo: Demo, labelled: dict[str, str]) -> None:
    tasks = load_taxonomy().tasks.items()
    lines = [
        {"text": text, **{task: names[at % len(names)] for task, names in tasks}} for at, text in enumerate(_texts())
    ]
    corpus = _write_lines(demo.stack.directory / "corpus.jsonl", lines)
    (corpus.parent / "spec.toml").write_text(SPEC)
    out = corpus.parent / "dataset"
    built = json.loads(demo.command("dataset", "build", str(corpus.parent / "spec.toml"), "--out", str(out), "--json"))
    texts = demo.store.execute("SELECT DISTINCT story::text, text FROM label WHERE analyst = 'admin'").fetchall()
    assert built["analysts"] == len(texts) == LABELLED
    split = load_dataset(out).split
    learnt = {each.text: each.labels.get("sentiment") for each in (*split.train, *split.validation, *split.test)}
    assert {story: learnt.get(model_input(text)) for story, text in texts} == labelled


def _link_is_good_once(demo: Demo, token: str) -> None:
    session = demo.page.request.post("/api/v1/session/link", data={"token": token})
    assert session.status == 401


def _alerts_are_for_the_right_reason(demo: Demo) -> None:
    assert any(f"entity={BANK.ticker}" in line for line in demo.stack.lines("ALERT"))
    alerts = json.loads(demo.command("alerts", "list", "--json"))
    bank = [alert for alert in alerts if alert["series"] == f"entity={BANK.ticker}"]
    assert bank
    assert all(alert["observed"] > 3 * alert["expected"] for alert in bank)
    assert bank[0]["evidence"]["stories"]
    assert not any(alert["series"] == f"entity={IPO.ticker}" for alert in alerts)
    assert json.loads(demo.command("audit", "--json"))["differences"] == []


def _promotion_swaps_what_the_worker_runs(demo: Demo) -> None:
    """The candidate is right on all of its test set, so that every gate lets it pass."""
    directory = demo.stack.directory
    classifier = Classifier(write_tiny(directory / "candidate", CANDIDATE, seed=2))
    scores = classifier.predict(_texts()).items()
    best = {task: [classifier.labels(task)[row.argmax()] for row in table] for task, table in scores}
    lines = [{"text": text, **{task: best[task][at] for task in best}} for at, text in enumerate(_texts())]
    frozen = _write_lines(directory / "frozen.jsonl", lines)
    demo.command("promote", str(directory / "candidate"), "--check", "--data", str(frozen))
    page = demo.visit.open(f"/models/{CANDIDATE}")
    page.get_by_role("button", name="Promote").click()
    expect(page.get_by_text(f"In service now: {CANDIDATE}")).to_be_visible(timeout=20_000)
    expect(page.get_by_role("region", name="Workers")).to_contain_text(CANDIDATE, timeout=30_000)
    later = {"id": "later", "source": "wire", "published_at": datetime.now(UTC).isoformat(), "text": LATER}
    demo.command("ingest", "replay", str(_write_lines(directory / "later.jsonl", [later])))
    model = f"SELECT max(model) FROM message WHERE text = '{LATER}'"
    demo.stack.wait_for(lambda: demo.row(model)[0] == CANDIDATE, "a message that the new model labelled")
