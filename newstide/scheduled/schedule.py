"""`newstide train --schedule`: train again when there is a reason to, one training at a time."""

from __future__ import annotations

import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import msgspec
import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from core.bundle import Bundle
from core.errors import BundleError, DatabaseUnreachable, NewstideError, ShelfUnreachable
from core.fitting import reader_of
from core.language import ENGLISH
from core.serving import served_models
from core.settings import Settings
from core.shelf import open_shelf
from core.store import training
from core.store.connection import open_engine
from core.store.models import find_model, list_models
from newstide.stack.resources import database
from trainer.data.dataset import is_dataset
from trainer.watch.drift import WINDOW, DriftReport, measure_drift
from trainer.watch.schedule import Policy, Reason, ScheduleState, describe_waiting, reasons_to_train

log = logging.getLogger(__name__)

_INTERRUPTIONS = 3  # in a row, before the next run has to wait
_RUNS, _DATASETS = 1_000, 10  # runs back that datasets are looked for, and datasets that are followed


class ScheduleError(NewstideError):
    """A scheduled training could not go on; `newstide train --schedule --once` tries again once its rest is over."""


class ScheduleOptions(msgspec.Struct, frozen=True):
    """When to train, how often to look, and how far a model may go by itself.

    `directory`: where runs work and bundles are left; `training` in `embedded.directory` where None. `name`: what the
    models are called, followed by the day and the number of the run. `promote`: go on to live if every gate allows it.
    `language`: what the models are for, whose live model they are to replace.
    """

    policy: Policy = Policy()
    promote: bool = False
    every_s: float = 3600
    window: int = WINDOW
    name: str = "newstide"
    directory: Path | None = None
    language: str = ENGLISH


class Work(msgspec.Struct, frozen=True):
    """One run: its number, the name for its model and what language it is for, settings whose database answers, and its
    directories. `following`: datasets of the last runs, the oldest first, whose parts hold: what a model of theirs
    learned is not what the next one is judged by.

    `weights` outlives a run that was interrupted or failed, so that the next one takes up what it has learned;
    `backbones`, those adapted to unlabelled texts, outlives all.
    """

    run: int
    name: str
    settings: Settings
    dataset: Path
    bundle: Path
    weights: Path
    backbones: Path
    language: str = ENGLISH
    following: tuple[Path, ...] = ()


class RunPromotion(msgspec.Struct, frozen=True):
    """How far a new model got, why not further, and the figures it was judged by."""

    model: str
    state: Literal["refused", "candidate", "shadow", "live"]
    reasons: list[str] = []
    evidence: dict[str, Any] = {}


class Steps(msgspec.Struct, frozen=True):
    """What a run does. `build` writes the dataset to `work.dataset`; `train` fine-tunes, compresses where asked for,
    evaluates, and returns the directory of the bundle; `promote_run` registers it, gates it and makes it the shadow, or
    the live model where its last argument says so."""

    build: Callable[[Work], None]
    train: Callable[[Work], Path]
    promote_run: Callable[[Work, Path, bool], RunPromotion]


class ScheduleCheck(msgspec.Struct, frozen=True):
    """What one look at the schedule came to. `note` is a line for a person."""

    outcome: Literal["busy", "idle", "refused", "candidate", "shadow", "live", "failed", "interrupted"]
    note: str
    reasons: list[Reason] = []
    run: int | None = None
    model: str | None = None
    drift: DriftReport | None = None


class _Stopped(BaseException):
    """Ends a step at once. No Exception, so that no library swallows it."""


def run_schedule(
    settings: Settings,
    options: ScheduleOptions,
    steps: Steps,
    *,
    once: bool = False,
    stop: threading.Event | None = None,
    report: Callable[[ScheduleCheck], None] = lambda check: log.info("%s: %s", check.outcome, check.note),
) -> ScheduleCheck:
    """Look whether a training is due, run it, look again every `options.every_s` seconds; the last look.

    Ends after one look with `once`, at SIGTERM or SIGINT, when `stop` is set, or at once where another process holds
    the schedule (outcome `busy`). Each run is a row of `training_run`. A signal during `build` or `train` ends that run
    as interrupted; a promotion is finished first. A run that fails is recorded and, in the loop, tried again after its
    rest; with `once` its error is raised. Raises DatabaseUnreachable if Postgres is away at the start, or with `once`.
    """
    stop = stop or threading.Event()
    with database(settings) as found, _ending(stop) as breakable:
        engine, lock = open_engine(found, pool_size=2), training.TrainingLock(found, options.language)
        check = ScheduleCheck("idle", "no look was taken")
        try:
            while not stop.is_set():
                try:
                    check = _check(found, options, steps, engine, lock, breakable, once)
                    report(check)
                except (psycopg.OperationalError, OperationalError) as error:
                    reason = str(error).strip().splitlines()[0]
                    if once:
                        raise DatabaseUnreachable(f"Postgres failed during a scheduled training: {reason}") from error
                    log.warning("Postgres failed, the next look is in %g s: %s", options.every_s, reason)
                if once or check.outcome == "busy":
                    break
                stop.wait(options.every_s)
        finally:
            lock.close()
            engine.dispose()
    return check


def serving_bundle(settings: Settings, engine: Engine, language: str | None = None) -> Bundle:
    """The bundle in service for `language`, by default the first one's: live in the registry, else of the settings.

    Raises BundleError or ShelfUnreachable if there is none or it can't be had.
    """
    model = reader_of(language or "", served_models(settings, engine))
    if model is None:
        raise BundleError(f"no model in service reads {language}; promote one")
    return model.fetch(settings, open_shelf(settings))


