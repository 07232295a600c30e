"""`newstide backtest`: the live detector on the past."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import click

from alerting.backtest import html
from alerting.backtest.panel import Panel, make_panel
from alerting.backtest.run import Found, Recorder
from alerting.backtest.run import backtest as run_backtest
from alerting.backtest.table import Table, as_counts, read_table
from alerting.backtest.trends import TrendBacktest
from alerting.backtest.windows import Window, read_windows, score_windows
from alerting.detection.detector import ALL
from alerting.rules.alerts_file import load_rules
from alerting.rules.policy import Policy
from core.errors import InputError
from core.settings import AlertingSettings, Settings, load_settings
from core.store.connection import connect
from newstide.commands.output import ticking
from newstide.commands.times import Moment
from newstide.stack.resources import database

_NO_MATPLOTLIB = "a .png needs matplotlib: `pip install 'newstide[plot]'` brings it; an .html needs nothing"


@click.command()
@click.argument("series", required=False, type=click.Path(path_type=Path))
@click.option("--trends", is_flag=True, help="Judge the stored trends instead of a file, by the rules in force.")
@click.option("--since", type=Moment(), help="With --trends: what began since then; older days are learnt from.")
@click.option(
    "--budget",
    type=float,
    metavar="PER_WEEK",
    help="Acceptable false alarms a week; 1, or the rules' own, if not given.",
)
@click.option(
    "--rate-unit",
    metavar="UNIT",
    help="What the values are per, if they are rates: second, minute, hour or day. The detector is for counts, and a "
    "rate is scaled to counts a step. For fractions: a number, the counts a step that a value of 1 stands for, or "
    "`auto`, which makes the noise of the first days that of counts. `observed` and `expected` are scaled as well.",
)
@click.option(
    "--labels",
    type=click.Path(path_type=Path),
    help="JSON with windows of known events, [[start, end], ...], or such a list for each file name: prints how many "
    "were found, how soon, and false alarms a week.",
)
@click.option(
    "--json", "out", type=click.Path(path_type=Path), help="Write the alerts here; standard output if not given."
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Draw counts, expected band, score, threshold and alerts into this .html, or .png (needs matplotlib).",
)
def backtest(
    series: Path | None,
    trends: bool,
    since: datetime | None,
    budget: float | None,
    rate_unit: str | None,
    labels: Path | None,
    out: Path | None,
    plot: Path | None,
) -> None:
    """Show what alerting would have found in the past.

    SERIES is a CSV file with the columns timestamp and value: counts at a regular step. The live detector goes through
    it once, so every threshold is from earlier steps alone, and nothing is judged in the first days, which it needs to
    learn. The JSON is a list of objects with start, end, peak, observed, expected and score; with --trends, series and
    signal too.
    """
    _check(series, trends, since, rate_unit, labels, plot)
    settings = load_settings()
    if series is None:
        found, panels = _of_trends(settings, since, budget, draws=plot is not None)
    else:
        table = as_counts(read_table(series), rate_unit, settings.alerting.warmup_days)
        windows = read_windows(labels, str(series)) if labels else []
        found, panels = _of_file(table, settings.alerting, 1.0 if budget is None else budget, windows)
    document = json.dumps([each.to_json(named=trends) for each in found], indent=1)
    if out is None:
        click.echo(document)
    else:
        _write(out, document + "\n")
    for each in found:
        click.echo(f"{each.series} {each.signal} {each}" if trends else str(each), err=True)
    click.echo(f"{len(found)} alerts{f' written to {out}' if out else ''}", err=True)
    if plot is not None:
        _draw(plot, f"Backtest of {series or 'the stored trends'}", panels)
        click.echo(f"drawn into {plot}", err=True)


def _check(
    series: Path | None,
    trends: bool,
    since: datetime | None,
    rate_unit: str | None,
    labels: Path | None,
    plot: Path | None,
) -> None:
    if (series is not None) == trends:
        raise InputError("give either SERIES, a CSV file, or --trends")
    if trends and (rate_unit or labels):
        raise InputError("--rate-unit and --labels are for SERIES, a file")
    if since is not None and not trends:
        raise InputError("--since needs --trends; a file is judged whole")
    if plot is None:
        return
    if plot.suffix not in (".html", ".png"):
        raise InputError(f"--plot {plot} ends with neither .html nor .png")
    if plot.suffix == ".png":
        try:
            import matplotlib  # noqa: F401
        except ImportError as error:
            raise InputError(_NO_MATPLOTLIB) from error


def _of_file(
    table: Table, settings: AlertingSettings, budget: float, windows: Sequence[Window]
) -> tuple[list[Found], list[Panel]]:
    recorder = Recorder([ALL])
    found = run_backtest(table, settings, budget, recorder)
    judged_days = table.days - settings.warmup_days
    if judged_days <= 0:
        click.echo(
            f"nothing was judged: the file covers {table.days:.3g} days, and the first {settings.warmup_days:g} are "
            "for learning",
            err=True,
        )
    elif budget * judged_days / 7 < 0.1:
        click.echo(
            f"the file covers {table.days:.3g} days, too few to show an alarm in {1 / budget:.3g} weeks: the threshold "
            "is extrapolated far beyond what was seen",
            err=True,
        )
    if windows:
        click.echo(_of_windows(found, windows, table, settings), err=True)
    start = table.steps.of(table.start)
    traces = recorder.joined().values()
    return found, [make_panel(trace, table.values, start, table.steps, found, windows) for trace in traces]


def _of_windows(found: Sequence[Found], windows: Sequence[Window], table: Table, settings: AlertingSettings) -> str:
    steps = table.steps
    start = steps.of(table.start)
    judged_from = steps.start(start + round(settings.warmup_days * steps.per_day))
    scored = score_windows([each.start for each in found], windows, judged_from, steps.start(start + len(table.values)))
    low, high = scored.interval
    delay = "" if scored.delay_minutes is None else f", in the median {scored.delay_minutes:.0f} min after they began"
    passed = len(windows) - scored.windows
    return (
        f"{scored.found} of {scored.windows} windows found{delay}"
        f"{f'; {passed} more lie outside the days that were judged' if passed else ''}\n"
        f"{scored.false_alarms} false alarms in {scored.weeks:.1f} weeks outside windows: {scored.per_week:.2f} a week "
        f"(95% interval {low:.2f} to {high:.2f})"
    )


def _of_trends(
    settings: Settings, since: datetime | None, budget: float | None, draws: bool
) -> tuple[list[Found], list[Panel]]:
    policy = _policy(settings, budget)
    with database(settings) as answering, connect(answering, autocommit=True) as connection:
        past = TrendBacktest(connection, settings.alerting, policy, since)
        with ticking("weeks judged", past.weeks) as tick:
            found = past.find(tick)
        if not draws:
            return found, []
        with ticking("weeks drawn", past.weeks) as tick:
            return found, past.panels(found, tick)


def _policy(settings: Settings, budget: float | None) -> Policy:
    policy = load_rules(settings).policy
    if budget is None:
        return policy
    if not 0 < budget < float("inf"):
        raise InputError(f"a budget of {budget:g} alarms a week can't be met; give one above 0, for example 1")
    return replace(policy, budget_per_week=budget)


def _draw(path: Path, title: str, panels: Sequence[Panel]) -> None:
    if path.suffix == ".html":
        _write(path, html.render(title, panels))
        return
    from alerting.backtest.png import draw

    try:
        draw(path, title, panels)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}; give --plot another place") from error


def _write(path: Path, body: str) -> None:
    try:
        path.write_text(body, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}; give another place") from error


COMMANDS = [backtest]
