"""Networks that answer beside the bundle that a training goes on from, for texts of the sources that they know."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec
import numpy as np

from core.bundle import ENTITY
from core.errors import InputError
from core.scoring import softmax
from trainer.compress.ensemble import Answers, Ensemble, Floats, ask, in_words, weigh, weigh_mentions
from trainer.data.examples import Example
from trainer.learn.network import Learned


class Teachers(msgspec.Struct, frozen=True):
    """`learned` answer texts of `sources`, of all where it names none."""

    learned: Sequence[Learned] = ()
    sources: Collection[str] = ()

    def answer(self, example: Example) -> bool:
        """Whether they are asked about `example`."""
        return bool(self.learned) and (not self.sources or example.source in self.sources)

    def in_words(self) -> str:
        """Who they are, for a model card; "" for nobody."""
        names = " and ".join(one.backbone for one in self.learned)
        return names and f"{names} answered texts of {', '.join(sorted(self.sources)) or 'all sources'} beside it"


NOBODY = Teachers()


def answers_of(
    begun: Learned,
    teachers: Teachers,
    examples: Sequence[Example],
    judged: Sequence[Example],
    length: int,
    *,
    keep: Path | None,
    log: Callable[[str], None],
    quiet: bool,
) -> Answers:
    """Probabilities (texts, labels) per task that `begun`, the bundle's own network, gives `examples`; for texts that
    `teachers` answer, the mean of all, whose weights fit `judged` best: the validation texts of the same sources.

    Under `entity` those of the companies named in the texts, NaN where one was not read. Raises InputError for teachers
    of other labels than `begun` has. With a directory `keep`, what teachers said is kept there.
    """
    found = {task: softmax(logits) for task, logits in ask(begun, examples, length, quiet=quiet).items()}
    rows = [row for row, example in enumerate(examples) if teachers.answer(example)]
    if not rows:
        return found
    everybody = [begun, *teachers.learned]
    for one in teachers.learned:
        if one.network.labels != begun.network.labels:
            raise InputError(f"a teacher made of {one.backbone} knows other labels than {begun.backbone}; leave it out")
    texts, known = [examples[row] for row in rows], [example for example in judged if teachers.answer(example)]
    said = [ask(one, [*known, *texts], length, keep, quiet) for one in everybody]
    ensemble: dict[str, Ensemble] = {}
    for task, labels in begun.network.labels.items():
        labelled = [row for row, example in enumerate(known) if task in example.labels]
        truth = np.array([labels.index(known[row].labels[task]) for row in labelled], dtype=np.int64)
        ensemble[task] = weigh([one[task][labelled] for one in said], truth)
        found[task][rows] = _mean([one[task][len(known) :] for one in said], ensemble[task])
    if all(one.network.entity_labels == begun.network.entity_labels != () for one in everybody):
        count = sum(len(example.entities) for example in known)
        ensemble[ENTITY] = weigh_mentions([one[ENTITY][:count] for one in said], known, begun.network.entity_labels)
        places = _mentions_of(examples, rows)
        found[ENTITY][places] = _mean([one[ENTITY][count:] for one in said], ensemble[ENTITY])
    for line in in_words(ensemble, everybody):
        log(line)
    return found


def _mean(logits: Sequence[Floats], ensemble: Ensemble) -> Floats:
    parts = [weight * softmax(one) for weight, one in zip(ensemble.weights, logits, strict=True) if weight > 0]
    return np.sum(parts, axis=0, dtype=np.float32)


def _mentions_of(examples: Sequence[Example], rows: Sequence[int]) -> list[int]:
    """Numbers of the companies named in the texts of `rows`, counted text by text over all `examples`."""
    first = np.cumsum([0, *(len(example.entities) for example in examples)])
    return [number for row in rows for number in range(first[row], first[row + 1])]
