"""The stability index and what is made of it: references, windows from the store, verdicts."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Engine

from core.bundle import Bundle, load_bundle, write_bundle
from core.classifier import Classifier
from core.errors import BundleError, InputError
from core.settings import DatabaseSettings, Settings
from core.store.samples import read_window
from newstide.commands.discover import show_drift
from tests.trainer.watched import FOREIGN, random_texts, store_messages, word_bundle
from trainer.watch.drift import DriftReport, compare_window, measure_drift
from trainer.watch.reference import measure_reference
from trainer.watch.stability import LARGE, compare, count_bins

KNOWN, OTHER = (
    range(FOREIGN),
    range(FOREIGN - 60, FOREIGN + 240),
)  # words of the texts the model was made with, and of other ones


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with its reference, on 1,500 texts of known words."""
    path = tmp_path_factory.mktemp("drift") / "words"
    bare = word_bundle(path, random_texts(3_000, range(540), 1))
    reference = measure_reference(Classifier(bare), random_texts(1_500, KNOWN, 2))
    manifest = msgspec.structs.replace(bare.manifest, reference=reference)
    return write_bundle(path, manifest, bare.model, bare.tokenizer, "# words\n")


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    return Settings(database=DatabaseSettings(url=database_url), embedded={"directory": tmp_path})


def store_texts(settings: Settings, bundle: Bundle, texts: list[str], first: int = 0, model: str = "words") -> None:
    store_messages(settings, texts, Classifier(bundle).predict(texts), model, first=first)


def test_the_index_by_hand() -> None:
    found = compare([0.5, 0.5], [75_000_000, 25_000_000], 10**9)
    assert found.psi == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5), abs=1e-6)
    assert found.shifted
    assert not compare([0.5, 0.5], [50, 50], 1_000).shifted
    with pytest.raises(ValueError, match="nothing to compare"):
        compare([0.5, 0.5], [0, 0], 10)
    with pytest.raises(ValueError, match="nothing to compare"):
        compare([0.5, 0.5], [1, 2, 3], 10)


@pytest.mark.parametrize("size", [200, 1_000, 20_000])
def test_chance_gives_zero_on_average_and_its_level_as_often_as_said(size: int) -> None:
    generator = np.random.default_rng(size)
    shares = np.full(10, 0.1)
    drawn = 2_000
    found = [
        compare(generator.multinomial(drawn, shares) / drawn, generator.multinomial(size, shares), drawn, 0.05)
        for _ in range(1_000)
    ]
    assert abs(np.mean([stability.psi for stability in found])) < 0.06 * 9 * (1 / size + 1 / drawn)
    assert 0.025 < np.mean([stability.psi > stability.chance for stability in found]) < 0.08


def test_rare_labels_are_judged_together() -> None:
    shares = [0.9, 0.097, *[0.0005] * 6]
    counts = np.array([900, 97, 3, 0, 0, 0, 0, 0])
    assert compare(shares, counts, 5_000).psi < 0.01
    # What was never predicted before and now is a third of everything can't hide among the rare ones.
    assert compare([0.7, 0.3, 0.0], [500, 150, 350], 5_000).shifted


def test_a_value_on_an_edge_belongs_above_it() -> None:
    assert count_bins([0.0, 0.5, 0.7, 1.0], [0.5, 1.0]).tolist() == [1, 2, 1]
    assert count_bins([3.0, 4.0], []).tolist() == [2]


@examples(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1_000, 300_000),
    concentration=st.floats(0.5, 8),
    window=st.sampled_from([200, 500, 1_000]),
)
def test_no_stream_of_the_same_distribution_fires_whatever_its_size(
    bundle: Bundle, seed: int, size: int, concentration: float, window: int
) -> None:
    """Reference and window are drawn from one stream; a window of a shifted stream fires, by as much in any size."""
    assert bundle.manifest.reference is not None
    generator = np.random.default_rng(seed)
    reference = generator.beta(8, concentration, 3_000)
    edges = sorted(set(np.quantile(reference, np.arange(1, 10) / 10)))
    shares = (count_bins(reference, edges) / 3_000).tolist()

    def windowed(stream: np.ndarray) -> np.ndarray:
        return count_bins(generator.choice(stream, window, replace=False), edges)

    # A dozen quantities share one per mille of false alarms; one of them is tried here.
    same = compare(shares, windowed(generator.beta(8, concentration, size)), 3_000, 1e-3 / 12)
    assert not same.shifted
    shifted = compare(shares, windowed(generator.beta(2, concentration + 2, size)), 3_000, 1e-3 / 12)
    assert shifted.shifted
    assert shifted.psi > LARGE


