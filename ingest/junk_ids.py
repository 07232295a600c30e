"""Values that stand where an id should, and are none. Pure."""

from __future__ import annotations

import re

_NOTHING = (
    "n/a na #n/a nan nat <na> null (null) nil none undefined unknown missing empty - -- --- . ? "
    "#ref! #value! #name? #null! #num! #div/0! id guid false true"
)
_WORDS = frozenset(_NOTHING.split())
_NIL_UUID = re.compile(r"(?:urn:uuid:)?\{?0{8}-?(?:0{4}-?){3}0{12}\}?")
# A spreadsheet or a table of floats has rounded these: 1.24E+18, 1240000000000000000.0
_ROUNDED = re.compile(r"[+-]?\d(?:[.,]\d+)?e\+\d{1,3}|[+-]?\d[.,]\d+e\d{1,3}|[+-]?\d{16,}\.0+", re.IGNORECASE)

LARGEST_EXACT = 2**53
"""Whole numbers from here on are rounded in a float, so that different ids become one."""


def is_junk(text: str) -> bool:
    """Whether `text` is no id: empty, a word for nothing, or a number that has lost its digits."""
    bare = text.strip().casefold()
    return not bare or bare in _WORDS or bool(_NIL_UUID.fullmatch(bare) or _ROUNDED.fullmatch(bare))
