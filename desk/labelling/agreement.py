"""How well analysts agree: Cohen's kappa with its standard error, and who says what where others do not. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple
from uuid import UUID

_Z95 = 1.959963984540054  # two-sided 95% quantile of the normal distribution


class Word(NamedTuple):
    """The label that counts as what `analyst` says of a text in one task, or of the company `entity` in it."""

    story: UUID
    text: str
    task: str
    analyst: str
    label: str
    entity: str = ""


@dataclass(frozen=True, slots=True)
class PairAgreement:
    """Two analysts on the texts that both labelled in one task; with `companies`, on companies in texts, each of which
    counts as one of `texts`.

    `share` of them got the same label. `kappa` corrects it for chance (Cohen 1960), with its large-sample standard
    error (Fleiss, Cohen and Everitt 1969) and 95% interval; all are None where both used one label only: agreement is
    then what chance gives. `confusion[a][b]` counts texts that `first` labels a and `second` labels b.
    """

    task: str
    companies: bool
    first: str
    second: str
    texts: int
    share: float
    kappa: float | None
    standard_error: float | None
    low: float | None
    high: float | None
    confusion: dict[str, dict[str, int]]


def pair_agreements(words: Iterable[Word], labels: Mapping[str, Sequence[str]]) -> list[PairAgreement]:
    """One for each task of `labels` and pair of analysts who labelled a text both, by task, then by texts; those on
    companies come after those on texts."""
    said: dict[tuple[UUID, str, str, str], dict[str, str]] = defaultdict(dict)
    for word in words:
        said[word.story, word.text, word.task, word.entity][word.analyst] = word.label
    tables: dict[tuple[str, bool, str, str], Counter[tuple[str, str]]] = defaultdict(Counter)
    for (_, _, task, entity), by_analyst in said.items():
        for first, second in combinations(sorted(by_analyst), 2):
            tables[task, bool(entity), first, second][by_analyst[first], by_analyst[second]] += 1
    order = {task: place for place, task in enumerate(labels)}
    found = [_agreement(*of, table, labels[of[0]]) for of, table in tables.items() if of[0] in labels]
    return sorted(found, key=lambda one: (order[one.task], one.companies, -one.texts, one.first, one.second))


def cohens_kappa(table: Sequence[Sequence[int]]) -> tuple[float, float] | None:
    """Kappa and its standard error for a square table of counts; None where kappa is not defined.

    With p the shares of the cells, po their diagonal sum, and r and c the margins: kappa = (po - pe) / (1 - pe) with
    pe = sum r_i c_i (Cohen 1960). Its variance (Fleiss, Cohen and Everitt 1969) is
    1 / (n (1 - pe)^4) * (sum_i p_ii ((1 - pe) - (r_i + c_i)(1 - po))^2 + (1 - po)^2 sum_{i != j} p_ij (c_i + r_j)^2
    - (po pe - 2 pe + po)^2).
    """
    total = sum(map(sum, table))
    if total == 0:
        return None
    p = [[cell / total for cell in row] for row in table]
    size = range(len(p))
    r = [sum(row) for row in p]
    c = [sum(p[i][j] for i in size) for j in size]
    po = sum(p[i][i] for i in size)
    pe = sum(r[i] * c[i] for i in size)
    if math.isclose(pe, 1.0):
        return None
    same = sum(p[i][i] * ((1 - pe) - (r[i] + c[i]) * (1 - po)) ** 2 for i in size)
    other = (1 - po) ** 2 * sum(p[i][j] * (c[i] + r[j]) ** 2 for i in size for j in size if i != j)
    variance = (same + other - (po * pe - 2 * pe + po) ** 2) / (total * (1 - pe) ** 4)
    return (po - pe) / (1 - pe), math.sqrt(max(variance, 0.0))


def _agreement(
    task: str, companies: bool, first: str, second: str, counts: Counter[tuple[str, str]], labels: Sequence[str]
) -> PairAgreement:
    # Labels that the taxonomy no longer has are told apart all the same.
    names = [*labels, *sorted({name for pair in counts for name in pair} - set(labels))]
    table = [[counts[a, b] for b in names] for a in names]
    texts = counts.total()
    found = cohens_kappa(table)
    kappa, error = found if found is not None else (None, None)
    confusion = {a: row for a in names if (row := {b: counts[a, b] for b in names if counts[a, b]})}
    return PairAgreement(
        task=task,
        companies=companies,
        first=first,
        second=second,
        texts=texts,
        share=sum(counts[name, name] for name in names) / texts,
        kappa=kappa,
        standard_error=error,
        low=max(-1.0, kappa - _Z95 * error) if kappa is not None and error is not None else None,
        high=min(1.0, kappa + _Z95 * error) if kappa is not None and error is not None else None,
        confusion=confusion,
    )
