"""A reference is stored with its bundle, or refused with the part that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.bundle import MANIFEST as MANIFEST_FILE
from core.bundle import load_bundle, write_bundle
from core.errors import BundleError
from core.reference import Reference
from tests.core.test_bundle import MANIFEST, tiny_model, tiny_tokenizer

GOOD: dict[str, Any] = {
    "texts": 100,
    "tasks": {"mood": {"confidence": {"edges": [0.6, 0.8], "shares": [0.3, 0.3, 0.4]}, "labels": [0.5, 0.5]}},
    "embedding": {
        "center": [0.0, 1.0, 2.0],
        "directions": [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
        "along": [{"edges": [0.0], "shares": [0.5, 0.5]}, {"edges": [], "shares": [1.0]}],
    },
}


def reference(*place: str | int, value: Any = None) -> Reference:
    """GOOD with the value at `place` replaced; no check is made here."""
    content = json.loads(json.dumps(GOOD))
    target = content
    for step in place[:-1]:
        target = target[step]
    if place:
        target[place[-1]] = value
    return msgspec.convert(content, Reference)


def test_it_is_read_back_as_written(tmp_path: Path) -> None:
    manifest = msgspec.structs.replace(MANIFEST, reference=reference())
    bundle = write_bundle(tmp_path / "bundle", manifest, tiny_model(), tiny_tokenizer(), "")
    assert bundle.manifest.reference == reference()
    assert load_bundle(tmp_path / "bundle").manifest.reference == reference()


def test_a_bundle_without_one_is_as_good_as_before(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", MANIFEST, tiny_model(), tiny_tokenizer(), "")
    path = tmp_path / "bundle" / MANIFEST_FILE
    content = json.loads(path.read_text())
    content.pop("reference", None)
    path.write_text(json.dumps(content))
    assert load_bundle(tmp_path / "bundle").manifest.reference is None


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (("texts",), 0, "stands on 0 texts"),
        (("tasks",), {}, "has the tasks"),
        (("tasks", "mood", "labels"), [1.0], "1 label shares for 2 labels"),
        (("tasks", "mood", "labels"), [1.5, -0.5], "labels of `mood`.*between 0 and 1"),
        (("tasks", "mood", "labels"), [0.2, 0.2], "with the sum 1"),
        (("tasks", "mood", "labels"), [float("nan"), 0.5], "between 0 and 1"),
        (("tasks", "mood", "confidence", "edges"), [0.8, 0.6], "edges do not increase"),
        (("tasks", "mood", "confidence", "edges"), [0.6, 0.6], "edges do not increase"),
        (("tasks", "mood", "confidence", "edges"), [0.6, float("inf")], "edge is not finite"),
        (("tasks", "mood", "confidence", "edges"), [0.6], "1 edges and 3 shares"),
        (("tasks", "mood", "confidence"), {"edges": list(range(200)), "shares": [0.0] * 201}, "at most 100"),
        (("embedding", "center"), [], "directions of width 0"),
        (("embedding", "center"), [0.0] * 10_000, "width 10000"),
        (("embedding", "directions"), [[1.0, 0.0, 0.0]], "2 distributions for 1 directions"),
        (("embedding", "directions", 1), [1.0, 0.0], "direction 2 has 2 components"),
        (("embedding", "directions", 0, 0), float("nan"), "component is not finite"),
        (("embedding", "along", 0, "shares"), [0.5, 0.1], "direction 1.*sum 1"),
    ],
)
def test_a_hostile_one_is_refused(tmp_path: Path, place: tuple[str | int, ...], value: Any, fault: str) -> None:
    manifest = msgspec.structs.replace(MANIFEST, reference=reference(*place, value=value))
    with pytest.raises(BundleError, match=fault):
        write_bundle(tmp_path / "bundle", manifest, tiny_model(), tiny_tokenizer(), "")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("text", ["1e999", "NaN", '"0.5"', "null"])
def test_numbers_that_are_none_are_refused_when_read(tmp_path: Path, text: str) -> None:
    manifest = msgspec.structs.replace(MANIFEST, reference=reference())
    write_bundle(tmp_path / "bundle", manifest, tiny_model(), tiny_tokenizer(), "")
    path = tmp_path / "bundle" / MANIFEST_FILE
    content = path.read_text()
    assert "0.6," in content
    path.write_text(content.replace("0.6,", f"{text},", 1))
    with pytest.raises(BundleError, match=r"manifest\.json"):
        load_bundle(tmp_path / "bundle")
