"""How a recipe does on sources that its training left out: one training for each, judged on all texts of the source."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from core.classifier import Classifier
from core.errors import InputError
from core.labelled import SENTIMENT
from core.unseen import SourceScore
from trainer.data.examples import Example
from trainer.data.splits import Split
from trainer.data.unseen import stands_alone, taught_tasks, without_sources
from trainer.export import served_bundle
from trainer.judge.sources import judge_sources
from trainer.learn.backbone import backbone_name, load_encoder
from trainer.learn.checkpoint import fingerprint
from trainer.learn.recipe import Recipe
from trainer.material import Material, taught_entities
from trainer.runs import Training, train

RESULTS = "unseen"  # directory, in that of the weights, of what was judged
ALL = "all"


class UnseenTable(msgspec.Struct, frozen=True):
    """Figures of trainings by one recipe: on each source by the one that left it out, and on each source's share of the
    test part by one that learned from all, if that was asked for."""

    left_out: list[SourceScore]
    in_domain: list[SourceScore]


def hold_out(material: Material, sources: Collection[str]) -> Material:
    """`material` without `sources` in training and validation; its test part is all texts of `sources`.

    Near-duplicates of those are left out as well, and tasks that only these sources teach. Raises InputError for an
    unknown source, or ones that the others can't stand in for.
    """
    left, held_out = _without(material, sources)
    return msgspec.structs.replace(left, split=msgspec.structs.replace(left.split, test=held_out))


def leave_out(material: Material, sources: Collection[str]) -> Material:
    """`material` without `sources` in any part; their texts are there to choose by, as `Material.unseen`.

    Raises InputError as `hold_out` does.
    """
    left, held_out = _without(material, sources)
    return msgspec.structs.replace(left, unseen=held_out)


def source_groups(asked: str, material: Material) -> list[tuple[str, ...]]:
    """The sources of each training that `asked` names: "a,b" leaves out a, then b; "a+b" both at once; "all" each of
    `material` that the others can stand in for. Raises InputError where it names one twice."""
    if asked == ALL:
        return [(source.name,) for source in material.sources() if _is_judged(material, (source.name,))]
    groups = [tuple(name.strip() for name in part.split("+")) for part in asked.split(",")]
    names = [name for group in groups for name in group]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice or "" in names:
        raise InputError(f"--unseen {asked}: expected names of sources, each once, joined by ',' or '+'")
    return groups


def judge_unseen(
    material: Material,
    training: Training,
    groups: Sequence[tuple[str, ...]],
    seeds: Sequence[int],
    *,
    in_domain: bool = False,
) -> UnseenTable:
    """Do `training` without each of `groups` of sources, and judge the eight-bit graph that would ship on the texts of
    each source left out; with `in_domain` also with all sources, judged on the test part. Means over `seeds`.

    With a directory of weights each training's figures are kept there, so that a call that was interrupted goes on, and
    one with more sources or seeds adds to them. Tasks that only the sources left out teach are not judged.
    Raises InputError for sources that can't be left out.
    """
    home = training.weights / RESULTS if training.weights is not None else None
    known_by = _known_by(material, training.backbone)
    for group in groups:  # before hours of training
        _check_group(material, group)

    def judged(group: tuple[str, ...]) -> list[SourceScore]:
        runs = []
        for seed in seeds:
            single = msgspec.structs.replace(training.recipe, seed=seed)
            kept = _result_path(home, known_by, single, group) if home is not None else None
            found = _read(kept)
            if found is None:
                training.log(f"without {' and '.join(group) or 'nothing'}, from seed {seed}")
                part = hold_out(material, group) if group else material
                scratch = kept.with_suffix("") if kept is not None else None
                fitting = msgspec.structs.replace(training, recipe=_fitting(single, part), weights=scratch)
                learned = train(part, fitting).blended()
                bundle = served_bundle(learned.network, learned.tokenizer, part)
                found = judge_sources(Classifier(bundle), part.split.test)
                _write(kept, found)
            runs.append(found)
        return _means(runs)

    everything = judged(()) if in_domain else []
    return UnseenTable([score for group in groups for score in judged(group)], everything)


def kept_scores(material: Material, training: Training) -> list[SourceScore]:
    """Figures of sources that such trainings have left out one at a time, as `judge_unseen` kept them in the directory
    of weights; none unless those of all sources that can be left out are there."""
    if training.weights is None or not (training.weights / RESULTS).is_dir():
        return []
    found = []
    known_by = _known_by(material, training.backbone)
    for group in source_groups(ALL, material):
        kept = _read(_result_path(training.weights / RESULTS, known_by, training.recipe, group))
        if kept is None:
            return []
        found += kept
    return found


def _check_group(material: Material, group: tuple[str, ...]) -> None:
    names = [source.name for source in material.sources()]
    unknown = sorted(set(group) - set(names))
    if unknown:
        raise InputError(f"there is no source {unknown[0]!r} among the texts; there are {', '.join(names)}")
    if not _is_judged(material, group):
        raise stands_alone(group, _tasks_of(material, group))


def _is_judged(material: Material, group: tuple[str, ...]) -> bool:
    """Whether the other sources teach a task that `group` labels, near-duplicates aside."""
    split = material.split
    left = Split(*([e for e in part if e.source not in group] for part in (split.train, split.validation, split.test)))
    return not _tasks_of(material, group).isdisjoint(taught_tasks(left, material.labels))


def _tasks_of(material: Material, group: tuple[str, ...]) -> set[str]:
    """Tasks that `group` labels: none where it labels companies alone."""
    parts = (material.split.train, material.split.validation, material.split.test)
    return {task for part in parts for example in part if example.source in group for task in example.labels}


def _fitting(recipe: Recipe, material: Material) -> Recipe:
    """`recipe` without the class weights of tasks that are not taught."""
    if not isinstance(recipe.class_weights, dict):
        return recipe
    weights = {task: by_label for task, by_label in recipe.class_weights.items() if task in material.labels}
    return msgspec.structs.replace(recipe, class_weights=weights or "none")


def _without(material: Material, sources: Collection[str]) -> tuple[Material, list[Example]]:
    left, held_out = without_sources(material.split, material.labels, sources)
    taught = taught_tasks(left, material.labels)
    labels = {task: material.labels[task] for task in taught}
    split = Split(*(_of(labels, part) for part in (left.train, left.validation, left.test)))
    before = len(material.split.train) + len(material.split.validation)
    removed = material.removed | {"held out or of other tasks": before - len(split.train) - len(split.validation)}
    weights = {task: weight for task, weight in material.class_weights.items() if task in labels}
    kept = msgspec.structs.replace(
        material,
        split=split,
        labels=labels,
        removed=removed,
        class_weights=weights,
        entity_labels=taught_entities(split, labels),
    )
    return kept, held_out


def _of(labels: dict[str, tuple[str, ...]], examples: Iterable[Example]) -> list[Example]:
    """Examples with a label of those tasks, and no other, or of companies."""
    found = []
    for example in examples:
        kept = {task: label for task, label in example.labels.items() if task in labels}
        if kept or (example.entities and SENTIMENT in labels):
            found.append(msgspec.structs.replace(example, labels=kept))
    return found


def _known_by(material: Material, backbone: Path) -> str:
    """A name for what all trainings of a table share."""
    parts = (material.labels, material.split, backbone_name(backbone))
    return fingerprint(parts, load_encoder(backbone).state_dict())


def _result_path(home: Path, known_by: str, recipe: Recipe, group: tuple[str, ...]) -> Path:
    """Where the figures of one training are kept: named after all that they depend on."""
    return home / f"{fingerprint((known_by, recipe, sorted(group)), {})}.json"


def _read(path: Path | None) -> list[SourceScore] | None:
    if path is None or not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[SourceScore])
    except (OSError, msgspec.DecodeError) as error:
        raise InputError(f"{path} can't be read: {error}; remove it to have it judged again") from error


def _write(path: Path | None, scores: list[SourceScore]) -> None:
    """Keep `scores`; the networks they are of are not needed any more."""
    if path is None:
        return
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(scores), indent=1))
        partial.replace(path)
        shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    except OSError as error:
        raise InputError(f"{path} can't be written: {error.strerror}; free space, or name another directory") from error


def _means(runs: Sequence[Sequence[SourceScore]]) -> list[SourceScore]:
    """The mean of each figure over runs that were judged on the same texts."""
    return [
        msgspec.structs.replace(
            first,
            accuracy=float(np.mean([one.accuracy for one in same])),
            macro_f1=float(np.mean([one.macro_f1 for one in same])),
            ece=float(np.mean([one.ece for one in same])),
            negative_recall=None
            if first.negative_recall is None
            else float(np.mean([one.negative_recall or 0.0 for one in same])),
        )
        for same in zip(*runs, strict=True)
        for first in same[:1]
    ]
