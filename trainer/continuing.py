"""A training that goes on from a bundle: what is new is learnt from its labels, and what was known is kept.

As in Li and Hoiem 2016 ("Learning without Forgetting") the bundle's own answers hold the network where it is, on new
texts too; beside those it rehearses some of the others. Where teachers that know more answer beside the bundle, all of
their texts are rehearsed, and variants of them if they are asked for: what the bundle has lost comes back that way.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from core.bundle import ENTITY, MANIFEST, Bundle, Manifest, load_bundle
from core.errors import BundleError, InputError
from trainer.compress.distil import Mixture, distillation
from trainer.compress.ensemble import Answers
from trainer.compress.read_graph import read_network
from trainer.compress.variants import VARIANT_SEED, vary
from trainer.course import Course
from trainer.data.build import OWN_LICENCE
from trainer.data.corpora import UNKNOWN_LICENCE
from trainer.data.examples import Example
from trainer.learn.batches import UNLABELLED, encode
from trainer.learn.network import Learned, Network
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import read_tokenizer
from trainer.material import SPLIT_SEED, Material
from trainer.teachers import NOBODY, Teachers, answers_of

_log = logging.getLogger(__name__)

NEW_LABELS = 0.7  # weight of a new text's true label; the rest is the bundle's answer
REPEATED = 3  # times that a new text comes in an epoch
REHEARSED = 8  # texts rehearsed for each new one, and at least as many as the recipe says
JUDGED = 1_000  # texts that epochs are judged by


def is_bundle(directory: Path) -> bool:
    """Whether `directory` holds a bundle, not a model of the Hugging Face kind."""
    return (directory / MANIFEST).is_file()


def continued(
    directory: Path,
    material: Material,
    recipe: Recipe,
    teachers: Teachers = NOBODY,
    *,
    keep: Path | None = None,
    log: Callable[[str], None] = _log.info,
    quiet: bool = True,
) -> Course:
    """What a training learns that goes on from the bundle in `directory`; `teachers` answer beside it, which is kept in
    the directory `keep`, if there is one.

    New are texts of analysts, of files without a licence of their own, and of sources that the bundle did not learn
    from. Raises BundleError for a bundle that can't be read, InputError where `material` lacks what it answers, asks
    for what it does not, or is for another language, and for teachers that answer nothing in it.
    """
    bundle, network, tokenizer = _begin(directory, material)
    lacking = sorted(set(teachers.sources) - {example.source for example in material.split.train})
    if lacking:
        raise InputError(f"there is no source {lacking[0]!r} among the texts for teachers to answer; check its name")
    new, known = _parted(material, bundle.manifest, recipe, teachers)
    if not new and not teachers.learned:
        _log.warning(
            "%s has learned from the sources of all these texts: there is nothing new for it; `--known-labels` teaches "
            "their labels anew",
            directory,
        )
    examples = new * REPEATED + known + _variants(material, teachers, network, tokenizer)
    length = min(recipe.max_length, network.architecture.positions)
    begun = Learned(network, tokenizer, bundle.name, recipe)
    answers = answers_of(begun, teachers, examples, material.split.validation, length, keep=keep, log=log, quiet=quiet)
    soft = _targets(answers, examples, network, len(new) * REPEATED, recipe.known_labels)
    choice = random.Random(SPLIT_SEED).sample(material.choice, min(JUDGED, len(material.choice)))
    return Course(
        bundle.manifest.backbone,
        tokenizer,
        lambda: read_network(bundle),
        encode(examples, tokenizer, network.labels, length, network.entity_labels),
        encode(choice, tokenizer, network.labels, length, network.entity_labels, bool(material.unseen)),
        distillation(soft, Mixture(labels=0), recipe.label_smoothing),
        bundle.manifest,
        soft if teachers.learned else {},
    )


def unfit(directory: Path, material: Material) -> str | None:
    """Why no training on `material` can go on from the bundle in `directory`; None where one can."""
    try:
        _begin(directory, material)
    except (BundleError, InputError) as error:
        return str(error)
    return None


def _begin(directory: Path, material: Material) -> tuple[Bundle, Network, Tokenizer]:
    """What `continued` begins with, once it is known to fit; raises as that does."""
    bundle = load_bundle(directory)
    network = read_network(bundle)
    tokenizer = read_tokenizer(bundle.tokenizer, directory)
    if tokenizer.get_vocab_size() > network.architecture.vocabulary:
        raise BundleError(f"{directory}: its tokenizer does not fit its word vectors; train anew from a backbone")
    language = bundle.languages[0]
    if material.language not in ("", language):
        raise InputError(f"{directory} is for {language}, not for {material.language}; train from a backbone")
    _check(network, material, directory)
    return bundle, network, tokenizer


def _targets(
    answers: Answers, examples: Sequence[Example], network: Network, new: int, known_labels: float
) -> dict[str, Tensor]:
    """What is to be answered to each text, and for each company that one names: the probabilities in `answers`, and the
    true labels, which weigh NEW_LABELS in the first `new` texts and `known_labels` in the others."""
    shares = torch.where(torch.arange(len(examples)) < new, NEW_LABELS, known_labels)
    given = {task: [_number(names, e.labels.get(task)) for e in examples] for task, names in network.labels.items()}
    weights = dict.fromkeys(given, shares)
    if ENTITY in answers:
        named = [(row, one.label) for row, example in enumerate(examples) for one in example.entities]
        given[ENTITY] = [_number(network.entity_labels, label) for _, label in named]
        weights[ENTITY] = shares[[row for row, _ in named]]
    return {
        task: _blended(torch.from_numpy(rows), torch.tensor(given[task], dtype=torch.long), weights[task])
        for task, rows in answers.items()
    }


def _number(labels: Sequence[str], label: str | None) -> int:
    return labels.index(label) if label else UNLABELLED


def _blended(answers: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """Probabilities (n, labels): `weights` (n,) of the true label, the rest of `answers`; those where there is none."""
    truth = nn.functional.one_hot(targets.clamp(min=0), answers.shape[1])
    share = (weights * (targets != UNLABELLED)).unsqueeze(1)
    return share * truth + (1 - share) * answers


def _variants(material: Material, teachers: Teachers, network: Network, tokenizer: Tokenizer) -> list[Example]:
    """Variants of the texts for training that `teachers` answer, which they answer too: of the texts themselves, which
    they were fine-tuned on, they say little more than the labels."""
    if not teachers.variants:
        return []
    answered = [example for example in material.split.train if teachers.answer(example)]
    words = network.encoder.words.weight
    texts = vary([example.text for example in answered], tokenizer, words, teachers.variants, VARIANT_SEED)
    sources = [example.source for example in answered for _ in range(teachers.variants)]
    # There are no variants where the texts share too few words.
    return material.unlabelled(bool(network.entity_labels)).examples(zip(texts, sources, strict=False))


def _check(network: Network, material: Material, where: Path) -> None:
    for task, names in material.labels.items():
        if network.labels.get(task) != names:
            raise InputError(f"{where} does not answer {task!r} with {', '.join(names[:5])}…; train from a backbone")
    if material.entity_labels and network.entity_labels != material.entity_labels:
        raise InputError(
            f"{where} does not answer sentiment towards companies with {', '.join(material.entity_labels)}, which "
            "texts are labelled with; train from a backbone"
        )
    lacking = sorted(set(network.labels) - set(material.labels))
    if network.entity_labels and not material.entity_labels:
        lacking.append("sentiment towards companies")
    if lacking:
        raise InputError(
            f"{where} answers {' and '.join(lacking)}, which no text is labelled for: what it knows of that could not "
            "be judged; add the corpora that it learned from"
        )


def _parted(
    material: Material, begun: Manifest, recipe: Recipe, teachers: Teachers
) -> tuple[list[Example], list[Example]]:
    """New texts to learn, and others to rehearse: all that `teachers` answer, and a sample of the rest."""
    learnt = {source.name for source in begun.data if source.train}
    fresh = {
        source.name
        for source in material.sources()
        if source.licence in (OWN_LICENCE, UNKNOWN_LICENCE) or source.name not in learnt
    }
    new: list[Example] = []
    taught: list[Example] = []
    known: list[Example] = []
    for example in material.split.train:
        is_new = example.by_analysts or example.source in fresh
        (new if is_new else taught if teachers.answer(example) else known).append(example)
    wanted = max(REHEARSED * len(new), recipe.rehearsed)
    return new, taught + random.Random(recipe.seed).sample(known, min(wanted, len(known)))
