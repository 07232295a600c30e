"""Logging of every process and command: one format, one level, no secrets."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from core.redaction import redact, worth_hiding
from core.settings import Settings, secrets
from core.terminal import LAYOUT, printable

log = logging.getLogger(__name__)

_TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_more_hidden: list[str] = []
# What these say at `info` is of use to their authors; at `debug` a user has asked for it.
_NOISY = ("aiokafka", "alembic", "faust", "httpcore", "httpx", "kafka", "mode", "urllib3", "uvicorn")


class _Text(logging.Formatter):
    """Lines for people. `secrets` appear in none of them, not even in a traceback.

    A record begins at the margin and goes on indented, without a character that could steer a terminal: what strangers
    wrote can't pass for a record of ours.
    """

    converter = time.gmtime  # type: ignore[assignment]  # typeshed wants one signature of the two it has
    default_msec_format = "%s.%03dZ"

    def __init__(self, secrets: tuple[str, ...]) -> None:
        super().__init__(_TEXT)
        self.secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        text = redact(super().format(record), self.secrets)
        return printable(text, keep=LAYOUT).replace("\n", "\n    ")


class _Json(logging.Formatter):
    """One JSON object a line: time, level, logger, component, process, thread, message and, if any, exception."""

    def __init__(self, component: str, secrets: tuple[str, ...]) -> None:
        super().__init__()
        self._component = component
        self.secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "component": self._component,
            "process": record.process,
            "thread": record.threadName,
            "message": redact(record.getMessage(), self.secrets),
        }
        if record.exc_info:
            fields["exception"] = redact(self.formatException(record.exc_info), self.secrets)
        if record.stack_info:
            fields["stack"] = redact(record.stack_info, self.secrets)
        return json.dumps(fields)


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment of writing: it may be replaced, or closed."""

    def __init__(self, formatter: logging.Formatter) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(formatter)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def hide(found: Iterable[str]) -> None:
    """Keep these secrets out of the log too, from now on: those that stand elsewhere than in the settings."""
    _more_hidden.extend(found)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _StandardError) and isinstance(handler.formatter, (_Text, _Json)):
            handler.formatter.secrets = worth_hiding([*handler.formatter.secrets, *_more_hidden])


def configure_logging(settings: Settings, component: str) -> None:
    """Log to standard error as `log_level` and `log_format` say; `component` names this process, as `worker-0`.

    It may be called again. Warnings of Python go to the log too.
    """
    hidden = worth_hiding([*secrets(settings), *_more_hidden])
    root = logging.getLogger()
    for former in root.handlers[:]:
        if isinstance(former, _StandardError):
            root.removeHandler(former)
    formatter = _Json(component, hidden) if settings.log_format == "json" else _Text(hidden)
    root.addHandler(_StandardError(formatter))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else max(level, logging.WARNING))
    # It warns of every tenth of a second that its loop waits, which a busy machine makes it do all the time.
    logging.getLogger("kafka.net.selector").setLevel(level if level <= logging.DEBUG else logging.ERROR)
    logging.captureWarnings(True)


def log_uncaught() -> None:
    """Send exceptions that nobody catches, in any thread, to the log instead of writing a bare traceback."""

    def in_main_thread(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        log.critical("this process ends, by a fault of newstide itself", exc_info=(kind, error, trace))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_type is not SystemExit and args.exc_value is not None:
            name = args.thread.name if args.thread else "unknown"
            log.critical(
                "thread %s ended, by a fault of newstide itself",
                name,
                exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
            )

    sys.excepthook = in_main_thread
    threading.excepthook = in_thread


def report_error(message: str) -> None:
    """Say why a command fails: a record where the log is JSON, else a plain `newstide: ...` on standard error."""
    handler = next((each for each in logging.getLogger().handlers if isinstance(each, _StandardError)), None)
    if handler is not None and isinstance(handler.formatter, _Json):
        log.critical(message)
        return
    hidden = handler.formatter.secrets if handler is not None and isinstance(handler.formatter, _Text) else ()
    print(f"newstide: {printable(redact(message, hidden), keep=LAYOUT)}", file=sys.stderr)
