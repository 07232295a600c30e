"""Do explanations agree with deletion? The three words that weigh most are taken out of a text, and three at random.

    newstide dataset build data/english.toml --base ../shared/data --out english --no-labels
    python benchmarks/bench_explanations.py --dataset english [--bundle DIR] [--most 100] [--seed 0] [--json]

Up to `--most` texts of each source's test part, those of four words or more, are explained as `newstide classify
--explain` and the desk do. Told for each task: in which share of the texts the label's probability falls further
without the three top words than without three of all its words, drawn in the same run until they are not the same
three; and how far it falls on average. A word is what an explanation weighs: of texts of more than 64 words it is
several at once. Times are of one explanation of all tasks, one thread, the cache of repeated texts off.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench_classifier import in_words, processor

from core.bundle import load_bundle
from core.classifier import Classifier, text_form
from core.explanation import Explanation, explain, without, word_spans
from core.settings import PROJECT
from trainer.data.dataset import load_dataset
from trainer.data.examples import by_source

REMOVED = 3
# What a source holds, by a part of its name; the rest are posts, tweets, announcements and reports.
KINDS = {"headlines": ("headlines", "-uci", "sentfin", "-news"), "articles": ("articles", "finentity", "sentences")}
Span = tuple[int, int]


def kind_of(source: str) -> str:
    """Headlines, articles or others."""
    return next((kind for kind, parts in KINDS.items() if any(part in source for part in parts)), "others")


def heaviest(explanation: Explanation) -> list[Span]:
    """The spans that weigh most, the heaviest first."""
    ranked = sorted(explanation.spans, key=lambda span: -span.weight)
    return [(span.start, span.end) for span in ranked[:REMOVED]]


def any_others(spans: Sequence[Span], top: Sequence[Span], generator: random.Random) -> list[Span]:
    """As many of all `spans`, drawn until they are not the `top` ones."""
    while True:
        drawn = generator.sample(spans, REMOVED)
        if set(drawn) != set(top):
            return drawn


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Figures by kind of text and task, and of the times by kind."""
    classifier = Classifier(load_bundle(options.bundle), cache_texts=0)
    generator = random.Random(options.seed)
    found: dict[str, Any] = {"machine": processor(), "model": classifier.name, "seed": options.seed}
    losses: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
    wall: defaultdict[str, list[float]] = defaultdict(list)
    cpu: defaultdict[str, list[float]] = defaultdict(list)
    for source, examples in by_source(load_dataset(options.dataset).split.test).items():
        texts = [text for text in (text_form(example.text) for example in examples) if len(word_spans(text)) > REMOVED]
        for text in generator.sample(texts, min(options.most, len(texts))):
            begun, used = time.perf_counter(), time.thread_time()
            explained = explain(classifier, text)
            cpu[kind_of(source)].append(1e3 * (time.thread_time() - used))
            wall[kind_of(source)].append(1e3 * (time.perf_counter() - begun))
            for task, one in explained.items():
                top = heaviest(one)
                drawn = any_others(word_spans(text), top, generator)
                left = classifier.predict([without(text, *top), without(text, *drawn)])[task]
                column = classifier.labels(task).index(one.label)
                losses[kind_of(source), task].append(
                    (one.score - float(left[0][column]), one.score - float(left[1][column]))
                )
    found["agreement"] = [
        {
            "kind": kind,
            "task": task,
            "texts": len(pairs),
            "agree": float(np.mean([top > drawn for top, drawn in pairs])),
            "top": float(np.mean([top for top, _ in pairs])),
            "random": float(np.mean([drawn for _, drawn in pairs])),
        }
        for (kind, task), pairs in sorted(losses.items())
    ]
    found["milliseconds"] = {
        kind: {"median": float(np.median(wall[kind])), "p95": float(np.quantile(wall[kind], 0.95))}
        | {"cpu_median": float(np.median(cpu[kind])), "cpu_p95": float(np.quantile(cpu[kind], 0.95))}
        for kind in sorted(wall)
    }
    found["machine"]["load_after"] = list(os.getloadavg())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=PROJECT / "models" / "default")
    parser.add_argument("--most", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options)
    if options.json:
        print(json.dumps(found))
        return
    machine = found["machine"]
    print(in_words(machine))
    print(f"load before {machine['load'][0]:.2f}, after {machine['load_after'][0]:.2f}")
    print(f"model {found['model']}, seed {found['seed']}, command: {' '.join(sys.argv)}")
    for one in found["agreement"]:
        print(
            f"{one['kind']}, {one['task']}: {one['agree']:.1%} of {one['texts']} texts agree; less likely without the "
            f"top words by {one['top']:.3f}, without random ones by {one['random']:.3f}: "
            f"{one['top'] / one['random']:.1f}x"
        )
    for kind, times in found["milliseconds"].items():
        print(
            f"{kind}: {times['median']:.1f} ms, 95% within {times['p95']:.1f} "
            f"(of processor time {times['cpu_median']:.1f} and {times['cpu_p95']:.1f})"
        )


if __name__ == "__main__":
    main()
