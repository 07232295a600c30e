"""Plans: how small the student is to be, which of them are worth a try, and the budget that one of them has to keep."""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from core.errors import InputError
from trainer.learn.encoder import Activation, Architecture

Quantity = Literal["accuracy-drop", "f1-drop", "size"]


class Plan(msgspec.Struct, frozen=True):
    """A student's shape. None and 1.0 leave a stage out: what the teacher has stays.

    `rank_share` is the share of weights that factorized products keep (see `factorize`).
    """

    layers: int | None = None
    heads: int | None = None
    inner: int | None = None
    vocabulary: int | None = None
    activation: Activation | None = None
    rank_share: float = 1.0
    products: tuple[str, ...] = ("widen", "narrow")

    def __str__(self) -> str:
        words = [f"{getattr(self, name)} {name}" for name in ("layers", "heads", "inner") if getattr(self, name)]
        words += [f"{self.vocabulary} words"] if self.vocabulary else []
        words += [self.activation] if self.activation else []
        words += [f"rank {self.rank_share:g} of {'+'.join(self.products)}"] if self.rank_share < 1 else []
        return ", ".join(words) or "as the teacher"


class Budget(msgspec.Struct, frozen=True):
    """What a student may cost: points lost against the 32-bit teacher in its worst task, and bytes of its files."""

    accuracy_drop: float | None = None
    f1_drop: float | None = None
    size: int | None = None


_TERM = re.compile(r"\s*([a-z0-9-]+)\s*(?:<=|≤)\s*([0-9.]+)\s*(%|points?|kB|MB|GB|B)?\s*", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_budget(text: str) -> Budget:
    """The budget in `accuracy-drop<=1,f1-drop<=3,size<=12MB`. Raises InputError naming the part that is malformed."""
    found: dict[str, float] = {}
    for part in text.split(","):
        match = _TERM.fullmatch(part)
        expected = "expected parts such as accuracy-drop<=1 (points), f1-drop<=3 and size<=12MB"
        if match is None:
            raise InputError(f"budget part {part.strip()!r} can't be read; {expected}")
        name, value, unit = match[1].lower(), match[2], (match[3] or "").lower()
        if name not in ("accuracy-drop", "f1-drop", "size") or value.count(".") > 1 or value == ".":
            raise InputError(f"budget part {part.strip()!r} can't be read; {expected}")
        if (name == "size") != (unit in _UNITS):
            raise InputError(f"budget part {part.strip()!r} has the wrong unit; {expected}")
        found[name] = float(value) * (_UNITS[unit] if name == "size" else 1)
    size = found.get("size")
    return Budget(found.get("accuracy-drop"), found.get("f1-drop"), None if size is None else int(size))


def candidates(teacher: Architecture, vocabulary: int | None) -> list[Plan]:
    """Plans worth a try for a `teacher`, narrow ones of full depth beside shallow ones of full width.

    Each halves or quarters something; the search measures them and trains the cheapest first.
    """
    depth, heads, inner = len(teacher.layers), teacher.layers[0].heads, teacher.layers[0].inner
    shapes = [
        (depth, heads, inner // 2),
        (depth, max(heads // 2, 1), inner // 3),
        (depth, max(heads // 3, 1), inner // 4),
        (max(depth * 2 // 3, 1), heads, inner // 2),
        (max(depth * 2 // 3, 1), max(heads * 2 // 3, 1), inner // 2),
        (max(depth // 2, 1), heads, inner),
        (max(depth // 2, 1), heads, inner // 2),
        (max(depth // 3, 1), heads, inner),
    ]
    plans = [
        Plan(layers, heads_left, max(inner_left, 1), vocabulary, activation)
        for layers, heads_left, inner_left in dict.fromkeys(shapes)
        for activation in ("gelu", "relu")
    ]
    return plans
