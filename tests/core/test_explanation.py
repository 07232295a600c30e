"""Occlusion: which words moved a score."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from core.bundle import load_bundle
from core.classifier import Classifier
from core.explanation import CLOSER, MOST_SPANS, explain, word_spans
from newstide.cli import newstide
from tests.tiny_bundles import write_tiny

WEIGHTS = {"plunge": 2.0, "fraud": 1.0, "record": -1.5}


class CountingWords:
    """Negative by the words of WEIGHTS, and by nothing else."""

    tasks = ("sentiment",)

    def __init__(self) -> None:
        self.calls: list[int] = []

    def labels(self, task: str) -> tuple[str, ...]:
        return ("negative", "positive")

    def predict(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        self.calls.append(len(texts))
        drive = np.array([sum(WEIGHTS.get(word.strip(".,"), 0) for word in text.lower().split()) for text in texts])
        negative = 1 / (1 + np.exp(-drive))
        return {"sentiment": np.stack([negative, 1 - negative], axis=1).astype(np.float32)}


def test_words_weigh_what_the_score_loses_without_them() -> None:
    classifier = CountingWords()
    found = explain(classifier, "Shares plunge on fraud after record year.")["sentiment"]
    assert found.label == "negative"
    weights = {span.text: span.weight for span in found.spans}
    assert weights["plunge"] > weights["fraud"] > 0 > weights["record"]
    assert weights["Shares"] == weights["year"] == 0
    assert classifier.calls == [8, 6]
    positive = {"sentiment": "positive"}
    other = explain(classifier, "Shares plunge on fraud after record year.", positive)["sentiment"]
    assert max(other.spans, key=lambda span: span.weight).text == "record"


def test_a_weight_is_the_mean_with_and_without_the_heaviest_word() -> None:
    found = explain(CountingWords(), "plunge on fraud, record")["sentiment"]

    def negative(drive: float) -> float:
        return 1 / (1 + math.exp(-drive))

    fraud = (negative(1.5) - negative(0.5) + negative(-0.5) - negative(-1.5)) / 2
    expected = {"plunge": negative(1.5) - negative(-0.5), "on": 0, "fraud": fraud}
    assert {span.text: span.weight for span in found.spans[:3]} == pytest.approx(expected, abs=2e-6)
    (alone,) = explain(CountingWords(), "plunge")["sentiment"].spans
    assert alone.weight == pytest.approx(negative(2) - negative(0), abs=2e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Acme's $AAPL fell 5.5%, M&A off -- U.S.", ["Acme's", "$AAPL", "fell", "5.5%", "M&A", "off", "U.S"]),
        ("央行宣布降息 today", ["央行", "宣布", "降息", "today"]),
        ("… !!", []),
        ("", []),
    ],
)  # fmt: skip
def test_words(text: str, words: list[str]) -> None:
    assert [text[start:end] for start, end in word_spans(text)] == words


@given(st.text(max_size=3000))
def test_spans_are_in_order_within_the_text_and_few(text: str) -> None:
    spans = word_spans(text)
    assert len(spans) <= MOST_SPANS
    ends = [0, *(place for span in spans for place in span)]
    assert ends == sorted(ends)
    assert ends[-1] <= len(text)


def test_long_texts_lose_several_words_at_once() -> None:
    spans = word_spans(" ".join(f"w{number}" for number in range(150)))
    assert len(spans) == 50
    assert spans[0] == (0, len("w0 w1 w2"))
    classifier = CountingWords()
    explain(classifier, " ".join(f"w{number}" for number in range(150)))
    assert classifier.calls == [51, CLOSER]


def test_the_command_explains_as_the_library_does(tmp_path: Path) -> None:
    write_tiny(tmp_path / "bundle", "tiny", seed=1)
    classifier = Classifier(load_bundle(tmp_path / "bundle"))
    texts = ["Acme shares plunge after fraud probe", "Nothing happened"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": t, "text": t}) + "\n" for t in texts))
    base = ["classify", str(tmp_path / "in.jsonl"), str(tmp_path / "out.jsonl"), "--bundle", str(tmp_path / "bundle")]
    for arguments in ([*base, "--explain"], base):
        CliRunner().invoke(newstide, arguments, catch_exceptions=False)
        lines = list(map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines()))
        for text, line in zip(texts, lines, strict=True):
            if arguments is base:
                assert "explanation" not in line
                continue
            for task, expected in explain(classifier, text).items():
                shown = line["explanation"][task]
                assert shown["label"] == expected.label == line[task]["label"]
                assert shown["score"] == line[task]["scores"][shown["label"]]
                assert [(s["text"], s["weight"]) for s in shown["spans"]] == [
                    (s.text, s.weight) for s in expected.spans
                ]
