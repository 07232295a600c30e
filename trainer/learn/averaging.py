"""One network out of several trained from the same start: the mean of their weights, where validation gains by it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from core.bundle import ENTITY
from core.scoring import TaskScore, score_task, softmax
from trainer.data.examples import Example
from trainer.learn.batches import UNLABELLED, Encoded, bucketed, encode
from trainer.learn.network import Network
from trainer.learn.precision import half_precision

State = dict[str, Tensor]


@torch.no_grad()
def predict_logits(
    network: Network, data: Encoded, batch_size: int = 64, on_batch: Callable[[int], None] | None = None
) -> dict[str, NDArray[np.float32]]:
    """Logits (n, labels) per task, in the order of `data`; under `entity` those of all its mentions, text by text, if
    `network` has the head. `on_batch` is called with the texts of a batch."""
    network.eval()
    device = next(network.parameters()).device
    rows: list[int] = []
    parts: dict[str, list[Tensor]] = {task: [] for task in data.targets}
    mentions: dict[int, Tensor] = {}
    for batch in (one.to(device) for one in bucketed(data, batch_size)):
        rows.extend(batch.rows)
        answers = network(batch.ids, batch.mask, batch.mentions)
        if (towards := answers.pop(ENTITY, None)) is not None:
            counts = [len(data.mentions.get(row, ())) for row in batch.rows]
            mentions |= zip(batch.rows, towards.float().cpu().split(counts), strict=True)
        for task, logits in answers.items():
            parts[task].append(logits.float().cpu())
        if on_batch is not None:
            on_batch(len(batch.rows))
    order = np.argsort(np.array(rows))
    found = {task: torch.cat(logits).numpy()[order] for task, logits in parts.items()}
    if mentions:
        found[ENTITY] = torch.cat([mentions[row] for row in sorted(mentions)]).numpy()
    return found


def judge(task: str, labels: tuple[str, ...], logits: NDArray[np.float32], data: Encoded) -> TaskScore:
    """Figures of `logits` on those rows of `data` that have a label for `task`."""
    truth = np.array(data.targets[task])
    labelled = truth != UNLABELLED
    return score_task(task, labels, truth[labelled], softmax(logits[labelled]))


def judge_all(network: Network, data: Encoded) -> dict[str, TaskScore]:
    """Figures of `network` on `data` per task that a text of it is labelled for, and under `entity` on companies.

    Of sources `apart`, accuracy, macro-F1 and ECE of the tasks are the mean over the sources.
    """
    if not data.ids:
        return {}
    labelled = [task for task, targets in data.targets.items() if any(number != UNLABELLED for number in targets)]
    # Half precision: these figures choose between epochs, and are taken after each of them.
    with half_precision(next(network.parameters()).device):
        logits = predict_logits(network, data)
    scores = {
        task: (_apart if data.apart else judge)(task, network.labels[task], logits[task], data) for task in labelled
    }
    if ENTITY in logits:
        truth = np.array([one.target for row in sorted(data.mentions) for one in data.mentions[row]])
        scores[ENTITY] = score_task(ENTITY, network.entity_labels, truth, softmax(logits[ENTITY]))
    return scores


def _apart(task: str, labels: tuple[str, ...], logits: NDArray[np.float32], data: Encoded) -> TaskScore:
    """Figures of all of `data`, with the mean over its sources in the place of those that are chosen by."""
    pooled = judge(task, labels, logits, data)
    sources = np.array(data.sources)
    each = []
    for source in range(len(data.names)):
        rows = np.flatnonzero(sources == source)
        own = Encoded([], {task: [data.targets[task][row] for row in rows]})
        each.append(judge(task, labels, logits[rows], own))
    each = [one for one in each if one.support]
    means = {name: float(np.mean([getattr(one, name) for one in each])) for name in ("accuracy", "macro_f1", "ece")}
    return msgspec.structs.replace(pooled, **means)


def mean_f1(scores: dict[str, TaskScore]) -> float:
    """Macro-F1, averaged over the tasks: what epochs and averages are chosen by. 0 where nothing was judged."""
    return float(np.mean([score.macro_f1 for score in scores.values()])) if scores else 0.0


def average(states: Sequence[State]) -> State:
    """The mean of the weights in `states`; those that are the same in all, frozen ones, to the last bit."""
    mean = {}
    for name, first in states[0].items():
        values = [state[name] for state in states]
        same = all(torch.equal(value, first) for value in values[1:])
        mean[name] = first.clone() if same else torch.stack(values).mean(0)
    return mean


def between(old: State, new: State, share: float) -> State:
    """The weights at `share` of the way from `new` back to `old`: they keep more of what the old ones knew than they
    lose of what is new (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models")."""
    return {
        name: torch.lerp(value, old[name], share) if value.is_floating_point() else value for name, value in new.items()
    }


def blend(network: Network, states: Sequence[State], validation: Encoded) -> list[int]:
    """Give `network` the mean weights of those `states` that help on validation; their positions, best first.

    The greedy soup of Wortsman et al. 2022: the best state first, each further one kept only if the mean of all kept
    gets no worse.
    """

    def worth(members: Sequence[int]) -> float:
        network.load_state_dict(average([states[index] for index in members]))
        return mean_f1(judge_all(network, validation))

    alone = [worth([index]) for index in range(len(states))]
    order = sorted(range(len(states)), key=lambda index: -alone[index])
    members, best = order[:1], alone[order[0]]
    for index in order[1:]:
        together = worth([*members, index])
        if together >= best:
            members, best = [*members, index], together
    network.load_state_dict(average([states[index] for index in members]))
    network.eval()
    return members


def mean_of(
    networks: Sequence[Network],
    tokenizer: Tokenizer,
    validation: Sequence[Example],
    max_length: int,
    apart: bool = False,
) -> tuple[Network, list[int]]:
    """A network whose weights are the mean of those of `networks`, all of one shape, that help on `validation`; and the
    positions of these, best first."""
    network = copy.deepcopy(networks[0])
    length = min(max_length, network.architecture.positions)
    data = encode(validation, tokenizer, network.labels, length, network.entity_labels, apart)
    return network, blend(network, [one.state_dict() for one in networks], data)
