"""The course of a training: epochs of steps down a loss, which can be broken off anywhere and taken up exactly."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from core.scoring import TaskScore
from trainer.learn.averaging import State, mean_f1
from trainer.learn.checkpoint import Checkpoint, log
from trainer.progress import progress_bar


class Epoch(msgspec.Struct, frozen=True):
    """What one epoch gave: mean training loss and validation figures per task."""

    number: int
    loss: float
    validation: dict[str, TaskScore]


class Rates(msgspec.Struct, frozen=True):
    """How steps are taken: learning rate by the start of a parameter's name (the first that fits; "" fits all), decay
    of matrices, share of all `steps` that warms up, largest norm of a gradient."""

    by_name: dict[str, float]
    weight_decay: float
    warmup: float
    clip_norm: float
    steps: int


class TrainingLoop:
    """A module in training with all that its next step depends on: optimizer, schedule, generators, place in the epoch.

    `generator` orders the batches. Hidden words and dropout take torch's own generators, which are seeded here.
    """

    def __init__(self, module: nn.Module, rates: Rates, seed: int, checkpoint: Checkpoint | None = None) -> None:
        torch.manual_seed(seed)
        self.module = module
        self.epochs: list[Epoch] = []
        self.states: list[State] = []
        self._rates = rates
        self._checkpoint = checkpoint
        self._optimizer, self._schedule = _optimizer(module, rates)
        self._generator = random.Random(seed)
        self._opening = self._generator.getstate()  # at the start of the epoch under way
        self._losses: list[float] = []  # of the steps of that epoch

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one of this training."""
        record = self._checkpoint.load() if self._checkpoint is not None else None
        if record is None:
            return False
        self.module.load_state_dict(record["weights"])
        self._optimizer.load_state_dict(record["optimizer"])
        self._schedule.load_state_dict(record["schedule"])
        torch.set_rng_state(record["torch"])
        if torch.cuda.is_available() and len(record["cuda"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(record["cuda"])
        version, words, gauss = record["generator"]
        self._opening = (version, tuple(words.tolist()), gauss)
        self._generator.setstate(self._opening)
        self._losses = record["losses"]
        self.epochs = msgspec.json.decode(record["epochs"], type=list[Epoch])
        self.states = record["states"]
        log.info("going on after %d epochs and %d steps", len(self.epochs), len(self._losses))
        return True

    def run(
        self,
        groups: Callable[[random.Random], Sequence[Any]],
        loss: Callable[[Any], Tensor],
        *,
        last: int,
        patience: int | None = None,
        evaluate: Callable[[], dict[str, TaskScore]] = dict,
        keep: Callable[[], State] | None = None,
        on_epoch: Callable[[Epoch], None] | None = None,
        quiet: bool = False,
        title: str = "fine-tuning",
    ) -> None:
        """Run up to `last` epochs: a step down `loss` for each of `groups`, in their order.

        Ends early after `patience` epochs without a better mean macro-F1 by `evaluate`. What `keep` returns after each
        epoch is held in `states`. The checkpoint is written before `on_epoch` hears of an epoch.
        """
        with progress_bar(quiet) as progress:
            bar = progress.add_task(title, total=self._rates.steps, completed=self._schedule.last_epoch)
            while len(self.epochs) < last and not self._worn_out(patience):
                number = len(self.epochs) + 1
                self.module.train()
                for group in groups(self._generator)[len(self._losses) :]:
                    self._losses.append(self._descend(loss(group)))
                    recent = np.mean(self._losses[-100:])
                    progress.update(bar, advance=1, description=f"{title}, epoch {number}, loss {recent:.3f}")
                    if self._checkpoint is not None and self._checkpoint.due:
                        self._checkpoint.save(self._record())
                self.epochs.append(Epoch(number, float(np.mean(self._losses)), evaluate()))
                if keep is not None:
                    self.states.append(_sharing(keep(), self.states))
                self._losses = []
                self._opening = self._generator.getstate()
                if self._checkpoint is not None:
                    self._checkpoint.save(self._record())
                if on_epoch is not None:
                    on_epoch(self.epochs[-1])

    def finish(self) -> None:
        """Remove the checkpoint: what was learnt is with the caller now."""
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def _worn_out(self, patience: int | None) -> bool:
        worth = [mean_f1(epoch.validation) for epoch in self.epochs]
        return patience is not None and bool(worth) and len(worth) - worth.index(max(worth)) > patience

    def _descend(self, loss: Tensor) -> float:
        loss.backward()
        nn.utils.clip_grad_norm_([p for p in self.module.parameters() if p.grad is not None], self._rates.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._schedule.step()
        return float(loss.detach())

    def _record(self) -> dict[str, Any]:
        version, words, gauss = self._opening
        return {
            "weights": self.module.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "torch": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "generator": (version, torch.tensor(words), gauss),
            "losses": self._losses,
            "epochs": msgspec.json.encode(self.epochs).decode(),
            "states": self.states,
        }


def _sharing(state: State, earlier: Sequence[State]) -> State:
    """`state`, with those tensors of the last of the `earlier` ones that did not change: frozen ones take no room."""
    if not earlier:
        return state
    last = earlier[-1]
    return {name: last[name] if torch.equal(value, last[name]) else value for name, value in state.items()}


def best_device() -> torch.device:
    """The GPU where torch sees one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _optimizer(module: nn.Module, rates: Rates) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LambdaLR]:
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in module.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = next(rate for start, rate in rates.by_name.items() if name.startswith(start))
        decay = rates.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    optimizer = torch.optim.AdamW(
        [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()],
        fused=True,
    )
    warmup = max(1, round(rates.steps * rates.warmup))

    def factor(step: int) -> float:
        return min((step + 1) / warmup, max(0.0, (rates.steps - step) / max(1, rates.steps - warmup)))

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
