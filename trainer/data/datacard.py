"""The data card of a dataset, in Markdown, from its record."""

from __future__ import annotations

import msgspec

from trainer.data.dataset import Record
from trainer.data.splits import PARTS

_TEXT = """# Data card

Fingerprint `{fingerprint}`

Labelled texts in the form a classifier reads: no URLs, no user names. Copies of a text are one text, with the labels
of all. Near-duplicates, with a Jaccard index of their words of at least {similarity}, are in one part only. Where
analysts labelled a text, their majority decides; a text without a majority is left out of that task.

The test part is frozen: a later build leaves it as it is and takes what resembles it out of the other parts.

## Sources

| source | licence | train | validation | test |
|---|---|---|---|---|
{sources}

## Texts per label

{labels}

## Left out

{removed}

{notes}"""


def data_card(record: Record) -> str:
    """The card of the dataset that `record` describes."""
    removed = [f"- {reason}: {count}" for reason, count in record.removed.items()]
    removed.append(f"- open, because labels tie: {record.ties}")
    removed.append(f"- held out, because they resemble a text of the frozen test set: {record.held_out}")
    notes = "".join(f"- {warning}\n" for warning in record.warnings)
    return _TEXT.format(
        fingerprint=record.fingerprint,
        similarity=record.options.similarity,
        sources="\n".join(
            f"| {name} | {_cell(record.licences[name])} | {' | '.join(str(row[part]) for part in PARTS)} |"
            for name, row in record.sources.items()
        ),
        labels="\n\n".join([*(_task(record, task) for task in record.labels), *_entities(record)]),
        removed="\n".join(removed),
        notes=f"## To know\n\n{notes}" if notes else "Every label is in every part.\n",
    )


def _task(record: Record, task: str) -> str:
    lines = [f"### {task}", "", "| label | train | validation | test | weight |", "|---|---|---|---|---|"]
    for label in record.labels[task]:
        numbers = [str(record.counts[part][task][label]) for part in PARTS]
        lines.append(f"| {_cell(label)} | {' | '.join(numbers)} | {record.class_weights[task][label]:.3f} |")
    return "\n".join(lines)


def _entities(record: Record) -> list[str]:
    if isinstance(record.entities, msgspec.UnsetType):
        return []
    lines = ["### sentiment towards companies that a text names", "", "| label | train | validation | test |"]
    lines.append("|---|---|---|---|")
    for label in sorted({label for row in record.entities.values() for label in row}):
        lines.append(f"| {_cell(label)} | {' | '.join(str(record.entities[part].get(label, 0)) for part in PARTS)} |")
    return ["\n".join(lines)]


def _cell(text: str) -> str:
    return text.replace("|", "&#124;").replace("\n", " ")
