"""Tasks and labels from TOML."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SettingsError
from core.taxonomy import load_taxonomy


def test_the_taxonomy_that_ships() -> None:
    taxonomy = load_taxonomy()
    assert taxonomy.labels("sentiment") == ("negative", "neutral", "positive")
    assert len(taxonomy.labels("topic")) == 20
    assert taxonomy.labels("topic")[0] == "Analyst Update"
    assert taxonomy.labels("topic")[-1] == "Stock Movement"
    with pytest.raises(SettingsError, match="sentiment, topic"):
        taxonomy.labels("mood")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("tasks = 3", "tables? \\[tasks"),
        ("[tasks.a]\nlabels = ['x', 'x']", "'x' more than once"),
        ("[tasks.a]\nlabels = ['x']", "has 1 labels"),
        ("[tasks.a]\nlabels = ['x', ' ']", "empty label"),
        ("[tasks.a]\nlabels = ['x', 3]", "\\[tasks"),
        ("[tasks.a]\nlables = ['x', 'y']", "lables"),
        ("[tasks.'a b']\nlabels = ['x', 'y']", "no identifier"),
        ("[tasks]", "no task"),
        ("[tasks", "not valid TOML"),
    ],
)
def test_a_fault_is_named_with_its_file(tmp_path: Path, content: str, fault: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=fault) as caught:
        load_taxonomy(path)
    assert "mine.toml" in str(caught.value)


def test_a_missing_file_points_at_the_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="setting `taxonomy`"):
        load_taxonomy(tmp_path / "none.toml")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="not valid TOML"):
        load_taxonomy(path)
