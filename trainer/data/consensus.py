"""What analysts agree on: a verdict on them counts, else the majority of their latest words. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from core.store.labels import Label
from core.text import model_input, word_form
from trainer.data.examples import Tie


class Verdict(msgspec.Struct, frozen=True):
    """The label that counts for a text in one task, or for the company `entity` in it."""

    text: str
    source: str
    task: str
    label: str
    entity: str = ""


def agree(labels: Iterable[Label]) -> tuple[list[Verdict], list[Tie]]:
    """Verdicts and ties over `labels`, given the oldest first; copies of a text (equal story forms) are one text.

    The latest `final` label decides; without one, the majority of the latest words of the analysts. A label of None
    takes back the one before it. Texts come out in the form a classifier reads.
    """
    finals: dict[tuple[str, str, str], str | None] = {}
    votes: dict[tuple[str, str, str], dict[str, str]] = {}
    firsts: dict[tuple[str, str, str], Label] = {}
    for label in labels:
        # The form of the form a classifier reads, as corpora have it: there, user names are all the same.
        key = (word_form(model_input(label.text)), label.task, label.entity)
        firsts.setdefault(key, label)
        by_analyst = votes.setdefault(key, {})
        if label.final:
            finals[key] = label.label
        elif label.label is None:
            by_analyst.pop(label.analyst, None)
        else:
            by_analyst[label.analyst] = label.label
    verdicts, ties = [], []
    for key, by_analyst in votes.items():
        first, final = firsts[key], finals.get(key)
        counts = Counter([final] if final is not None else by_analyst.values()).most_common()
        if not counts:
            continue
        if len(counts) == 1 or counts[0][1] > counts[1][1]:
            verdicts.append(Verdict(model_input(first.text), first.source, first.task, counts[0][0], first.entity))
        else:
            split = dict(sorted(counts))
            ties.append(Tie(model_input(first.text), first.source, first.task, split, "analysts", first.entity))
    return verdicts, ties
