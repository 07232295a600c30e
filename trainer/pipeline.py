"""From files to a bundle in one call: what `newstide train` and `newstide compress` run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from core.bundle import Bundle
from core.errors import InputError
from core.taxonomy import Taxonomy
from core.unseen import SourceScore
from trainer.compress.plan import Budget, Plan
from trainer.compress.search import Compressed, CompressionSettings, compress
from trainer.data.corpora import read_corpora, read_jsonl
from trainer.data.examples import Example
from trainer.export import Origin, make_bundle
from trainer.material import Material
from trainer.progress import epoch_line
from trainer.runs import Trained, Training, train


def gather(data: Sequence[Path], corpora: Path | None, taxonomy: Taxonomy) -> list[Example]:
    """Examples of a user's JSONL files and of the public corpora in a directory.

    Raises InputError for a file that can't be read or a label that `taxonomy` does not have.
    """
    examples = [example for path in data for example in read_jsonl(path, taxonomy)]
    if corpora is None:
        return examples
    for example in read_corpora(corpora):
        for task, label in example.labels.items():
            if label not in taxonomy.tasks.get(task, ()):
                raise InputError(f"{example.source} labels a text {label!r}, which the taxonomy has not under {task!r}")
        examples.append(example)
    return examples


def train_bundle(
    material: Material,
    training: Training,
    out: Path,
    *,
    name: str,
    command: str = "",
    unseen: Sequence[SourceScore] = (),
) -> Bundle:
    """Fine-tune, quantize, evaluate and write the bundle to `out`.

    `unseen`: what the same recipe was worth on sources that trainings by it left out, for the manifest.
    """
    trained = train(material, training)
    training.log("exporting, quantizing and evaluating")
    learned = trained.blended()
    origin = Origin(name, learned.backbone, command, msgspec.json.encode(training.recipe).decode())
    if trained.begun is not None:
        summary = f"gone on from {trained.begun.name}, which taught it beside the labels"
        asked = training.teachers.in_words()
        origin = msgspec.structs.replace(origin, summary=f"{summary}; {asked}" if asked else summary)
    return make_bundle(learned.network, learned.tokenizer, material, out, origin, unseen=unseen, begun=trained.begun)


def compress_bundle(
    trained: Trained,
    unlabelled: Sequence[str],
    plans: Sequence[Plan],
    budget: Budget,
    settings: CompressionSettings,
    out: Path,
    *,
    name: str,
    command: str,
    keep: Path | None = None,
    quiet: bool = False,
    log: Callable[[str], None] = print,
) -> tuple[Bundle, Compressed]:
    """Search `plans` for the fastest student within `budget`, as `compress` does, and write it as a bundle to `out`.

    Raises BudgetMissed if no plan will do.
    """
    material, teachers = trained.material, trained.learned
    found = compress(
        trained, unlabelled, plans, budget, settings, keep=keep, on_epoch=epoch_line(log), quiet=quiet, log=log
    )
    recipe = {
        "teachers": [{"backbone": one.backbone, "recipe": one.recipe} for one in teachers],
        "ensemble": found.ensemble,
        "plan": found.plan,
        "budget": budget,
        "settings": settings,
    }
    described = msgspec.json.encode(recipe).decode()
    summary = (
        f"cut to {found.plan}, and taught by {len(teachers)} fine-tuned networks on "
        f"{len(material.split.train)} labelled and {len(unlabelled)} unlabelled texts"
        f"{f', and on up to {settings.variants} variants of each labelled one' if settings.variants else ''}"
        f"; chosen: {found.chosen.name}"
    )
    origin = Origin(name, teachers[0].backbone, command, described, summary)
    others = {"teacher": found.variants[0].test}
    bundle = make_bundle(found.student, found.tokenizer, material, out, origin, method=found.method, others=others)
    return bundle, found
