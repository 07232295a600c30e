"""What a PromQL expression asks for. Parsed by a parser other than Prometheus' own, so that both agree on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser


def metrics_in(expression: str) -> set[str]:
    """Names of the metrics in `expression`. Raises ValueError where it can't be parsed or names none by itself."""
    names = set()
    for selector in _selectors(promql_parser.parse(expression)):
        if not selector.name:
            raise ValueError(f"a selector without a name in {expression}")
        names.add(selector.name)
    return names


def _selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for part in ("lhs", "rhs", "expr", "vector_selector", "param"):
        yield from _selectors(inner) if (inner := getattr(node, part, None)) is not None else ()
    for argument in getattr(node, "args", ()):
        yield from _selectors(argument)
