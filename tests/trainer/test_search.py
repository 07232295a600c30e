"""The search for a recipe: the given one first, seeded, kept in a file that it goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.learn import search as searching
from trainer.learn.finetune import Recipe
from trainer.learn.search import SearchResult, Tried, search
from trainer.material import Material, prepare
from trainer.pipeline import gather

RECIPE = Recipe(epochs=2, batch_size=32, encoder_rate=1e-3, head_rate=1e-2, seed=3)


@pytest.fixture(scope="module")
def material(tiny_data: Path, tiny_taxonomy: Taxonomy) -> Material:
    return prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)


def run(material: Material, backbone: Path, trials: int, file: Path | None = None, **options: Any) -> SearchResult:
    split = material.split
    recipe = options.pop("recipe", RECIPE)
    return search(backbone, material.labels, split.train, split.validation, recipe, trials, file, quiet=True, **options)


@pytest.fixture(scope="module")
def whole(material: Material, tiny_backbone: Path) -> SearchResult:
    """A search that nothing interrupted."""
    return run(material, tiny_backbone, 6)


def test_the_best_recipe_is_at_least_as_good_as_the_one_given(whole: SearchResult) -> None:
    assert len(whole.tried) == 6
    first = whole.tried[0]
    assert first.outcome == "finished"
    assert first.changes["encoder_rate"] == RECIPE.encoder_rate
    assert first.changes["batch_size"] == RECIPE.batch_size
    assert whole.worth == max(tried.worth for tried in whole.tried if tried.outcome == "finished")
    best = next(tried for tried in whole.tried if tried.worth == whole.worth and tried.outcome == "finished")
    assert whole.recipe == msgspec.structs.replace(RECIPE, **best.changes)
    for tried in whole.tried:
        assert RECIPE.encoder_rate / 4 <= tried.changes["encoder_rate"] <= RECIPE.encoder_rate * 4
        assert 1 <= tried.changes["epochs"] <= 5
        assert tried.changes["batch_size"] in (16, 32, 64)
    assert len({tried.changes["encoder_rate"] for tried in whole.tried}) == 6


def test_an_interrupted_search_goes_on_to_the_same_end(
    tmp_path: Path, material: Material, tiny_backbone: Path, whole: SearchResult
) -> None:
    file = tmp_path / "kept" / "search.sqlite3"
    heard: list[int] = []

    class Interrupted(Exception):
        pass

    def on_trial(tried: Tried) -> None:
        heard.append(tried.number)
        if tried.number == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(material, tiny_backbone, 6, file, on_trial=on_trial)
    again = run(material, tiny_backbone, 6, file, on_trial=lambda tried: heard.append(tried.number))
    assert heard == [1, 2, 3, 4, 5, 6]
    assert again == whole
    assert run(material, tiny_backbone, 6, file) == whole


def test_a_training_that_was_cut_off_is_tried_again(
    tmp_path: Path, material: Material, tiny_backbone: Path, whole: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "search.sqlite3"

    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(searching, "fine_tune", killed)
        with pytest.raises(KeyboardInterrupt):
            run(material, tiny_backbone, 2, file)
    assert run(material, tiny_backbone, 2, file).tried == whole.tried[:2]


def test_adapters_are_searched_by_their_own_rate(material: Material, tiny_backbone: Path) -> None:
    recipe = msgspec.structs.replace(RECIPE, epochs=1, lora_rank=4)
    found = run(material, tiny_backbone, 1, recipe=recipe)
    assert "lora_rate" in found.tried[0].changes
    assert "encoder_rate" not in found.tried[0].changes
    assert found.recipe == recipe


def test_a_hopeless_training_is_cut_short(
    material: Material, tiny_backbone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "WARM_UP", 1)
    found = run(material, tiny_backbone, 5, recipe=msgspec.structs.replace(RECIPE, epochs=4))
    short = [tried for tried in found.tried if tried.outcome == "cut short"]
    assert short
    assert all(tried.worth <= found.worth for tried in short)


def test_a_file_that_is_no_study_is_refused(tmp_path: Path, material: Material, tiny_backbone: Path) -> None:
    file = tmp_path / "search.sqlite3"
    file.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(InputError, match="no study"):
        run(material, tiny_backbone, 1, file)
