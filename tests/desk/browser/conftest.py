"""A desk as its process serves it, on a filled store, and Chromium that looks at it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from benchmarks.chromium import find_chromium
from core.settings import DatabaseSettings, DeskSettings, MetricsSettings, Settings
from core.store.connection import open_engine
from desk.security.accounts import Accounts
from desk.server import run_desk
from newstide.embedded.postgres import EmbeddedPostgres
from tests.conftest import a_database
from tests.desk.browser.invented_models import add_judgements, add_labels, add_models
from tests.desk.browser.invented_store import fill_store

PASSWORD = "a long password of theirs"
PEOPLE = {"ann": "analyst", "ben": "analyst", "boss": "admin", "vic": "viewer"}
WIDE, PHONE = (1280, 800), (390, 844)


@dataclass(frozen=True)
class ServedDesk:
    """Where it answers, and the database it answers from."""

    address: str
    database_url: str


@pytest.fixture(scope="session")
def served(postgres: EmbeddedPostgres, current: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedDesk]:
    """One desk for all tests of a session: they leave what it shows of the news as it is."""
    with a_database(postgres, current) as url:
        settings = Settings(
            database=DatabaseSettings(url=url),
            desk=DeskSettings(port=0, requests_per_second=1000),
            metrics=MetricsSettings(desk_port=0),
        )
        engine = open_engine(settings)
        fill_store(url)
        add_models(engine, tmp_path_factory.mktemp("models"))
        add_labels(engine)
        add_judgements(engine)
        accounts = Accounts(engine)
        for person, role in PEOPLE.items():
            accounts.add(person, role, PASSWORD)
        stop, ready = threading.Event(), queue.Queue[str]()
        thread = threading.Thread(target=run_desk, args=(settings, stop, ready.put), name="desk of the browser tests")
        thread.start()
        try:
            yield ServedDesk(ready.get(timeout=60), url)
        finally:
            stop.set()
            thread.join(timeout=30)
            engine.dispose()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """For one module: while Playwright runs, its thread has an event loop, and other tests could not run theirs."""
    path = find_chromium()
    if path is None:
        pytest.skip("Chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """Somebody's browser, and what it complained of."""

    page: Page
    address: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> Page:
        """Go to a page, and wait until it stands still."""
        self.page.goto(self.address + path)
        self.page.wait_for_selector("main[id=page], main.login")
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until nothing on the page is loading."""
        self.page.wait_for_function(
            "() => !document.querySelector('[aria-busy=true], .skeleton') && document.fonts.status === 'loaded'"
        )


VisitAs = Callable[..., Visit]
Enter = Callable[..., AbstractContextManager[Visit]]


@pytest.fixture(scope="session")
def cookies() -> dict[str, Any]:
    """Of each person who has logged in: the desk does not let anybody log in all the time."""
    return {}


@contextmanager
def new_visit(
    chromium: Browser,
    address: str,
    size: tuple[int, int] = WIDE,
    theme: str = "light",
    language: str = "en-GB",
    touch: bool = False,
    session: Any = None,
) -> Iterator[Visit]:
    """Somebody's browser, with the cookies of `session` if given; an error at the end if a page complains of anything.

    `touch`: a finger in place of the mouse.
    """
    context = chromium.new_context(
        base_url=address,
        viewport={"width": size[0], "height": size[1]},
        color_scheme=theme,  # type: ignore[arg-type]
        locale=language,
        timezone_id="Europe/Berlin",
        reduced_motion="reduce",
        has_touch=touch,
        is_mobile=touch,
        storage_state=session,
    )
    page = context.new_page()
    made = Visit(page, address)

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "401" not in message.text:
            made.complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: made.complaints.append(str(error)))
    try:
        yield made
    finally:
        context.close()
    assert not made.complaints


@pytest.fixture(scope="module")
def enter(served: ServedDesk, chromium: Browser, cookies: dict[str, Any]) -> Enter:
    """A browser in which somebody is logged in, or nobody for None, until the end of the block; see `new_visit`."""

    @contextmanager
    def entered(person: str | None = "ann", **options: Any) -> Iterator[Visit]:
        known = cookies.get(person or "")
        with new_visit(chromium, served.address, session=known, **options) as made:
            if person is not None and known is None:
                made.open("/")
                made.page.fill("input[name=name]", person)
                made.page.fill("input[name=password]", PASSWORD)
                made.page.click("button[type=submit]")
                made.page.wait_for_selector("header.top")
                cookies[person] = {"cookies": made.page.context.cookies(), "origins": []}
            yield made

    return entered


@pytest.fixture
def visit(enter: Enter) -> Iterator[VisitAs]:
    """Makes such a browser for one test."""
    with ExitStack() as stack:
        yield lambda *person, **options: stack.enter_context(enter(*person, **options))


@pytest.fixture(scope="module")
def mood(enter: Enter) -> Iterator[Visit]:
    """The Mood page as ann opened it, for all tests of a module that leave it as it is."""
    with enter() as made:
        made.open("/")
        yield made


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots are kept for people to look at."""
    folder = Path(__file__).resolve().parents[3] / "build" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
