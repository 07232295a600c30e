"""One student: cut out of a teacher by a plan, then taught by all teachers what the cuts made it forget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from trainer.compress.distil import Mixture, distillation
from trainer.compress.ensemble import Answers, Ensemble, as_one, ask
from trainer.compress.factorize import factorize, rank_of
from trainer.compress.plan import Plan
from trainer.compress.prune import drop_layers, importance, prune_layers, with_encoder
from trainer.compress.variants import VARIANT_SEED, vary
from trainer.compress.vocabulary import prune_vocabulary
from trainer.data.examples import Example
from trainer.learn.batches import Batch, Encoded, bucketed, encode
from trainer.learn.encoder import Encoder, LayerShape, product_sizes, rebuilt
from trainer.learn.finetune import fine_tune
from trainer.learn.network import Learned, Network
from trainer.learn.objectives import labelled_loss
from trainer.learn.recipe import Recipe
from trainer.learn.training_loop import Epoch, best_device
from trainer.material import Material

PRUNING_TEXTS = 8_000
_LENGTH = 64  # tokens of a text that cuts are judged by

Stage = Callable[[str, Network, Tokenizer], None]


class DistillationData(msgspec.Struct, frozen=True):
    """Texts for the students, `examples` first; what the teachers say of each, (n, labels) per task, and of each
    company that is named, text by text, if all have the head for it; and how much each of them has to say in it."""

    examples: list[Example]
    unlabelled: list[Example]
    soft: dict[str, Tensor]
    ensemble: dict[str, Ensemble]

    @property
    def texts(self) -> list[str]:
        return [example.text for example in [*self.examples, *self.unlabelled]]


def prepare_distillation(
    teachers: Sequence[Learned],
    material: Material,
    unlabelled: Sequence[str],
    mixture: Mixture,
    max_length: int,
    *,
    variants: int = 0,
    keep: Path | None = None,
    quiet: bool = False,
) -> DistillationData:
    """Ask the `teachers` about the training texts, about `unlabelled` ones, and about `variants` of each training text,
    made by the word vectors of the first teacher. Copies of an example, or of one another, are left out. Companies are
    asked about by their names in the training texts and by cashtags."""
    split = material.split
    towards = all(teacher.network.entity_labels for teacher in teachers)
    taken = material.unlabelled(towards)
    fresh = taken.examples((text, "unlabelled") for text in unlabelled)
    words = teachers[0].network.encoder.words.weight
    texts = vary([example.text for example in split.train], teachers[0].tokenizer, words, variants, VARIANT_SEED)
    varied = taken.examples((text, "variant") for text in texts)
    # Variants are asked about by themselves, so that what was kept without them is of use.
    choice = material.choice
    parts = ([*choice, *split.train, *fresh], varied)
    answers = [_answers(teacher, parts, max_length, keep, quiet) for teacher in teachers]
    entity_labels = teachers[0].network.entity_labels if towards else ()
    soft, ensemble = as_one(answers, choice, material.labels, entity_labels, mixture.temperature)
    answered = {task: torch.from_numpy(rows) for task, rows in soft.items()}
    return DistillationData(list(split.train), [*fresh, *varied], answered, ensemble)


def _answers(
    teacher: Learned, parts: Sequence[Sequence[Example]], length: int, keep: Path | None, quiet: bool
) -> Answers:
    """What `teacher` says of all `parts`, in their order."""
    found = [ask(teacher, part, length, keep, quiet) for part in parts if part]
    return {task: np.concatenate([one[task] for one in found]) for task in found[0]}


def cut(
    teacher: Network,
    tokenizer: Tokenizer,
    material: Material,
    data: DistillationData,
    plan: Plan,
    on_stage: Stage | None = None,
) -> tuple[Network, Tokenizer]:
    """`teacher` with all that `plan` takes away taken away, and the tokenizer that fits; `on_stage` sees each step.

    What has just been cut is not taught yet, so its figures fall from stage to stage.
    """
    network = teacher
    length = min(_LENGTH, teacher.architecture.positions)
    sample = encode(data.examples[:PRUNING_TEXTS], tokenizer, teacher.labels, length)

    def done(name: str) -> None:
        if on_stage is not None:
            on_stage(name, network, tokenizer)

    if plan.layers is not None and plan.layers < len(network.architecture.layers):
        validation = encode(material.choice, tokenizer, teacher.labels, length)
        network = drop_layers(network, plan.layers, validation, mean_loss)
        done(f"{plan.layers} layers")
    if plan.heads is not None or plan.inner is not None:
        widest = network.architecture.layers[0]
        heads, inner = plan.heads or widest.heads, plan.inner or widest.inner
        if heads < widest.heads or inner < widest.inner:
            scores = importance(network.to(best_device()), sample, _loss)
            network = prune_layers(network.cpu(), scores, heads, inner)
            done(f"{heads} heads, {inner} inner")
    if plan.vocabulary is not None and plan.vocabulary < network.architecture.vocabulary:
        network, tokenizer = prune_words(network, tokenizer, data, plan.vocabulary)
        sample = encode(data.examples[:PRUNING_TEXTS], tokenizer, teacher.labels, length)
        done(f"{network.architecture.vocabulary} word pieces")
    if plan.rank_share < 1:
        network = factorize(network, sample, plan.rank_share, plan.products)
        done(f"rank {plan.rank_share:g} of {'+'.join(plan.products)}")
    if plan.activation is not None and plan.activation != network.architecture.activation:
        architecture = msgspec.structs.replace(network.architecture, activation=plan.activation)
        network = with_encoder(network, rebuilt(architecture, network.encoder.state_dict()))
        done(plan.activation)
    return network, tokenizer


def prune_words(
    network: Network, tokenizer: Tokenizer, data: DistillationData, words: int | None
) -> tuple[Network, Tokenizer]:
    """Both with the `words` word pieces that the texts use most, or as they are where they have no more."""
    if words is None or words >= network.architecture.vocabulary:
        return network, tokenizer
    return prune_vocabulary(network, tokenizer, data.texts, words)


def outline(teacher: Network, plan: Plan) -> Network:
    """An untaught network of the shape that `plan` gives a student of `teacher`; the words stay the teacher's."""
    old = teacher.architecture
    widest = old.layers[0]
    heads, inner = min(plan.heads or widest.heads, widest.heads), min(plan.inner or widest.inner, widest.inner)
    layer = LayerShape(heads, inner, widest.ranks)
    if plan.rank_share < 1:
        ranks = {
            product: rank_of(plan.rank_share, *size)
            for product, size in product_sizes(old, layer).items()
            if product in plan.products
        }
        layer = LayerShape(heads, inner, ranks | widest.ranks)
    layers = [layer] * min(plan.layers or len(old.layers), len(old.layers))
    activation = plan.activation or old.activation
    encoder = Encoder(msgspec.structs.replace(old, layers=layers, activation=activation))
    return Network(encoder, teacher.labels, entity_labels=teacher.entity_labels)


