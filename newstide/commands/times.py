"""Times as a person types them: `2014-09-19`, `2014-09-19T12:00Z`, `36h`, `7d`."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Moment(click.ParamType):
    """An ISO 8601 time (UTC where it has no zone) or an age such as 36h or 7d."""

    name = "time"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            if match := _AGO.fullmatch(str(value)):
                return datetime.now(UTC) - timedelta(**{_UNITS[match[2]]: int(match[1])})
            moment = datetime.fromisoformat(str(value))
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{value!r} is no time; expected 2014-09-19, 2014-09-19T12:00Z, 36h or 7d", param, ctx)
