"""Two classifiers timed against each other on the same texts."""

from __future__ import annotations

import time
from collections.abc import Sequence

from core.classifier import Classifier

MOST_TEXTS = 512
_ROUNDS = 5


def measure_speed(old: Classifier, new: Classifier, texts: Sequence[str]) -> tuple[float, float]:
    """Messages per second of CPU time of `old` and `new` (made with `cache_texts=0`) on up to MOST_TEXTS of `texts`, at
    least one.

    They take turns, and each counts by its fastest round. Time by the clock would tell what else the machine does: on
    one that is busy, equal models came out three times as slow as one another.
    """
    step = max(1, len(texts) // MOST_TEXTS)
    sample = list(texts[::step][:MOST_TEXTS])
    best = [float("inf"), float("inf")]
    for _ in range(_ROUNDS):
        for which, classifier in enumerate((old, new)):
            begin = time.process_time()
            classifier.predict(sample)
            best[which] = min(best[which], time.process_time() - begin)
    return len(sample) / best[0], len(sample) / best[1]
