"""What a training run works with: split and cleaned examples, from files or from a built dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from core.bundle import DataSource
from core.errors import InputError
from core.labelled import SENTIMENT
from core.taxonomy import Taxonomy
from trainer.data.corpora import licence
from trainer.data.dataset import Dataset
from trainer.data.entities import names_by_word
from trainer.data.examples import Example, merge_duplicates
from trainer.data.spec import Options
from trainer.data.splits import Split, split_examples
from trainer.data.unlabelled import Unlabelled

SPLIT_SEED = 0  # fixed, so that runs with different training seeds are judged on the same texts

Labels = dict[str, tuple[str, ...]]


class Material(msgspec.Struct, frozen=True):
    """Cleaned and split examples; the tasks they label; what preparing them left out, by reason.

    `licences`, `class_weights` and `agreement` of annotators (a share per source and task) come from a built dataset;
    `licences` of public corpora are known by their names. Weights and agreement are advice: a training goes by those of
    its recipe alone. `unseen`: texts of sources that are in no part, to choose epochs, recipes and students by.
    `entity_labels`: what companies in the texts are labelled with, empty where they are not. `language`: what a model
    of it is for, though it may learn from texts in others; "" where the texts tell. `streams`: sources that are samples
    of a stream. `options`: how near-duplicates were told, and the parts dealt.
    """

    split: Split
    labels: Labels
    removed: dict[str, int]
    licences: dict[str, str] = {}
    class_weights: dict[str, dict[str, float]] = {}
    entity_labels: tuple[str, ...] = ()
    agreement: dict[str, dict[str, float]] = {}
    unseen: list[Example] = []
    language: str = ""
    streams: tuple[str, ...] = ()
    options: Options = Options()

    @property
    def choice(self) -> list[Example]:
        """Texts to choose by: those of the sources that were left out, else the validation part."""
        return self.unseen or self.split.validation

    def examples(self) -> list[Example]:
        """All texts, of the parts and of sources that were left out."""
        return [*self.split.train, *self.split.validation, *self.split.test, *self.unseen]

    def unlabelled(self, companies: bool) -> Unlabelled:
        """What takes in texts that are none of these; with the `companies` that they mention, named as the texts for
        training do, or without."""
        names = names_by_word((e.text, e.entities) for e in self.split.train) if companies else None
        return Unlabelled(self.examples(), names)

    def sources(self) -> list[DataSource]:
        """Texts of each source in each part, with its licence."""
        split = self.split
        parts = [Counter(example.source for example in part) for part in (split.train, split.validation, split.test)]
        names = sorted(set().union(*parts))
        return [DataSource(n, self.licences.get(n) or licence(n), *(part[n] for part in parts)) for n in names]


def prepare(examples: Sequence[Example], taxonomy: Taxonomy) -> Material:
    """Merge copies and split by groups of near-duplicates. Raises InputError where too little is left."""
    merged, removed = merge_duplicates(examples)
    seen = {task: {e.labels[task] for e in merged if task in e.labels} for task in taxonomy.tasks}
    labels = {task: names for task, names in taxonomy.tasks.items() if seen[task]}
    if not labels:
        raise InputError("no labelled text is left to learn from; check the files given by --data")
    for task in labels:
        if len(seen[task]) < 2:
            raise InputError(f"every text has the same label for {task!r}; a classifier needs at least two")
    options = Options(seed=SPLIT_SEED)
    split = split_examples(merged, options.seed, options.fractions, options.similarity)
    return Material(split, labels, removed, entity_labels=taught_entities(split, labels), options=options)


def from_dataset(dataset: Dataset) -> Material:
    """A built dataset, whose parts are cleaned and split already."""
    return Material(
        dataset.split,
        dataset.labels,
        dataset.removed,
        dataset.licences,
        dataset.class_weights,
        taught_entities(dataset.split, dataset.labels),
        dataset.record.agreement or {},
        streams=tuple(dataset.record.streams or ()),
        options=dataset.options,
    )


def taught_entities(split: Split, labels: Labels) -> tuple[str, ...]:
    """Labels of companies: those of sentiment, where companies carry two or more of them in what is learnt from and one
    is judged on."""
    seen = {one.label for example in split.train for one in example.entities}
    judged = any(example.entities for example in split.validation)
    return labels.get(SENTIMENT, ()) if len(seen) > 1 and judged else ()
