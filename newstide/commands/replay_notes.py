"""What a summary says about messages that had to be assumed, changed or were given twice, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.records import BYTES_REPLACED, ENCODING_DOUBTFUL, ID_DERIVED, TIME_ASSUMED, TIME_CLAMPED, TRUNCATED

_MARKS = {
    TIME_ASSUMED: "{} times not read (the time of receipt stands in)",
    TIME_CLAMPED: "{} times ahead of receipt (moved back to it)",
    TRUNCATED: "{} texts cut",
    BYTES_REPLACED: "{} texts with bytes replaced",
    ENCODING_DOUBTFUL: "{} texts in a doubtful encoding",
    ID_DERIVED: "{} ids derived from what the messages say",
}


def noted(summary: Mapping[str, Any]) -> str:
    """The counts of `summary` that are not zero, as clauses that begin with a comma; "" if there are none."""
    clauses = []
    if same := summary.get("duplicates"):
        clauses.append(f"{same} duplicates")
    if changed := summary.get("changed_duplicates"):
        clauses.append(f"{changed} with the id of an earlier one but other content")
    marks = summary.get("marks") or {}
    clauses += [_MARKS.get(name, "{} marked " + name).format(count) for name, count in marks.items() if count]
    return "".join(f", {clause}" for clause in clauses)
