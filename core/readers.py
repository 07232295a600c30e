"""Files of records: JSON Lines, CSV and Parquet, opened by their name and checked by their content."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

from core.csv_rows import Csv
from core.errors import InputError
from core.file_kinds import foreign_kind, single_document_advice
from core.json_lines import JsonLines
from core.lines import GZIP_MAGIC, LineFile
from core.parquet_rows import Parquet
from core.rows import ReadOptions, RecordFile, Row

SAMPLE_ROWS = 1_000
SAMPLE_BYTES = 16_000_000
WITHOUT_OPTIONS = ReadOptions()

__all__ = ["WITHOUT_OPTIONS", "ReadOptions", "RecordFile", "Row", "open_records", "sample_rows"]


def open_records(path: Path, suffix: str = "", options: ReadOptions = WITHOUT_OPTIONS) -> RecordFile:
    """Open the file at `path`; its name tells the format, `.gz` after it is allowed, or else `suffix` does (".csv").

    Raises InputError for a missing, empty, unreadable or unknown file, and for one that is something else by content.
    """
    if path.is_dir():
        raise InputError(f"{path} is a directory; name one file of records in it")
    if not path.exists():
        raise InputError(f"{path} does not exist; check the path (now in {Path.cwd()})")
    if not path.is_file():
        raise InputError(f"{path} is not a regular file; write its records to a file first")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; there is nothing to read")
    try:
        return _open(path, suffix or Path(path.name.lower().removesuffix(".gz")).suffix, options)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}") from error


def sample_rows(file: RecordFile, path: Path) -> list[Row]:
    """The first rows of `file`, as many as show what it holds: bounded in number and in bytes.

    Raises InputError if none of them can be read, or most can't because the file is one JSON document: such a file
    is refused as a whole, with the reason and the way out, as its rows would only fill the dead letters.
    """
    sample: list[Row] = []
    size = 0
    for row in itertools.islice(file.rows(), SAMPLE_ROWS):
        sample.append(row)
        size += len(row.raw)
        if size > SAMPLE_BYTES:
            break
    bad = [row for row in sample if row.fields is None]
    if sample and len(bad) == len(sample):
        raise InputError(f"{path}: none of its first {len(sample)} records can be read: {file.unreadable(sample)}")
    if bad and bad[0] is sample[0] and 2 * len(bad) > len(sample):
        advice = single_document_advice(b"\n".join(row.raw for row in sample).decode(errors="replace"))
        if advice is not None:
            raise InputError(f"{path}: {advice}")
    return sample


def _open(path: Path, suffix: str, options: ReadOptions) -> RecordFile:
    opener = _TEXT_FORMATS.get(suffix)
    if opener is None:
        with path.open("rb") as raw:
            _refuse_foreign(path, raw.read(4096), suffix)
        if suffix == ".parquet":
            return Parquet(path, options)
        raise InputError(
            f"{path} has a format that is not known; expected {', '.join((*_TEXT_FORMATS, '.parquet'))}, "
            "or the text formats with .gz"
        )
    lines = LineFile(path, options.encoding)
    try:
        _refuse_foreign(path, lines.head, suffix)
        text = lines.head.decode(lines.described_encoding, errors="replace").lstrip("\ufeff").lstrip()
        if opener is JsonLines and text.startswith("["):
            raise InputError(f"{path}: {single_document_advice(text)}")
        if opener is Csv and text.startswith(('{"', '[{"', "{\n", "[\n", "{ ")):
            raise InputError(f"{path} holds JSON, not a table; name it .jsonl if it has one object a line")
        return opener(path, lines, options)
    except BaseException:
        lines.close()
        raise


def _refuse_foreign(path: Path, head: bytes, suffix: str) -> None:
    kind = foreign_kind(head)
    if kind is None or (suffix == ".parquet" and head.startswith(b"PAR1")):
        return
    if suffix == ".parquet" and head.startswith(GZIP_MAGIC):
        kind = "packed with gzip", "`gunzip` it; Parquet packs its columns itself"
    raise InputError(f"{path} is {kind[0]}; {kind[1]}")


_TEXT_FORMATS: dict[str, Callable[[Path, LineFile, ReadOptions], RecordFile]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".json": JsonLines,
    ".csv": Csv,
    ".tsv": Csv,
}
