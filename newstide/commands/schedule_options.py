"""The options of `newstide train --schedule`, and how a look at the schedule is shown."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import click
import msgspec

from core.errors import InputError
from core.language import ENGLISH
from core.settings import load_settings
from newstide.commands.options import Command, with_options
from newstide.scheduled.schedule import ScheduleCheck, ScheduleOptions
from trainer.watch.drift import SMALLEST_WINDOW, WINDOW
from trainer.watch.schedule import Policy

_DEFAULT = Policy()
_OPTIONS = (
    click.option("--schedule", is_flag=True, help="Train whenever there is a reason to, until stopped."),
    click.option("--once", is_flag=True, help="With --schedule: look once, train if it is due, and exit."),
    click.option("--promote", is_flag=True, help="With --schedule: go on to live if every gate allows it."),
    click.option(
        "--min-labels",
        type=click.IntRange(1),
        help="Newly labelled texts that are a reason to train; `models.train_after_labels` by default.",
    ),
    click.option(
        "--max-age-days",
        type=click.FloatRange(0, 36_500),
        default=_DEFAULT.max_age_days,
        show_default=True,
        help="Age of the live model that is a reason to train; 0 for none.",
    ),
    click.option(
        "--drift-window",
        type=click.IntRange(SMALLEST_WINDOW),
        default=WINDOW,
        show_default=True,
        help="Stories that drift is judged on.",
    ),
    click.option(
        "--every",
        metavar="MINUTES",
        type=click.FloatRange(0, 525_600, min_open=True),
        default=60,
        show_default=True,
        help="Pause between two looks.",
    ),
    click.option(
        "--runs-in",
        type=click.Path(path_type=Path, file_okay=False),
        help="Where scheduled runs work; `training` in the settings' directory by default.",
    ),
)


def schedule_options(command: Command) -> Command:
    """Give `command` the options of the schedule; it receives one argument `schedule` and one `once`.

    `schedule` is None where --schedule was not given. InputError for --once or --promote without it.
    """

    @functools.wraps(command)
    def with_schedule(
        *arguments: Any,
        schedule: bool,
        once: bool,
        promote: bool,
        min_labels: int | None,
        max_age_days: float,
        drift_window: int,
        every: float,
        runs_in: Path | None,
        **others: Any,
    ) -> Any:
        if not schedule and (once or promote):
            raise InputError("--once and --promote belong to --schedule; add it, or leave them out")
        if min_labels is None:
            min_labels = load_settings().models.train_after_labels if schedule else _DEFAULT.min_labels
        options = ScheduleOptions(
            policy=Policy(min_labels=min_labels, max_age_days=max_age_days or None),
            promote=promote,
            every_s=every * 60,
            window=drift_window,
            directory=runs_in,
            language=others.get("language") or ENGLISH,
        )
        return command(*arguments, schedule=options if schedule else None, once=once, **others)

    return with_options(with_schedule, _OPTIONS)


def show_check(check: ScheduleCheck, as_json: bool) -> None:
    """Print `check`: one JSON object in a line, or one line for a person."""
    click.echo(json.dumps(msgspec.to_builtins(check)) if as_json else f"{check.outcome}: {check.note}")
