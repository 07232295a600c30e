"""What the whole way to a bundle is worth on sources that nobody on it learned from: teachers, then a student of them.

    newstide dataset build data/english.toml --base ../shared/data --out data/english-built --no-labels
    python -m benchmarks.unseen_students --dataset data/english-built --large all-mpnet-base-v2 \\
        --unlabelled texts.jsonl --weights weights [--only 0]

For each fold of the sources a small and a large teacher are trained without them, a student is cut from the small one
and taught by both on the labelled texts, one variant of each, and the unlabelled ones. Each is judged on all texts of
the fold's sources, the student as the eight-bit graph that would ship. A fold takes minutes of a GPU or hours of two
cores; what it gave is kept in --weights, and --only runs one fold, so that several can be trained beside each other.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from core.classifier import Classifier
from core.unseen import SourceScore, mean_scores
from newstide.commands.compress import read_texts
from trainer.compress.distil import Mixture
from trainer.compress.plan import Plan
from trainer.compress.search import TEACHING
from trainer.compress.student import cut, distil_student, prepare_distillation
from trainer.data.dataset import load_dataset
from trainer.export import served_bundle
from trainer.judge.entities import judge_entities
from trainer.judge.sources import judge_sources
from trainer.learn.backbone import find_backbone, packaged_backbone
from trainer.learn.network import Learned
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import mask_number
from trainer.material import Material, from_dataset
from trainer.runs import Training, train
from trainer.unseen import hold_out

# The large public corpora, without which there is no training to speak of, are never left out. Files of one style are
# in different folds, labellings of one collection in the same.
FOLDS = (
    (
        "own-en-announcements",
        "own-en-articles2",
        "own-en-comments",
        "own-en-crypto3",
        "own-en-headlines2",
        "own-en-articles4",
        "finentity",
    ),
    (
        "own-en-announcements3",
        "own-en-articles",
        "own-en-social2",
        "own-en-crypto2",
        "own-en-headlines",
        "own-en-uci",
        "uci-headlines",
    ),
    (
        "own-en-results2",
        "own-en-articles3",
        "own-en-posts3",
        "own-en-headlines3",
        "own-en-companies3",
        "own-en-tweets",
        "stocknet-tweets",
    ),
)
LENGTH = 80  # tokens of a text that is learnt from
SMALL = Recipe(
    epochs=4, batch_size=64, encoder_rate=2e-4, head_rate=1e-3, patience=9, max_length=LENGTH, source_bias="drop"
)
LARGE = msgspec.structs.replace(SMALL, epochs=3, encoder_rate=6e-5, head_rate=5e-4)
STUDENT = msgspec.structs.replace(TEACHING, epochs=4, patience=9, encoder_rate=3e-4, batch_size=64, max_length=LENGTH)
PLAN = Plan(heads=6, inner=512, vocabulary=16_000)  # of the bundle that ships


def judge_fold(
    material: Material, sources: Sequence[str], large: Path, texts: list[str], weights: Path
) -> dict[str, Any]:
    """Figures of both teachers and of the student on `sources`, which none of them learned from."""
    part = hold_out(material, sources)
    small = train(part, Training(SMALL, packaged_backbone(), weights, quiet=True, log=_log)).learned[0]
    teacher = train(part, Training(LARGE, large, weights, quiet=True, log=_log)).learned[0]
    data = prepare_distillation(
        [small, teacher], part, texts, Mixture(), LENGTH, variants=1, keep=weights / "answers", quiet=True
    )
    network, tokenizer = cut(small.network, small.tokenizer, part, data, PLAN)
    mask = mask_number(tokenizer, "the student")
    distil_student(network, tokenizer, part, data, STUDENT, Mixture(), mask, quiet=True)
    found: dict[str, Any] = {}
    for name, one in (("small", small), ("large", teacher), ("student", Learned(network, tokenizer, "", STUDENT))):
        classifier = Classifier(served_bundle(one.network, one.tokenizer, part, eight_bits=name == "student"))
        found[name] = {"sources": judge_sources(classifier, part.split.test)}
        if name == "student" and any(example.entities for example in part.split.test):
            found[name]["entities"] = judge_entities(classifier, part.split.test)
    return found


def show(results: list[dict[str, Any]]) -> None:
    """Means over all sources that were left out, a line per network and task."""
    for name in ("small", "large", "student"):
        scores = msgspec.convert([score for one in results for score in one[name]["sources"]], list[SourceScore])
        for mean in mean_scores(scores):
            recall = "" if mean.negative_recall is None else f", negative recall {mean.negative_recall:.4f}"
            print(
                f"{name}, {mean.task}, {mean.sources} sources: accuracy {mean.accuracy:.4f}, "
                f"macro-F1 {mean.macro_f1:.4f}, ECE {mean.ece:.4f}{recall}"
            )


def _log(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--large", required=True, help="Backbone of the large teacher.")
    parser.add_argument("--unlabelled", type=Path, required=True)
    parser.add_argument("--most", type=int, default=45_000)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--only", type=int, nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    material = from_dataset(load_dataset(options.dataset))
    texts = read_texts(options.unlabelled, options.most)
    results = []
    for number, sources in enumerate(FOLDS):
        kept = options.weights / f"fold-{number}.json"
        if not kept.exists() and (options.only is None or number in options.only):
            _log(f"fold {number}: without {', '.join(sources)}")
            found = judge_fold(material, sources, find_backbone(options.large), texts, options.weights / f"{number}")
            kept.write_bytes(msgspec.json.encode(found))
        if kept.exists():
            results.append(json.loads(kept.read_bytes()))
    show(results)


if __name__ == "__main__":
    main()
