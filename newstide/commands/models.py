"""`newstide models | promote | rollback`: which model runs, and which one shall."""

from __future__ import annotations

import getpass
import json
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click
import msgspec
from rich.status import Status
from rich.text import Text

from core.bundle import sign_bundle
from core.errors import InputError
from core.rollback import go_back
from core.settings import load_settings
from core.store import models as registry
from core.taxonomy import load_taxonomy
from core.terminal import PlainConsole
from newstide.commands.model_report import describe_models, show_gates, show_models
from newstide.commands.option_conflicts import refuse_before
from newstide.commands.output import open_console
from newstide.stack.resources import store
from trainer.judge.compare import read_examples
from trainer.promote.judgement import Target
from trainer.promote.promotion import PromotionRefused
from trainer.promote.promotion import check as check_model
from trainer.promote.promotion import promote as promote_model

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group(invoke_without_command=True)
@click.option("--history", type=click.IntRange(0), default=20, show_default=True, help="Latest changes to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def models(context: click.Context, history: int, as_json: bool) -> None:
    """Registered models, what the workers run, how shadows agree, and who changed what, when and why."""
    refuse_before(context.invoked_subcommand)
    if context.invoked_subcommand is not None:
        return
    with store(load_settings()) as engine:
        report = describe_models(engine, history)
    if as_json:
        click.echo(json.dumps(report, indent=1))
    else:
        show_models(open_console(), report)


@models.command()
@click.argument("bundle", type=click.Path(path_type=Path, file_okay=False))
@click.option("--key", type=_FILE, required=True, help="PEM file of an Ed25519 private key.")
def sign(bundle: Path, key: Path) -> None:
    """Sign a bundle directory, for those who name the public key in `models.trusted_keys`."""
    click.echo(f"{sign_bundle(bundle, key).name} is signed")


@click.command()
@click.argument("what", metavar="BUNDLE|NAME")
@click.option("--shadow", is_flag=True, help="Only label a sample of the live traffic beside the live model.")
@click.option("--data", type=_FILE, help='Frozen test set, lines {"text", "<task>": "<label>"}; `models.test_set`.')
@click.option("--name", help="Register the bundle under this name; names must be unique.")
@click.option("--check", is_flag=True, help="Only judge it, as if it were to go live, and record the verdict.")
@click.option("--force", is_flag=True, help="Overrule gates that failed; needs --reason, and is recorded.")
@click.option("--reason", default="", help="Why, for the history.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def promote(
    what: str, shadow: bool, data: Path | None, name: str | None, check: bool, force: bool, reason: str, as_json: bool
) -> None:
    """Put a bundle directory, or a registered model, into service in all workers, if it passes the gates."""
    settings = load_settings()
    to: Target = "shadow" if shadow else "live"
    data = data or settings.models.test_set
    examples = read_examples(data, load_taxonomy(settings.taxonomy).tasks) if data is not None else None
    quiet = as_json or not sys.stderr.isatty()
    if check:
        if shadow or force or reason:
            raise InputError("--check changes nothing; leave --shadow, --force and --reason out")
        with store(settings) as engine, _progress(quiet) as status:
            judged = check_model(
                settings, engine, what, examples=examples, name=name, actor=_who(), report=_reporter(status)
            )
        if as_json:
            click.echo(json.dumps(msgspec.to_builtins(judged)))
        else:
            show_gates(open_console(), judged.gates)
        return
    with store(settings) as engine, _progress(quiet) as status:
        try:
            done = promote_model(
                settings,
                engine,
                what,
                to=to,
                examples=examples,
                name=name,
                force=force,
                actor=_who(),
                reason=reason,
                report=_reporter(status),
            )
        except PromotionRefused as refused:
            if as_json:
                gates = msgspec.to_builtins(refused.gates)
                click.echo(json.dumps({"model": refused.model, "refused": True, "as": to, "gates": gates}))
            else:
                show_gates(open_console(), refused.gates)
            raise
    if as_json:
        click.echo(json.dumps({**msgspec.to_builtins(done), "refused": False}))
        return
    show_gates(open_console(), done.gates)
    if not done.changed:
        click.echo(f"{done.model} is {done.state} already")
    else:
        place = f", in the place of {done.displaced}" if done.displaced else ""
        forced = "; gates were overruled" if done.forced else ""
        click.echo(f"{done.model} is {done.state}{place}{forced}; workers switch between two batches")


@click.command()
@click.option("--reason", default="rolled back", show_default=True, help="Why, for the history.")
@click.option("--shadow", is_flag=True, help="Leave the live model; end the shadow, which is a candidate again.")
@click.option("--language", metavar="CODE", help="Whose model to roll back, where several are live.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rollback(reason: str, shadow: bool, language: str | None, as_json: bool) -> None:
    """Bring back what read a language before its present model; models of other languages stay."""
    settings = load_settings()
    with store(settings) as engine:
        if shadow:
            name = _find_shadow(registry.list_models(engine, "shadow"), language)
            done = registry.move_model(engine, name, "candidate", actor=_who(), reason=reason)
        else:
            done = go_back(settings, engine, language=language, actor=_who(), reason=reason)
    if as_json:
        beside = {"beside": done.beside} if done.beside else {}
        click.echo(json.dumps({"model": done.model, "state": done.state, "displaced": done.displaced, **beside}))
        return
    place = f", {done.displaced} is retired" if done.displaced else ""
    click.echo(f"{' and '.join([done.model, *done.beside])} {'are' if done.beside else 'is'} {done.state}{place}")


def _find_shadow(shadows: Sequence[registry.ModelRow], language: str | None) -> str:
    found = [row for row in shadows if language is None or language == row.language]
    if not found:
        raise InputError("no model is a shadow; see `newstide models`")
    if len(found) > 1:
        choice = ", ".join(f"{row.name} ({row.language})" for row in found)
        raise InputError(f"several models are shadows: {choice}; say which with --language")
    return found[0].name


COMMANDS = [models, promote, rollback]


def _who() -> str:
    """Who is asking, for the history."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _reporter(status: Status | None) -> Callable[[str], None]:
    return (lambda line: status.update(Text(line))) if status is not None else (lambda line: None)


def _progress(quiet: bool) -> AbstractContextManager[Status | None]:
    return nullcontext() if quiet else PlainConsole(stderr=True).status("")
