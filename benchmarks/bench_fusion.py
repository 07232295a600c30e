"""Does it help on unseen sources to know what kind of text one reads, and from what group of sources?

    newstide dataset build data/english.toml --base ../shared/data --out english --no-labels
    python -m benchmarks.bench_fusion --dataset english [--vectors kept.npy] [--texts 12000] [--seed 0] [--json]

A learnt vector for each value of a feature, added to the pooled text, is for a linear head a bias of its logits for
that value, so that heads on a frozen backbone can tell what it is worth: logistic regressions on the text's vector and
its features, on `--texts` of the texts whose sources are not left out (two thirds of that for topics), judged on all
texts of each source that is. A value that training did not see adds nothing. Sources are left out in folds of files, so
that others of their group stay, and in folds of styles, so that none does.

Features: the kind (news or comment); the group of sources (headlines, articles, announcements, ...); both; and, for
comparison, the source itself, whose vector no unseen source has. The language is the same for all these texts. With
`untold` the heads have learned with the features and are judged without: what a network gives that serves without them.
`--vectors` keeps the texts' vectors for the next call.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from benchmarks.unseen_students import FOLDS
from core.classifier import Classifier
from core.scoring import score_task
from core.unseen import SourceScore, mean_scores, source_score
from trainer.compress.calibration import measure_ranges
from trainer.data.dataset import load_dataset
from trainer.data.examples import Example
from trainer.export import plain_bundle
from trainer.learn.backbone import load_encoder, packaged_backbone
from trainer.learn.batches import encode
from trainer.learn.network import Network
from trainer.learn.tokenizer import load_tokenizer

LENGTH = 80
# Groups by a part of a source's name; the public corpora of tweets and headlines by professionals are their own.
GROUPS = {
    "announcements": ("announcements",),
    "articles": ("articles", "finentity"),
    "comments": ("comments",),
    "companies": ("companies",),
    "crypto": ("crypto",),
    "headlines": ("headlines", "-uci", "sentfin"),
    "posts": ("posts",),
    "results": ("results",),
    "social": ("social",),
    "tweets": ("tweets",),
}
COMMENTS = ("comments", "posts", "social", "tweets")
STYLES = (
    ("announcements", "crypto", "results", "companies"),
    ("articles", "comments", "posts", "social"),
    ("headlines", "tweets"),
)
WEIGHT = 3.0  # of a feature beside the standardised numbers of a vector: how little the penalty holds it back
Floats = NDArray[np.float32]


def group_of(source: str) -> str:
    """The group that a source belongs to."""
    return next((group for group, parts in GROUPS.items() if any(part in source for part in parts)), "wires")


def kind_of(source: str) -> str:
    """News or comment, as messages have it."""
    return "comment" if group_of(source) in COMMENTS else "news"


FEATURES: dict[str, tuple[Callable[[str], str], ...]] = {
    "none": (),
    "kind": (kind_of,),
    "group": (group_of,),
    "kind and group": (kind_of, group_of),
    "source": (str,),
}


def text_vectors(examples: Sequence[Example], labels: dict[str, tuple[str, ...]], seed: int) -> Floats:
    """Pooled vectors (texts, width) by the packaged backbone, as the eight-bit graph that would serve."""
    backbone = packaged_backbone()
    tokenizer = load_tokenizer(backbone)
    network = Network(load_encoder(backbone), labels).eval()
    sample = encode(random.Random(seed).sample(examples, 300), tokenizer, labels, LENGTH)
    bundle = plain_bundle(network, tokenizer, LENGTH, measure_ranges(network, sample))
    return Classifier(bundle, cache_texts=0).embed([example.text for example in examples])


def judge_fold(
    task: str,
    labels: tuple[str, ...],
    examples: Sequence[Example],
    vectors: Floats,
    fold: Sequence[str],
    options: argparse.Namespace,
) -> dict[str, list[SourceScore]]:
    """Figures per set of features on each source of `fold`, by heads that learned from the others."""
    sources = np.array([example.source for example in examples])
    truth = np.array([labels.index(e.labels[task]) if task in e.labels else -1 for e in examples])
    learnt = np.flatnonzero((truth >= 0) & ~np.isin(sources, fold))
    most = options.texts if len(labels) < 10 else options.texts * 2 // 3
    if len(learnt) > most:
        learnt = np.random.default_rng(options.seed).choice(learnt, most, replace=False)
    standard = (vectors - vectors[learnt].mean(axis=0)) / (vectors[learnt].std(axis=0) + 1e-6)
    found: dict[str, list[SourceScore]] = {}
    for name, features in FEATURES.items():
        columns = [standard]
        for feature in features:
            values = np.array([feature(source) for source in sources])
            columns.append(WEIGHT * (values[:, None] == np.unique(values[learnt])))
        table = np.concatenate(columns, axis=1, dtype=np.float32)
        untold = np.arange(table.shape[1]) < standard.shape[1]
        head = LogisticRegression(C=0.01, max_iter=options.iterations)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            head.fit(table[learnt], truth[learnt])
        for source in fold:
            rows = np.flatnonzero((sources == source) & (truth >= 0))
            for shown, seen in ((name, table[rows]), (f"{name}, untold", table[rows] * untold)):
                if len(rows) and (shown == name or features):
                    scores = np.zeros((len(rows), len(labels)), dtype=np.float32)
                    scores[:, head.classes_] = head.predict_proba(seen)
                    score = score_task(task, labels, truth[rows], scores)
                    found.setdefault(shown, []).append(source_score(source, "", score))
    return found


def measure(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row per kind of folds, task and set of features."""
    dataset = load_dataset(options.dataset)
    examples = [example for part in msgspec.structs.astuple(dataset.split) for example in part]
    if options.vectors and options.vectors.exists():
        vectors = np.load(options.vectors)
    else:
        vectors = text_vectors(examples, dataset.labels, options.seed)
        if options.vectors:
            np.save(options.vectors, vectors)
    left_out = sorted({source for fold in FOLDS for source in fold})
    styles = [[source for source in left_out if group_of(source) in groups] for groups in STYLES]
    rows = []
    for folds_of, folds in (("files", FOLDS), ("styles", styles)):
        for task, labels in dataset.labels.items():
            judged: dict[str, list[SourceScore]] = {}
            for fold in folds:
                for name, scores in judge_fold(task, labels, examples, vectors, fold, options).items():
                    judged.setdefault(name, []).extend(scores)
            plain = np.array([score.accuracy for score in judged["none"]])
            for name, scores in judged.items():
                (mean,) = mean_scores(scores)
                gains = np.array([score.accuracy for score in scores]) - plain
                row = {"folds": folds_of, "features": name, **msgspec.to_builtins(mean)}
                row |= {"gain": gains.mean(), "error": gains.std(ddof=1) / np.sqrt(len(gains))}
                rows.append(row)
                print(in_words(row), file=sys.stderr, flush=True)
    return rows


def in_words(row: dict[str, Any]) -> str:
    """A row as a line of the table."""
    recall = "" if row["negative_recall"] is None else f"{row['negative_recall']:.3f}"
    figures = " | ".join(f"{row[name]:.3f}" for name in ("accuracy", "macro_f1", "ece"))
    gain = f"{100 * row['gain']:+.1f} ± {100 * row['error']:.1f}"
    return f"| {row['folds']} | {row['task']} | {row['features']} | {row['sources']} | {figures} | {recall} | {gain} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--texts", type=int, default=12_000)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(options)
    if options.json:
        print(json.dumps(rows))
        return
    print(f"seed {options.seed}, command: {' '.join(sys.argv)}; load {os.getloadavg()[0]:.1f}")
    print("| folds | task | features | sources | accuracy | macro-F1 | ECE | negative recall | gain in accuracy |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print(in_words(row))


if __name__ == "__main__":
    main()
