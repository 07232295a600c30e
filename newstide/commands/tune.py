"""`newstide alerts tune`: what a budget of false pages buys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import click
from rich.table import Table

from alerting.backtest.trends import read_all, stored_steps, weeks_in
from alerting.backtest.tuning import Plan, TradeOff, ticks, trade_offs
from alerting.detection.shape import Shape
from alerting.rules.alerts_file import load_rules
from alerting.steps import Steps
from core.errors import InputError
from core.settings import load_settings
from core.store.connection import connect
from newstide.commands.output import open_console, ticking
from newstide.commands.times import Moment
from newstide.stack.resources import database

_WEEKS = 16  # of trends, the last there are, if nothing else is asked for
_BUDGETS, _RATIOS = (0.25, 0.5, 1.0, 2.0, 5.0), (2.0, 3.0, 5.0)


@click.command()
@click.option("--since", type=Moment(), help=f"Use trends from this day on; the last {_WEEKS} weeks if not given.")
@click.option("--learn-days", type=click.IntRange(3), default=28, show_default=True, help="First days, without surges.")
@click.option(
    "--budget",
    "budgets",
    type=float,
    multiple=True,
    default=_BUDGETS,
    show_default=True,
    metavar="PER_WEEK",
    help="Compare this budget; may be given more than once.",
)
@click.option(
    "--ratio",
    "ratios",
    type=float,
    multiple=True,
    default=_RATIOS,
    show_default=True,
    metavar="X",
    help="Surges of so many times what is ordinary; may be given more than once.",
)
@click.option("--minutes", type=click.IntRange(5, 1440), default=60, show_default=True, help="Length of a surge.")
@click.option("--seed", type=int, default=0, show_default=True, help="Chooses times and stories of the surges.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array, an object for each budget.")
def tune(
    since: datetime | None,
    learn_days: int,
    budgets: tuple[float, ...],
    ratios: tuple[float, ...],
    minutes: int,
    seed: int,
    as_json: bool,
) -> None:
    """Show what a budget of false pages buys: how many surges are found, and how soon.

    Surges of bad news are put into your own stored trends, made of stories of other days at the same time of day, and
    judged by the live detector under the rules in force, once for each budget. Nothing is changed or sent.
    """
    for name, values, least in (("budget", budgets, 0.0), ("ratio", ratios, 1.0)):
        for value in values:
            if not least < value <= 1000:
                raise InputError(f"--{name} {value:g} makes no sense; give a number above {least:g} and up to 1000")
    plan = Plan(sorted(set(budgets)), sorted(set(ratios)), minutes, learn_days, seed)
    settings = load_settings()
    policy, steps = load_rules(settings).policy, Steps(settings.alerting.step_minutes)
    Shape.of(settings.alerting)
    with database(settings) as answering, connect(answering, autocommit=True) as connection:
        start, end = stored_steps(connection, steps)
        asked = steps.of(since) if since else end - 7 * _WEEKS * steps.per_day
        start = max(start, asked // steps.per_day * steps.per_day)
        with ticking("weeks read", weeks_in(steps, start, end)) as tick:
            counts = read_all(connection, steps, start, end, tick)
    with ticking("weeks judged", ticks(counts, steps, plan)) as tick:
        found = list(trade_offs(counts, settings.alerting, policy, plan, tick))
    if as_json:
        click.echo(json.dumps([each.to_json() for each in found], indent=1))
        return
    open_console().print(_as_table(found))
    click.echo(
        f"surges of {minutes} min in {(end - start) / steps.per_day:.0f} days of your trends, found if told within "
        f"{1.5 * minutes:.0f} min; pages a week are those of the past as it was, true ones among them",
        err=True,
    )


COMMANDS = [tune]


def _as_table(found: Sequence[TradeOff]) -> Table:
    ratios = [f"x{each.ratio:g} ({each.surges})" for each in found[0].caught]
    table = Table("budget a week", "pages a week", *ratios, box=None)
    for row in found:
        cells = [
            "-"
            if not each.surges
            else f"{each.found / each.surges:.0%}"
            + ("" if each.delay_minutes is None else f" @ {each.delay_minutes:.0f} min")
            for each in row.caught
        ]
        table.add_row(f"{row.budget:g}", f"{row.pages_per_week:.2f}", *cells)
    return table