def live_directory(settings: Settings, language: str) -> Path | None:
    """Where the bundle in service for `language` lies on this machine; None where there is none that is made for it.

    Raises BundleError or ShelfUnreachable where it can't be had.
    """
    engine = open_engine(settings, pool_size=1)
    try:
        model = reader_of(language, served_models(settings, engine))
    finally:
        engine.dispose()
    if model is None or model.languages[0] != language:
        return None
    return model.fetch(settings, open_shelf(settings)).path


def _check(
    settings: Settings,
    options: ScheduleOptions,
    steps: Steps,
    engine: Engine,
    lock: training.TrainingLock,
    breakable: Callable[[], Any],
    once: bool,
) -> ScheduleCheck:
    holder = lock.acquire()
    if holder is not None:
        return ScheduleCheck(
            "busy", f"the training schedule is run already, by {holder}; this process leaves it to that one"
        )
    for run in training.close_abandoned(engine, options.language):
        log.warning("training run %d was cut off; it is recorded as interrupted", run)
    state = _read_state(settings, options, engine)
    reasons = reasons_to_train(state, options.policy)
    if not reasons:
        return ScheduleCheck("idle", describe_waiting(state, options.policy), drift=state.drift)
    run = training.open_run(engine, [msgspec.to_builtins(reason) for reason in reasons], options.language)
    log.info("training run %d begins: %s", run, "; ".join(reason.text for reason in reasons))
    name = f"{options.name}-{state.now:%Y%m%d}-{run}"
    detail: dict[str, Any] = {"drift": msgspec.to_builtins(state.drift)}
    try:
        work = _work(settings, options, engine, run, name)
        with breakable():
            steps.build(work)
            bundle = steps.train(work)
        detail["bundle"] = str(bundle)
        if lock.acquire() is not None or not training.is_running(engine, run):
            raise ScheduleError(
                f"run {run} lost its lock to another process while it trained; {bundle} is not promoted"
            )
        promoted = steps.promote_run(work, bundle, options.promote)
    except _Stopped:
        training.close_run(engine, run, "interrupted", None, detail)
        return ScheduleCheck("interrupted", f"run {run} was stopped and can be taken up again", reasons, run)
    except Exception as error:
        # A promotion may fail once the model is registered, and a person may promote it all the same.
        made = name if find_model(engine, name=name) is not None else None
        training.close_run(engine, run, "failed", made, {**detail, "error": f"{type(error).__name__}: {error}"[:2000]})
        if once:
            raise
        log.exception("training run %d failed", run)
        return ScheduleCheck("failed", f"run {run} failed: {error}", reasons, run)
    detail |= {"why": promoted.reasons, "evidence": promoted.evidence}
    training.close_run(engine, run, promoted.state, promoted.model, detail)
    shutil.rmtree(work.weights, ignore_errors=True)  # nothing is left to go on from
    note = "; ".join([f"run {run} made {promoted.model}, which is now {promoted.state}", *promoted.reasons])
    return ScheduleCheck(promoted.state, note, reasons, run, promoted.model, state.drift)


def _read_state(settings: Settings, options: ScheduleOptions, engine: Engine) -> ScheduleState:
    language = options.language
    live = reader_of(language, list_models(engine, "live"))
    try:
        drift = measure_drift(engine, serving_bundle(settings, engine, language), window=options.window)
    except (BundleError, ShelfUnreachable) as error:  # labels and age are reasons all the same
        drift = DriftReport(live.name if live else "", options.window, note=f"drift can't be measured: {error}")
    return ScheduleState(
        now=datetime.now(UTC),
        trained_at=live.created_at if live is not None else None,
        new_labels=training.count_new_labels(engine, training.learned_until(engine, language), language),
        last_run_at=_last_run_at(training.list_runs(engine, _INTERRUPTIONS, language)),
        drift=drift,
    )


def _last_run_at(runs: Sequence[training.TrainingRun]) -> datetime | None:
    """When the run ended that the next has to wait for; `runs` are the last ones, the newest first.

    One that was interrupted is taken up again at once, unless that keeps happening: then something ends each of them.
    """
    if not runs:
        return None
    interrupted = [run.outcome == "interrupted" for run in runs]
    if interrupted[0] and not (len(runs) == _INTERRUPTIONS and all(interrupted)):
        return None
    return runs[0].ended_at


def _work(settings: Settings, options: ScheduleOptions, engine: Engine, run: int, name: str) -> Work:
    """What run number `run` works with, its directory made. Raises OSError where that can't be."""
    base = options.directory or settings.embedded.directory / "training"
    home = base / f"run-{run}"
    home.mkdir(parents=True, exist_ok=True)
    runs = training.list_runs(engine, _RUNS, options.language)
    earlier = [base / f"run-{one.id}" / "dataset" for one in runs if one.id != run]
    found = [dataset for dataset in earlier if is_dataset(dataset)][:_DATASETS]
    return Work(
        run=run,
        name=name,
        settings=settings,
        dataset=home / "dataset",
        bundle=home / "bundle",
        weights=base / f"unfinished-{options.language}",
        backbones=base / "backbones",
        language=options.language,
        following=tuple(reversed(found)),
    )


@contextmanager
def _ending(stop: threading.Event) -> Iterator[Callable[[], Any]]:
    """SIGTERM and SIGINT set `stop`. Gives a context manager: inside it they raise _Stopped as well."""
    inside = False

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        if inside:
            raise _Stopped

    @contextmanager
    def breakable() -> Iterator[None]:
        nonlocal inside
        inside = True
        try:
            if stop.is_set():
                raise _Stopped
            yield
        finally:
            inside = False

    if threading.current_thread() is not threading.main_thread():
        yield breakable
        return
    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield breakable
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
