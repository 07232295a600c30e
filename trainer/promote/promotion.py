"""A bundle on its way into service: shelved, registered, judged against the live model of its language, and moved or
refused."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Engine

from core.bundle import MANIFEST, load_bundle, sign_bundle
from core.errors import BundleError, InputError, NewstideError
from core.serving import configured_models, in_service
from core.settings import Settings
from core.shelf import Shelf, bundle_checksum, open_shelf, rename_bundle, trusted_bundle
from core.store.models import (
    ModelRow,
    check_name,
    find_model,
    list_models,
    listed,
    move_model,
    record_verdict,
    register_model,
    rivals,
)
from core.store.worker_models import list_workers
from trainer.data.examples import Example
from trainer.promote.gates import Gate
from trainer.promote.judgement import Target, judge

log = logging.getLogger(__name__)


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
    languages = _check_argument(settings, engine, what, name)
    _register_configured(settings, engine, shelf, languages, actor)
    row = _find_candidate(settings, engine, shelf, what, name, actor)
    if row.state == "live":
        return Promotion(row.name, row.state, None, [], changed=False)
    live = list_models(engine, "live")
    against = listed(rivals(row.languages, live))
    gates = judge(settings, shelf, row, live, examples, "live", report)
    failed = [gate.name for gate in gates if not gate.passed]
    why = f"judged: {', '.join(failed)} failed" if failed else "judged: every gate passed"
    record_verdict(engine, row.name, actor=actor, reason=why, evidence=_evidence(gates, against, forced=False))
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
    languages = _check_argument(settings, engine, what, name)
    _register_configured(settings, engine, shelf, languages, actor)
    row = _find_candidate(settings, engine, shelf, what, name, actor)
    if row.state == to:
        return Promotion(row.name, row.state, None, [], changed=False)
    live = list_models(engine, "live")
    against = listed(rivals(row.languages, live))
    gates = judge(settings, shelf, row, live, examples, to, report)
    failed = [gate for gate in gates if not gate.passed]
    evidence = _evidence(gates, against, forced=bool(failed))
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
        judged_against=against,
    )
    return Promotion(row.name, change.state, change.displaced, gates, forced=bool(failed))


def _evidence(gates: Sequence[Gate], against: str | None, forced: bool) -> dict[str, Any]:
    """What the history keeps of a verdict."""
    return {"gates": msgspec.to_builtins(gates), "forced": forced, "against": against}


def _check_argument(settings: Settings, engine: Engine, what: str | Path, name: str | None) -> Sequence[str]:
    """Before anything is registered: `what` is a whole bundle, signed as the settings ask, or a registered model. The
    languages that it reads."""
    if _is_directory(engine, what):
        bundle = trusted_bundle(settings, Path(what))
        if name not in (None, bundle.name) and settings.models.trusted_keys and settings.models.signing_key is None:
            raise InputError(
                f"under the name {name} it is another bundle, which `models.trusted_keys` wants signed too; set "
                "`models.signing_key` (NEWSTIDE_MODELS__SIGNING_KEY) to a private key of theirs, or leave --name out"
            )
        return bundle.languages
    known = find_model(engine, name=str(what))
    if known is None:
        raise InputError(f"{what} is neither a bundle directory nor a registered model; see `newstide models`")
    if name is not None and name != str(what):
        raise InputError(f"{what} is registered, and a registered model keeps its name; leave --name out")
    return known.languages


def _is_directory(engine: Engine, what: str | Path) -> bool:
    """A directory that holds no bundle may have the name of a registered model by chance."""
    path = Path(what)
    return path.is_dir() and ((path / MANIFEST).is_file() or find_model(engine, name=str(what)) is None)


def _find_candidate(
    settings: Settings, engine: Engine, shelf: Shelf, what: str | Path, name: str | None, actor: str
) -> ModelRow:
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
            # Only what was signed by a trusted key is signed again: no other bundle gets a signature by a new name.
            if settings.models.trusted_keys and settings.models.signing_key is not None:
                sign_bundle(path, settings.models.signing_key)
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


def _register_configured(
    settings: Settings, engine: Engine, shelf: Shelf, languages: Sequence[str], actor: str
) -> None:
    """Before the first promotion in a language the workers run a bundle of the settings: it is what must be beaten, and
    what a rollback goes back to. None where it can't be read.

    One that no worker would use either (it is broken, or no trusted key signed it) is left out. Raises BundleError
    where it is for one of the `languages` that the candidate reads.
    """
    live = list_models(engine, "live")
    try:
        configured = [model for model in in_service(live, configured_models(settings)) if model.row is None]
    except BundleError as error:
        log.warning("no bundle of the settings to compare with or to go back to: %s", error)
        return
    known = {row.name for row in live} | {model.name for model in configured}
    running = {worker.model for worker in list_workers(engine) if worker.model is not None}
    if configured and (others := sorted(running - known)):
        raise InputError(
            f"workers run {', '.join(others)}, but the bundle of these settings is "
            f"{' and '.join(model.name for model in configured)}; promote with the workers' settings, so that "
            "NEWSTIDE_STREAM__BUNDLE names what is in use"
        )
    for model in configured:
        assert model.path is not None
        try:
            row = _register(engine, shelf, model.path, actor, "in use before the first promotion")
        except BundleError as error:
            if model.language in languages:
                raise
            log.warning("the bundle of the settings for %s is not registered: %s", model.language, error)
            continue
        move_model(engine, row.name, "live", actor=actor, reason="in use before the first promotion")
