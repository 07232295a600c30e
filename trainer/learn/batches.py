"""Texts as padded batches of token ids, bucketed by length so that little is padding."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import torch
from tokenizers import Tokenizer
from torch import Tensor

from core.bundle import ENTITY
from core.mentions import Span, tokens_of
from trainer.data.examples import Example

UNLABELLED = -100  # what torch's cross-entropy leaves out


class Mentions(msgspec.Struct, frozen=True):
    """Mentions of companies in a batch: the row of each, (mentions,), the weights of its tokens in their mean,
    (mentions, length), and its number in the data."""

    rows: Tensor
    weights: Tensor
    numbers: list[int]

    def to(self, device: torch.device) -> Mentions:
        """The same on `device`."""
        return Mentions(self.rows.to(device), self.weights.to(device), self.numbers)


class Batch(msgspec.Struct, frozen=True):
    """Token ids and mask (batch, length), label numbers (batch,) per task with UNLABELLED where a text has none, and
    numbers of sources (batch,) where the data tell them.

    With `mentions`, the targets of `entity` are theirs, (mentions,).
    """

    ids: Tensor
    mask: Tensor
    targets: dict[str, Tensor]
    rows: list[int]
    mentions: Mentions | None = None
    sources: Tensor | None = None

    def to(self, device: torch.device) -> Batch:
        """The same on `device`."""
        targets = {task: numbers.to(device) for task, numbers in self.targets.items()}
        mentions = self.mentions.to(device) if self.mentions is not None else None
        sources = self.sources.to(device) if self.sources is not None else None
        return Batch(self.ids.to(device), self.mask.to(device), targets, self.rows, mentions, sources)


class Mention(msgspec.Struct, frozen=True, array_like=True):
    """A company in a text: places of its tokens, the number of its label or UNLABELLED, and its own among the companies
    of all texts, those included that stand behind the last token."""

    places: list[int]
    target: int
    number: int


class Encoded(msgspec.Struct, frozen=True, omit_defaults=True):
    """Examples as token ids, with label numbers per task; by row, companies whose tokens are there; and the
    number of each example's source in `names`, if any. With `apart`, figures on them are the mean over the sources."""

    ids: list[list[int]]
    targets: dict[str, list[int]]
    mentions: dict[int, list[Mention]] = {}
    sources: list[int] = []
    names: tuple[str, ...] = ()
    apart: bool = False


def encode(
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    labels: dict[str, tuple[str, ...]],
    max_length: int,
    entity_labels: tuple[str, ...] = (),
    apart: bool = False,
) -> Encoded:
    """Token ids of at most `max_length` per example, special tokens kept, and label numbers; with `entity_labels` those
    of companies too."""
    tokenizer.enable_truncation(max_length)
    encodings = tokenizer.encode_batch([example.text for example in examples])
    ids = [encoding.ids for encoding in encodings]
    tokenizer.no_truncation()
    numbers = {task: {name: index for index, name in enumerate(names)} for task, names in labels.items()}
    targets = {
        task: [by_name[e.labels[task]] if task in e.labels else UNLABELLED for e in examples]
        for task, by_name in numbers.items()
    }
    mentions = _mentions([one.offsets for one in encodings], examples, entity_labels) if entity_labels else {}
    names = tuple(sorted({example.source for example in examples}))
    places = {name: place for place, name in enumerate(names)}
    return Encoded(ids, targets, mentions, [places[example.source] for example in examples], names, apart)


def _mentions(
    offsets: Sequence[Sequence[Span]], examples: Sequence[Example], labels: tuple[str, ...]
) -> dict[int, list[Mention]]:
    found: dict[int, list[Mention]] = {}
    named = ((row, one) for row, example in enumerate(examples) for one in example.entities)
    for number, (row, one) in enumerate(named):
        places = tokens_of(offsets[row], one.spans)
        if places:
            target = labels.index(one.label) if one.label else UNLABELLED
            found.setdefault(row, []).append(Mention(places, target, number))
    return found


