"""The terminal's view, rendered without a terminal."""

from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from newstide.stack.screen import AlertLine, Lines, Screen, SeriesTrend, Snapshot, open_view, render, sparkline
from newstide.stack.supervisor import ChildStatus

ALERT = AlertLine(
    key="1",
    series="entity=NMRB",
    opened_at=datetime(2025, 3, 7, 12, 5, tzinfo=UTC),
    figures="12 negative stories in 30 min, 0.2 expected",
    headlines=["Depositors queue [bold]outside[/bold]", "Bonds tumble\x1b[2J", "a third"],
)
SNAPSHOT = Snapshot(
    watermark=datetime(2025, 3, 7, 12, 10, tzinfo=UTC),
    messages=4512,
    stories=3790,
    dead_letters=1,
    messages_per_second=151.4,
    lag=23,
    processes=[
        ChildStatus("worker 0", "running", 11, 2, -9),
        ChildStatus("replay", "finished", None, 0, 0),
    ],
    series=[SeriesTrend("entity=NMRB", [0, 1, 0, 2, 16], 20, 4, 1, surging=True), SeriesTrend("all", [], 0, 0, 0)],
    alerts=[ALERT],
)


def text_of(snapshot: Snapshot, width: int = 130) -> str:
    console = Console(record=True, width=width, file=io.StringIO())
    said = ["the embedded database ended (killed by SIGKILL); starting it again"]
    console.print(render(snapshot, said=said, note="Ctrl-C ends it"))
    return console.export_text()


def test_the_screen_shows_everything_that_matters() -> None:
    shown = text_of(SNAPSHOT)
    for part in (
        "Fri 2025-03-07 12:10 UTC",
        "messages 4,512",
        "stories 3,790",
        "per second 151",
        "lag 23",
        "dead letters 1",
        "worker 0 (restarted 2x)",
        "replay",
        "·▁·▁█",
        "80% neg",
        "entity=NMRB 12 negative stories in 30 min, 0.2 expected",
        "the embedded database ended (killed by SIGKILL); starting it again",
        "Ctrl-C ends it",
    ):
        assert part in shown


def test_headlines_are_shown_as_they_are_and_steer_nothing() -> None:
    shown = text_of(SNAPSHOT)
    assert "Depositors queue [bold]outside[/bold]" in shown
    assert "\x1b" not in shown
    assert "Bonds tumble [2J" in shown


def test_an_empty_snapshot_renders_at_any_width() -> None:
    assert "waiting for messages" in text_of(Snapshot())
    for width in (20, 40, 200):
        assert text_of(SNAPSHOT, width)


def test_sparklines_scale_to_the_largest_value() -> None:
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "··"
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert sparkline([0, 1, 800]) == "·▁█"


def test_without_a_terminal_each_alert_is_one_line_once() -> None:
    out = io.StringIO()
    now = [0.0]
    view = Lines(Console(file=out, width=60), every_s=5, clock=lambda: now[0])
    with view:
        for now[0] in (0.0, 1.0, 4.0, 6.0):
            view.show(SNAPSHOT)
    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["ALERT", "event", "event"]
    assert lines[0].startswith(
        "ALERT Fri 07 Mar 12:05 entity=NMRB 12 negative stories in 30 min, 0.2 expected: Depositors"
    )
    assert "\x1b" not in out.getvalue()


def test_a_terminal_gets_the_screen_and_keeps_its_last_state() -> None:
    out = io.StringIO()
    assert isinstance(open_view(Console(file=out), "demo"), Lines)
    console = Console(file=out, force_terminal=True, width=100, height=40)
    view = open_view(console, "newstide demo")
    assert isinstance(view, Screen)
    with view:
        view.show(SNAPSHOT)
    assert "newstide demo" in out.getvalue().rpartition("\x1b[?1049l")[2], "still there after the screen is gone"