def distil_student(
    student: Network,
    tokenizer: Tokenizer,
    material: Material,
    data: DistillationData,
    recipe: Recipe,
    mixture: Mixture,
    mask_id: int,
    *,
    guide: Network | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
    quiet: bool = False,
    checkpoint: Path | None = None,
) -> list[Epoch]:
    """Distil what the teachers say of `data` into `student`, in place; interrupted, it goes on from `checkpoint`."""
    labels, length = student.labels, min(recipe.max_length, student.architecture.positions)
    towards = student.entity_labels
    texts = encode([*data.examples, *data.unlabelled], tokenizer, labels, length, towards)
    validation = encode(material.choice, tokenizer, labels, length, towards, bool(material.unseen))
    objective = distillation(data.soft, mixture, recipe.label_smoothing, guide)
    return fine_tune(
        student,
        texts,
        validation,
        mask_id,
        recipe,
        objective=objective,
        on_epoch=on_epoch,
        quiet=quiet,
        checkpoint=checkpoint,
    )


@torch.no_grad()
def mean_loss(network: Network, data: Encoded) -> float:
    """Mean cross-entropy of `network` on `data`, on the GPU where torch sees one."""
    network.eval()
    device = best_device()
    network.to(device)
    loss = float(np.mean([float(_loss(network, batch.to(device))) for batch in bucketed(data, 64)]))
    network.cpu()
    return loss


def _loss(network: Network, batch: Batch) -> Tensor:
    return labelled_loss(network(batch.ids, batch.mask), batch, 0.0)
