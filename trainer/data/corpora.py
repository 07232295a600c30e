"""Labelled texts: the public corpora the shipped model learns from, and a user's own JSONL files."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from core.errors import InputError
from core.labelled import read_labelled
from core.taxonomy import Taxonomy
from core.text import model_input, story_form

_TWITTER_SENTIMENT = {"0": "negative", "1": "positive", "2": "neutral"}
_LICENCES = {
    "twitter-fin-sentiment": "MIT (zeroshot/twitter-financial-news-sentiment)",
    "twitter-fin-topic": "MIT (zeroshot/twitter-financial-news-topic)",
    "sentfin": "MIT (Sinha, Kedas, Kumar and Malo 2022, SEntFiN 1.0)",
}
# Entity names in `Decisions` hold unescaped apostrophes, so only the values are reliable.
_DECISION = re.compile(r":\s*'(negative|neutral|positive)'\s*[,}]")


class Example(msgspec.Struct, frozen=True):
    """One text in the form a classifier reads, with a label for at least one task."""

    text: str
    labels: dict[str, str]
    source: str


def licence(source: str) -> str:
    """Licence of a corpus by its name; a user's own files carry none that is known here."""
    return _LICENCES.get(source, "given by the user")


def read_corpora(directory: Path) -> list[Example]:
    """Examples of the public corpora under `directory`: Twitter Financial News (topic, sentiment) and SEntFiN.

    Raises InputError naming the file that is missing or has other columns.
    """
    readers = (read_twitter_sentiment, read_sentfin, read_twitter_topic)
    return [example for reader in readers for example in reader(directory)]


def read_twitter_sentiment(directory: Path) -> list[Example]:
    """Twitter Financial News Sentiment: 0 bearish, 1 bullish, 2 neutral."""
    path = directory / "twitter_fin_sentiment" / "sent_train.csv"
    return [
        Example(model_input(row["text"]), {"sentiment": _TWITTER_SENTIMENT[row["label"]]}, "twitter-fin-sentiment")
        for row in _rows(path, ("text", "label"))
    ]


def read_twitter_topic(directory: Path) -> list[Example]:
    """Twitter Financial News Topic: labels are line numbers of `classes.txt`, from 0."""
    folder = directory / "twitter_fin_topic"
    try:
        classes = (folder / "classes.txt").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(f"{folder / 'classes.txt'} can't be read: {error.strerror}; check --corpora") from error
    return [
        Example(model_input(row["text"]), {"topic": classes[int(row["label"])].strip()}, "twitter-fin-topic")
        for row in _rows(folder / "topic_train.csv", ("text", "label"))
    ]


def read_sentfin(directory: Path) -> list[Example]:
    """SEntFiN headlines whose entities all carry one sentiment; the others have no single label and are left out."""
    examples = []
    for row in _rows(directory / "sentfin" / "SEntFiN.csv", ("Title", "Decisions")):
        sentiments = set(_DECISION.findall(row["Decisions"]))
        if len(sentiments) == 1:
            examples.append(Example(model_input(row["Title"]), {"sentiment": sentiments.pop()}, "sentfin"))
    return examples


def read_jsonl(path: Path, taxonomy: Taxonomy) -> list[Example]:
    """A user's file of lines {"text", "<task>": "<label>", ...}; a line needs at least one task of `taxonomy`.

    Raises InputError naming the file, the line and the fault.
    """
    return [Example(model_input(text), labels, path.stem) for text, labels in read_labelled(path, taxonomy.tasks)]


def merge_duplicates(examples: Iterable[Example]) -> tuple[list[Example], dict[str, int]]:
    """One example per story form, labels of all copies joined; counts of `duplicates`, `conflicts`, `empty`.

    Where copies disagree on a task, the majority's label stays; without a majority the text loses that task, because
    neither learning from it nor being judged on it would mean anything.
    """
    copies: dict[str, list[Example]] = {}
    counts = Counter(duplicates=0, conflicts=0, empty=0)
    for example in examples:
        form = story_form(example.text)
        if not form:
            counts["empty"] += 1
            continue
        copies.setdefault(form, []).append(example)
    merged = []
    for same in copies.values():
        counts["duplicates"] += len(same) - 1
        labels = {}
        for task in sorted({task for example in same for task in example.labels}):
            votes = Counter(example.labels[task] for example in same if task in example.labels).most_common(2)
            if len(votes) == 1 or votes[0][1] > votes[1][1]:
                labels[task] = votes[0][0]
            else:
                counts["conflicts"] += 1
        if labels:
            merged.append(Example(same[0].text, labels, same[0].source))
    return merged, dict(counts)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [column for column in columns if column not in (reader.fieldnames or [])]
            if missing:
                raise InputError(f"{path} has no column {', '.join(missing)}; it has {reader.fieldnames}")
            yield from reader
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}; check --corpora") from error
