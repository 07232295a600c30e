"""Options that leave no use for others, or mean nothing without another."""

from __future__ import annotations

import click
from click.core import ParameterSource

from core.errors import InputError

_JUDGES = "it only judges, and writes no bundle; train without it afterwards, or"
# Of `newstide train`: an option, others that it would pass over, and why.
_APART = (
    ("schedule", ("data", "dataset", "corpora"), "a scheduled training builds its dataset of --spec;"),
    ("schedule", ("out", "name", "weights"), "a scheduled training names its models and works under --runs-in;"),
    ("schedule", ("teacher",), "a scheduled training is taught by the live model alone;"),
    ("schedule", ("unseen", "seeds"), "a scheduled training makes a model, these only judge;"),
    ("unseen", ("compress", "out", "name"), _JUDGES),
    ("unseen", ("search",), "a recipe searched with a source has seen it; search first, with --leave-out, and"),
    ("seeds", ("compress", "out", "name"), _JUDGES),
)
# Options, and those that are read beside one of them alone.
_OWNED = (
    (("compress",), ("unlabelled", "students")),
    (("compress", "teacher"), ("variants",)),
    (("adapt",), ("adapt_epochs", "adapt_most")),
    (("lora",), ("lora_rate",)),
    (("teacher",), ("teaches",)),
    (("schedule",), ("spec", "base", "drop_leaks", "min_labels", "max_age_days", "drift_window", "every", "runs_in")),
)
# What a training that goes on from a bundle has no use for.
_FROM_THE_BEGINNING = (
    "adapt",
    "class_weights",
    "compress",
    "few_shot",
    "fusion",
    "leave_out",
    "lora",
    "search",
    "source_balance",
    "source_bias",
    "source_smoothing",
    "unseen",
)


def given_options() -> dict[str, str]:
    """Options of the running command that were given, as they are written, by the names of their parameters."""
    context = click.get_current_context()
    return {
        parameter.name: parameter.opts[0]
        for parameter in context.command.params
        if parameter.name and context.get_parameter_source(parameter.name) is not ParameterSource.DEFAULT
    }


def from_the_beginning() -> list[str]:
    """Those of the options given that a training from a backbone alone has a use for, as they are written."""
    given = given_options()
    return [given[name] for name in _FROM_THE_BEGINNING if name in given]


def refuse_without(owners: tuple[str, ...], *owned: str) -> None:
    """Raise InputError for an option of the running command, one of `owned`, that was given without any of `owners`."""
    given = given_options()
    for option in owned:
        if option in given and not given.keys() & set(owners):
            names = " or ".join(f"--{owner}" for owner in owners)
            raise InputError(f"{given[option]} belongs to {names}; add {names}, or leave out {given[option]}")


def refuse_beside(option: str, others: tuple[str, ...], why: str) -> None:
    """Raise InputError for an option of the running command, one of `others`, that was given beside `option`."""
    given = given_options()
    for other in others:
        if option in given and other in given:
            raise InputError(f"{given[option]} has no use for {given[other]}: {why} leave out {given[other]}")


def refuse_before(subcommand: str | None) -> None:
    """Raise InputError for an option that was given to the running group and that its `subcommand` would not see."""
    if subcommand is not None and (given := given_options()):
        group, option = click.get_current_context().info_name, next(iter(given.values()))
        raise InputError(f"{option} is of `newstide {group}` alone: `{subcommand}` has no use for it; leave it out")


def refuse_idle_options() -> None:
    """Raise InputError for an option of `newstide train` that was given and would be passed over, naming both."""
    for option, others, why in _APART:
        refuse_beside(option, others, why)
    for owners, owned in _OWNED:
        refuse_without(owners, *owned)
