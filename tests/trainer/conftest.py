"""A tiny backbone, and texts it can learn."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from core.taxonomy import Taxonomy
from tests.tiny_backbone import write_backbone
from trainer.data.build import build_dataset
from trainer.data.spec import load_spec

BAD = ["plunge", "loss", "fraud", "default", "warns"]
GOOD = ["surges", "profit", "beats", "record", "wins"]
PLAIN = ["meets", "names", "holds", "plans", "opens"]
NAMES = [f"acme{number}" for number in range(40)]
TOPICS = {"bank": "Banks", "oil": "Energy"}


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)  # a second one costs more than it helps on matrices this small


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    words = [*BAD, *GOOD, *PLAIN, *NAMES, *TOPICS, *"abcdefghijk", ".", "the"]
    return write_backbone(tmp_path_factory.mktemp("tiny") / "tiny-bert", words)


@pytest.fixture(scope="session")
def tiny_taxonomy() -> Taxonomy:
    return Taxonomy({"sentiment": ("negative", "neutral", "positive"), "topic": ("Banks", "Energy")})


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 lines; half carry a sentiment, half a topic, a few both."""
    generator = random.Random(3)
    path = tmp_path_factory.mktemp("texts") / "labelled.jsonl"
    lines = []
    for number in range(400):
        sentiment = ("negative", "neutral", "positive")[number % 3]
        word = generator.choice({"negative": BAD, "neutral": PLAIN, "positive": GOOD}[sentiment])
        field = generator.choice(list(TOPICS))
        text = " ".join(
            [generator.choice(NAMES), field, word, generator.choice(NAMES), generator.choice("abcdefghijk")]
        )
        line = {"text": text}
        if number % 2 or not number % 7:
            line["sentiment"] = sentiment
        if not number % 2:
            line["topic"] = TOPICS[field]
        lines.append(json.dumps(line))
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="session")
def tiny_spec(tiny_data: Path) -> Path:
    """The same lines as the corpus `wire` of a spec, whose labels are weighed."""
    path = tiny_data.with_name("spec.toml")
    path.write_text(
        f'[[corpus]]\nname = "wire"\npath = "{tiny_data.name}"\nlicence = "MIT"\n'
        'fields = { text = "text", sentiment = "sentiment?", topic = "topic?" }\n'
        '[options]\nclass_weights = "balanced"\n'
    )
    return path


@pytest.fixture(scope="session")
def tiny_dataset(tiny_spec: Path, tiny_taxonomy: Taxonomy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dataset") / "built"
    build_dataset(load_spec(tiny_spec, tiny_taxonomy), tiny_spec.parent, out, tiny_taxonomy)
    return out
