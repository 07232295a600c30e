"""A bundle on its way into service: shelved, registered, judged against the live model, and moved or refused."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import msgspec
from sqlalchemy import Engine

from core.bundle import MANIFEST, Bundle, load_bundle
from core.classifier import Classifier
from core.errors import BundleError, InputError, NewstideError, ShelfUnreachable
from core.fitting import check_fit, labels_unlike
from core.settings import Settings
from core.shelf import Shelf, bundle_checksum, open_shelf, rename_bundle
from core.store.models import (
    ModelRow,
    check_name,
    find_model,
    list_workers,
    move_model,
    record_verdict,
    register_model,
)
from core.taxonomy import load_taxonomy
from core.unseen import SourceScore
from trainer.data.dataset import UNKNOWN_SOURCE
from trainer.data.examples import Example
from trainer.judge.compare import compare
from trainer.judge.sources import judge_sources
from trainer.promote.gates import (
    Gate,
    Limits,
    judge_classes,
    judge_improvement,
    judge_labels,
    judge_self_test,
    judge_size,
    judge_speed,
    judge_unseen,
)
from trainer.promote.speed import measure_speed

log = logging.getLogger(__name__)

Target = Literal["shadow", "live"]


class Promotion(msgspec.Struct, frozen=True):
    """What became of a model: its state, whose place it took, and the verdicts. `changed` is False where it was there
    already; `forced` where a gate that failed was overruled."""

    model: str
    state: str
    displaced: str | None
    gates: list[Gate]
    forced: bool = False
    changed: bool = True


class PromotionRefused(NewstideError):
    """A gate failed and the model stays what it was; mend the model, or overrule with --force --reason."""

    def __init__(self, model: str, target: Target, gates: list[Gate]) -> None:
        failed = [gate for gate in gates if not gate.passed]
        lines = [f"{gate.name}: {gate.summary}" for gate in failed]
        advice = (
            "overrule with --force --reason, or train a better one"
            if all(gate.forcible for gate in failed)
            else "this can't be forced, since workers would refuse it"
        )
        super().__init__(f"{model} is refused as {target} by {len(failed)} of {len(gates)} gates:\n  "
                         + "\n  ".join(lines) + f"\n{advice}")  # fmt: skip
        self.model = model
        self.target = target
        self.gates = gates


def check(
    settings: Settings,
    engine: Engine,
    what: str | Path,
    *,
    examples: Sequence[Example] | None = None,
    name: str | None = None,
    actor: str,
    report: Callable[[str], None] = log.info,
) -> Promotion:
    """Judge a bundle directory, or the registered model of that name, as if it were to go live, and change nothing.

    The history keeps the verdict: on the desk an admin may promote the model by it, while the same one is live. Raises
    what `promote` does, but for PromotionRefused.
    """
    shelf = open_shelf(settings)
    report(f"reading {what}")
    _check_argument(engine, what, name)
    live = find_model(engine, state="live") or _register_configured(settings, engine, shelf, actor)
    row = _find_candidate(engine, shelf, what, name, actor)
    if row.state == "live":
        return Promotion(row.name, row.state, None, [], changed=False)
    gates = judge(settings, shelf, row, live, examples, "live", report)
    failed = [gate.name for gate in gates if not gate.passed]
    why = f"judged: {', '.join(failed)} failed" if failed else "judged: every gate passed"
    record_verdict(engine, row.name, actor=actor, reason=why, evidence=_evidence(gates, live, forced=False))
    return Promotion(row.name, row.state, None, gates, changed=False)


def promote(
    settings: Settings,
    engine: Engine,
    what: str | Path,
    *,
    to: Target = "live",
    examples: Sequence[Example] | None = None,
    name: str | None = None,
    force: bool = False,
    actor: str,
    reason: str = "",
    report: Callable[[str], None] = log.info,
) -> Promotion:
    """Put a bundle directory, or the registered model of that name, into service as `to`, if the gates allow it.

    `examples` are the frozen test set; without them nothing goes live unforced, and a shadow is judged by what needs
    none. `name` registers a directory's bundle under another name. `force` overrules gates, and needs a `reason`.

    Raises PromotionRefused with all verdicts, which the history keeps; RegistryError for a name that another bundle
    has, or where the live model changed meanwhile; BundleError and ShelfUnreachable for a bundle that can't be read.
    """
    if force and not reason.strip():
        raise InputError("--force needs --reason: the history must say why a gate was overruled")
    shelf = open_shelf(settings)
    report(f"reading {what}")
    _check_argument(engine, what, name)
    live = find_model(engine, state="live") or _register_configured(settings, engine, shelf, actor)
    row = _find_candidate(engine, shelf, what, name, actor)
    if row.state == to:
        return Promotion(row.name, row.state, None, [], changed=False)
    gates = judge(settings, shelf, row, live, examples, to, report)
    failed = [gate for gate in gates if not gate.passed]
    evidence = _evidence(gates, live, forced=bool(failed))
    if failed and not (force and all(gate.forcible for gate in failed)):
        why = f"refused as {to}: {', '.join(gate.name for gate in failed)}"
        record_verdict(engine, row.name, actor=actor, reason=why, evidence=evidence)
        raise PromotionRefused(row.name, to, gates)
    change = move_model(
        engine,
        row.name,
        to,
        actor=actor,
        reason=reason.strip() or "every gate passed",
        evidence=evidence,
        judged_against=live.name if live is not None else None,
    )
    return Promotion(row.name, change.state, change.displaced, gates, forced=bool(failed))


def _evidence(gates: Sequence[Gate], live: ModelRow | None, forced: bool) -> dict[str, Any]:
    """What the history keeps of a verdict."""
    against = live.name if live is not None else None
    return {"gates": msgspec.to_builtins(gates), "forced": forced, "against": against}


def judge(
    settings: Settings,
    shelf: Shelf,
    row: ModelRow,
    live: ModelRow | None,
    examples: Sequence[Example] | None,
    to: Target,
    report: Callable[[str], None] = log.info,
) -> list[Gate]:
    """Every verdict on the registered model `row` against `live`."""
    limits = Limits.of(settings.models)
    bundle = shelf.fetch(row.location, row.checksum)
    gates = [_judge_labels(settings, bundle), judge_size(row.size_bytes, limits)]
    try:
        candidate = Classifier(bundle, cache_texts=0)
        candidate.self_test()
    except BundleError as error:
        return [*gates, judge_self_test(str(error), len(bundle.manifest.self_test))]
    gates.append(judge_self_test(None, len(bundle.manifest.self_test)))
    if live is None:
        return [*gates, Gate("improvement", True, "no model is live, so there is none to be better than")]
    if not examples:
        if to == "live":
            why = "no test set to prove it on: pass --data FROZEN.jsonl, or set `models.test_set`"
            gates.append(Gate("improvement", False, why))
        return gates
    try:
        old = Classifier(shelf.fetch(live.location, live.checksum), cache_texts=0)
        report(f"comparing with {live.name} on {len(examples)} texts")
        fresh, known = _parted(examples, old, candidate)
        comparisons = compare(old, candidate, known) if known else []
        unseen = compare(old, candidate, fresh) if fresh else []
        by_source = (
            (judge_sources(old, fresh), judge_sources(candidate, fresh))
            if fresh
            else (_left_out(old), _left_out(candidate))
        )
    except (BundleError, ShelfUnreachable, InputError) as error:
        return [*gates, Gate("improvement", False, f"it can't be compared with {live.name}: {error}")]
    report(f"timing {row.name} and {live.name}")
    speeds = measure_speed(old, candidate, [example.text for example in examples])
    return [
        *gates,
        judge_improvement(comparisons, live.size_bytes, row.size_bytes, limits, unseen),
        judge_unseen(*by_source, limits),
        judge_classes(comparisons or unseen, limits),
        judge_speed(*speeds, limits),
    ]


def _parted(examples: Sequence[Example], old: Classifier, new: Classifier) -> tuple[list[Example], list[Example]]:
    """`examples` of sources that neither learned from, and the others: all, where a manifest tells no sources."""
    learnt = {*old.learnt, *new.learnt, UNKNOWN_SOURCE}
    told = bool(old.learnt and new.learnt)
    fresh = [example for example in examples if told and example.source not in learnt]
    return fresh, [example for example in examples if not told or example.source in learnt]


def _left_out(classifier: Classifier) -> list[SourceScore]:
    """What its training tells of sources that it left out."""
    return classifier.unseen.scores if classifier.unseen is not None else []


def _judge_labels(settings: Settings, bundle: Bundle) -> Gate:
    try:
        check_fit(bundle.manifest)
    except BundleError as error:
        return judge_labels(str(error))
    return judge_labels(labels_unlike(bundle.manifest, load_taxonomy(settings.taxonomy)) or None)


def _check_argument(engine: Engine, what: str | Path, name: str | None) -> None:
    """Before anything is registered: `what` is a whole bundle or a registered model."""
    if _is_directory(engine, what):
        load_bundle(Path(what))
    elif find_model(engine, name=str(what)) is None:
        raise InputError(f"{what} is neither a bundle directory nor a registered model; see `newstide models`")
    elif name is not None and name != str(what):
        raise InputError(f"{what} is registered, and a registered model keeps its name; leave --name out")


def _is_directory(engine: Engine, what: str | Path) -> bool:
    """A directory that holds no bundle may have the name of a registered model by chance."""
    path = Path(what)
    return path.is_dir() and ((path / MANIFEST).is_file() or find_model(engine, name=str(what)) is None)


def _find_candidate(engine: Engine, shelf: Shelf, what: str | Path, name: str | None, actor: str) -> ModelRow:
    path = Path(what)
    if not _is_directory(engine, what):
        known = find_model(engine, name=str(what))
        assert known is not None  # registered models are never removed
        return known
    with ExitStack() as stack:
        if name is not None and name != load_bundle(path).name:
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            path = scratch / "bundle"
            rename_bundle(Path(what), name, path)
        return _register(engine, shelf, path, actor, f"registered from {Path(what).name}")


def _register(engine: Engine, shelf: Shelf, path: Path, actor: str, reason: str) -> ModelRow:
    bundle, checksum = load_bundle(path), bundle_checksum(path)
    check_name(find_model(engine, name=bundle.name), bundle.name, checksum)
    shelved = shelf.put(path)
    return register_model(
        engine,
        shelved.bundle.manifest,
        location=shelved.location,
        checksum=shelved.checksum,
        size_bytes=shelved.size_bytes,
        actor=actor,
        reason=reason,
    )


def _register_configured(settings: Settings, engine: Engine, shelf: Shelf, actor: str) -> ModelRow | None:
    """Before the first promotion the workers run the bundle of the settings: it is what must be beaten, and what a
    rollback goes back to. None where it can't be read."""
    path = settings.bundle_directory
    if not (path / MANIFEST).is_file():
        log.warning("there is no bundle at %s, so no model to compare with or to go back to", path)
        return None
    mine = load_bundle(path).name
    others = sorted({worker.model for worker in list_workers(engine)} - {mine})
    if others:
        raise InputError(
            f"workers run {', '.join(others)}, but the bundle of these settings is {mine}; promote with the workers' "
            "settings, so that NEWSTIDE_STREAM__BUNDLE names what is in use"
        )
    row = _register(engine, shelf, path, actor, "in use before the first promotion")
    move_model(engine, row.name, "live", actor=actor, reason="in use before the first promotion")
    return find_model(engine, state="live")
