"""The search for the smallest and fastest student that keeps a budget, with the figures of every step.

Size and speed follow from a plan alone, so all plans are measured before any is trained; the fastest within the size
are distilled briefly to estimate how much each will lose; the fastest whose estimate keeps the budget is distilled in
full and evaluated, and if it fails, the next one is.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from tokenizers import Tokenizer

from core.bundle import ENTITY
from core.errors import InputError, NewstideError
from trainer.compress.calibration import METHODS, Method
from trainer.compress.distil import Mixture
from trainer.compress.ensemble import Ensemble, in_words
from trainer.compress.measure import Variant, cost, measure
from trainer.compress.plan import Budget, Plan
from trainer.compress.student import (
    DistillationData,
    Stage,
    cut,
    distil_student,
    outline,
    prepare_distillation,
    prune_words,
)
from trainer.compress.vocabulary import check_prunable
from trainer.judge.spread import TaskSpread, spread
from trainer.learn.averaging import mean_of
from trainer.learn.checkpoint import fingerprint
from trainer.learn.network import Learned, Network, load_network, save_network
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import mask_number
from trainer.learn.training_loop import Epoch, best_device
from trainer.progress import busy
from trainer.runs import Trained

TEACHING = Recipe(epochs=6, encoder_rate=2e-4, patience=6)
# What one epoch of teaching has not recovered yet, in points; more epochs do.
_PROBE_ALLOWANCE = 1.0

Log = Callable[[str], None]


class BudgetMissed(NewstideError):
    """No plan keeps the budget; loosen it, teach longer (`--epochs`), or give better teachers.

    `nearest`: the student that missed it least, where any was taught, with every variant measured until then.
    """

    def __init__(self, message: str, nearest: Compressed | None = None) -> None:
        super().__init__(message)
        self.nearest = nearest


class CompressionSettings(msgspec.Struct, frozen=True):
    """Choices of a compression. `probes`: how many plans are tried for an epoch; 0 trains the first in full.
    `students`: how many are taught by the plan, from consecutive seeds; of them and the mean of their weights the best
    on validation is taken. `variants`: of each labelled text, for the teachers to answer and the students to learn
    from."""

    teaching: Recipe = TEACHING
    mixture: Mixture = Mixture()
    method: Method | None = None  # of calibration; None takes the most accurate one on validation
    probes: int = 3
    students: int = 1
    variants: int = 0


class Compressed(msgspec.Struct, frozen=True):
    """The student that was chosen, and every variant that was measured on the way, the teacher first.

    `spread`: figures on the test part of all students by the plan, each in eight bits. `ensemble`: how
    much each teacher had to say, per task.
    """

    student: Network
    tokenizer: Tokenizer
    plan: Plan
    method: Method
    variants: list[Variant]
    chosen: Variant
    spread: list[TaskSpread]
    ensemble: dict[str, Ensemble]


def compress(
    trained: Trained,
    unlabelled: Sequence[str],
    plans: Sequence[Plan],
    budget: Budget,
    settings: CompressionSettings,
    *,
    keep: Path | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
    log: Log = print,
) -> Compressed:
    """The first of `plans`, the fastest in front, whose student keeps `budget`.

    All networks of `trained` teach; students are cut from the blend of the first one and those alike. With a directory
    `keep`, what the teachers said and finished students are kept there, and taken from there by the same call; a
    teaching that was interrupted goes on.

    Raises BudgetMissed, naming the nearest miss, if none does; InputError for a plan that can't be carried out.
    """
    search = _Search(trained, unlabelled, plans, budget, settings, keep, on_epoch, quiet, log)
    ranked = search.rank(plans)
    if settings.probes and len(ranked) > 1:
        ranked = search.probe(ranked)
    nearest: Compressed | None = None
    for plan in ranked:
        found = search.attempt(plan)
        missed = search.missed(found.chosen)
        if not missed:
            return found
        log(f"{plan}: {'; '.join(missed)}")
        if nearest is None or found.chosen.drop(search.teacher) < nearest.chosen.drop(search.teacher):
            nearest = found
    detail = f"; the nearest, {nearest.chosen.name}: {'; '.join(search.missed(nearest.chosen))}" if nearest else ""
    if nearest is not None:  # with what was measured after it too
        nearest = msgspec.structs.replace(nearest, variants=search.variants)
    raise BudgetMissed(f"none of {len(plans)} plans keeps the budget{detail}. Loosen it or teach longer", nearest)


class _Search:
    def __init__(
        self,
        trained: Trained,
        unlabelled: Sequence[str],
        plans: Sequence[Plan],
        budget: Budget,
        settings: CompressionSettings,
        keep: Path | None,
        on_epoch: Callable[[Epoch], None] | None,
        quiet: bool,
        log: Log,
    ) -> None:
        self._source = source = trained.blended()
        self._material = material = trained.material
        self._budget = budget
        self._settings = settings
        self._keep = keep
        self._on_epoch = on_epoch
        self._quiet = quiet
        self._log = log
        length = settings.teaching.max_length
        if any(layer.ranks for layer in source.network.architecture.layers):
            raise InputError(
                "students can't be cut from a network with factorized products; name another teacher first"
            )
        words = source.network.architecture.vocabulary
        if any(plan.vocabulary is not None and plan.vocabulary < words for plan in plans):
            check_prunable(source.tokenizer)
        log(f"students are cut from {source.backbone}; teachers: {len(trained.learned)}")
        self._data = prepare_distillation(
            trained.learned,
            material,
            unlabelled,
            settings.mixture,
            length,
            variants=settings.variants,
            keep=keep,
            quiet=quiet,
        )
        for line in in_words(self._data.ensemble, trained.learned):
            log(line)
        self.teacher = self._measured("teacher, 32 bits", source.network, source.tokenizer, False)
        self.variants = [self.teacher, self._measured("teacher, 8 bits", source.network, source.tokenizer, True)]

    def rank(self, plans: Sequence[Plan]) -> list[Plan]:
        """Plans within the size, the fastest first. Measured as outlines: bytes and time do not depend on weights."""
        fitting = []
        plain = (self._source.network, self._source.tokenizer)
        worded: dict[int | None, tuple[Network, Tokenizer]] = {None: plain}
        for plan in plans:
            words = plan.vocabulary
            if words not in worded:
                worded[words] = prune_words(*plain, self._data, words)
            source, tokenizer = worded[words]
            with busy(f"measuring plan {plan}", self._quiet):
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
        labelled = len(self._data.examples)
        soft = {task: rows if task == ENTITY else rows[:labelled] for task, rows in self._data.soft.items()}
        data = DistillationData(self._data.examples, [], soft, self._data.ensemble)
        promising: list[tuple[float, Plan]] = []
        others: list[tuple[float, Plan]] = []
        for plan in plans[: self._settings.probes]:
            base, tokenizer = self._cut(plan)
            student = self._distilled(plan, base, tokenizer, data, short)
            variant = self._measured(f"probe: {plan}", student, tokenizer, False)
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

        def see(name: str, network: Network, tokenizer: Tokenizer) -> None:
            self.variants.append(self._measured(f"cut: {name}", network, tokenizer, False))

        self._log(f"cutting {plan}")
        base, tokenizer = self._cut(plan, see)
        students: list[tuple[Network, Method, Variant]] = []
        for number in range(self._settings.students):
            recipe = msgspec.structs.replace(self._settings.teaching, seed=self._settings.teaching.seed + number)
            name = f"{plan}, seed {recipe.seed}" if self._settings.students > 1 else str(plan)
            self._log(f"teaching {name}")
            student = self._distilled(plan, base, tokenizer, self._data, recipe)
            students.append((student, *self._quantized(name, student, tokenizer)))
        spreads, ensemble = spread([variant.test for _, _, variant in students]), self._data.ensemble
        if len(students) > 1:
            students += self._mean_of([student for student, _, _ in students], plan, tokenizer)
        student, method, chosen = max(students, key=lambda one: _worth(one[2]))
        return Compressed(student, tokenizer, plan, method, list(self.variants), chosen, spreads, ensemble)

    def _mean_of(
        self, students: Sequence[Network], plan: Plan, tokenizer: Tokenizer
    ) -> list[tuple[Network, Method, Variant]]:
        """One more student, whose weights are the mean of those that validation gains by; none if it is one of them.

        All began at the same weights, so that they lie in one basin and their mean is a network (Wortsman et al. 2022).
        """
        material = self._material
        length = self._settings.teaching.max_length
        network, members = mean_of(students, tokenizer, material.choice, length, bool(material.unseen))
        if len(members) < 2:
            return []
        return [(network, *self._quantized(f"{plan}, mean of {len(members)} students", network, tokenizer))]

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

    def _cut(self, plan: Plan, on_stage: Stage | None = None) -> tuple[Network, Tokenizer]:
        return cut(self._source.network, self._source.tokenizer, self._material, self._data, plan, on_stage)

    def _distilled(
        self, plan: Plan, base: Network, tokenizer: Tokenizer, data: DistillationData, recipe: Recipe
    ) -> Network:
        """A copy of `base`, which was cut by `plan`, that has learned `data`."""
        mixture = self._settings.mixture
        kept = None
        if self._keep is not None:
            texts = (data.examples, data.unlabelled, self._material.choice, tokenizer.to_str())
            parts = (recipe, mixture, base.architecture, base.labels, texts)
            hidden = self._source.network.state_dict() if mixture.hidden else {}
            name = fingerprint(parts, {**base.state_dict(), **data.soft, **hidden})
            kept = self._keep / f"student-{name}.safetensors"
            if kept.exists():
                self._log(f"this student is known: {kept.name}")
                return load_network(kept).network
        guide = None
        if mixture.hidden:  # it reads the student's words
            guide, _ = prune_words(self._source.network, self._source.tokenizer, self._data, plan.vocabulary)
            guide = copy.deepcopy(guide).to(best_device())
        student = copy.deepcopy(base)
        distil_student(
            student,
            tokenizer,
            self._material,
            data,
            recipe,
            mixture,
            mask_number(tokenizer, "the student"),
            guide=guide,
            on_epoch=self._on_epoch,
            quiet=self._quiet,
            checkpoint=None if kept is None else kept.with_suffix(".checkpoint"),
        )
        if kept is not None:
            save_network(Learned(student, tokenizer, self._source.backbone, recipe), kept)
        return student

    def _quantized(self, name: str, student: Network, tokenizer: Tokenizer) -> tuple[Method, Variant]:
        """The calibration that does best on validation, and what `student` is worth with it."""
        self.variants.append(self._measured(f"{name}, taught", student, tokenizer, False))
        choices = [
            (method, self._measured(f"{name}, 8 bits ({method})", student, tokenizer, True, method))
            for method in ([self._settings.method] if self._settings.method else METHODS)
        ]
        self.variants += [variant for _, variant in choices]
        return max(choices, key=lambda choice: _worth(choice[1]))

    def _measured(
        self, name: str, network: Network, tokenizer: Tokenizer, eight_bits: bool, method: Method = "minmax"
    ) -> Variant:
        with busy(f"measuring {name}", self._quiet):
            variant = measure(name, network, tokenizer, self._material, eight_bits, method)
        figures = ", ".join(f"{score.task} {score.accuracy:.4f}" for score in variant.validation)
        self._log(f"{name}: {variant.size / 1e6:.1f} MB, {variant.rate:.0f} messages/s, validation {figures}")
        return variant


def _worth(variant: Variant) -> float:
    """What students and calibrations are chosen by: accuracy on validation, or its mean over the sources that were left
    out to choose by, all tasks added up."""
    return sum(score.accuracy for score in variant.validation)
