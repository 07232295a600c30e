"""Whole files through a classifier: JSON lines in, scores or figures out. Lines stream, files of any size fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from core.classifier import Classifier, text_form
from core.errors import InputError
from core.explanation import explain
from core.fitting import reader_of
from core.labelled import ENTITIES, read_labelled_lines, read_objects
from core.language import language_of
from core.mentions import Spans
from core.output_file import output_file
from core.scoring import TaskScore, score_task
from core.slices import Slice, gather_slices, score_slices, slice_keys

BATCH_TEXTS = 512
SCORE_DIGITS = 6

_Item = TypeVar("_Item")
ProgressReport = Callable[[int], None]  # hears how many texts are done
Companies = Callable[[str, str], Mapping[str, Spans]]  # a text, and as a classifier reads it: where it names whom


class _Text(msgspec.Struct):
    id: str | int
    text: str


def classify_lines(
    classifiers: Sequence[Classifier],
    lines: Iterable[tuple[str | int, str]],
    explained: bool = False,
    companies: Companies | None = None,
) -> Iterator[dict[str, Any]]:
    """For each pair of id and text, in order: {"id", "<task>": {"label", "scores": {label: score}}, "model"}, by the
    one of `classifiers`, which are `in_order`, that reads its language.

    With `companies`, and a model that tells them apart, also "entities": {name: {"label", "scores"}} of those that the
    text names. A text in a language that no model reads has null for label, scores and model, and its "language" beside
    them. Where they are to be `explained`, also "explanation": {"<task>": {"label", "score", "spans": [{"start", "end",
    "text", "weight"}]}}, as `core.explanation.explain` has it.
    """
    tasks = dict.fromkeys(task for classifier in classifiers for task in classifier.tasks)
    for group in _groups(lines):
        languages = [language_of(text) for _, text in group]
        readers = [reader_of(language, classifiers) for language in languages]
        answers: dict[int, dict[str, Any]] = {}
        for classifier in classifiers:
            mine = [at for at, reader in enumerate(readers) if reader is classifier]
            found = _answers(classifier, [group[at][1] for at in mine], explained, companies)
            answers.update(zip(mine, found, strict=True))
        for at, (identity, _) in enumerate(group):
            if at in answers:
                yield {"id": identity, **answers[at]}
                continue
            unread: dict[str, Any] = {task: {"label": None, "scores": None} for task in tasks}
            unread |= {"language": languages[at], "model": None}
            yield {"id": identity, **unread, **({"explanation": {}} if explained else {})}


def _answers(
    classifier: Classifier, texts: Sequence[str], explained: bool, companies: Companies | None
) -> Iterator[dict[str, Any]]:
    """What `classifier` says of each of `texts`."""
    locate = companies if classifier.entity_labels else None
    forms = list(map(text_form, texts))
    places = [locate(text, form) for text, form in zip(texts, forms, strict=True)] if locate else []
    reading = classifier.read(forms, [list(found.values()) for found in places])
    towards = reading.by_company(places) if locate else []
    for row, text in enumerate(texts):
        answer: dict[str, Any] = {
            task: _best(classifier.labels(task), scores[row]) for task, scores in reading.scores.items()
        }
        if locate:
            answer["entities"] = {
                company: _best(classifier.entity_labels, scores) for company, scores in towards[row].items()
            }
        answer["model"] = classifier.name
        if explained:
            answer["explanation"] = explain(classifier, text)
        yield answer


def _best(labels: Sequence[str], scores: NDArray[np.float32]) -> dict[str, Any]:
    return {
        "label": labels[int(scores.argmax())],
        "scores": {label: round(float(score), SCORE_DIGITS) for label, score in zip(labels, scores, strict=True)},
    }


def _ignore_progress(done: int) -> None:
    pass


def classify_file(
    classifiers: Sequence[Classifier],
    source: Path,
    target: Path,
    report: ProgressReport = _ignore_progress,
    explained: bool = False,
    unread: Counter[str] | None = None,
    companies: Companies | None = None,
) -> int:
    """Classify lines {"id", "text"} of `source` into `target`, in the same order; the number of lines.

    `unread` is told of the languages that no model reads, and how many texts are in each.

    Raises InputError naming the line that is no such object; a file that stood at `target` is then left as it was.
    """
    encoder = msgspec.json.Encoder()
    count = 0
    texts = ((entry.id, entry.text) for entry in _read_texts(source))
    with output_file(target) as output:
        for answer in classify_lines(classifiers, texts, explained, companies):
            output.write(encoder.encode(answer) + b"\n")
            count += 1
            if unread is not None and "language" in answer:
                unread[answer["language"]] += 1
            if count % BATCH_TEXTS == 0:
                report(count)
    return count


def evaluate_file(classifier: Classifier, source: Path, report: ProgressReport = _ignore_progress) -> list[TaskScore]:
    """Figures per task on lines {"text", "<task>": "<label>"} of `source`; tasks that no line labels are left out, and
    lines that label companies alone, as the parts of a dataset have, are passed over.

    Raises InputError naming the line for a malformed line or a label the model does not know.
    """
    return _evaluate(classifier, source, report, sliced=False)[0]


def evaluate_slices(
    classifier: Classifier, source: Path, report: ProgressReport = _ignore_progress
) -> tuple[list[TaskScore], list[Slice]]:
    """The same figures, and those of each source, length, language and month that the lines of `source` tell of.

    Raises InputError as `evaluate_file` does.
    """
    return _evaluate(classifier, source, report, sliced=True)


def _evaluate(
    classifier: Classifier, source: Path, report: ProgressReport, sliced: bool
) -> tuple[list[TaskScore], list[Slice]]:
    labels = {task: classifier.labels(task) for task in classifier.tasks}
    truth: dict[str, list[int]] = {task: [] for task in labels}
    scores: dict[str, list[Any]] = {task: [] for task in labels}
    keys: dict[str, list[dict[str, str]]] = {task: [] for task in labels}
    done = 0
    for group in _groups(line for line in read_labelled_lines(source, labels, instead=ENTITIES) if line.labels):
        predicted = classifier.predict([line.text for line in group])
        done += len(group)
        report(done)
        for row, line in enumerate(group):
            place = slice_keys(line.fields) if sliced else {}
            for task, label in line.labels.items():
                truth[task].append(labels[task].index(label))
                scores[task].append(predicted[task][row])
                keys[task].append(place)
    tables = {task: (np.array(truth[task], dtype=np.int64), np.stack(scores[task])) for task in labels if truth[task]}
    return (
        [score_task(task, labels[task], *table, classifier.uses(task)) for task, table in tables.items()],
        gather_slices(score_slices(task, labels[task], *table, keys[task]) for task, table in tables.items())
        if sliced
        else [],
    )


def _read_texts(path: Path) -> Iterator[_Text]:
    for number, entry in read_objects(path):
        try:
            yield msgspec.convert(entry, _Text)
        except msgspec.ValidationError as error:
            raise InputError(f'{path} line {number}: {error}; expected {{"id": ..., "text": "..."}}') from error


def _groups(items: Iterable[_Item]) -> Iterator[list[_Item]]:
    iterator = iter(items)
    while group := list(islice(iterator, BATCH_TEXTS)):
        yield group
