"""The `newstide` command. Each subcommand is a thin call into a library function of a room or of core."""

from __future__ import annotations

import gc
import io
import logging
import sys
from typing import Any

import click

from core.errors import NewstideError, SettingsError
from core.logs import configure_logging, log_uncaught, report_error
from core.settings import Settings, load_settings
from newstide.commands.lazy import LazyGroup

log = logging.getLogger(__name__)

_NEW_OBJECTS = 50_000  # between two looks for cycles

# `newstide trends` does not pay for ONNX Runtime.
_COMMANDS = {
    "up": "newstide.commands.up",
    "demo": "newstide.commands.demo",
    "ingest": "newstide.commands.ingest",
    "sources": "newstide.commands.sources",
    "worker": "newstide.commands.worker",
    "alerts": "newstide.commands.alerts",
    "backtest": "newstide.commands.backtest",
    "desk": "newstide.commands.desk",
    "migrate": "newstide.commands.administration",
    "topics": "newstide.commands.topics",
    "retention": "newstide.commands.administration",
    "roles": "newstide.commands.roles",
    "audit": "newstide.commands.administration",
    "settings": "newstide.commands.administration",
    "metrics": "newstide.commands.administration",
    "trends": "newstide.commands.trends",
    "dead-letters": "newstide.commands.dead_letters",
    "classify": "newstide.commands.classify",
    "evaluate": "newstide.commands.classify",
    "compare": "newstide.commands.classify",
    "dataset": "newstide.commands.datasets",
    "labels": "newstide.commands.datasets",
    "models": "newstide.commands.models",
    "promote": "newstide.commands.models",
    "rollback": "newstide.commands.models",
    "backbone": "newstide.commands.backbone",
    "train": "newstide.commands.train",
    "compress": "newstide.commands.compress",
    "discover": "newstide.commands.discover",
    "drift": "newstide.commands.discover",
}


@click.group(cls=LazyGroup, modules=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="newstide")
@click.pass_context
def newstide(context: click.Context) -> None:
    """Watch financial news and comments as they are published."""
    try:
        settings = load_settings()
    except SettingsError:  # the command that needs them says what is wrong
        settings = Settings.model_construct()
    configure_logging(settings, context.invoked_subcommand or "newstide")


def main(arguments: list[str] | None = None) -> Any:
    """Run the command line; an error newstide can explain is one message on standard error and exit status 1."""
    # imports and rows of a database make many objects and hardly a cycle: Python looks for them after every 700
    gc.set_threshold(_NEW_OBJECTS)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what the terminal's encoding lacks ends no command
            stream.reconfigure(errors="backslashreplace")
    log_uncaught()
    try:
        return newstide.main(arguments, prog_name="newstide")
    except NewstideError as error:
        report_error(str(error))
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:
        from newstide.ordinary_faults import explain  # what it imports costs more than many a command

        reason = explain(error)
        if reason is None:
            raise
        log.debug("where it happened", exc_info=True)
        report_error(reason)
        sys.exit(1)
