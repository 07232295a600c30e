"""How near a corrected share of bad news is to the true one, on labelled texts that the bundle did not learn from.

    python -m benchmarks.quantification --dataset DIR [--bundle models/default] [--seed 0]

DIR is a dataset of the spec that the bundle learned from (`newstide dataset build data/english.toml`): its test part is
what the bundle was tested on. Each collection takes its turn as the stream that nobody tested: the rates come from the
others. Half of its texts are its usual week, of which analysts label 100 at random; windows are drawn from the other
half, with replacement, with the mix of labels as it is, or with another share of bad news. Figures are mean absolute
errors of the negative share, in points: as counted, as corrected before (by the most likely shares under the confusion
of the whole test part), as corrected now, and with the labels of analysts.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.bundle import load_bundle
from core.classifier import Classifier
from core.fitting import SENTIMENTS
from core.quantification import Confusion, Rates, corrected_counts
from trainer.data.dataset import load_dataset
from trainer.data.examples import Example

COLLECTIONS = {
    "tweets, 2014 to 2016": ("own-en-tweets", "stocknet-tweets"),
    "headlines, 2014": ("own-en-uci", "uci-headlines"),
    "tweets and headlines, 2022": ("twitter-fin-sentiment",),
}
SHARES = (None, 0.03, 0.1, 0.3, 0.6)
WINDOWS = (60, 300)
DRAWS = 400
OWN_TEXTS = 100

_CERTAIN = 1e9  # so many times the stories there are: chance plays no part, and nothing is held back, as before

Pairs = NDArray[np.int64]
"""The true and the predicted sentiment of texts, as numbers, (n, 2)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--bundle", type=Path, default=Path("models/default"))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    examples = [e for e in load_dataset(arguments.dataset).split.test if "sentiment" in e.labels]
    pairs = _judge(Classifier(load_bundle(arguments.bundle)), examples)
    sources = np.array([example.source for example in examples])
    everything = _most_likely(_confusion(pairs))
    parts = {name: pairs[np.isin(sources, members)] for name, members in COLLECTIONS.items()}
    rng = np.random.default_rng(arguments.seed)
    print(f"{'collection':<28}{'true share':>11}{'stories':>9}{'raw':>7}{'before':>8}{'now':>7}{'now, own labels':>17}")
    found = []
    for name, part in parts.items():
        others = Rates.of(SENTIMENTS, [_confusion(other) for each, other in parts.items() if each != name])
        for share in SHARES:
            for window in WINDOWS:
                found.append(_errors(part, share, window, everything, others, rng))
                _show(name, share, window, found[-1])
    print(f"{'mean':<48}{_columns(np.mean(found, axis=0))}")


def _judge(classifier: Classifier, examples: Sequence[Example]) -> Pairs:
    scores = classifier.predict([example.text for example in examples])["sentiment"]
    place = [SENTIMENTS.index(label) for label in classifier.labels("sentiment")]
    truth = [SENTIMENTS.index(example.labels["sentiment"]) for example in examples]
    return np.stack([np.array(truth), np.array(place)[scores.argmax(axis=1)]], axis=1)


def _confusion(pairs: Pairs) -> Confusion:
    return {
        true: {found: int((pairs == (i, j)).all(axis=1).sum()) for j, found in enumerate(SENTIMENTS)}
        for i, true in enumerate(SENTIMENTS)
    }


def _errors(
    part: Pairs, share: float | None, window: int, everything: Rates, others: Rates, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Mean absolute errors of the negative share: as counted, as corrected before and now, and with own labels."""
    found = []
    for _ in range(DRAWS):
        analysts, stream = np.array_split(rng.permutation(part), 2)
        usual = others.anchored(np.bincount(analysts[:, 1], minlength=len(SENTIMENTS)))
        own = usual.with_own(_confusion(analysts[:OWN_TEXTS]))
        stories = _draw(stream, share, window, rng)
        truth, seen = (np.bincount(column, minlength=len(SENTIMENTS)) for column in stories.T)
        before = corrected_counts(seen * _CERTAIN, everything) / _CERTAIN
        counted = [seen, before, *(corrected_counts(seen, rates) for rates in (usual, own))]
        found.append([abs(counts[0] - truth[0]) / window * 100 for counts in counted])
    return np.mean(found, axis=0)


def _most_likely(confusion: Confusion) -> Rates:
    """The matrix as it was used before: all test texts together, believed without a doubt."""
    rates = Rates.of(SENTIMENTS, [confusion])
    return Rates(rates.labels, rates.values, np.full(len(SENTIMENTS), np.inf))


def _draw(stream: Pairs, share: float | None, window: int, rng: np.random.Generator) -> Pairs:
    if share is None:
        return stream[rng.integers(0, len(stream), window)]
    bad = stream[:, 0] == 0
    negative = rng.binomial(window, share)
    parts = [stream[bad][rng.integers(0, bad.sum(), negative)]]
    parts.append(stream[~bad][rng.integers(0, (~bad).sum(), window - negative)])
    return np.concatenate(parts)


def _show(name: str, share: float | None, window: int, errors: NDArray[np.float64]) -> None:
    mix = "as it is" if share is None else f"{share:.0%}"
    print(f"{name:<28}{mix:>11}{window:>9}{_columns(errors)}")


def _columns(errors: NDArray[np.float64]) -> str:
    return f"{errors[0]:>7.1f}{errors[1]:>8.1f}{errors[2]:>7.1f}{errors[3]:>17.1f}"


if __name__ == "__main__":
    main()
