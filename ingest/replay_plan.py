"""What is known of a file before anything of it is sent: how it is written, that the map fits, and what to warn of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from core.columns import MISSING, Rule
from core.csv_rows import Csv
from core.errors import InputError, UndecodableMessage
from core.file_kinds import record_paths
from core.readers import WITHOUT_OPTIONS, ReadOptions, RecordFile, Row, open_records, sample_rows
from core.records import Kind
from ingest.mapping import IDENTITY, FieldMap
from ingest.reread import Form, reading_context
from ingest.time_columns import Order, TimeColumn, time_column
from ingest.times import PLAIN, parse_time
from ingest.transform import transform
from ingest.written_times import TimeFormat, numeric_date

_TIMES = ("published_at", "received_at")
_FEW_ROWS = 3


@dataclass(frozen=True, kw_only=True)
class ReplayOptions:
    """What an operator states about a file: which columns fill which fields, and how the file is written."""

    fields: FieldMap = IDENTITY
    source: str = ""
    kind: Kind = "news"
    read: ReadOptions = WITHOUT_OPTIONS
    times: TimeFormat = PLAIN


@dataclass(frozen=True, kw_only=True)
class ReplayPlan:
    """How the file at `path` is read. `context` is that of its dead letters; see `ingest.reread`."""

    path: Path
    options: ReplayOptions
    encoding: str
    doubtful: bool
    times: Mapping[str, TimeFormat]
    warnings: tuple[str, ...]
    context: Mapping[str, str] = field(repr=False)

    def open(self) -> RecordFile:
        """The file, from its beginning."""
        return open_records(self.path, options=self.options.read)


def plan_replay(path: Path, options: ReplayOptions) -> ReplayPlan:
    """Look at the first records of the file at `path`.

    Raises InputError for a file that can't be read, a map that does not fit it, a column of times none of which can
    be read, or dates whose order of day and month nothing tells: all before a single message is sent.
    """
    wanted = tuple(rule.path for rule in options.fields.rules if rule.path)
    options = replace(options, read=replace(options.read, columns=wanted))
    file = open_records(path, options=options.read)
    try:
        sample = sample_rows(file, path)
        form: Form = "csv" if isinstance(file, Csv) else "record"
        header, delimiter = (file.format.header, file.format.delimiter) if isinstance(file, Csv) else ("", "")
    finally:
        file.close()
    records = [row.fields for row in sample if row.fields is not None]
    _check_map(options.fields, records, sample, path)
    times, warnings = _times(options, records, str(path))
    _check_messages(options, records, times, path)
    if file.doubtful:
        warnings.append(
            f"the encoding of {path.name} is uncertain, {file.encoding} fits best; --encoding states it, texts beyond "
            "ASCII are marked"
        )
    style = times.get("published_at", options.times)
    return ReplayPlan(
        path=path,
        options=options,
        encoding=file.encoding,
        doubtful=file.doubtful,
        times=times,
        warnings=tuple(warnings),
        context=reading_context(
            form,
            options.fields,
            source=options.source,
            kind=options.kind,
            header=header,
            delimiter=delimiter,
            encoding="" if file.encoding.startswith("utf") else file.encoding,
            times=style,
        ),
    )


def _check_map(fields: FieldMap, records: Sequence[Mapping[str, Any]], sample: Sequence[Row], path: Path) -> None:
    try:
        fields.check(records, str(path))
    except InputError as error:
        if len(sample) > _FEW_ROWS or not sample[0].raw:
            raise
        paths, _ = record_paths(sample[0].raw.decode(errors="replace"))
        if not paths:
            raise
        raise InputError(
            f"{error}; the records seem to stand inside one document: `jq -c '{paths[0]}'` writes them one a line"
        ) from error


def _check_messages(
    options: ReplayOptions, records: Sequence[Mapping[str, Any]], times: Mapping[str, TimeFormat], path: Path
) -> None:
    """Raise InputError if none of `records` makes a message."""
    reason = ""
    for record in records:
        try:
            transform(record, options.fields, source=options.source or "file", kind=options.kind, times=times)
        except UndecodableMessage as error:
            reason = reason or str(error)
        else:
            return
    if records:
        raise InputError(f"{path}: none of its first {len(records)} records makes a message: {reason}")


def _times(
    options: ReplayOptions, records: Sequence[Mapping[str, Any]], where: str
) -> tuple[dict[str, TimeFormat], list[str]]:
    """The format of each column of times, and warnings."""
    rules = {rule.target: rule for rule in options.fields.rules}
    times: dict[str, TimeFormat] = {}
    warnings: list[str] = []
    for target in _TIMES:
        rule = rules.get(target)
        times[target] = options.times
        if rule is None:
            continue
        if rule.constant is not None:
            if parse_time(rule.constant, options.times) is None:
                raise InputError(f"--map {rule}: {rule.constant[:60]!r} can't be read as a time")
            continue
        values = [value for record in records if (value := rule.read(record)) is not MISSING]
        column = time_column(values, options.times)
        _refuse(column, rule, where)
        times[target] = column.style
        warnings.extend(_warnings(column, rule, len(records)))
    if records and "published_at" not in rules:
        warnings.append(
            "no column is mapped to `published_at`, each message gets the time of its receipt "
            "(--map published_at=COLUMN)"
        )
    return times, warnings


def _refuse(column: TimeColumn, rule: Rule, where: str) -> None:
    shown = ", ".join(f"`{example}`" for example in column.examples)
    if column.order is Order.OPEN:
        raise InputError(
            f"{where}: in column `{rule.path}` nothing tells whether the day or the month comes first ({shown}); "
            "say --day-first or --month-first"
        )
    if column.given and not column.readable and not rule.optional:
        if any((found := numeric_date(example)) and found.short_year for example in column.examples):
            raise InputError(
                f"{where}: years of two digits in column `{rule.path}` ({shown}) need a stated order; "
                "say --day-first or --month-first"
            )
        raise InputError(
            f"{where}: no time in column `{rule.path}` (mapped to `{rule.target}`) can be read: {shown}; map the "
            f"column that holds the time, or write `{rule.target}={rule.path}?` to go on with the time of receipt"
        )


def _warnings(column: TimeColumn, rule: Rule, records: int) -> list[str]:
    warnings: list[str] = []
    shown = ", ".join(f"`{example}`" for example in column.examples)
    if column.order is Order.MIXED:
        warnings.append(
            f"column `{rule.path}` has dates in both orders of day and month; those that could be either get the time "
            "of receipt (--day-first or --month-first decides)"
        )
    if column.rounded_to_s:
        warnings.append(
            f"times in column `{rule.path}` were rounded by a spreadsheet to {column.rounded_to_s:.0f} s; export the "
            "column as whole numbers"
        )
    if rule.target == "published_at" and records and not column.given:
        warnings.append(f"column `{rule.path}` is blank in the first {records} records; they get the time of receipt")
    elif column.given and not column.readable:
        warnings.append(f"no time in the first records of column `{rule.path}` can be read: {shown}")
    return warnings
