"""Reads a TOML file that people write."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from core.errors import InputError, NewstideError


def read_toml(
    path: Path, what: str = "", advice: str = "check the path", error: type[NewstideError] = InputError
) -> dict[str, Any]:
    """The document in the file at `path`, UTF-8 with or without a byte order mark.

    Raises `error` for a file that is missing, unreadable, no TOML or nested too deeply; it calls the file `what` and
    gives `advice` where there is none to read.
    """
    name = f"{what} {path}".lstrip()
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except FileNotFoundError:
        raise error(f"{name} can't be read: there is no such file; {advice}") from None
    except OSError as fault:
        raise error(f"{name} can't be read: {fault.strerror}; {advice}") from fault
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        raise error(f"{name} is not valid TOML: {fault}; mend that line") from fault
    except RecursionError:
        raise error(f"{name} is not valid TOML: it is nested too deeply; take brackets out") from None
