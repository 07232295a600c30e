"""Secrets that a file refers to, so that the file itself can be shared: `env:NAME`, or a file that holds it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from core.errors import InputError

ENVIRONMENT = "env:"


@dataclass(frozen=True)
class Secret:
    """A value that is never shown. `origin` says where it comes from; `value` is its text where it was written out."""

    origin: str
    value: str | None = field(default=None, repr=False)

    @classmethod
    def written(cls, text: str) -> Secret:
        """The secret of `key = "text"`: the text itself, or the variable it names."""
        return cls(text) if text.startswith(ENVIRONMENT) else cls("alerts.toml", text)

    @classmethod
    def in_file(cls, path: Path) -> Secret:
        """The secret that a file holds."""
        return cls(str(path))

    def reveal(self) -> str:
        """The secret, without white space around it. Raises InputError where it is missing or empty."""
        found = self.value if self.value is not None else self._fetch()
        if not found.strip():
            raise InputError(f"{self.origin} is empty; put the secret there")
        return found.strip()

    def _fetch(self) -> str:
        if self.origin.startswith(ENVIRONMENT):
            name = self.origin.removeprefix(ENVIRONMENT)
            try:
                return os.environ[name]
            except KeyError:
                raise InputError(f"the environment variable {name} is not set; set it where alerting runs") from None
        try:
            return Path(self.origin).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise InputError(f"{self.origin} can't be read: {reason}; put the secret there") from error
