"""A dataset on disk: three files of labelled lines, and a record of their checksums and contents."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from core.errors import InputError
from core.labelled import ENTITIES, SENTIMENT, LabelledLine, read_labelled_lines
from trainer.data.entities import EntityLabel
from trainer.data.examples import Example
from trainer.data.spec import BY_ANALYSTS, Options
from trainer.data.splits import PARTS, Split

FORMAT_VERSION = 1
RECORD = "dataset.json"
CARD = "DATA_CARD.md"
TIES = "ties.jsonl"
HELD_OUT = "held_out.jsonl"
UNKNOWN_SOURCE = "unknown"  # of a frozen test line that tells none
FILES = tuple(f"{part}.jsonl" for part in PARTS)


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `dataset.json` holds.

    `files`: SHA-256 of each file; `counts`: texts per part, task and label; `sources`: texts per source and part;
    `removed`: what was taken out, by reason; `analysts`: texts that carry an analyst's label; `fingerprint`: SHA-256 of
    all the rest of the record, and so of all content and options; `entities`: labelled companies per part and label,
    where a corpus has them; `agreement`: per source and task the share of labels that a second annotator gave as well,
    where it was measured; `streams`: sources that are samples of a stream.
    """

    format_version: int
    labels: dict[str, tuple[str, ...]]
    class_weights: dict[str, dict[str, float]]
    licences: dict[str, str]
    options: Options
    counts: dict[str, dict[str, dict[str, int]]]
    sources: dict[str, dict[str, int]]
    removed: dict[str, int]
    ties: int
    held_out: int
    analysts: int
    warnings: list[str]
    files: dict[str, str]
    fingerprint: str = ""
    entities: dict[str, dict[str, int]] | msgspec.UnsetType = msgspec.UNSET  # other datasets keep their fingerprint
    agreement: dict[str, dict[str, float]] | msgspec.UnsetType = msgspec.UNSET  # others keep their fingerprint
    streams: list[str] | msgspec.UnsetType = msgspec.UNSET  # here too


class Dataset(msgspec.Struct, frozen=True):
    """Split examples with all that is known of them. `removed`, `ties` and `held_out` count what was left out."""

    split: Split
    labels: dict[str, tuple[str, ...]]
    fingerprint: str
    class_weights: dict[str, dict[str, float]]
    licences: dict[str, str]
    removed: dict[str, int]
    ties: int
    held_out: int
    options: Options
    record: Record


def load_dataset(directory: Path) -> Dataset:
    """The dataset in `directory`, every file verified.

    Raises InputError naming the file that is missing, altered, or of another format version.
    """
    record = read_record(directory)
    for name in FILES:
        digest = hashlib.sha256(read_bytes(directory / name)).hexdigest()
        if digest != record.files.get(name):
            raise InputError(
                f"{directory / name} is not the file that {RECORD} vouches for; "
                "it was altered: build the dataset again, or put the file back"
            )
    split = Split(*(read_examples(directory / name, record.labels) for name in FILES))
    return Dataset(
        split,
        record.labels,
        record.fingerprint,
        record.class_weights,
        record.licences,
        record.removed,
        record.ties,
        record.held_out,
        record.options,
        record,
    )


def is_dataset(directory: Path) -> bool:
    """Whether `directory` holds a dataset that was written to its end: its record is written last."""
    return (directory / RECORD).is_file()


def read_record(directory: Path) -> Record:
    """The record of the dataset in `directory`, its fingerprint verified.

    Raises InputError where there is none, or it was altered.
    """
    path = directory / RECORD
    if not path.is_file():
        raise InputError(f"{directory} holds no {RECORD}; build one with `newstide dataset build SPEC.toml --out DIR`")
    try:
        record = msgspec.json.decode(read_bytes(path), type=Record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is no record of a dataset: {error}; build the dataset again") from error
    if record.format_version != FORMAT_VERSION:
        raise InputError(
            f"{path} has format version {record.format_version}; this newstide reads version {FORMAT_VERSION}: "
            "build the dataset again"
        )
    if record.fingerprint != fingerprint(record):
        raise InputError(f"{path} does not fit its fingerprint; it was altered: build the dataset again")
    return record


def fingerprint(record: Record) -> str:
    """SHA-256 in hex of `record` without its fingerprint."""
    blank = msgspec.structs.replace(record, fingerprint="")
    return hashlib.sha256(msgspec.json.encode(blank, order="deterministic")).hexdigest()


def read_examples(path: Path, labels: Mapping[str, tuple[str, ...]]) -> list[Example]:
    """Examples of lines as a dataset holds them, texts as they stand.

    Raises InputError naming the line that is malformed, or labelled outside `labels`.
    """
    return [
        Example(
            line.text,
            line.labels,
            _string(line.fields.get("source")) or UNKNOWN_SOURCE,
            _string(line.fields.get("language")),
            _string(line.fields.get("published_at")),
            _entities(line, labels.get(SENTIMENT, ()), f"{path} line {line.number}"),
            line.fields.get(BY_ANALYSTS) is True,
        )
        for line in read_labelled_lines(path, labels, instead=ENTITIES)
    ]


def example_lines(examples: Iterable[Example]) -> bytes:
    """JSON lines {"text", "source", "<task>": "<label>", "language"?, "published_at"?, "entities"?, "by_analysts"?} of
    `examples`; an entity is a list of its spans and its label."""
    lines = []
    for example in examples:
        fields: dict[str, Any] = {"text": example.text, "source": example.source, **example.labels}
        for name in ("language", "published_at", ENTITIES, BY_ANALYSTS):
            if getattr(example, name):
                fields[name] = getattr(example, name)
        lines.append(msgspec.json.encode(fields) + b"\n")
    return b"".join(lines)


def count_labels(
    parts: Mapping[str, Iterable[Example]], labels: Mapping[str, tuple[str, ...]]
) -> dict[str, dict[str, dict[str, int]]]:
    """Texts per part, task and label; labels without any count 0."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for part, examples in parts.items():
        seen = Counter((task, label) for example in examples for task, label in example.labels.items())
        counts[part] = {task: {label: seen[task, label] for label in names} for task, names in labels.items()}
    return counts


def count_entities(parts: Mapping[str, Iterable[Example]]) -> dict[str, dict[str, int]]:
    """Labelled companies per part and label."""
    return {
        part: dict(sorted(Counter(one.label for example in examples for one in example.entities).items()))
        for part, examples in parts.items()
    }


def read_bytes(path: Path) -> bytes:
    """Content of `path`. Raises InputError where it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}; check the path") from error


def _entities(line: LabelledLine, labels: Sequence[str], where: str) -> tuple[EntityLabel, ...]:
    try:
        found = msgspec.convert(line.fields.get(ENTITIES, ()), tuple[EntityLabel, ...])
    except msgspec.ValidationError as error:
        raise InputError(
            f"{where}: entities are not as a dataset holds them: {error}; build the dataset again"
        ) from error
    for one in found:
        inside = all(0 <= start < end <= len(line.text) for start, end in one.spans)
        if one.label not in labels or not one.spans or not inside:
            raise InputError(f"{where}: an entity {one.label!r:.80} at {one.spans!r:.80} does not fit; build it again")
    return found


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
