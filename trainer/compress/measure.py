"""What a variant of a network is worth and what it costs, measured the way it would serve."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
from tokenizers import Tokenizer

from core.bundle import Bundle
from core.classifier import Classifier
from core.scoring import TaskScore
from trainer.compress.calibration import Method
from trainer.compress.graph import product_names
from trainer.export import SERVING_LENGTH, judge_choice, plain_bundle, served_bundle
from trainer.judge.sources import judge
from trainer.learn.network import Network
from trainer.material import Material

SPEED_TEXTS = 1_024
_BATCH = 256  # what a worker hands over at once
_ROUNDS = 2


class Variant(msgspec.Struct, frozen=True):
    """One row of the report. `size`: bytes of graph and tokenizer; `rate`: messages per second of one thread's CPU
    time; `validation` and `test`: figures per task, after temperature scaling on validation; where sources were left
    out to choose by, `validation` is of those."""

    name: str
    size: int
    parameters: int
    rate: float
    validation: list[TaskScore]
    test: list[TaskScore]

    def drop(self, teacher: Variant) -> tuple[float, float]:
        """Points of accuracy and of macro-F1 lost against `teacher` on validation, in the worst task."""
        pairs = list(zip(teacher.validation, self.validation, strict=True))
        accuracy = max(old.accuracy - new.accuracy for old, new in pairs)
        macro_f1 = max(old.macro_f1 - new.macro_f1 for old, new in pairs)
        return 100 * accuracy, 100 * macro_f1


def measure(
    name: str,
    network: Network,
    tokenizer: Tokenizer,
    material: Material,
    eight_bits: bool,
    method: Method = "minmax",
) -> Variant:
    """Size, speed and quality of `network` as a bundle, in eight bits or in 32-bit floats."""
    bundle = served_bundle(network, tokenizer, material, eight_bits=eight_bits, method=method)
    classifier = Classifier(bundle, cache_texts=0)
    return Variant(
        name,
        bundle_size(bundle),
        network.architecture.parameters + sum(p.numel() for p in network.heads.parameters()),
        messages_per_second(classifier, [example.text for example in material.split.test]),
        judge_choice(classifier, material),
        judge(classifier, material.split.test),
    )


def cost(network: Network, tokenizer: Tokenizer, material: Material) -> tuple[int, float]:
    """Size in bytes and messages per second of `network` in eight bits. Neither depends on what it has learned."""
    ranges = dict.fromkeys(product_names(network.architecture), (-1.0, 1.0))
    bundle = plain_bundle(network, tokenizer, min(SERVING_LENGTH, network.architecture.positions), ranges)
    texts = [example.text for example in material.split.test]
    return bundle_size(bundle), messages_per_second(Classifier(bundle, cache_texts=0), texts)


def bundle_size(bundle: Bundle) -> int:
    """Bytes of graph and tokenizer; card and manifest add some 100 kB."""
    return len(bundle.model) + len(bundle.tokenizer)


def messages_per_second(classifier: Classifier, texts: Sequence[str]) -> float:
    """Best of two rounds over up to 1,024 `texts`, per second of CPU time of this process.

    CPU time, because a training machine is seldom idle; a benchmark measures what the clock on the wall says.
    """
    chosen = list(texts[:SPEED_TEXTS])
    classifier.predict(chosen[:_BATCH])
    best = 0.0
    for _ in range(_ROUNDS):
        begin = time.process_time()
        for start in range(0, len(chosen), _BATCH):
            classifier.predict(chosen[start : start + _BATCH])
        best = max(best, len(chosen) / max(time.process_time() - begin, 1e-9))
    return round(best, 1)