def balanced(data: Encoded, size: int, share: float, generator: random.Random) -> list[list[int]]:
    """Rows in groups of about `size`, as many groups as without balance, of whose texts each source has the same part.

    A source of n texts has n ** (1 - share) of them, in proportion: with 1, all sources have equally many (Conneau et
    al. 2020 sample languages so). Of a large source an epoch sees a part, a small one comes again. Texts of a source
    are dealt by length, so that those of a group are alike in that.
    """
    by_source: dict[int, list[int]] = {}
    for row, source in enumerate(data.sources):
        by_source.setdefault(source, []).append(row)
    count = -(-len(data.ids) // size)
    parts = {source: len(rows) ** (1 - share) for source, rows in sorted(by_source.items())}
    groups: list[list[int]] = [[] for _ in range(count)]
    for source, part in parts.items():
        wanted = max(1, round(len(data.ids) * part / sum(parts.values())))
        rows: list[int] = []
        while len(rows) < wanted:
            fresh = list(by_source[source])
            generator.shuffle(fresh)
            rows += fresh[: wanted - len(rows)]
        noise = {row: len(data.ids[row]) * generator.uniform(0.9, 1.1) for row in by_source[source]}
        rows.sort(key=noise.__getitem__)
        offset = generator.random()  # the rest of an uneven deal goes to other groups each time
        for place, row in enumerate(rows):
            groups[int((place + offset) * count / len(rows)) % count].append(row)
    groups = [group for group in groups if group]
    generator.shuffle(groups)
    return groups


def grouped(data: Encoded, size: int, generator: random.Random | None = None) -> list[list[int]]:
    """Rows in groups of `size` texts of similar length; shuffled when a `generator` is given, else longest last."""
    order = list(range(len(data.ids)))
    if generator is not None:
        noise = [len(ids) * generator.uniform(0.9, 1.1) for ids in data.ids]
        order.sort(key=noise.__getitem__)
    else:
        order.sort(key=lambda row: len(data.ids[row]))
    groups = [order[start : start + size] for start in range(0, len(order), size)]
    if generator is not None:
        generator.shuffle(groups)
    return groups


def bucketed(data: Encoded, size: int, generator: random.Random | None = None) -> list[Batch]:
    """The same as padded batches."""
    return [make_batch(data, rows) for rows in grouped(data, size, generator)]


def make_batch(data: Encoded, rows: list[int]) -> Batch:
    """Those `rows` of `data`, padded to the longest."""
    length = max(len(data.ids[row]) for row in rows)
    ids = torch.zeros((len(rows), length), dtype=torch.long)
    mask = torch.zeros((len(rows), length), dtype=torch.long)
    for position, row in enumerate(rows):
        tokens = data.ids[row]
        ids[position, : len(tokens)] = torch.tensor(tokens)
        mask[position, : len(tokens)] = 1
    targets = {task: torch.tensor([numbers[row] for row in rows]) for task, numbers in data.targets.items()}
    sources = torch.tensor([data.sources[row] for row in rows]) if data.sources else None
    found = [(position, one) for position, row in enumerate(rows) for one in data.mentions.get(row, ())]
    if not found:
        return Batch(ids, mask, targets, rows, None, sources)
    weights = torch.zeros((len(found), length))
    for number, (_, one) in enumerate(found):
        weights[number, one.places] = 1 / len(one.places)
    targets[ENTITY] = torch.tensor([one.target for _, one in found])
    places = torch.tensor([position for position, _ in found])
    mentions = Mentions(places, weights, [one.number for _, one in found])
    return Batch(ids, mask, targets, rows, mentions, sources)


def hide_words(batch: Batch, mask_id: int, share: float) -> Tensor:
    """Ids (batch, length) of `batch` with a random `share` of its tokens hidden, drawn by torch's generator."""
    if not share:
        return batch.ids
    hidden = (torch.rand(batch.ids.shape) < share) & (batch.mask == 1)
    hidden[:, 0] = False  # the classification token stays
    return torch.where(hidden, mask_id, batch.ids)
