"""From files to a bundle in one call: what `newstide train` runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from core.bundle import Bundle
from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.data.corpora import Example, read_corpora, read_jsonl
from trainer.learn.backbone import packaged_backbone
from trainer.learn.finetune import Epoch, Recipe
from trainer.pipeline import make_bundle, prepare, train


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
    examples: Sequence[Example],
    taxonomy: Taxonomy,
    out: Path,
    *,
    name: str,
    recipe: Recipe,
    command: str,
    backbone: Path | None = None,
    weights: Path | None = None,
    threads: int | None = None,
    quiet: bool = False,
    log: Callable[[str], None] = print,
) -> Bundle:
    """Split, fine-tune, quantize, evaluate and write the bundle to `out`; one line to `log` per stage and epoch."""
    if threads is not None:
        torch.set_num_threads(threads)

    def on_epoch(epoch: Epoch) -> None:
        figures = "; ".join(
            f"{score.task} accuracy {score.accuracy:.4f}, macro-F1 {score.macro_f1:.4f}"
            for score in epoch.validation.values()
        )
        log(f"epoch {epoch.number}: loss {epoch.loss:.4f}; validation {figures}")

    material = prepare(examples, taxonomy)
    split = material.split
    removed = ", ".join(f"{count} {reason}" for reason, count in material.removed.items())
    sizes = ", ".join(f"{len(getattr(split, part))} {part}" for part in ("train", "validation", "test"))
    log(f"texts: {sizes}; left out: {removed}")
    trained = train(material, backbone or packaged_backbone(), recipe, weights, on_epoch, quiet)
    log("exporting, quantizing and evaluating")
    return make_bundle(trained, out, name, command)
