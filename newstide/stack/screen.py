"""What a terminal shows while newstide runs: a screen that redraws itself, or plain lines where there is no terminal.

Both take `Snapshot`s, which whoever runs the stack fills; nothing here knows where the figures come from.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, ConsoleRenderable, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from core.terminal import printable
from newstide.stack.supervisor import ChildStatus

_BARS = "▁▂▃▄▅▆▇█"
_SPLIT_CELLS = 12
_LINES_KEPT = 3
_MOODS = (("negative", "red"), ("neutral", "bright_black"), ("positive", "green"))


@dataclass(frozen=True)
class SeriesTrend:
    """One series over the time shown.

    `negative_stories` are counts per equal span of event time, oldest first; the others count messages in all of it.
    """

    name: str
    negative_stories: Sequence[int]
    negative: int
    neutral: int
    positive: int
    surging: bool = False


@dataclass(frozen=True)
class AlertLine:
    """One incident: the series it is named after, what was observed and expected there, the headlines that drove it."""

    key: str
    series: str
    opened_at: datetime
    figures: str
    headlines: Sequence[str] = ()
    is_open: bool = True


@dataclass(frozen=True)
class Snapshot:
    """The state of the stack at one moment. `watermark` is event time; alerts come newest first.

    `desk`: the address of the web desk, empty where it does not run.
    """

    watermark: datetime | None = None
    messages: int = 0
    stories: int = 0
    dead_letters: int = 0
    messages_per_second: float = 0.0
    lag: int = 0
    processes: Sequence[ChildStatus] = ()
    series: Sequence[SeriesTrend] = ()
    alerts: Sequence[AlertLine] = ()
    desk: str = ""


class View(Protocol):
    """Something that shows snapshots until it is left, and single lines on what happened, from any thread."""

    def show(self, snapshot: Snapshot) -> None: ...

    def say(self, line: str) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def open_view(console: Console, title: str, note: str = "") -> View:
    """The view that suits `console`: a live screen on a terminal, with `note` at its end; lines elsewhere."""
    return Screen(console, title, note) if console.is_terminal else Lines(console)


class Screen:
    """Redraws the whole terminal with each snapshot; what it showed last stays when it is left."""

    def __init__(self, console: Console, title: str, note: str = "") -> None:
        self._title = title
        self._note = note
        self._console = console
        self._said: deque[str] = deque(maxlen=_LINES_KEPT)
        self._last: ConsoleRenderable = Text("")
        self._live = Live(console=console, screen=True, auto_refresh=False)

    def show(self, snapshot: Snapshot) -> None:
        rows = max(4, self._console.height // 2 - 5)
        self._last = render(snapshot, self._title, rows=rows, said=tuple(self._said), note=self._note)
        self._live.update(self._last, refresh=True)

    def say(self, line: str) -> None:
        self._said.append(f"{datetime.now():%H:%M:%S} {line}")

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)
        self._console.print(self._last)


@dataclass
class Lines:
    """One line per new alert, and one on the state of things every `every_s` seconds."""

    console: Console
    every_s: float = 5.0
    clock: Callable[[], float] = time.monotonic
    _seen: set[str] = field(default_factory=set)
    _due: float = 0.0
    _desk: str = ""

    def show(self, snapshot: Snapshot) -> None:
        if snapshot.desk != self._desk:
            self._desk = snapshot.desk
            self._print(f"the desk: {printable(snapshot.desk)}")
        for alert in reversed(snapshot.alerts):
            if alert.key not in self._seen:
                self._seen.add(alert.key)
                self._print(f"ALERT {describe_alert(alert)}: {printable('; '.join(alert.headlines[:2]))}")
        if self.clock() >= self._due:
            self._due = self.clock() + self.every_s
            self._print(_describe_state(snapshot).plain)

    def say(self, line: str) -> None:
        self._print(printable(line))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def _print(self, line: str) -> None:
        self.console.print(Text(line), soft_wrap=True)


def render(
    snapshot: Snapshot, title: str = "newstide", rows: int = 14, said: Sequence[str] = (), note: str = ""
) -> ConsoleRenderable:
    """The screen for one snapshot, with at most `rows` series, what was `said` lately, and a `note` below it all."""
    parts: list[ConsoleRenderable] = [_header(snapshot, title), _series_table(snapshot.series[:rows])]
    parts.append(_alerts_panel(snapshot.alerts))
    parts += [Text(printable(line), style="yellow", no_wrap=True, overflow="ellipsis") for line in said]
    if snapshot.desk:
        # whole, however narrow the terminal is: it is there to be opened
        parts.append(Text.assemble(("the desk: ", "dim"), (printable(snapshot.desk), "bold"), overflow="fold"))
    if note:
        parts.append(Text(printable(note), style="dim"))
    return Group(*parts)


def sparkline(values: Sequence[int]) -> str:
    """One block character per value, scaled to the largest; a dot where there is nothing."""
    top = max(values, default=0)
    return "".join("·" if value <= 0 else _BARS[min(7, (8 * value - 1) // top)] for value in values)


def describe_alert(alert: AlertLine) -> str:
    """Time, series, and how far what was seen is from what was expected."""
    return f"{alert.opened_at:%a %d %b %H:%M} {printable(alert.series)} {alert.figures}"


def _describe_state(snapshot: Snapshot) -> Text:
    state = Text()
    watermark = f"{snapshot.watermark:%a %Y-%m-%d %H:%M}" if snapshot.watermark else "waiting for messages"
    state.append("event time ", style="dim").append(f"{watermark} UTC  " if snapshot.watermark else f"{watermark}  ")
    for label, value in (
        ("messages", f"{snapshot.messages:,}"),
        ("stories", f"{snapshot.stories:,}"),
        ("per second", f"{snapshot.messages_per_second:,.0f}"),
        ("lag", f"{snapshot.lag:,}"),
        ("alerts", f"{len(snapshot.alerts)}"),
    ):
        state.append(f"{label} ", style="dim").append(f"{value}  ", style="bold")
    if snapshot.dead_letters:
        state.append(f"dead letters {snapshot.dead_letters:,}  ", style="yellow")
    return state


def _header(snapshot: Snapshot, title: str) -> Panel:
    processes = Text()
    for process in snapshot.processes:
        style = {"running": "green", "finished": "bright_black", "waiting": "yellow"}.get(process.state, "red")
        processes.append("● ", style=style).append(process.name)
        if process.restarts:
            processes.append(f" (restarted {process.restarts}x)", style="yellow")
        processes.append("  ")
    return Panel(Group(_describe_state(snapshot), processes), title=Text(title, style="bold cyan"), title_align="left")


def _series_table(series: Sequence[SeriesTrend]) -> Table:
    table = Table(expand=True, box=None, header_style="dim", padding=(0, 1))
    table.add_column("series", no_wrap=True)
    table.add_column("negative stories over event time", ratio=1, no_wrap=True)
    table.add_column("messages", justify="right")
    table.add_column("split", no_wrap=True)
    for trend in series:
        total = trend.negative + trend.neutral + trend.positive
        table.add_row(
            Text(printable(trend.name), style="bold red" if trend.surging else ""),
            Text(sparkline(trend.negative_stories), style="red" if trend.surging else "cyan", overflow="crop"),
            f"{total:,}",
            _split_bar(trend, total),
        )
    return table


def _split_bar(trend: SeriesTrend, total: int) -> Text:
    bar = Text()
    counts = (trend.negative, trend.neutral, trend.positive)
    done = before = 0
    for (_, style), count in zip(_MOODS, counts, strict=True):
        before += count
        cells = round(_SPLIT_CELLS * before / total) if total else 0
        bar.append("█" * (cells - done), style=style)
        done = cells
    if total:
        bar.append(f" {100 * trend.negative / total:3.0f}% neg", style="dim")
    return bar


def _alerts_panel(alerts: Sequence[AlertLine], shown: int = 5) -> Panel:
    body = Text(overflow="ellipsis")
    for number, alert in enumerate(alerts[:shown]):
        if number:
            body.append("\n")
        body.append("▲ " if alert.is_open else "△ ", style="bold red" if alert.is_open else "dim")
        body.append(describe_alert(alert), style="bold" if alert.is_open else "dim")
        for headline in alert.headlines[: 3 if number < 2 else 1]:
            body.append("\n    ").append(printable(headline), style="italic")
    if not alerts:
        body.append("none", style="dim")
    return Panel(body, title=f"alerts ({len(alerts)})", title_align="left", border_style="red" if alerts else "dim")
