"""Options of a recipe that tell sources apart: each does what it says, on a tiny network."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from core.errors import InputError
from tests.trainer.conftest import BAD, GOOD, NAMES, PLAIN
from trainer.data.examples import Example
from trainer.learn.averaging import judge_all
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import Batch, Encoded, balanced, encode
from trainer.learn.finetune import fine_tune
from trainer.learn.fusion import Fusion
from trainer.learn.network import Network
from trainer.learn.objectives import cross_entropy, labelled_loss, smoothing_of, source_smoothing
from trainer.learn.recipe import Recipe, SourceBiases
from trainer.learn.source_bias import SourceBias
from trainer.learn.tokenizer import load_tokenizer, mask_number

LABELS = {"sentiment": ("negative", "neutral", "positive")}
RECIPE = Recipe(epochs=3, batch_size=16, encoder_rate=1e-3, head_rate=1e-2, patience=3)


def examples_of(source: str, plain: str, count: int, seed: int) -> list[Example]:
    """Texts of a source that calls a plain one `plain`."""
    generator = random.Random(seed)
    words = {"negative": BAD, "positive": GOOD} | {plain: PLAIN}
    return [
        Example(f"{generator.choice(NAMES)} {generator.choice(words[label])}", {"sentiment": label}, source)
        for label in (list(words)[number % len(words)] for number in range(count))
    ]


@pytest.fixture(scope="module")
def learn(tiny_backbone: Path) -> Any:
    tokenizer = load_tokenizer(tiny_backbone)
    texts = examples_of("strict", "neutral", 90, 1) + examples_of("sunny", "positive", 90, 2)
    data = encode(texts, tokenizer, LABELS, 16)

    def run(recipe: Recipe, **options: Any) -> tuple[Network, Encoded]:
        torch.manual_seed(1)
        network = Network(load_encoder(tiny_backbone), LABELS)
        fine_tune(network, data, data, mask_number(tokenizer, "tiny"), recipe, quiet=True, **options)
        return network, data

    return run


def test_balanced_batches_hold_each_source_alike() -> None:
    lengths = [5] * 100 + [9] * 20
    data = Encoded([[1] * n for n in lengths], {}, sources=[0] * 100 + [1] * 20, names=("large", "small"))
    for share, small in ((0.0, 20), (0.5, 37), (1.0, 60)):
        groups = balanced(data, 12, share, random.Random(1))
        counts = Counter(data.sources[row] for group in groups for row in group)
        assert counts == {0: 120 - small, 1: small}
        assert len(groups) == 10
        each = [sum(data.sources[row] for row in group) for group in groups]
        assert max(each) - min(each) <= 1
    rows = Counter(row for group in groups for row in group)
    assert {rows[row] for row in range(100, 120)} == {3}  # a small source comes again, no text more often than others
    assert max(rows[row] for row in range(100)) == 1
    assert groups == balanced(data, 12, 1.0, random.Random(1))
    assert groups != balanced(data, 12, 1.0, random.Random(2))


@pytest.mark.parametrize("kind", ["drop", "mean"])
def test_biases_of_sources_sum_to_zero_and_leave_their_mean_or_nothing(kind: SourceBiases) -> None:
    targets, names = {"sentiment": [0, 1, 2, -100]}, ("a", "b", "unlabelled")
    train = Encoded([[1]] * 4, targets, sources=[0, 0, 1, 2], names=names)
    bias = SourceBias(train, LABELS, kind)
    with torch.no_grad():
        bias.biases["sentiment"].copy_(torch.tensor([[3.0, 0, 0], [1.0, 0, 2.0], [9.0, 9, 9]]))
    assert bias("sentiment", torch.tensor([1, 0, 2])).tolist() == [[-1, 0, 1], [1, 0, -1], [0, 0, 0]]
    left = bias("sentiment", None).tolist()
    assert left == pytest.approx([1 / 3, 0, -1 / 3] if kind == "mean" else [0, 0, 0])


@pytest.mark.parametrize("kind", ["drop", "mean"])
def test_a_border_that_a_source_draws_elsewhere_becomes_its_bias(learn: Any, kind: SourceBiases) -> None:
    seen: list[torch.Tensor] = []

    def watch(network: Network, batch: Batch, ids: torch.Tensor) -> torch.Tensor:
        assert network.source_bias is not None
        seen.append(network.source_bias("sentiment", torch.tensor([0, 1])).detach().clone())
        return cross_entropy(0.0)(network, batch, ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.learn.finetune.cross_entropy", lambda *_: watch)
        network, data = learn(msgspec.structs.replace(RECIPE, source_bias=kind))
    strict, sunny = seen[-1]  # sources by name
    assert data.names == ("strict", "sunny")
    assert strict[1] > 0 > strict[2]
    assert torch.allclose(strict, -sunny, atol=1e-6)
    # What is left is a plain network: nothing of the sources is in it.
    assert network.source_bias is None
    assert network.state_dict().keys() == Network(network.encoder, LABELS).state_dict().keys()
    plain, _ = learn(RECIPE)
    assert not torch.equal(plain.heads["sentiment"].bias, network.heads["sentiment"].bias)


def test_vectors_of_features_belong_to_sources_and_leave_nothing(learn: Any) -> None:
    names = ("a", "b", "c", "untold")
    values = {"kind": {"a": "news", "b": "comment", "c": "news"}, "language": {"a": "en", "elsewhere": "de"}}
    fusion = Fusion(Encoded([], {}, names=names), values, 2)
    with torch.no_grad():
        fusion.vectors[0].copy_(torch.tensor([[3.0, 0.0], [0.0, 6.0]]))  # comment, news
        fusion.vectors[1].copy_(torch.tensor([[9.0, 9.0]]))
    found = fusion(torch.tensor([0, 1, 2, 3]))
    assert found.tolist() == [[-1, 2], [2, -4], [-1, 2], [0, 0]]  # one language alone tells nothing apart

    seen: list[torch.Tensor] = []

    def watch(network: Network, batch: Batch, ids: torch.Tensor) -> torch.Tensor:
        assert network.fusion is not None
        towards = network.fusion(torch.tensor([0, 1])) @ network.heads["sentiment"].weight.T
        seen.append(towards.detach().clone())
        return cross_entropy(0.0)(network, batch, ids)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trainer.learn.finetune.cross_entropy", lambda *_: watch)
        groups = {"group": {"strict": "agencies", "sunny": "blogs"}}
        network, _ = learn(msgspec.structs.replace(RECIPE, fusion=groups))
    strict, sunny = seen[-1]
    assert strict[1] > strict[2]
    assert torch.allclose(strict, -sunny, atol=1e-5)
    assert network.fusion is None
    assert network.state_dict().keys() == Network(network.encoder, LABELS).state_dict().keys()


def test_an_interrupted_training_with_biases_goes_on(learn: Any, tmp_path: Path) -> None:
    recipe = msgspec.structs.replace(
        RECIPE, source_bias="mean", source_balance=0.5, fusion={"kind": {"sunny": "comment", "strict": "news"}}
    )

    def stop(epoch: Any) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    place = tmp_path / "one.checkpoint"
    with pytest.raises(KeyboardInterrupt):
        learn(recipe, checkpoint=place, on_epoch=stop)
    assert place.is_file()
    resumed, whole = (learn(recipe, **options)[0].state_dict() for options in ({"checkpoint": place}, {}))
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())


def test_smoothing_by_source_is_that_of_torch_for_each() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = {"sentiment": torch.randn(6, 3, generator=generator)}
    numbers = torch.tensor([0, 1, 2, 0, 1, -100])
    batch = Batch(
        torch.ones(6, 1), torch.ones(6, 1), {"sentiment": numbers}, list(range(6)), None, torch.tensor([0, 1] * 3)
    )
    for weights in (None, {"sentiment": torch.tensor([2.0, 0.5, 1.0])}):
        same = {"sentiment": torch.tensor([0.1, 0.1])}
        plain = labelled_loss(logits, batch, 0.1, weights)
        assert torch.allclose(labelled_loss(logits, batch, 0.9, weights, same), plain)
        parts = []
        for source, smoothing in enumerate((0.3, 0.0)):
            only = msgspec.structs.replace(batch, targets={"sentiment": numbers.where(batch.sources == source, -100)})
            parts.append(labelled_loss(logits, only, smoothing, weights) * (only.targets["sentiment"] >= 0).sum())
        mixed = labelled_loss(logits, batch, 0.9, weights, {"sentiment": torch.tensor([0.3, 0.0])})
        assert torch.allclose(mixed, sum(parts) / 5)  # type: ignore[arg-type]
    # The given label keeps the probability with which a second annotator gave it.
    found = smoothing_of({"wire": {"sentiment": 0.94, "mood": 0.5}}, LABELS)
    assert found == {"wire": {"sentiment": pytest.approx(0.09)}}
    assert 1 - found["wire"]["sentiment"] + found["wire"]["sentiment"] / 3 == pytest.approx(0.94)
    recipe = Recipe(label_smoothing=0.05, source_smoothing=found)
    table = source_smoothing(recipe, LABELS, Encoded([], {}, names=("desk", "wire")))
    assert table is not None
    assert table["sentiment"].tolist() == pytest.approx([0.05, 0.09])


def test_sources_apart_are_judged_by_their_mean(learn: Any, tiny_backbone: Path) -> None:
    network, _ = learn(msgspec.structs.replace(RECIPE, epochs=1))
    texts = examples_of("strict", "neutral", 60, 5) + examples_of("sunny", "positive", 12, 6)
    tokenizer = load_tokenizer(tiny_backbone)
    together, apart = (judge_all(network, encode(texts, tokenizer, LABELS, 16, apart=kind)) for kind in (False, True))
    each = [judge_all(network, encode(part, tokenizer, LABELS, 16))["sentiment"] for part in (texts[:60], texts[60:])]
    assert apart["sentiment"].macro_f1 == pytest.approx((each[0].macro_f1 + each[1].macro_f1) / 2)
    assert apart["sentiment"].macro_f1 != together["sentiment"].macro_f1
    assert apart["sentiment"].confusion == together["sentiment"].confusion


def test_what_minds_sources_is_refused_where_it_would_be_passed_over(learn: Any) -> None:
    with pytest.raises(InputError, match="for true labels"):
        learn(msgspec.structs.replace(RECIPE, source_bias="drop"), objective=cross_entropy(0.0))
    for change in (
        {"source_bias": "drop"},
        {"source_balance": 0.5},
        {"source_smoothing": {"a": {"mood": 0.1}}},
        {"fusion": {"kind": {"a": "news"}}},
    ):
        with pytest.raises(InputError, match="few-shot learning knows no sources"):
            Recipe(few_shot=True, **change)
    with pytest.raises(InputError, match="source_balance"):
        Recipe(source_balance=1.5)
    with pytest.raises(InputError, match="'a' under 'mood'"):
        Recipe(source_smoothing={"a": {"mood": 1.0}})
