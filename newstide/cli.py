"""The `newstide` command. Each subcommand is a thin call into a library function of a room or of core."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import click

from core.errors import NewstideError

# Command name -> module that holds it: a module is imported when one of its commands runs, so `newstide trends` does
# not pay for ONNX Runtime.
_COMMANDS = {
    "up": "newstide.up",
    "demo": "newstide.demo",
    "ingest": "newstide.ingesting",
    "worker": "newstide.working",
    "alerts": "newstide.alerts",
    "backtest": "newstide.alerts",
    "migrate": "newstide.administration",
    "retention": "newstide.administration",
    "audit": "newstide.administration",
    "settings": "newstide.administration",
    "trends": "newstide.trends",
    "dead-letters": "newstide.dead_letters",
    "classify": "newstide.classifying",
    "evaluate": "newstide.classifying",
    "compare": "newstide.classifying",
    "dataset": "newstide.datasets",
    "labels": "newstide.datasets",
    "models": "newstide.models",
    "promote": "newstide.models",
    "rollback": "newstide.models",
    "train": "newstide.training",
    "compress": "newstide.compressing",
    "discover": "newstide.discovering",
    "drift": "newstide.discovering",
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        commands: list[click.Command] = importlib.import_module(module).COMMANDS
        return next(command for command in commands if command.name == cmd_name)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="newstide")
def newstide() -> None:
    """Watch financial news and comments as they are published."""


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; an error newstide can explain is one message on standard error and exit status 1."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for noisy in ("kafka", "httpx", "alembic", "aiokafka"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        return newstide.main(arguments, prog_name="newstide")
    except NewstideError as error:
        click.echo(f"newstide: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
