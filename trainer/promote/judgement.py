"""Every verdict on a registered model: by itself, and beside those that it would replace."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Literal

import msgspec

from core.bundle import Bundle
from core.classifier import Classifier
from core.errors import BundleError, InputError, ShelfUnreachable
from core.fitting import check_fit, is_read, labels_unlike, reader_of
from core.language import language_of
from core.settings import Settings
from core.shelf import Shelf
from core.store.models import ModelRow, rivals
from core.taxonomy import load_taxonomy
from core.unseen import SourceScore
from trainer.data.dataset import UNKNOWN_SOURCE
from trainer.data.examples import Example
from trainer.judge.compare import compare
from trainer.judge.sources import judge_sources
from trainer.promote.gates import (
    Gate,
    Limits,
    judge_classes,
    judge_improvement,
    judge_labels,
    judge_self_test,
    judge_size,
    judge_speed,
    judge_unseen,
)
from trainer.promote.speed import measure_speed

log = logging.getLogger(__name__)

Target = Literal["shadow", "live"]


def judge(
    settings: Settings,
    shelf: Shelf,
    row: ModelRow,
    live: Sequence[ModelRow],
    examples: Sequence[Example] | None,
    to: Target,
    report: Callable[[str], None] = log.info,
) -> list[Gate]:
    """Every verdict on the registered model `row`, by itself and against its rivals among the `live` models: one, but
    for a model of several languages. With each it is compared on those of the `examples` that it would read instead."""
    limits = Limits.of(settings.models)
    bundle = shelf.fetch(row.location, row.checksum)
    gates = [_judge_labels(settings, bundle), judge_size(row.size_bytes, limits)]
    try:
        candidate = Classifier(bundle, cache_texts=0)
        candidate.self_test()
    except BundleError as error:
        return [*gates, judge_self_test(str(error), len(bundle.manifest.self_test))]
    gates.append(judge_self_test(None, len(bundle.manifest.self_test)))
    beside = rivals(row.languages, live)
    if not beside:
        none = f"no model that reads {' or '.join(row.languages)} is live, so there is none to be better than"
        return [*gates, Gate("improvement", True, none)]
    if not examples:
        if to == "live":
            why = "no test set to prove it on: pass --data FROZEN.jsonl, or set `models.test_set`"
            gates.append(Gate("improvement", False, why))
        return gates
    for rival in beside:
        verdicts = _compare(shelf, candidate, row, rival, _texts_of(examples, row, rival, live), limits, report)
        gates += [_of_language(gate, rival.language) for gate in verdicts] if len(beside) > 1 else verdicts
    return gates


def _texts_of(
    examples: Sequence[Example], row: ModelRow, rival: ModelRow, live: Sequence[ModelRow]
) -> Sequence[Example]:
    """Those that `rival` reads now and `row` would: all, where no other is live and it reads as much."""
    if len(live) == 1 and set(rival.languages) <= set(row.languages):
        return examples
    codes = [language_of(example.text) for example in examples]
    return [
        example
        for example, code in zip(examples, codes, strict=True)
        if reader_of(code, live) is rival and is_read(code, row.languages)
    ]


def _of_language(gate: Gate, language: str) -> Gate:
    return msgspec.structs.replace(gate, name=f"{gate.name} ({language})")


def _compare(
    shelf: Shelf,
    candidate: Classifier,
    row: ModelRow,
    rival: ModelRow,
    examples: Sequence[Example],
    limits: Limits,
    report: Callable[[str], None],
) -> list[Gate]:
    """Verdicts on the `candidate` of `row` beside `rival`."""
    if not examples:
        both = sorted(set(row.languages).intersection(rival.languages))
        why = f"no text of the test set is in {' or '.join(both)}; add some, or pass another with --data"
        return [Gate("improvement", False, why)]
    try:
        old = Classifier(shelf.fetch(rival.location, rival.checksum), cache_texts=0)
        report(f"comparing with {rival.name} on {len(examples)} texts")
        fresh, known = _parted(examples, old, candidate)
        whole = compare(old, candidate, examples)
        comparisons = whole if not fresh else compare(old, candidate, known) if known else []
        unseen = compare(old, candidate, fresh) if fresh else []
        by_source = (
            (judge_sources(old, fresh), judge_sources(candidate, fresh))
            if fresh
            else (_left_out(old), _left_out(candidate))
        )
    except (BundleError, ShelfUnreachable, InputError) as error:
        return [Gate("improvement", False, f"it can't be compared with {rival.name}: {error}")]
    report(f"timing {row.name} and {rival.name}")
    speeds = measure_speed(old, candidate, [example.text for example in examples])
    return [
        judge_improvement(comparisons, rival.size_bytes, row.size_bytes, limits, unseen),
        judge_unseen(*by_source, limits),
        judge_classes(whole, limits),
        judge_speed(*speeds, limits),
    ]


def _parted(examples: Sequence[Example], old: Classifier, new: Classifier) -> tuple[list[Example], list[Example]]:
    """`examples` of sources that neither learned from, and the others: all, where a manifest tells no sources."""
    learnt = {*old.learnt, *new.learnt, UNKNOWN_SOURCE}
    named = bool(old.learnt and new.learnt)
    fresh = [example for example in examples if named and example.source not in learnt]
    return fresh, [example for example in examples if not named or example.source in learnt]


def _left_out(classifier: Classifier) -> list[SourceScore]:
    """What its training tells of sources that it left out."""
    return classifier.unseen.scores if classifier.unseen is not None else []


def _judge_labels(settings: Settings, bundle: Bundle) -> Gate:
    try:
        check_fit(bundle.manifest)
    except BundleError as error:
        return judge_labels(str(error))
    return judge_labels(labels_unlike(bundle.manifest, load_taxonomy(settings.taxonomy)) or None)
