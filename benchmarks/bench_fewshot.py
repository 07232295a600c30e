"""Accuracy from a few labelled texts per class: contrastive learning against plain fine-tuning, on the same texts.

    python benchmarks/bench_fewshot.py [--per-class 16] [--seeds 3] [--test 400] [--plain-epochs 20] [--json]

Headlines and tweets of ../shared/data with a sentiment: each seed draws its own texts to learn from, out of the train
part; all are judged on the same texts of the test part, whose near-duplicates never stand in train. Both ways get the
default recipe and, as there is nothing left to validate on, choose by the texts they learn from. Plain fine-tuning gets
more epochs than by default (and its default as well), since the default ones are few steps on so few texts.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import defaultdict
from pathlib import Path

import msgspec
import numpy as np
import torch

from core.settings import PROJECT
from trainer.data.corpora import read_corpora
from trainer.data.examples import Example, merge_duplicates
from trainer.data.splits import split_examples
from trainer.learn.averaging import judge_all
from trainer.learn.backbone import load_encoder, packaged_backbone
from trainer.learn.batches import encode
from trainer.learn.finetune import Recipe, fine_tune
from trainer.learn.network import Network
from trainer.learn.tokenizer import load_tokenizer, mask_number

TASK = "sentiment"


def draw(examples: list[Example], per_class: int, seed: int) -> list[Example]:
    """`per_class` texts of each label, at random."""
    by_label: defaultdict[str, list[Example]] = defaultdict(list)
    for example in examples:
        by_label[example.labels[TASK]].append(example)
    generator = random.Random(seed)
    return [example for label in sorted(by_label) for example in generator.sample(by_label[label], per_class)]


def measure(arguments: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """Accuracy, macro-F1 and seconds per way and seed."""
    merged, _ = merge_duplicates(e for e in read_corpora(arguments.corpora) if TASK in e.labels)
    split = split_examples(merged, 0)
    names = tuple(sorted({e.labels[TASK] for e in merged}))
    test = random.Random(0).sample(split.test, min(arguments.test, len(split.test)))
    backbone = packaged_backbone()
    tokenizer = load_tokenizer(backbone)
    mask_id = mask_number(tokenizer, backbone)
    judged = encode(test, tokenizer, {TASK: names}, 64)
    recipes = {
        "plain, default epochs": Recipe(patience=100),
        f"plain, {arguments.plain_epochs} epochs": Recipe(epochs=arguments.plain_epochs, patience=100, batch_size=16),
        "few-shot": Recipe(few_shot=True),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in recipes}
    for seed in range(arguments.seeds):
        few = encode(draw(split.train, arguments.per_class, seed), tokenizer, {TASK: names}, 64)
        for name, recipe in recipes.items():
            begun = time.perf_counter()
            torch.manual_seed(seed)
            network = Network(load_encoder(backbone), {TASK: names})
            fine_tune(network, few, few, mask_id, msgspec.structs.replace(recipe, seed=seed), quiet=True)
            seconds = time.perf_counter() - begun
            score = judge_all(network, judged)[TASK]
            found[name].append({"accuracy": score.accuracy, "macro_f1": score.macro_f1, "seconds": seconds})
            if not arguments.json:
                print(f"seed {seed}, {name}: accuracy {score.accuracy:.3f}, macro-F1 {score.macro_f1:.3f}", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, default=PROJECT.parent / "shared" / "data")
    parser.add_argument("--per-class", type=int, default=16)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--plain-epochs", type=int, default=20)
    parser.add_argument("--json", action="store_true", help="Print one JSON object instead of lines.")
    arguments, _ = parser.parse_known_args()
    found = measure(arguments)
    if arguments.json:
        print(json.dumps(found))
        return
    for name, rows in found.items():
        accuracy, f1, seconds = (np.array([row[key] for row in rows]) for key in ("accuracy", "macro_f1", "seconds"))
        spread = f"{accuracy.std(ddof=1):.3f}" if len(rows) > 1 else "-"
        print(f"{name}: accuracy {accuracy.mean():.3f} (sd {spread}), macro-F1 {f1.mean():.3f}, {seconds.mean():.0f} s")


if __name__ == "__main__":
    main()
