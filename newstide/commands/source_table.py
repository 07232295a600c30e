"""Figures of a model by source, as `newstide train --unseen` and `newstide evaluate --corpora` show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.language import ENGLISH
from core.scoring import PRECISION
from core.unseen import MeanScore, SourceScore, mean_scores

_FIGURES = ("accuracy", "macro-F1", "ECE", f"recall at {PRECISION:g}")


def describe_sources(unseen: Sequence[SourceScore], in_domain: Sequence[SourceScore] = ()) -> dict[str, Any]:
    """One document: figures of sources that were left out, their `means`, and those of the same ones `in_domain`."""
    return {
        "unseen": msgspec.to_builtins(list(unseen)),
        "means": msgspec.to_builtins(mean_scores(unseen)),
        "in_domain": msgspec.to_builtins(list(in_domain)),
        "in_domain_means": msgspec.to_builtins(mean_scores(in_domain)),
    }


def show_sources(console: Console, unseen: Sequence[SourceScore], in_domain: Sequence[SourceScore] = ()) -> None:
    """Print a table per task: sources that were left out, beside them the same ones `in_domain`, then the means."""
    tasks = list(dict.fromkeys(score.task for score in (*unseen, *in_domain)))
    for task in tasks:
        left = {score.source: score for score in unseen if score.task == task}
        right = {score.source: score for score in in_domain if score.task == task}
        headings = [f"left out: {_FIGURES[0]}", *_FIGURES[1:]]
        if right:
            headings += [f"in domain: {_FIGURES[0]}", *_FIGURES[1:]]
        table = Table("source", "texts", *headings, title=task, title_justify="left", box=None)
        for name in dict.fromkeys([*left, *right]):
            one, other = left.get(name), right.get(name)
            texts = one.support if one is not None else other.support if other is not None else 0
            table.add_row(name, str(texts), *_row(one), *(_row(other) if right else ()))
        means = [{mean.task: mean for mean in mean_scores(found)}.get(task) for found in (unseen, in_domain)]
        if left and means[0] is not None:
            title = Text(f"mean of {means[0].sources} in {ENGLISH!r} or untold", style="bold")
            table.add_row(title, "", *_row(means[0]), *(_row(means[1]) if right else ()), style="bold")
        console.print(table)


def _row(score: SourceScore | MeanScore | None) -> list[str]:
    if score is None:
        return [""] * len(_FIGURES)
    recall = "" if score.negative_recall is None else f"{score.negative_recall:.3f}"
    return [f"{score.accuracy:.4f}", f"{score.macro_f1:.4f}", f"{score.ece:.4f}", recall]
