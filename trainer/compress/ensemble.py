"""The weighted mean of several teachers' logits; weights are chosen per task on validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from core.bundle import ENTITY
from core.errors import InputError
from core.scoring import softmax
from trainer.data.examples import Example
from trainer.learn.averaging import predict_logits
from trainer.learn.batches import encode
from trainer.learn.checkpoint import fingerprint
from trainer.learn.network import Learned
from trainer.learn.precision import half_precision
from trainer.learn.tensors import load_tensors, save_tensors
from trainer.learn.training_loop import best_device
from trainer.progress import progress_bar

ROUNDS = 20  # weights are multiples of 1 / 20 or coarser

Floats = NDArray[np.float32]
# Logits (texts, labels) per task; under `entity` (companies named in the texts, labels), NaN where one was not read.
Answers = dict[str, Floats]


class Ensemble(msgspec.Struct, frozen=True):
    """Of one task: each teacher's weight in the mean, its accuracy on validation, and that of the mean."""

    weights: list[float]
    accuracy: list[float]
    together: float


def ask(
    teacher: Learned, examples: Sequence[Example], length: int, keep: Path | None = None, quiet: bool = False
) -> Answers:
    """Logits of `teacher` for `examples`, cut off after `length` tokens, on the GPU where torch sees one.

    With a directory `keep` they are kept there, and taken from there by a later call with the same teacher and texts.
    Raises InputError for a teacher that answers with anything but numbers.
    """
    network = teacher.network
    length = min(length, network.architecture.positions)
    data = encode(examples, teacher.tokenizer, network.labels, length, network.entity_labels)
    named = count_mentions(examples)
    kept = None
    if keep is not None:
        parts = (data.ids, data.mentions, named, network.labels, network.architecture)
        name = fingerprint(parts, network.state_dict())
        kept = keep / f"answers-{name}.safetensors"
        found = load_tensors(kept)
        if found is not None:
            return {task: rows.numpy() for task, rows in found[0].items()}
    device = best_device()
    network.to(device)
    # Half precision: the third digit of a soft label teaches nothing.
    with progress_bar(quiet) as progress, half_precision(device):
        bar = progress.add_task(f"asking {teacher.backbone}", total=len(examples))
        answers = predict_logits(network, data, on_batch=lambda count: progress.update(bar, advance=count))
    network.cpu()
    if not all(np.isfinite(rows).all() for rows in answers.values()):
        raise InputError(f"a teacher made of {teacher.backbone} answers with no numbers; leave it out or train it anew")
    if network.entity_labels:
        every = np.full((named, len(network.entity_labels)), np.nan, dtype=np.float32)
        read = [one.number for row in sorted(data.mentions) for one in data.mentions[row]]
        every[read] = answers.get(ENTITY, every[read])
        answers[ENTITY] = every
    if kept is not None:
        save_tensors({task: torch.from_numpy(rows) for task, rows in answers.items()}, {}, kept)
    return answers


def count_mentions(examples: Iterable[Example]) -> int:
    """How many companies the texts name, text by text."""
    return sum(len(example.entities) for example in examples)


def weigh(answers: Sequence[Floats], truth: NDArray[np.int64]) -> Ensemble:
    """Several teachers as one, from their logits (n, labels) for texts of known label.

    Greedy selection with replacement (Caruana et al. 2004): each round adds the teacher with whom the mean has the
    least cross-entropy; what counts is the best round. Equal weights, and accuracies of 0, where no label is known.
    """
    if not len(truth):
        return Ensemble([1 / len(answers)] * len(answers), [0.0] * len(answers), 0.0)
    each = np.array([softmax(logits) for logits in answers], dtype=np.float64)
    chances = each[:, np.arange(len(truth)), truth]
    counts = np.zeros(len(answers), dtype=np.int64)
    best, least = counts, np.inf
    for number in range(1, ROUNDS + 1):
        means = (counts @ chances + chances) / number
        losses = -np.log(np.maximum(means, 1e-12)).mean(axis=1)
        counts = counts + (np.arange(len(answers)) == losses.argmin())
        if losses.min() < least - 1e-9:
            best, least = counts, losses.min()
    weights = best / best.sum()
    right = [float((chosen == truth).mean()) for chosen in (*each.argmax(2), np.tensordot(weights, each, 1).argmax(1))]
    return Ensemble(weights.tolist(), right[:-1], right[-1])


def weigh_mentions(answers: Sequence[Floats], examples: Sequence[Example], labels: Sequence[str]) -> Ensemble:
    """`weigh` for the labelled companies of `examples` that all teachers have read; logits (companies, labels)."""
    truth = np.array([labels.index(one.label) for example in examples for one in example.entities], dtype=np.int64)
    read = ~np.isnan(np.array(answers)).any(axis=(0, 2))
    return weigh([one[read] for one in answers], truth[read])


def as_one(
    answers: Sequence[Answers],
    judged: Sequence[Example],
    labels: Mapping[str, Sequence[str]],
    entity_labels: Sequence[str],
    temperature: float,
) -> tuple[Answers, dict[str, Ensemble]]:
    """Mean probabilities at `temperature` for the texts after the first ones, `judged`, by which teachers are weighed.

    `answers`: each teacher's logits for all of them. Companies are answered where there are `entity_labels`.
    """
    first = {task: len(judged) for task in labels}
    ensemble: dict[str, Ensemble] = {}
    for task, names in labels.items():
        rows = [row for row, example in enumerate(judged) if task in example.labels]
        truth = np.array([names.index(judged[row].labels[task]) for row in rows], dtype=np.int64)
        ensemble[task] = weigh([one[task][rows] for one in answers], truth)
    if entity_labels:
        first[ENTITY] = count_mentions(judged)
        ensemble[ENTITY] = weigh_mentions([one[ENTITY][: first[ENTITY]] for one in answers], judged, entity_labels)
    others = [{task: one[task][count:] for task, count in first.items()} for one in answers]
    return mixed(others, {task: one.weights for task, one in ensemble.items()}, temperature), ensemble


def mixed(answers: Sequence[Answers], weights: Mapping[str, Sequence[float]], temperature: float) -> Answers:
    """Mean probabilities (n, labels) per task at `temperature`, the teachers weighted."""
    return {
        task: np.sum(
            [
                weight * softmax(one[task], temperature)
                for weight, one in zip(by_teacher, answers, strict=True)
                if weight > 0
            ],
            axis=0,
            dtype=np.float32,
        )
        for task, by_teacher in weights.items()
    }


def in_words(ensemble: Mapping[str, Ensemble], teachers: Sequence[Learned]) -> list[str]:
    """One line per task: who teaches it, with which weight and how good."""
    lines = []
    for task, one in ensemble.items():
        parts = [
            f"{teacher.backbone}, seed {teacher.recipe.seed}: {weight:.0%} ({accuracy:.4f})"
            for teacher, weight, accuracy in zip(teachers, one.weights, one.accuracy, strict=True)
        ]
        lines.append(f"{task} is taught by {'; '.join(parts)}; together {one.together:.4f}, accuracy on validation")
    return lines
