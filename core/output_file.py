"""A file of results: there as a whole or not at all, unless it is a pipe or a device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.errors import InputError


@contextmanager
def output_file(target: Path) -> Iterator[IO[bytes]]:
    """What is written ends up in `target`; a file that stood there is left as it was until all is written.

    A link stays one, and the file behind it is replaced. Raises InputError where it can't be written.
    """
    # A pipe or device can't be replaced by a finished file.
    direct = target.exists() and not target.is_file()
    place = target if direct else target.resolve()
    partial = place if direct else place.with_name(f".{place.name}.partial")
    try:
        with partial.open("wb") as output:
            yield output
        if not direct:
            partial.replace(place)
    except OSError as error:
        raise InputError(f"{target} can't be written: {error.strerror}; choose another path") from error
    finally:
        if not direct:
            partial.unlink(missing_ok=True)
