"""The registry of models as the desk reads it, and the gates' verdict that a promotion rests on."""

from __future__ import annotations

from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any

import msgspec
from sqlalchemy import Engine

from core.bundle import SERVED, read_manifest
from core.errors import BundleError
from core.labelled import SENTIMENT
from core.settings import Settings
from core.store.models import ModelEvent, ModelRow, find_model, list_models
from desk.problems import Problem

HISTORY = 200  # events of one model that are looked at
IMPROVEMENT = "improvement"  # begins the name of the gate that takes a test set: without it nothing goes live


@dataclass(frozen=True, slots=True)
class GateVerdict:
    """What one gate said; one that is not `forcible` can't be overruled, since workers would refuse the model."""

    name: str
    passed: bool
    summary: str
    forcible: bool = True
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """The latest verdicts of the gates on a model: when they were given, and against which live models (the names)."""

    at: datetime
    against: str | None
    gates: list[GateVerdict]

    @property
    def failed(self) -> list[GateVerdict]:
        return [gate for gate in self.gates if not gate.passed]


def known_model(engine: Engine, name: str) -> ModelRow:
    """The model of that name. Raises Problem 404 where there is none."""
    row = find_model(engine, name=name)
    if row is None:
        raise Problem(HTTPStatus.NOT_FOUND, f"no model is registered as {name!r:.120}")
    return row


def latest_verdict(history: Sequence[ModelEvent]) -> Verdict | None:
    """The latest verdict in the history of one model, the newest event first."""
    for event in history:
        gates = event.evidence.get("gates")
        if gates:
            return Verdict(event.at, event.evidence.get("against"), [_gate(gate) for gate in gates])
    return None


def objection(model: ModelRow, against: str | None, verdict: Verdict | None, to: str, force: bool) -> str | None:
    """Why `model` may not become `to` (`live` or `shadow`); None if it may.

    Any model may be the shadow whose unforcible gates passed. To go live, every gate must have passed against what
    reads its languages now, the models named in `against`; `force` overrules those that can be overruled.
    """
    judge = f"judge it: newstide promote {model.name} --check"
    if verdict is None:
        return f"no gate ever judged {model.name}; {judge}"
    broken = [gate for gate in verdict.failed if not gate.forcible]
    if broken:
        return f"this can't be overruled, since workers would refuse it: {_listed(broken)}"
    if to == "shadow":
        return None
    if against is not None and verdict.against != against:
        return f"{model.name} was judged against {verdict.against or 'no model'}, but {against} is live now; {judge}"
    if force:
        return None
    if not any(gate.name.startswith(IMPROVEMENT) for gate in verdict.gates):
        return f"{model.name} was not compared with the live model on a test set; {judge}"
    if verdict.failed:
        return f"gates failed: {_listed(verdict.failed)}"
    return None


def served_figures(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Figures per task of the variant that a bundle holds; a bundle of another make may have one of its own."""
    return _served(manifest) or []


def known_manifests(engine: Engine, settings: Settings, names: Set[str]) -> dict[str, dict[str, Any]]:
    """Of the models of those `names`, by name: as registered, else in the bundles of the settings, which serve before
    any is promoted."""
    found = {row.name: row.manifest for row in list_models(engine) if row.name in names}
    for path in settings.bundle_directories if names - found.keys() else ():
        with suppress(BundleError):  # workers tell of it
            manifest = read_manifest(path)
            found.setdefault(manifest.name, msgspec.to_builtins(manifest))
    return found


def card_figures(manifest: dict[str, Any], task: str, companies: bool) -> dict[str, Any] | None:
    """What the model card says of one task, or with `companies` of sentiment towards companies; None where it says
    nothing."""
    if not companies:
        return next((figures for figures in served_figures(manifest) if figures["task"] == task), None)
    scores = _served(manifest.get("entity") or {}) if task == SENTIMENT else None
    return scores["mentions"] if scores else None


def _served(judged: dict[str, Any]) -> Any:
    evaluation: dict[str, Any] = judged.get("evaluation") or {}
    if SERVED in evaluation:
        return evaluation[SERVED]
    return next(reversed(evaluation.values()), None)


def _gate(gate: dict[str, Any]) -> GateVerdict:
    return GateVerdict(
        gate["name"], gate["passed"], gate["summary"], gate.get("forcible", True), gate.get("figures") or {}
    )


def _listed(gates: Sequence[GateVerdict]) -> str:
    return "; ".join(f"{gate.name}: {gate.summary}" for gate in gates)
