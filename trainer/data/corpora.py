"""Corpora: files of labelled texts, read as their spec says. The public ones have a spec that ships."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec

from core.columns import MISSING, Rule, closest_hint, columns_of, listed, parse_rule
from core.errors import InputError
from core.labelled import ENTITIES, SENTIMENT, read_labelled_lines
from core.readers import Row, open_records
from core.taxonomy import Taxonomy, load_taxonomy
from core.text import model_input
from trainer.data.annotations import annotated, read_annotations
from trainer.data.entities import decisions, located, named_labels
from trainer.data.examples import Example
from trainer.data.spec import PUBLIC, TEXT_FIELDS, CorpusSpec, load_spec

UNKNOWN_LICENCE = "given by the user"
_SUFFIXES = {"": "", "jsonl": ".jsonl", "csv": ".csv", "parquet": ".parquet", "sentfin": ".csv"}


class Read(msgspec.Struct, frozen=True):
    """The examples of a corpus in file order, and how many rows had no label."""

    examples: list[Example]
    unlabelled: int


def licence(source: str) -> str:
    """Licence of a public corpus by its name; a user's own files carry none that is known here."""
    spec = load_spec(PUBLIC, load_taxonomy())
    return next((corpus.licence for corpus in spec.corpus if corpus.name == source), UNKNOWN_LICENCE)


def read_corpora(directory: Path) -> list[Example]:
    """Examples of the public corpora under `directory`: Twitter Financial News (topic, sentiment) and SEntFiN.

    Raises InputError naming the file that is missing or has other columns.
    """
    taxonomy = load_taxonomy()
    corpora = load_spec(PUBLIC, taxonomy).corpus
    return [example for corpus in corpora for example in read_corpus(corpus, directory, taxonomy.tasks).examples]


def read_corpus(corpus: CorpusSpec, directory: Path, tasks: Mapping[str, Sequence[str]]) -> Read:
    """Examples of `corpus`, whose path is relative to `directory`; rows without a label are counted and left out.

    Raises InputError naming the file and the line for a malformed row, a row without text or a label outside `tasks`,
    and for a column that no row has.
    """
    path = directory / corpus.path
    annotations = read_annotations(directory / corpus.annotations) if corpus.annotations else None
    rules = {name: parse_rule(name, origin) for name, origin in corpus.fields.items()}
    examples = []
    unlabelled = 0
    found: set[str] = set()
    columns: dict[str, None] = {}
    for row in _rows(path, corpus):
        where = f"{path} line {row.number}"
        if row.fields is None:
            raise InputError(f"{where}: {row.reason}; mend or remove it")
        fields = annotated(row.fields, rules["text"], annotations)
        if fields is None:
            unlabelled += 1
            continue
        values = {name: value for name, rule in rules.items() if (value := rule.read(fields)) is not MISSING}
        found |= values.keys()
        columns |= dict.fromkeys(columns_of(fields))
        labels = {
            task: label
            for task in rules
            if task not in (*TEXT_FIELDS, ENTITIES) and (label := _label(values.get(task), task, corpus, tasks, where))
        }
        named = _named(values.get(ENTITIES), corpus, tasks, where)
        if not labels and not named:
            unlabelled += 1
            continue
        if not found & {"text", "title"}:
            _check_columns({"text": rules["text"]}, found, list(columns), f"{where} or before", corpus.name)
        example = _example(values, labels, corpus.name, where)
        entities = located(example.text, named)
        if not labels and not entities:
            unlabelled += 1
            continue
        examples.append(msgspec.structs.replace(example, entities=entities) if entities else example)
    _check_columns(rules, found, list(columns), str(path), corpus.name)
    return Read(examples, unlabelled)


def read_jsonl(path: Path, taxonomy: Taxonomy) -> list[Example]:
    """A user's file of lines {"text", "<task>": "<label>", "entities"?: [{"name", "sentiment"}], ...}; a line needs at
    least one task of `taxonomy`, or an entity.

    Raises InputError naming the file, the line and the fault.
    """
    examples = []
    for line in read_labelled_lines(path, taxonomy.tasks, instead=ENTITIES):
        text, labels = model_input(line.text), taxonomy.tasks.get(SENTIMENT, ())
        named = named_labels(line.fields.get(ENTITIES), None, labels, f"{path} line {line.number}")
        entities = located(text, named)
        if line.labels or entities:
            examples.append(Example(text, line.labels, path.stem, entities=entities))
    return examples


def _rows(path: Path, corpus: CorpusSpec) -> Iterator[Row]:
    file = open_records(path, _SUFFIXES[corpus.format])
    try:
        for count, row in enumerate(file.rows(), start=1):
            yield row
            if count == corpus.rows:
                return
    finally:
        file.close()


def _example(values: Mapping[str, Any], labels: dict[str, str], source: str, where: str) -> Example:
    text, title = (str(values.get(name) or "").strip() for name in ("text", "title"))
    if not text and not title:
        raise InputError(f"{where} has labels and no text; mend or remove it")
    # As a message joins its title and text: the model must read in training what it reads in service.
    body = text if not title or text.startswith(title) else f"{title}. {text}" if text else title
    return Example(
        model_input(body),
        labels,
        source,
        language=str(values.get("language") or ""),
        published_at=_moment(values.get("published_at")),
    )


def _label(cell: Any, task: str, corpus: CorpusSpec, tasks: Mapping[str, Sequence[str]], where: str) -> str:
    """The label that `cell` means; "" for none."""
    if corpus.format == "sentfin":
        found = {label for _, label in decisions(str(cell))}
        cell = found.pop() if len(found) == 1 else None
    text = _written(cell)
    if not text:
        return ""
    names = corpus.labels.get(task)
    if names is not None:
        if text not in names:
            raise InputError(
                f"{where}: {task} is {text[:80]!r}, which corpus {corpus.name!r} has no label for; "
                f'add it to labels.{task}, or map it to "" to leave such rows out; it maps {", ".join(names)}'
            )
        return names[text]
    if text not in tasks[task]:
        raise InputError(
            f"{where}: {task} is {text[:80]!r}{closest_hint(text, tasks[task])}; "
            f"expected one of {', '.join(tasks[task])}, or a map labels.{task} in corpus {corpus.name!r}"
        )
    return text


def _named(cell: Any, corpus: CorpusSpec, tasks: Mapping[str, Sequence[str]], where: str) -> list[tuple[str, str]]:
    """Companies that `cell` names, and the label of each."""
    if cell is None or cell != cell:
        return []
    if corpus.format == "sentfin":
        return decisions(str(cell))
    return named_labels(cell, corpus.labels.get(ENTITIES), tasks[SENTIMENT], where)


def _written(cell: Any) -> str:
    """A cell as a spec writes it: 0, 0.0 and "0" are the same key."""
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip()


def _moment(value: Any) -> str:
    return value.isoformat() if isinstance(value, (date, datetime)) else value.strip() if isinstance(value, str) else ""


def _check_columns(rules: Mapping[str, Rule], found: set[str], columns: list[str], where: str, name: str) -> None:
    for field, rule in rules.items():
        if field not in found and not rule.optional:
            raise InputError(
                f"{where}: no column `{rule.path}` (field `{field}` of corpus {name!r})"
                f"{closest_hint(rule.path, columns)}; columns seen: {listed(columns)}; "
                f"write `{rule.path}?` if it may be missing"
            )
