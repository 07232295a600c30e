"""Networks that answer beside the bundle that a training goes on from, for texts of the sources that they know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import msgspec
import numpy as np

from core.bundle import ENTITY
from core.errors import InputError
from core.scoring import softmax
from trainer.compress.ensemble import Answers, as_one, ask, count_mentions, in_words
from trainer.data.examples import Example
from trainer.learn.network import Learned


class Teachers(msgspec.Struct, frozen=True):
    """`learned` answer texts of `sources`, of all where it names none, and `variants` of each for training."""

    learned: Sequence[Learned] = ()
    sources: Collection[str] = ()
    variants: int = 0

    def answer(self, example: Example) -> bool:
        """Whether they are asked about `example`."""
        return bool(self.learned) and (not self.sources or example.source in self.sources)

    def in_words(self) -> str:
        """Who they are, for a model card; "" for nobody."""
        counts = Counter(one.backbone for one in self.learned)
        names = " and ".join(f"{count} of {name}" if count > 1 else name for name, count in counts.items())
        texts = f"texts of {', '.join(sorted(self.sources)) or 'all sources'}"
        texts += f", and up to {self.variants} variants of each," if self.variants else ""
        return names and f"{names} answered {texts} beside it"


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
    everybody = [begun, *teachers.learned]
    for one in teachers.learned:
        if one.network.labels != begun.network.labels:
            raise InputError(f"a teacher made of {one.backbone} knows other labels than {begun.backbone}; leave it out")
    taught = [row for row, example in enumerate(examples) if teachers.answer(example)]
    others = [row for row, example in enumerate(examples) if not teachers.answer(example)]
    parts: list[tuple[Sequence[int], Answers]] = []
    if others:
        logits = ask(begun, [examples[row] for row in others], length, quiet=quiet)
        parts.append((others, {task: softmax(rows) for task, rows in logits.items()}))
    if taught:
        texts, known = [examples[row] for row in taught], [example for example in judged if teachers.answer(example)]
        said = [ask(one, [*known, *texts], length, keep, quiet) for one in everybody]
        alike = all(one.network.entity_labels == begun.network.entity_labels for one in everybody)
        entity_labels = begun.network.entity_labels if alike else ()
        mean, ensemble = as_one(said, known, begun.network.labels, entity_labels, 1.0)
        if ENTITY in said[0] and not alike:
            mean[ENTITY] = softmax(said[0][ENTITY][count_mentions(known) :])
        parts.append((taught, mean))
        for line in in_words(ensemble, everybody):
            log(line)
    return _joined(parts, examples)


def _joined(parts: Sequence[tuple[Sequence[int], Answers]], examples: Sequence[Example]) -> Answers:
    """Answers to the texts in the rows that each part names, in the order of `examples`."""
    found: Answers = {}
    for task, answers in parts[0][1].items():
        count = count_mentions(examples) if task == ENTITY else len(examples)
        found[task] = np.empty((count, answers.shape[1]), dtype=np.float32)
        for rows, said in parts:
            found[task][_mentions_of(examples, rows) if task == ENTITY else rows] = said[task]
    return found


def _mentions_of(examples: Sequence[Example], rows: Sequence[int]) -> list[int]:
    """Numbers of the companies named in the texts of `rows`, counted text by text over all `examples`."""
    first = np.cumsum([0, *(len(example.entities) for example in examples)])
    return [number for row in rows for number in range(first[row], first[row + 1])]
