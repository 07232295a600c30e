"""How often the model was right on the share of stories that is kept for evaluation, which the queue shows without what
the model said."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection, Engine

from core.intervals import wilson_interval
from core.label_lines import Subject
from core.scoring import macro_f1
from core.story_shares import is_for_evaluation
from desk.labelling.items import read_guesses
from desk.labelling.sql import QUERIES

_POOL = 10_000  # the latest labels, among which stories of the share are looked for
_MOST_STORIES = 500
_OLD_S = 300.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The label that counts for a story in one task, or for a company in it: a final one, else that of the majority."""

    story: UUID
    subject: Subject
    label: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often `model` gave the label that counts, over `texts` stories, with the 95% Wilson interval of the share;
    with `companies`, over so many companies in stories. `confusion`: for each label that counts, how many of its texts
    got which label, zeros left out."""

    model: str
    task: str
    companies: bool
    texts: int
    right: int
    share: float
    low: float
    high: float
    macro_f1: float
    confusion: dict[str, dict[str, int]]


class Evaluation:
    """The accuracy of models by one store's labels. Thread-safe.

    Worked out again after a label was given or a day of messages dropped, and when it is old: a message may come after
    the label that was imported for it.
    """

    def __init__(self, engine: Engine, share: float) -> None:
        self._engine = engine
        self._share = share
        self._lock = threading.Lock()
        self._known: tuple[int, int] | None = None
        self._at = 0.0
        self._found: list[Accuracy] = []

    def read(self) -> list[Accuracy]:
        """By model and task, over the stories of the evaluation share that were labelled last."""
        with self._lock, self._engine.connect() as connection:
            row = connection.execute(QUERIES["evaluated"]).one()
            known, now = (row.labels, row.dropped_days), time.monotonic()
            if known != self._known or now - self._at > _OLD_S:
                self._found = measure_accuracy(connection, self._share)
                self._known, self._at = known, now
            return self._found


def measure_accuracy(connection: Connection, share: float) -> list[Accuracy]:
    """By model and task, over the stories of the evaluation share that were labelled last."""
    rows = connection.execute(QUERIES["latest_stories"], {"pool": _POOL})
    stories = [row.story for row in rows if is_for_evaluation(row.story, share)][:_MOST_STORIES]
    words = connection.execute(QUERIES["words_of"], {"stories": stories}).all()
    guesses = read_guesses(connection, stories)
    said: dict[tuple[UUID, Subject], Counter[str]] = defaultdict(Counter)
    for row in words:
        said[row.story, Subject(row.task, row.entity)][row.label] += 1
    return score(decide(said), guesses)


def decide(said: Mapping[tuple[UUID, Subject], Counter[str]]) -> list[Verdict]:
    """What the majority says of each story and subject; nothing where two labels are said equally often."""
    found = []
    for (story, subject), counts in said.items():
        best = counts.most_common(2)
        if len(best) == 1 or best[0][1] > best[1][1]:
            found.append(Verdict(story, subject, best[0][0]))
    return found


def score(verdicts: Iterable[Verdict], guesses: Mapping[UUID, tuple[str, Mapping[Subject, str]]]) -> list[Accuracy]:
    """Verdicts against what models said of those stories; what no model labelled is left out."""
    pairs: defaultdict[tuple[str, str, bool], Counter[tuple[str, str]]] = defaultdict(Counter)
    for verdict in verdicts:
        model, said = guesses.get(verdict.story, ("", {}))
        guess = said.get(verdict.subject)
        if guess is not None:
            pairs[model, verdict.subject.task, bool(verdict.subject.entity)][verdict.label, guess] += 1
    return [_accuracy(*key, counts) for key, counts in sorted(pairs.items())]


def _accuracy(model: str, task: str, companies: bool, pairs: Counter[tuple[str, str]]) -> Accuracy:
    confusion: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for (label, got), count in sorted(pairs.items()):
        confusion[label][got] = count
    texts, right = pairs.total(), sum(count for (label, got), count in pairs.items() if label == got)
    figures = (right / texts, *wilson_interval(right, texts), macro_f1(confusion))
    return Accuracy(model, task, companies, texts, right, *figures, dict(confusion))
