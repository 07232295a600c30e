"""What a scheduled training does with its model: registers it, gates it, and makes it the shadow or the live one."""

from __future__ import annotations

import logging
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from core.bundle import read_manifest, sign_bundle
from core.shelf import rename_bundle
from core.store.connection import open_engine
from newstide.scheduled.schedule import RunPromotion, ScheduleError, Work
from trainer.data.examples import Example
from trainer.promote.promotion import PromotionRefused, promote

log = logging.getLogger(__name__)


def promote_run(work: Work, bundle: Path, go_live: bool, examples: Sequence[Example] | None) -> RunPromotion:
    """Register the bundle in directory `bundle` and make it the shadow, or the live model with `go_live`.

    `examples` are the frozen test set; None leaves the gates that need one out, and nothing goes live by itself. Where
    a gate fails, the model stays a candidate and the outcome is `refused`, with what each failed gate says. Raises
    ScheduleError for a bundle of another language than the run is for, which would be judged against another model;
    BundleError, ShelfUnreachable and RegistryError as `trainer.promote.promotion.promote` does.
    """
    language = read_manifest(bundle).languages[0]
    if language != work.language:
        raise ScheduleError(
            f"run {work.run} made a model for {language}, as most of its texts are in it, not for {work.language}; "
            f"{bundle} is not promoted: give corpora in {work.language}, or --language {language}"
        )
    with tempfile.TemporaryDirectory() as scratch:
        return _promote(work, _signed(work, bundle, Path(scratch, "bundle")), go_live, examples)


def _signed(work: Work, bundle: Path, renamed: Path) -> Path:
    """The bundle to promote: where there is a key to sign with, under its final name in the directory `renamed`."""
    if work.settings.models.signing_key is None:
        return bundle
    rename_bundle(bundle, work.name, renamed)
    sign_bundle(renamed, work.settings.models.signing_key)
    return renamed


def _promote(work: Work, bundle: Path, go_live: bool, examples: Sequence[Example] | None) -> RunPromotion:
    engine = open_engine(work.settings, pool_size=2)
    try:
        done = promote(
            work.settings,
            engine,
            bundle,
            to="live" if go_live else "shadow",
            examples=examples,
            name=work.name,
            actor=f"schedule@{socket.gethostname()}",
            reason=f"training run {work.run}",
            report=log.info,
        )
    except PromotionRefused as refused:
        failed = [f"{gate.name}: {gate.summary}" for gate in refused.gates if not gate.passed]
        return RunPromotion(refused.model, "refused", failed, {"gates": msgspec.to_builtins(refused.gates)})
    finally:
        engine.dispose()
    return RunPromotion(done.model, "live" if go_live else "shadow", [], {"gates": msgspec.to_builtins(done.gates)})
