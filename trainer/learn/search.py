"""A search for the recipe: trainings chosen by a tree-structured Parzen estimator, hopeless ones cut short (Optuna)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import msgspec
import optuna
import torch
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from core.errors import InputError
from trainer.data.examples import Example
from trainer.learn.averaging import judge_all, mean_f1
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import encode
from trainer.learn.checkpoint import fingerprint
from trainer.learn.finetune import Epoch, Recipe, fine_tune
from trainer.learn.network import Network
from trainer.learn.tokenizer import load_tokenizer, mask_number

log = logging.getLogger(__name__)

WARM_UP = 4  # trainings before one is compared with the median of the others, and before the estimator guides
_SPAN = 4.0  # rates are looked for from a quarter to four times those of the recipe given
_BATCH_SIZES = (16, 32, 64)
_DONE = (TrialState.COMPLETE, TrialState.PRUNED)


class Tried(msgspec.Struct, frozen=True):
    """One training of a search. `worth`: mean macro-F1 on validation, of the last epoch seen where it was cut short."""

    number: int
    outcome: Literal["finished", "cut short"]
    worth: float
    changes: dict[str, float]


class SearchResult(msgspec.Struct, frozen=True):
    """The best recipe with its worth, and all that was tried, earlier calls on the same study included."""

    recipe: Recipe
    worth: float
    tried: list[Tried]


def search(
    backbone: Path,
    labels: dict[str, tuple[str, ...]],
    train: Sequence[Example],
    validation: Sequence[Example],
    recipe: Recipe,
    trials: int,
    study_file: Path | None = None,
    *,
    apart: bool = False,
    on_trial: Callable[[Tried], None] | None = None,
    quiet: bool = False,
) -> SearchResult:
    """Try `trials` recipes near `recipe`, itself the first, and return the one of the best validation macro-F1.

    Rates, batch size, weight decay, dropout, label smoothing and epochs are searched, by Bergstra et al. 2011, from
    `recipe.seed` on. After each epoch a training below the median of the others at that epoch is cut short. With
    `apart`, worth is the mean over the sources of `validation`. With a `study_file` (SQLite) an interrupted search goes
    on, and one asked for more adds to what is there; the same calls give the same trials. Raises InputError for a file
    that is no study, or a backbone that can't be used.
    """
    tokenizer = load_tokenizer(backbone)
    mask_id = mask_number(tokenizer, backbone)
    data = encode(train, tokenizer, labels, recipe.max_length)
    judged = encode(validation, tokenizer, labels, recipe.max_length, apart=apart)
    name = fingerprint((recipe, labels, data, judged), load_encoder(backbone).state_dict())

    def objective(trial: optuna.Trial) -> float:
        chosen = _suggest(trial, recipe)

        def on_epoch(epoch: Epoch) -> None:
            trial.report(mean_f1(epoch.validation), epoch.number)
            if trial.should_prune():
                raise optuna.TrialPruned

        torch.manual_seed(chosen.seed)
        network = Network(load_encoder(backbone), labels, chosen.dropout)
        fine_tune(network, data, judged, mask_id, chosen, on_epoch=on_epoch, quiet=quiet)
        return mean_f1(judge_all(network, judged))

    with _study(study_file, name, recipe.seed) as study:
        while (done := len(study.get_trials(deepcopy=False, states=_DONE))) < trials:
            # Seeded anew for each, so that a search that goes on draws what one without a break would have drawn.
            study.sampler = optuna.samplers.TPESampler(n_startup_trials=WARM_UP, seed=recipe.seed * 10_000 + done)
            if done == 0 and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                study.enqueue_trial(_values(recipe), skip_if_exists=False)
            study.optimize(objective, n_trials=1)
            if on_trial is not None:
                on_trial(_tried(study.get_trials(deepcopy=False, states=_DONE)[-1], done + 1))
        tried = [_tried(trial, number) for number, trial in enumerate(study.get_trials(states=_DONE), start=1)]
        best = study.best_trial
    return SearchResult(_changed(recipe, best.params), float(best.value or 0.0), tried)


def _suggest(trial: optuna.Trial, recipe: Recipe) -> Recipe:
    rate = "lora_rate" if recipe.lora_rank else "encoder_rate"
    for name in (rate, "head_rate"):
        middle = getattr(recipe, name)
        trial.suggest_float(name, middle / _SPAN, middle * _SPAN, log=True)
    trial.suggest_categorical("batch_size", sorted({*_BATCH_SIZES, recipe.batch_size}))
    trial.suggest_float("weight_decay", 0.0, max(0.1, 2 * recipe.weight_decay))
    trial.suggest_float("dropout", 0.0, max(0.3, recipe.dropout))
    trial.suggest_float("label_smoothing", 0.0, max(0.15, recipe.label_smoothing))
    trial.suggest_int("epochs", max(1, recipe.epochs - 2), recipe.epochs + 3)
    return _changed(recipe, trial.params)


def _values(recipe: Recipe) -> dict[str, Any]:
    rate = "lora_rate" if recipe.lora_rank else "encoder_rate"
    names = (rate, "head_rate", "batch_size", "weight_decay", "dropout", "label_smoothing", "epochs")
    return {name: getattr(recipe, name) for name in names}


def _changed(recipe: Recipe, values: dict[str, Any]) -> Recipe:
    last = recipe.stop_after
    if last is not None:
        last = min(last, values["epochs"])
    return msgspec.structs.replace(recipe, **values, stop_after=last)


def _tried(trial: FrozenTrial, number: int) -> Tried:
    finished = trial.state == TrialState.COMPLETE
    reported = trial.intermediate_values
    worth = trial.value if finished else reported[max(reported)]
    return Tried(number, "finished" if finished else "cut short", float(worth or 0.0), dict(trial.params))


@contextmanager
def _study(path: Path | None, name: str, seed: int) -> Iterator[optuna.Study]:
    """The study `name` of the file; trainings that were cut off by a kill are closed as failed and tried again."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        storage = InMemoryStorage() if path is None else RDBStorage(f"sqlite:///{path}")
    except (SQLAlchemyError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{path} holds no study of Optuna: {reason}; move it away, or name another place") from error
    try:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=WARM_UP, n_warmup_steps=1)
        study = optuna.create_study(
            storage=storage, study_name=name, direction="maximize", pruner=pruner, load_if_exists=True
        )
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
        done = len(study.get_trials(deepcopy=False, states=_DONE))
        if done:
            log.info("the search goes on after %d trainings kept in %s", done, path)
        yield study
    finally:
        if isinstance(storage, RDBStorage):
            storage.remove_session()
            storage.engine.dispose()
