"""Time and memory of the default recipe: one model fine-tuned and compressed, from the public corpora to a bundle.

    python benchmarks/bench_recipe.py [--json] [WORDS ...]

It is `newstide train --compress "accuracy-drop<=1,size<=12MB"` in a process of its own and an empty directory, with all
other options at their defaults: an hour of an idle machine. WORDS, options of `newstide train`, take the place of the
corpora and unlabelled texts in ../shared/data. Peak memory is the largest resident set of that process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench_classifier import TWEETS, in_words, processor

from core.bundle import load_bundle
from newstide.commands.labelled_options import CORPORA
from trainer.compress.measure import bundle_size

BUDGET = "accuracy-drop<=1,size<=12MB"


def measure(words: Sequence[str]) -> dict[str, Any]:
    """One run of the recipe with `words`, told on standard error; SystemExit with its status if it fails."""
    machine = processor()
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch, "small")
        command = ["train", "--compress", BUDGET, *words]
        command += ["--weights", str(Path(scratch, "weights")), "--out", str(out), "--json"]
        begun = time.perf_counter()
        ended = subprocess.run([sys.executable, "-m", "newstide", *command], stdout=subprocess.DEVNULL, check=False)
        seconds = time.perf_counter() - begun
        if ended.returncode:
            sys.exit(ended.returncode)
        bundle = load_bundle(out)
    evaluation = bundle.manifest.evaluation
    scores = {variant: {one.task: one.accuracy for one in found} for variant, found in evaluation.items()}
    return {
        "machine": machine | {"load_after": list(os.getloadavg())},
        "command": " ".join(sys.argv),
        "minutes": seconds / 60,
        "peak_mb": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "bundle_mb": bundle_size(bundle) / 1e6,
        "test_accuracy": scores,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="Print one JSON object instead of lines.")
    options, words = parser.parse_known_args()
    found = measure(words or ["--corpora", str(CORPORA), "--unlabelled", str(TWEETS)])
    if options.json:
        print(json.dumps(found))
        return
    machine = found["machine"]
    print(in_words(machine))
    print(f"load before {machine['load'][0]:.2f}, after {machine['load_after'][0]:.2f} (own process included)")
    print(f"command: {found['command']}; seed 0 where none is named")
    print(f"{found['minutes']:.1f} minutes, {found['peak_mb']:.0f} MB at most, a bundle of {found['bundle_mb']:.1f} MB")
    for variant, scores in found["test_accuracy"].items():
        print(f"{variant}: " + ", ".join(f"{task} {accuracy:.4f}" for task, accuracy in scores.items()))


if __name__ == "__main__":
    main()
