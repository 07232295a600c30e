"""Files of labels: JSON lines, and Label Studio's JSON. Pure.

Both hold the same, and what is written is read again without loss.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any, Literal, get_args

import msgspec

from core.errors import InputError
from core.label_lines import LabelLine, read_label_lines
from core.labelled import ENTITIES, SENTIMENT, objects_in
from core.store.labels import Label
from core.taxonomy import Taxonomy
from desk.labelling import label_studio

Layout = Literal["jsonl", "label-studio"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
MEDIA_TYPES: dict[Layout, str] = {"jsonl": "application/jsonl", "label-studio": "application/json"}
FILE_NAMES: dict[Layout, str] = {"jsonl": "labels.jsonl", "label-studio": "labels.json"}

_encoder = msgspec.json.Encoder()


def write_labels(labels: Iterable[Label], layout: Layout) -> Iterator[bytes]:
    """A file of `labels`, of which those of one text follow each other, piece by piece."""
    if layout == "jsonl":
        for _, group in groupby(labels, key=_deed):
            yield _encoder.encode(line_of(list(group))) + b"\n"
        return
    before = b"[\n"
    for number, (_, group) in enumerate(groupby(labels, key=_text), start=1):
        yield before + _encoder.encode(label_studio.task_of(number, list(group)))
        before = b",\n"
    yield b"[]\n" if before == b"[\n" else b"\n]\n"


def read_labels(content: bytes, layout: Layout, where: str, taxonomy: Taxonomy) -> list[LabelLine]:
    """The lines in `content`, checked against `taxonomy`. Raises InputError naming the line, or the task, at fault."""
    if layout == "jsonl":
        return read_label_lines(objects_in(io.BytesIO(content), where), where, taxonomy)
    try:
        tasks = msgspec.json.decode(content, type=list[dict[str, Any]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{where} is no JSON array of tasks as Label Studio exports it: {error}") from error
    return label_studio.read_tasks(tasks, where, taxonomy)


def line_of(labels: list[Label]) -> dict[str, Any]:
    """The line for what one analyst said of one text at one time."""
    first = labels[0]
    fields: dict[str, Any] = {"text": first.text, "source": first.source}
    if first.uid is not None:
        fields["uid"] = str(first.uid)
    if first.story is not None:
        fields["story"] = str(first.story)
    fields["analyst"] = first.analyst
    if first.final:
        fields["final"] = True
    if first.labelled_at is not None:
        fields["labelled_at"] = first.labelled_at.isoformat()
    entities = [{"name": label.entity, SENTIMENT: label.label} for label in labels if label.entity]
    if entities:
        fields[ENTITIES] = entities
    return {**fields, **{label.task: label.label for label in labels if not label.entity}}


def _text(label: Label) -> tuple[Any, ...]:
    return label.story, label.text, label.uid, label.source


def _deed(label: Label) -> tuple[Any, ...]:
    return *_text(label), label.analyst, label.final, label.labelled_at
