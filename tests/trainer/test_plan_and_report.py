"""Budgets as people type them, and a report that shows what was measured."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.scoring import TaskScore
from trainer.compress.measure import Variant
from trainer.compress.plan import Budget, Plan, candidates, parse_budget
from trainer.compress.report import pareto_front, write_report
from trainer.learn.encoder import Architecture, LayerShape


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("accuracy-drop<=1,size<=12MB", Budget(accuracy_drop=1, size=12_000_000)),
        (" accuracy-drop <= 0.5 points , f1-drop<=3 ", Budget(accuracy_drop=0.5, f1_drop=3)),
        ("size<=900kB", Budget(size=900_000)),
    ],
)
def test_budgets_are_read(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize(
    "text", ["", "accuracy", "speed<=3", "size<=12", "accuracy-drop<=1MB", "size<=1.2.3MB", "a<=."]
)
def test_a_budget_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="expected parts such as"):
        parse_budget(text)


def test_candidates_are_smaller_than_their_teacher() -> None:
    teacher = Architecture(1000, 64, 32, 4, [LayerShape(8, 128)] * 6)
    plans = candidates(teacher, 500)
    assert len(plans) == len(set(plans)) > 8
    assert all(plan.layers <= 6 and plan.heads <= 8 and plan.inner <= 128 for plan in plans if plan.layers)
    assert all((plan.layers, plan.heads, plan.inner) != (6, 8, 128) for plan in plans)
    assert str(plans[1]) == "6 layers, 8 heads, 64 inner, 500 words, relu"
    assert str(Plan(rank_share=0.5)) == "rank 0.5 of widen+narrow"
    assert str(Plan()) == "as the teacher"


def score(accuracy: float, macro_f1: float = 0.5) -> TaskScore:
    return TaskScore("sentiment", accuracy, macro_f1, 0.02, 100, [])


def variant(name: str, size: int, rate: float, accuracy: float) -> Variant:
    return Variant(name, size, 1_000_000, rate, [score(accuracy)], [score(accuracy - 0.01)])


def test_a_drop_is_that_of_the_worst_task_in_points() -> None:
    teacher = Variant("t", 1, 1, 1, [score(0.9, 0.8), score(0.8, 0.7)], [])
    student = Variant("s", 1, 1, 1, [score(0.89, 0.7), score(0.81, 0.7)], [])
    assert student.drop(teacher) == pytest.approx((1.0, 10.0))


def test_the_report_holds_every_variant_and_marks_the_chosen_one(tmp_path: Path) -> None:
    rows = [variant("teacher", 90_000_000, 100, 0.9), variant("<small>", 9_000_000, 400, 0.89)]
    rows.append(variant("worse", 10_000_000, 300, 0.7))
    write_report(tmp_path, "Compression of <x>", rows, rows[1], ["Two cores."])
    text = (tmp_path / "report.md").read_text()
    assert "| 1 | teacher | 90.00 | 1.00 | 100 | 1.00x | 0.8900 | 0.5000 | 0.0200 |" in text
    assert "| **2** | **<small>** | **9.00** | **1.00** | **400** | **4.00x** |" in text
    page = (tmp_path / "report.html").read_text()
    assert "&lt;small&gt;" in page
    assert "<small>" not in page
    assert page.count("<tr class=chosen>") == 1
    assert "<svg" in page
    assert (tmp_path / "pareto.svg").read_text().startswith("<?xml")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_nothing_beats_a_point_of_the_front(points: list[tuple[int, int]]) -> None:
    front = [points[position] for position in pareto_front(points)]
    for cost, quality in points:
        beaten = any(c <= cost and q >= quality and (c, q) != (cost, quality) for c, q in points)
        assert ((cost, quality) in front) != beaten
    assert len(front) == len(set(front))