def test_the_same_words_do_not_drift_and_other_words_do(bundle: Bundle) -> None:
    reference, classifier = bundle.manifest.reference, Classifier(bundle)
    assert reference is not None
    for seed in range(20, 26):
        texts = random_texts(600, KNOWN, seed)
        shifts = compare_window(reference, classifier.predict(texts), classifier.embed(texts))
        assert {shift.verdict for shift in shifts} == {"stable"}
        assert max(abs(shift.psi) for shift in shifts) < 0.1
    texts = random_texts(600, OTHER, 30)
    shifts = compare_window(reference, classifier.predict(texts), classifier.embed(texts))
    assert shifts[0].verdict == "large"
    assert any(shift.quantity.startswith("embedding") and shift.verdict == "large" for shift in shifts)
    assert [shift.psi for shift in shifts] == sorted((shift.psi for shift in shifts), reverse=True)


def test_a_reference_is_seeded_and_holds_what_it_says(bundle: Bundle) -> None:
    classifier, texts = Classifier(bundle), random_texts(7_000, KNOWN, 3)
    first = measure_reference(classifier, texts, seed=1)
    assert first == measure_reference(classifier, texts, seed=1)
    assert first != measure_reference(classifier, texts, seed=2)
    assert first.texts == 5_000
    assert first.embedding is not None
    directions = np.array(first.embedding.directions)
    assert directions.shape == (8, 24)
    assert directions @ directions.T == pytest.approx(np.eye(8), abs=1e-3)
    for part in [*(task.confidence for task in first.tasks.values()), *first.embedding.along]:
        assert part.shares == pytest.approx([0.1] * 10, abs=0.01)
    with pytest.raises(InputError, match="no text"):
        measure_reference(classifier, [])


@pytest.mark.parametrize("width", [384, 1_024, 4_096])
def test_a_reference_stays_small(tmp_path: Path, width: int) -> None:
    texts = random_texts(120, range(60), 4)
    bare = word_bundle(tmp_path / "wide", texts, width=width)
    manifest = msgspec.structs.replace(bare.manifest, reference=measure_reference(Classifier(bare), texts))
    write_bundle(tmp_path / "wide", manifest, bare.model, bare.tokenizer, "")
    assert (tmp_path / "wide" / "manifest.json").stat().st_size < 150_000
    assert load_bundle(tmp_path / "wide").manifest.reference == manifest.reference


def test_texts_that_are_all_alike_have_a_reference_too(bundle: Bundle) -> None:
    reference = measure_reference(Classifier(bundle), ["w1 w2 w3"] * 50)
    assert reference.embedding is None
    assert reference.tasks["topic"].confidence.shares == [1.0]
    assert sorted(reference.tasks["topic"].labels) == [0.0, 0.0, 0.0, 1.0]


def test_vectors_of_another_width_are_refused(bundle: Bundle) -> None:
    assert bundle.manifest.reference is not None
    with pytest.raises(BundleError, match="width 7, but its reference has 24"):
        compare_window(bundle.manifest.reference, {}, np.zeros((3, 7), dtype=np.float32))


def test_a_window_of_the_store(settings: Settings, engine: Engine, bundle: Bundle) -> None:
    texts = random_texts(500, KNOWN, 40)
    store_texts(settings, bundle, texts[:150])
    report = measure_drift(engine, bundle, window=200)
    assert report.shifts == []
    assert "150 of 200 stories" in report.note
    store_texts(settings, bundle, texts[150:], first=150)
    report = measure_drift(engine, bundle, window=200)
    assert len(report.shifts) == 4 + 8
    assert report.large == []
    assert measure_drift(engine, bundle, window=200) == report
    with pytest.raises(ValueError, match="at least 200"):
        measure_drift(engine, bundle, window=100)

    # One story told two hundred times is one story.
    store_texts(settings, bundle, ["w400 w401 w402 w403 w404"] * 200, first=500)
    assert len(read_window(engine, "words", 1_000)) == 501
    assert measure_drift(engine, bundle, window=400).large == []

    # Rows of another model say nothing about this one.
    store_texts(settings, bundle, random_texts(300, OTHER, 41), first=1_000, model="other")
    assert len(read_window(engine, "words", 1_000)) == 501
    assert measure_drift(engine, bundle, window=400).large == []
    # Only the newest messages are looked at.
    assert read_window(engine, "words", 1_000, newest=300) == []

    store_texts(settings, bundle, random_texts(600, OTHER, 42), first=2_000)
    drifted = measure_drift(engine, bundle, window=400, newest=600)
    assert drifted.large
    assert drifted.shifts[0] == drifted.large[0]


def test_the_command(
    settings: Settings, engine: Engine, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEWSTIDE_DATABASE__URL", settings.database.url or "")
    arguments = ["--bundle", str(bundle.path), "--window", "300"]
    store_texts(settings, bundle, random_texts(350, OTHER, 50))
    shown = CliRunner().invoke(show_drift, [*arguments, "--json"], catch_exceptions=False)
    report = msgspec.convert(json.loads(shown.stdout), DriftReport)
    assert report.large
    table = CliRunner().invoke(show_drift, arguments, catch_exceptions=False).stdout
    assert "large" in table
    assert report.shifts[0].quantity in table

    bare = word_bundle(tmp_path / "bare", random_texts(10, KNOWN, 1), name="bare")
    shown = CliRunner().invoke(show_drift, ["--bundle", str(bare.path)], catch_exceptions=False)
    assert "bare carries no reference" in shown.stdout
