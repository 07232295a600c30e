"""The search for the smallest and fastest student that keeps a budget, and the trail of figures it leaves.

Size and speed follow from a plan alone, so all plans are measured before any is trained; the fastest within the size
are taught for a while, which tells how much each will lose; the fastest that promises to keep the budget is taught in
full and judged, and if it fails, the next one is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from core.errors import NewstideError
from trainer.compress.calibration import METHODS, Method
from trainer.compress.distil import Mixture
from trainer.compress.measure import Variant, cost, measure
from trainer.compress.plan import Budget, Plan
from trainer.compress.student import Lesson, cut, outline, prepare_lesson, prune_words, teach
from trainer.learn.batches import mask_number
from trainer.learn.course import Epoch
from trainer.learn.network import Network
from trainer.learn.recipe import Recipe
from trainer.material import Material

TEACHING = Recipe(epochs=6, encoder_rate=2e-4, patience=6)
# What one epoch of teaching has not recovered yet, in points; more epochs do.
_PROBE_ALLOWANCE = 1.0

Log = Callable[[str], None]


class BudgetMissed(NewstideError):
    """No plan keeps the budget; loosen it, teach longer (`--epochs`), or give better teachers."""


class Teachers(msgspec.Struct, frozen=True):
    """Networks that teach together, the one of them that students are cut from, and the tokenizer of all."""

    networks: list[Network]
    source: Network
    tokenizer: Tokenizer


class Settings(msgspec.Struct, frozen=True):
    """Choices of a compression. `probes`: how many plans are tried for an epoch; 0 trains the first in full."""

    teaching: Recipe = TEACHING
    mixture: Mixture = Mixture()
    method: Method | None = None  # of calibration; None takes the one with the least loss on validation
    probes: int = 3


class Compressed(msgspec.Struct, frozen=True):
    """The student that was chosen, and every variant that was measured on the way, the teacher first."""

    student: Network
    tokenizer: Tokenizer
    plan: Plan
    method: Method
    variants: list[Variant]
    chosen: Variant


def compress(
    teachers: Teachers,
    material: Material,
    unlabelled: Sequence[str],
    plans: Sequence[Plan],
    budget: Budget,
    settings: Settings,
    *,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
    log: Log = print,
) -> Compressed:
    """The first of `plans`, the fastest in front, whose student keeps `budget`.

    Raises BudgetMissed, naming the nearest miss, if none does; InputError for a plan that can't be carried out.
    """
    search = _Search(teachers, material, unlabelled, budget, settings, on_epoch, quiet, log)
    ranked = search.rank(plans)
    if settings.probes and len(ranked) > 1:
        ranked = search.probe(ranked)
    nearest: Variant | None = None
    for plan in ranked:
        found = search.attempt(plan)
        missed = search.missed(found.chosen)
        if not missed:
            return found
        log(f"{plan}: {'; '.join(missed)}")
        if nearest is None or found.chosen.drop(search.teacher) < nearest.drop(search.teacher):
            nearest = found.chosen
    detail = f"; the nearest, {nearest.name}: {'; '.join(search.missed(nearest))}" if nearest else ""
    raise BudgetMissed(f"none of {len(plans)} plans keeps the budget{detail}. Loosen it or teach longer")


class _Search:
    def __init__(
        self,
        teachers: Teachers,
        material: Material,
        unlabelled: Sequence[str],
        budget: Budget,
        settings: Settings,
        on_epoch: Callable[[Epoch], None] | None,
        quiet: bool,
        log: Log,
    ) -> None:
        self._teachers = teachers
        self._material = material
        self._budget = budget
        self._settings = settings
        self._on_epoch = on_epoch
        self._quiet = quiet
        self._log = log
        length = settings.teaching.max_length
        log(f"asking {len(teachers.networks)} teachers about {len(material.split.train) + len(unlabelled)} texts")
        self._lesson: Lesson = prepare_lesson(
            teachers.networks, teachers.tokenizer, material, unlabelled, settings.mixture, length
        )
        self.teacher = self._measured("teacher, 32 bits", teachers.source, teachers.tokenizer, False)
        self._variants = [self.teacher, self._measured("teacher, 8 bits", teachers.source, teachers.tokenizer, True)]

    def rank(self, plans: Sequence[Plan]) -> list[Plan]:
        """Plans within the size, the fastest first. Measured as outlines: bytes and time do not depend on weights."""
        fitting = []
        worded: dict[int | None, tuple[Network, Tokenizer]] = {None: (self._teachers.source, self._teachers.tokenizer)}
        for plan in plans:
            words = plan.vocabulary
            if words not in worded:
                worded[words] = prune_words(self._teachers.source, self._teachers.tokenizer, self._lesson, words)
            source, tokenizer = worded[words]
            size, rate = cost(outline(source, plan), tokenizer, self._material)
            within = self._budget.size is None or size <= self._budget.size
            self._log(
                f"plan {plan}: {size / 1e6:.1f} MB, {rate:.0f} messages/s" + ("" if within else ", over the size")
            )
            if within:
                fitting.append((rate, plan))
        if not fitting:
            raise BudgetMissed(f"none of {len(plans)} plans is within {self._budget.size} bytes; plan fewer words")
        return [plan for _, plan in sorted(fitting, key=lambda entry: -entry[0])]

    def probe(self, plans: Sequence[Plan]) -> list[Plan]:
        """`plans` with those first that promise to keep the budget after one epoch on the labelled texts alone."""
        short = msgspec.structs.replace(self._settings.teaching, epochs=1)
        lesson = Lesson(self._lesson.examples, [], self._lesson.soft)
        promising: list[tuple[float, Plan]] = []
        others: list[tuple[float, Plan]] = []
        for plan in plans[: self._settings.probes]:
            variant = self._taught(plan, lesson, short, f"probe: {plan}")[2]
            accuracy, macro_f1 = variant.drop(self.teacher)
            self._log(f"probe {plan}: {accuracy:.1f} points of accuracy and {macro_f1:.1f} of macro-F1 lost")
            kept = all(
                limit is None or drop <= limit + _PROBE_ALLOWANCE
                for drop, limit in ((accuracy, self._budget.accuracy_drop), (macro_f1, self._budget.f1_drop))
            )
            (promising if kept else others).append((accuracy, plan))
        rest = list(plans[self._settings.probes :])
        return [plan for _, plan in promising] + rest + [plan for _, plan in sorted(others, key=lambda o: o[0])]

    def attempt(self, plan: Plan) -> Compressed:
        """Cut, teach in full, quantize by the best calibration, and measure every stage."""
        stages: list[Variant] = []

        def see(name: str, network: Network, tokenizer: Tokenizer) -> None:
            stages.append(self._measured(f"cut: {name}", network, tokenizer, False))

        self._log(f"teaching {plan}")
        student, tokenizer, taught = self._taught(plan, self._lesson, self._settings.teaching, str(plan), see)
        methods = [self._settings.method] if self._settings.method else list(METHODS)
        choices = [
            (method, self._measured(f"{plan}, 8 bits ({method})", student, tokenizer, True, method))
            for method in methods
        ]
        method, chosen = max(choices, key=lambda choice: sum(s.accuracy for s in choice[1].validation))
        rows = [*stages, taught, *(variant for _, variant in choices)]
        self._variants += rows
        return Compressed(student, tokenizer, plan, method, list(self._variants), chosen)

    def missed(self, variant: Variant) -> list[str]:
        """What of the budget `variant` does not keep, in words."""
        accuracy, macro_f1 = variant.drop(self.teacher)
        found = []
        for name, drop, limit in (
            ("accuracy", accuracy, self._budget.accuracy_drop),
            ("macro-F1", macro_f1, self._budget.f1_drop),
        ):
            if limit is not None and drop > limit:
                found.append(f"loses {drop:.2f} points of {name}, {limit:g} are allowed")
        if self._budget.size is not None and variant.size > self._budget.size:
            found.append(f"has {variant.size} bytes, {self._budget.size} are allowed")
        return found

    def _taught(
        self,
        plan: Plan,
        lesson: Lesson,
        recipe: Recipe,
        name: str,
        on_stage: Callable[[str, Network, Tokenizer], None] | None = None,
    ) -> tuple[Network, Tokenizer, Variant]:
        source = self._teachers.source
        student, tokenizer = cut(source, self._teachers.tokenizer, self._material, lesson, plan, on_stage)
        teach(
            student,
            tokenizer,
            self._material,
            lesson,
            recipe,
            self._settings.mixture,
            mask_number(tokenizer, Path("the student")),
            guide=source if self._settings.mixture.hidden else None,
            on_epoch=self._on_epoch,
            quiet=self._quiet,
        )
        return student, tokenizer, self._measured(f"{name}, taught", student, tokenizer, False)

    def _measured(
        self, name: str, network: Network, tokenizer: Tokenizer, eight_bits: bool, method: Method = "minmax"
    ) -> Variant:
        variant = measure(name, network, tokenizer, self._material, eight_bits, method)
        figures = ", ".join(f"{score.task} {score.accuracy:.4f}" for score in variant.validation)
        self._log(f"{name}: {variant.size / 1e6:.1f} MB, {variant.rate:.0f} messages/s, validation {figures}")
        return variant
