"""docs/security.md promises nothing that no test shows."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_test_that_the_page_names_exists() -> None:
    page = (PROJECT / "docs" / "security.md").read_text(encoding="utf-8")
    named = _NAMED.findall(page)
    assert len(named) > 40
    assert page.count("tests/") == len(named), "a test is named in another form than `tests/file.py::test_name`"
    missing = [f"{file}::{name}" for file, name in named if name not in _tests(PROJECT / file)]
    assert missing == []


def test_every_measure_names_a_test() -> None:
    lines = (PROJECT / "docs" / "security.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| ") and line != "| measure | shown by |"]
    assert rows
    assert [row for row in rows if not _NAMED.search(row)] == []


def _tests(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}
