"""How the columns of a foreign record become the fields of a message: `id=id,published_at=ts,text=payload.body`. Pure.

target=column        a column; dots reach into nested records ("payload.body", "items.0.name")
target=column?       the same, and it is no error if no record has it
target=@value        a constant
extra.name=column    kept with the message under that name
extra=*              every column that no other rule uses is kept with the message
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.columns import MISSING, Rule, closest_hint, columns_of, listed, parse_rule
from core.errors import InputError

TARGETS = (
    "id",
    "source",
    "kind",
    "published_at",
    "received_at",
    "title",
    "text",
    "url",
    "author",
    "language",
    "entities",
)


@dataclass(frozen=True)
class FieldMap:
    """Rules from columns to message fields; `keep_rest` puts the unused columns into `extra`."""

    rules: tuple[Rule, ...]
    keep_rest: bool = False

    def apply(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The message fields found in `record`, raw values as they stand; what is missing is left out."""
        fields: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for rule in self.rules:
            value = rule.read(record)
            if value is MISSING:
                continue
            if rule.target.startswith("extra."):
                extra[rule.target[6:]] = value
            else:
                fields[rule.target] = value
        if self.keep_rest:
            used = {rule.path.partition(".")[0] for rule in self.rules} | {rule.path for rule in self.rules}
            extra = {str(name): value for name, value in record.items() if name not in used} | extra
        if extra:
            given = fields.get("extra")
            fields["extra"] = {**given, **extra} if isinstance(given, Mapping) else extra
        return fields

    def check(self, records: Iterable[Mapping[str, Any]], where: str) -> None:
        """Raise InputError if a mapped column is in none of `records`, the first ones of `where`."""
        records = list(records)
        if not records:
            return
        columns = list(dict.fromkeys(name for record in records for name in columns_of(record)))
        for rule in self.rules:
            if rule.optional or rule.constant is not None:
                continue
            if all(rule.read(record) is MISSING for record in records):
                raise InputError(
                    f"{where} has no column `{rule.path}` (mapped to `{rule.target}`) in its first {len(records)} "
                    f"records{closest_hint(rule.path, columns)}; columns seen: {listed(columns)}; "
                    f"write `{rule.target}={rule.path}?` if it may be missing"
                )
        if not any(fields.get("text") or fields.get("title") for fields in map(self.apply, records)):
            raise InputError(
                f"{where} yields neither `text` nor `title` in its first {len(records)} records; "
                f"say which column holds it, for example --map text=body; columns seen: {listed(columns)}"
            )

    def __str__(self) -> str:
        """The map as `--map` takes it."""
        return ",".join([*map(str, self.rules), *(["extra=*"] if self.keep_rest else [])])

    def missing(self, record: Mapping[str, Any]) -> str:
        """What to tell about a `record` without text: which mapped columns it lacks, and what it has instead."""
        wanted = [rule.path for rule in self.rules if rule.target in ("text", "title") and rule.path]
        lacking = [path for rule in self.rules if (path := rule.path) in wanted and rule.read(record) is MISSING]
        if not lacking:
            return ""
        return f"; no column {listed(lacking)} in this record, which has {listed(list(columns_of(record)))}"


IDENTITY = FieldMap((*(Rule(name, name, optional=True) for name in TARGETS), Rule("extra", "extra", optional=True)))
"""The map of records that have newstide's own field names already."""


def parse_map(specification: str | Iterable[str]) -> FieldMap:
    """The map that `--map` describes, as one comma-separated text or several; nothing: `IDENTITY`.

    Raises InputError naming the part that is wrong.
    """
    texts = [specification] if isinstance(specification, str) else list(specification)
    parts = [part.strip() for text in texts for part in text.split(",") if part.strip()]
    if not parts:
        return IDENTITY
    pairs = []
    for part in parts:
        target, separator, origin = (piece.strip() for piece in part.partition("="))
        if not separator or not target or not origin:
            raise InputError(f"--map {part!r} is not of the form field=column, for example text=body")
        pairs.append((target, origin))
    return map_of(pairs, "--map ")


def map_of(pairs: Iterable[tuple[str, str]], where: str = "") -> FieldMap:
    """The map of `pairs`, each a field of a message and where it comes from; `where` begins an error message.

    Raises InputError naming the pair that is wrong.
    """
    rules: dict[str, Rule] = {}
    keep_rest = False
    for target, origin in pairs:
        part = f"{target}={origin}"
        if target == "extra" and origin == "*":
            keep_rest = True
            continue
        if target not in TARGETS and target != "extra" and not (target.startswith("extra.") and len(target) > 6):
            raise InputError(
                f"{where}{part!r}: a message has no field `{target}`{closest_hint(target, TARGETS)}; "
                f"fields: {', '.join(TARGETS)}, extra.NAME, extra=*"
            )
        if target in rules:
            raise InputError(f"{where}gives `{target}` twice; one column fills one field")
        rules[target] = parse_rule(target, origin)
    return FieldMap(tuple(rules.values()), keep_rest)
