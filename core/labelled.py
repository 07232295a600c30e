"""Files of labelled texts: JSON lines {"text", "<task>": "<label>"}, each checked against the tasks it may label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from core.errors import InputError

MAX_LINE_BYTES = 10_000_000
ENTITIES, SENTIMENT = "entities", "sentiment"  # the field of companies in a text, and the task whose labels they carry


class LabelledLine(NamedTuple):
    """A line of a labelled file: its number from 1, its text, its labels by task, and all of its fields."""

    number: int
    text: str
    labels: dict[str, str]
    fields: dict[str, Any]


def read_labelled(path: Path, tasks: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Text and labels of each line {"text", "<task>": "<label>", ...} of `path`; other fields are passed over.

    Raises InputError naming the line that is malformed, has none of `tasks`, or a label outside its task.
    """
    return ((line.text, line.labels) for line in read_labelled_lines(path, tasks))


def read_labelled_lines(
    path: Path, tasks: Mapping[str, Sequence[str]], instead: str | None = None
) -> Iterator[LabelledLine]:
    """Lines {"text", "<task>": "<label>", ...} of `path` with all that they hold. One with the field `instead` needs no
    label.

    Raises InputError naming the line that is malformed, has none of `tasks`, or a label outside its task.
    """
    for number, entry in read_objects(path):
        text = entry.get("text")
        if not isinstance(text, str) or not text.strip():
            raise InputError(f'{path} line {number}: field "text" is {_short(text)}; expected some text')
        where = f"{path} line {number}"
        if instead is not None and entry.get(instead) and not any(entry.get(task) is not None for task in tasks):
            yield LabelledLine(number, text, {}, entry)
        else:
            yield LabelledLine(number, text, check_labels(entry, tasks, where), entry)


def check_labels(entry: Mapping[str, Any], tasks: Mapping[str, Sequence[str]], where: str) -> dict[str, str]:
    """Labels by task of one line. Raises InputError saying `where` for none at all or one outside its task."""
    labels = {task: entry[task] for task in tasks if entry.get(task) is not None}
    if not labels:
        raise InputError(f"{where} has no label; expected one of the fields {', '.join(tasks)}")
    for task, label in labels.items():
        if label not in tasks[task]:
            raise InputError(f"{where}: {task} is {_short(label)}; expected one of {', '.join(tasks[task])}")
    return labels


def read_objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Number, from 1, and content of each JSON object of `path`, one a line; blank lines are passed over.

    Raises InputError naming the line that is none, or is longer than MAX_LINE_BYTES.
    """
    try:
        with path.open("rb") as file:
            yield from objects_in(file, str(path))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}; check the path") from error


def objects_in(file: BinaryIO, where: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The same for an open file, which `where` names."""
    decoder = msgspec.json.Decoder(dict[str, Any])
    for number, line in enumerate(iter(lambda: file.readline(MAX_LINE_BYTES + 1), b""), start=1):
        if len(line) > MAX_LINE_BYTES:
            raise InputError(f"{where} line {number} is longer than {MAX_LINE_BYTES} bytes; split the file by lines")
        if not line.strip():
            continue
        try:
            yield number, decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InputError(f"{where} line {number} is no JSON object: {error}; mend or remove it") from error


def _short(value: object) -> str:
    return repr(value)[:80]
