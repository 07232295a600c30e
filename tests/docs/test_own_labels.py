"""The page about another domain, run in a copy of its example: from labelled sentences to trends by new topics."""

from __future__ import annotations

import csv
import json
import re
import shutil
import tomllib
from pathlib import Path

from core.bundle import load_bundle
from core.taxonomy import load_taxonomy
from tests.docs.pages import REPOSITORY, blocks, run_blocks
from tests.newstide.stacks import answer, environment
from tests.tiny_backbone import write_backbone

EXAMPLE = REPOSITORY / "examples" / "customer-service"
REQUESTS = [json.loads(line) for line in (EXAMPLE / "requests.jsonl").read_text().splitlines()]


def test_the_page_shows_the_files_of_the_example() -> None:
    shown = [tomllib.loads(block) for block in blocks("own-labels.md", "toml")]
    files = [tomllib.loads((EXAMPLE / name).read_text()) for name in ("taxonomy.toml", "newstide.toml", "dataset.toml")]
    assert shown == files


def test_every_label_has_several_dozen_sentences() -> None:
    with (EXAMPLE / "labelled.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["text"] for row in rows}) == len(rows)
    topics = load_taxonomy(EXAMPLE / "taxonomy.toml").labels("topic")
    assert {row["intent"] for row in rows} == set(topics)
    assert min(sum(row["intent"] == topic for row in rows) for topic in topics) >= 36


def test_from_sentences_to_trends(tmp_path: Path) -> None:
    """With a tiny backbone in place of the one that takes minutes."""
    place = shutil.copytree(EXAMPLE, tmp_path / "example")
    with (EXAMPLE / "labelled.csv").open(newline="") as file:
        words = sorted({word for row in csv.DictReader(file) for word in re.findall(r"\w+", row["text"].lower())})
    backbone = write_backbone(tmp_path / "tiny-bert", words)
    settings = environment(place, OMP_NUM_THREADS="1")
    printed = run_blocks(
        "own-labels.md", place, settings, more={"--few-shot": f"--backbone {backbone} --epochs 1 --rate 3e-3"}
    )
    taxonomy = load_taxonomy(EXAMPLE / "taxonomy.toml")
    bundle = load_bundle(place / "models" / "service")
    assert bundle.name == "service"
    assert {task: tuple(spec.labels) for task, spec in bundle.manifest.tasks.items()} == taxonomy.tasks
    accuracy = {score.task: score.accuracy for score in bundle.manifest.evaluation["int8"]}
    assert accuracy["topic"] > 1 / len(taxonomy.labels("topic"))

    rows = answer(place, "trends", "--json")
    counted = {kind: sum(row["negative"] + row["neutral"] + row["positive"] for row in rows if kind in row["series"])
               for kind in ("all", "topic=", "source=")}  # fmt: skip
    assert counted == dict.fromkeys(("all", "topic=", "source="), len(REQUESTS))
    topics = {row["series"].removeprefix("topic=") for row in rows if row["series"].startswith("topic=")}
    assert topics <= set(taxonomy.labels("topic"))
    assert len(topics) > 1
    audit = next(text for block, text in printed.items() if "newstide audit" in block)
    assert f"{len(REQUESTS)} messages" in audit
