"""The gates of a promotion: each a named verdict with the figures it rests on. Pure: the caller brings the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from core.settings import ModelsSettings
from core.unseen import SourceScore, mean_scores
from trainer.judge.compare import TaskComparison

_ROUNDING = 1e-9


class Gate(msgspec.Struct, frozen=True):
    """A verdict in a sentence. What is not `forcible` a worker would refuse anyway."""

    name: str
    passed: bool
    summary: str
    figures: dict[str, Any] = {}
    forcible: bool = True


class Limits(msgspec.Struct, frozen=True):
    """What the gates ask for; points are hundredths of accuracy or F1. See the settings `models.gate_*`."""

    p_value: float = 0.05
    equal_points: float = 1
    class_points: float = 3
    class_support: int = 20
    speed_ratio: float = 0.8
    least_per_second: float = 0
    max_megabytes: float = 25

    @classmethod
    def of(cls, settings: ModelsSettings) -> Limits:
        return cls(
            settings.gate_p_value,
            settings.gate_equal_points,
            settings.gate_class_points,
            settings.gate_class_support,
            settings.gate_speed_ratio,
            settings.gate_least_per_second,
            settings.gate_max_megabytes,
        )


def judge_improvement(
    comparisons: Sequence[TaskComparison],
    old_bytes: int,
    new_bytes: int,
    limits: Limits,
    unseen: Sequence[TaskComparison] = (),
) -> Gate:
    """Significantly better on a task and significantly worse on none; or smaller, and surely no worse than a little.

    `unseen` compares both on texts of sources that neither learned from, `comparisons` on the others.
    """
    named = [(c.task, c) for c in comparisons] + [(f"{c.task} of unseen sources", c) for c in unseen]
    better = [name for name, c in named if c.p_value < limits.p_value and c.difference > 0]
    worse = [name for name, c in named if c.p_value < limits.p_value and c.difference < 0]
    unsure = [name for name, c in named if c.low <= -limits.equal_points / 100]
    smaller = new_bytes < old_bytes
    figures = {
        "tasks": {
            name: {
                "texts": c.texts,
                "old_accuracy": c.old.accuracy,
                "new_accuracy": c.new.accuracy,
                "difference": c.difference,
                "low": c.low,
                "high": c.high,
                "p_value": c.p_value,
                "only_old_right": c.only_old_right,
                "only_new_right": c.only_new_right,
            }
            for name, c in named
        },
        "old_bytes": old_bytes,
        "new_bytes": new_bytes,
    }
    detail = "; ".join(
        f"{name} {100 * c.difference:+.2f} points [{100 * c.low:+.2f}, {100 * c.high:+.2f}], p = {c.p_value:.3g}"
        for name, c in named
    )
    if worse:
        verdict, passed = f"significantly worse on {', '.join(worse)}", False
    elif better:
        verdict, passed = f"significantly better on {', '.join(better)}", True
    elif not named:
        verdict, passed = "nothing was compared", False
    elif smaller and not unsure:
        verdict, passed = f"equal within {limits.equal_points:g} points and smaller", True
    elif smaller:
        verdict = f"smaller, but it may be {limits.equal_points:g} points or more worse on {', '.join(unsure)}"
        passed = False
    else:
        verdict, passed = "neither significantly better nor smaller", False
    sizes = f"{new_bytes / 1e6:.1f} MB for {old_bytes / 1e6:.1f} MB"
    return Gate("improvement", passed, f"{verdict} ({detail}; {sizes})" if detail else verdict, figures)


def judge_unseen(old: Sequence[SourceScore], new: Sequence[SourceScore], limits: Limits) -> Gate:
    """On sources that neither model learned from, the means of accuracy and of negative recall are no lower than by a
    little. Only sources that both have figures of count; without any, nothing is judged."""
    both = {(one.source, one.task) for one in old} & {(one.source, one.task) for one in new}
    means = [
        {mean.task: mean for mean in mean_scores((one for one in scores if (one.source, one.task) in both), None)}
        for scores in (old, new)
    ]
    figures: dict[str, Any] = {}
    lost, compared = [], []
    for task, before in means[0].items():
        after = means[1][task]
        figures[task] = {
            "sources": before.sources,
            "old": msgspec.to_builtins(before),
            "new": msgspec.to_builtins(after),
        }
        for name in ("accuracy", "negative_recall"):
            was, is_now = getattr(before, name), getattr(after, name)
            if was is None or is_now is None:
                continue
            words = f"{task} {name.replace('_', ' ')} {was:.4f} -> {is_now:.4f}"
            compared.append(words)
            if 100 * (was - is_now) > limits.equal_points + _ROUNDING:
                lost.append(words)
    if not compared:
        return Gate("unseen", True, "no labelled source that neither model learned from; nothing was judged", figures)
    verdict = (
        f"more than {limits.equal_points:g} points lost" if lost else f"no mean is {limits.equal_points:g} points lower"
    )
    shown = "; ".join(lost or compared)
    count = max(mean.sources for mean in means[0].values())
    return Gate("unseen", not lost, f"{verdict} on {count} sources that neither learned from ({shown})", figures)


def judge_classes(comparisons: Sequence[TaskComparison], limits: Limits) -> Gate:
    """No class with enough texts loses more than so many points of F1; smaller classes are reported."""
    drops: dict[str, dict[str, float]] = {}
    lost: list[str] = []
    small: list[str] = []
    for comparison in comparisons:
        support = {label.label: label.support for label in comparison.old.labels}
        drops[comparison.task] = comparison.f1_drops
        for label, drop in comparison.f1_drops.items():
            if 100 * drop <= limits.class_points + _ROUNDING:
                continue
            few = support.get(label, 0) < limits.class_support
            (small if few else lost).append(
                f"{comparison.task} {label!r} {100 * drop:.1f} points on {support.get(label, 0)} texts"
            )
    summary = (
        f"lost more than {limits.class_points:g} points of F1: {', '.join(lost)}"
        if lost
        else f"no class of {limits.class_support} texts or more loses more than {limits.class_points:g} points of F1"
    )
    if small:
        summary += f"; too small to judge: {', '.join(small)}"
    return Gate("classes", not lost, summary, {"f1_drops": drops, "lost": lost, "too_small": small})


def judge_speed(old_per_second: float, new_per_second: float, limits: Limits) -> Gate:
    """Messages/s of the new model, by themselves and over those of the old one, measured in the same run."""
    ratio = new_per_second / old_per_second if old_per_second > 0 else float("inf")
    floor = f", and at least {limits.least_per_second:g} messages/s" if limits.least_per_second else ""
    return Gate(
        "speed",
        ratio >= limits.speed_ratio and new_per_second >= limits.least_per_second,
        f"{new_per_second:.0f} messages/s for {old_per_second:.0f}: {ratio:.2f} times, "
        f"at least {limits.speed_ratio:g} is asked for{floor}",
        {"old_per_second": old_per_second, "new_per_second": new_per_second, "ratio": min(ratio, 1e9)},
    )


def judge_size(size_bytes: int, limits: Limits) -> Gate:
    """The bundle on disk."""
    return Gate(
        "size",
        size_bytes <= limits.max_megabytes * 1e6,
        f"{size_bytes / 1e6:.1f} MB, at most {limits.max_megabytes:g} MB",
        {"bytes": size_bytes},
    )


def judge_self_test(fault: str | None, texts: int) -> Gate:
    """The bundle scores its own texts as it did when it was made; `fault` says what came out wrong."""
    if fault is None and texts == 0:
        return Gate("self-test", False, "the bundle brings no text to test itself on; retrain it", forcible=False)
    return Gate("self-test", fault is None, fault or f"{texts} texts come out right", {"texts": texts}, forcible=False)


def judge_labels(fault: str | None) -> Gate:
    """Tasks and labels are those of the taxonomy; `fault` says what sets them apart."""
    return Gate("labels", fault is None, fault or "tasks and labels are the taxonomy's", forcible=False)
