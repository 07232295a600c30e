"""Agreement of analysts: the formulas against independent derivations, and verdicts on a real store."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score
from sqlalchemy import Engine

from core.store.labels import read_labels
from desk.labelling.agreement import Word, cohens_kappa, pair_agreements
from tests.desk.people import Login
from tests.desk.stored import add_story, body_of, label, story_of
from trainer.data.consensus import agree

SENTIMENTS = {"sentiment": ("negative", "neutral", "positive")}
tables = st.integers(2, 5).flatmap(
    lambda size: st.lists(st.lists(st.integers(0, 30), min_size=size, max_size=size), min_size=size, max_size=size)
)


def kappa_of(shares: NDArray[np.float64]) -> float:
    """Cohen (1960) on a table of shares."""
    expected = float(shares.sum(axis=1) @ shares.sum(axis=0))
    return (float(np.trace(shares)) - expected) / (1 - expected)


def delta_error(table: Sequence[Sequence[int]]) -> float:
    """The standard error by the delta method for a multinomial table, the gradient taken numerically."""
    counts = np.array(table, dtype=float)
    total = counts.sum()
    shares = counts / total
    gradient = np.zeros_like(shares)
    step = 1e-6
    for cell in np.ndindex(shares.shape):
        for sign in (1, -1):
            moved = shares.copy()
            moved[cell] += sign * step
            gradient[cell] += sign * kappa_of(moved) / (2 * step)
    variance = (shares * gradient**2).sum() - (shares * gradient).sum() ** 2
    return math.sqrt(max(variance, 0) / total)


@given(tables)
def test_kappa_and_its_error_are_those_of_other_derivations(table: list[list[int]]) -> None:
    counts = np.array(table)
    pairs = [(i, j) for (i, j), count in np.ndenumerate(counts) for _ in range(count)]
    found = cohens_kappa(table)
    if not pairs or math.isclose(float(counts.sum(axis=1) @ counts.sum(axis=0)), len(pairs) ** 2):
        assert found is None
        return
    assert found is not None
    kappa, error = found
    first, second = zip(*pairs, strict=True)
    assert kappa == pytest.approx(cohen_kappa_score(first, second), abs=1e-9)
    assert error == pytest.approx(delta_error(table), rel=1e-3, abs=1e-5)


def test_the_interval_covers_the_true_kappa() -> None:
    random = np.random.default_rng(5)
    shares = np.array([[0.30, 0.06, 0.02], [0.08, 0.25, 0.05], [0.02, 0.06, 0.16]])
    truth = kappa_of(shares)
    hits = 0
    for _ in range(400):
        found = cohens_kappa(random.multinomial(300, shares.ravel()).reshape(3, 3).tolist())
        assert found is not None
        hits += abs(found[0] - truth) < 1.96 * found[1]
    assert 0.92 < hits / 400 < 0.98


def test_pairs_share_texts_and_tasks() -> None:
    said = {"ann": "npn", "bob": "nnn", "cleo": "p"}
    names = {"n": "negative", "p": "positive"}
    words = [
        Word(story_of(number), "text", "sentiment", analyst, names[letter])
        for analyst, letters in said.items()
        for number, letter in enumerate(letters)
    ]
    words.append(Word(story_of(0), "text", "gone", "ann", "x"))
    first, second, third = pair_agreements(words, SENTIMENTS)
    assert (first.first, first.second, first.texts, first.share) == ("ann", "bob", 3, pytest.approx(2 / 3))
    assert first.confusion == {"negative": {"negative": 2}, "positive": {"negative": 1}}
    assert first.kappa == pytest.approx(0.0)
    assert (second.first, second.second, second.texts) == ("ann", "cleo", 1)
    assert (third.first, third.second, third.texts, third.share) == ("bob", "cleo", 1, 0.0)


def test_agreement_is_of_the_latest_words(login: Login, engine: Engine) -> None:
    ann, bob = login("ann"), login("bob")
    for number in range(4):
        add_story(engine, number, copies=2)
        label(ann, number, sentiment="positive")
        label(bob, number, copy=1, sentiment="negative" if number else "positive")
    label(ann, 0, sentiment="negative")
    label(ann, 1, sentiment="negative")
    label(ann, 2, sentiment=None)
    (pair,) = ann.get("/api/v1/agreement").json()["items"]
    assert (pair["task"], pair["first"], pair["second"], pair["texts"]) == ("sentiment", "ann", "bob", 3)
    assert pair["confusion"] == {"negative": {"negative": 1, "positive": 1}, "positive": {"negative": 1}}


def test_a_third_or_an_admin_decides_for_datasets(login: Login, engine: Engine) -> None:
    ann, bob, cleo, boss = login("ann"), login("bob"), login("cleo"), login("boss", "admin")
    for number in range(3):
        add_story(engine, number)
        label(ann, number, sentiment="positive")
        label(bob, number, sentiment="negative" if number < 2 else "positive")
    address = "/api/v1/adjudications"
    disputes = cleo.get(address, params={"limit": 1}).json()
    rest = cleo.get(address, params={"limit": 1, "cursor": disputes["next"]}).json()
    assert [one["story"] for one in disputes["items"] + rest["items"]] == [str(story_of(1)), str(story_of(0))]
    assert rest["next"] is None
    assert disputes["items"][0]["opinions"] == [
        {"analyst": "ann", "label": "positive"},
        {"analyst": "bob", "label": "negative"},
    ]
    verdict = {"task": "sentiment", "label": "neutral"}
    assert ann.post(f"{address}/{story_of(0)}", json=verdict).status_code == 403
    assert cleo.post(f"{address}/{story_of(2)}", json=verdict).status_code == 404
    assert cleo.post(f"{address}/{story_of(0)}", json={**verdict, "label": "glad"}).status_code == 422
    assert cleo.post(f"{address}/{story_of(0)}", json=verdict).status_code == 201
    assert boss.post(f"{address}/{story_of(1)}", json={**verdict, "label": "negative"}).status_code == 201
    assert cleo.get(address).json()["items"] == []
    label(ann, 0, sentiment="negative")
    verdicts, ties = agree(read_labels(engine))
    assert {one.text: one.label for one in verdicts} == {
        body_of(0): "neutral",
        body_of(1): "negative",
        body_of(2): "positive",
    }
    assert ties == []
    events = boss.get("/api/v1/audit", params={"action": "adjudicate"}).json()["items"]
    assert [(event["account"], event["subject"]) for event in events] == [
        ("boss", str(story_of(1))),
        ("cleo", str(story_of(0))),
    ]


def test_a_verdict_can_be_taken_back(login: Login, engine: Engine) -> None:
    ann, bob, cleo = login("ann"), login("bob"), login("cleo")
    add_story(engine, 0)
    label(ann, 0, sentiment="positive")
    label(bob, 0, sentiment="negative")
    cleo.post(f"/api/v1/adjudications/{story_of(0)}", json={"task": "sentiment", "label": "neutral"})
    cleo.post("/api/v1/labels/undo", json={})
    verdicts, ties = agree(read_labels(engine))
    assert verdicts == []
    assert ties[0].votes == {"negative": 1, "positive": 1}
    assert len(cleo.get("/api/v1/adjudications").json()["items"]) == 1
