"""Few texts: the contrast's formula, heads that hold a logistic regression, and a better start than fine-tuning has."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.data.examples import Example
from trainer.learn.averaging import judge_all, mean_f1, predict_logits
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import UNLABELLED, Encoded, encode
from trainer.learn.fewshot import contrast, fit_heads, pooled_vectors, scarce_labels
from trainer.learn.finetune import Recipe, fine_tune
from trainer.learn.network import Network
from trainer.learn.tokenizer import load_tokenizer, mask_number
from trainer.material import prepare
from trainer.pipeline import gather

LABELS = {"sentiment": ("negative", "neutral", "positive"), "topic": ("Banks", "Energy")}


@pytest.fixture
def network(tiny_backbone: Path) -> Network:
    torch.manual_seed(2)
    return Network(load_encoder(tiny_backbone), LABELS)


@pytest.fixture(scope="module")
def parts(tiny_backbone: Path, tiny_data: Path, tiny_taxonomy: Taxonomy) -> tuple[Encoded, Encoded]:
    """Eight texts per label to learn from, and all others."""
    material = prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)
    few: list[Example] = []
    texts = random.Random(1).sample(material.split.train, len(material.split.train))
    for task, labels in LABELS.items():
        for label in labels:
            few += [example for example in texts if example.labels.get(task) == label and example not in few][:8]
    rest = [example for example in texts if example not in few]
    tokenizer = load_tokenizer(tiny_backbone)
    return encode(few, tokenizer, LABELS, 40), encode(rest, tokenizer, LABELS, 40)


def test_the_contrast_is_the_published_one() -> None:
    torch.manual_seed(0)
    vectors, targets = torch.randn(6, 4), torch.tensor([0, 0, 1, 1, 1, 2])
    unit = nn.functional.normalize(vectors, dim=-1)
    terms = []
    for i in range(6):
        positives = [p for p in range(6) if p != i and targets[p] == targets[i]]
        others = [a for a in range(6) if a != i]
        below = sum(torch.exp(unit[i] @ unit[a] / 0.1) for a in others)
        if positives:
            terms.append(
                -sum(torch.log(torch.exp(unit[i] @ unit[p] / 0.1) / below) for p in positives) / len(positives)
            )
    assert float(contrast(vectors, targets)) == pytest.approx(float(sum(terms)) / len(terms), rel=1e-5)


def test_texts_without_a_label_take_no_part_in_it() -> None:
    torch.manual_seed(0)
    vectors = torch.randn(5, 4)
    targets = torch.tensor([0, 0, 1, UNLABELLED, UNLABELLED])
    assert torch.equal(contrast(vectors, targets), contrast(vectors[:3], targets[:3]))
    lone = torch.randn(2, 4, requires_grad=True)
    nothing = contrast(lone, torch.tensor([0, 1]))
    nothing.backward()
    assert float(nothing.detach()) == 0.0
    assert float(contrast(vectors, torch.full((5,), UNLABELLED))) == 0.0


def test_heads_hold_the_regression(network: Network, parts: tuple[Encoded, Encoded]) -> None:
    few = parts[0]
    fit_heads(network, few)
    vectors = pooled_vectors(network, few)
    for task, logits in predict_logits(network, few).items():
        truth = np.array(few.targets[task])
        known = truth != UNLABELLED
        centre, scale = vectors[known].mean(0), np.linalg.norm(vectors[known], axis=1).mean()
        model = LogisticRegression(class_weight="balanced", max_iter=1_000)
        model.fit((vectors[known] - centre) / scale, truth[known])
        expected = model.predict_proba((vectors - centre) / scale)
        found = torch.from_numpy(logits).softmax(-1).numpy()
        assert np.allclose(found, expected, atol=1e-3), task


def test_a_label_without_a_text_is_never_chosen(network: Network, parts: tuple[Encoded, Encoded]) -> None:
    few = parts[0]
    sentiment = [number if number != 1 else UNLABELLED for number in few.targets["sentiment"]]
    fit_heads(network, Encoded(few.ids, {"sentiment": sentiment, "topic": few.targets["topic"]}))
    logits = predict_logits(network, parts[1])["sentiment"]
    assert set(logits.argmax(1)) == {0, 2}


def test_it_learns_from_few_and_does_so_alike(tiny_backbone: Path, parts: tuple[Encoded, Encoded]) -> None:
    few, rest = parts
    mask_id = mask_number(load_tokenizer(tiny_backbone), tiny_backbone)
    recipe = Recipe(epochs=3, batch_size=20, encoder_rate=2e-3, few_shot=True)
    networks = []
    for _ in range(2):
        torch.manual_seed(2)
        network = Network(load_encoder(tiny_backbone), LABELS)
        epochs = fine_tune(network, few, rest, mask_id, recipe, quiet=True)
        networks.append(network.state_dict())
    assert all(torch.equal(value, networks[1][name]) for name, value in networks[0].items())
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    assert epochs[-1].loss < epochs[0].loss - 0.3
    assert mean_f1(judge_all(network, few)) > 0.95
    learnt = mean_f1(judge_all(network, rest))
    assert learnt == pytest.approx(mean_f1(epochs[-1].validation))
    assert learnt > 0.65  # chance is 0.42 over both tasks, and many words of these stand in no text learnt from


def test_it_goes_on_where_it_was_interrupted(
    tmp_path: Path, tiny_backbone: Path, parts: tuple[Encoded, Encoded]
) -> None:
    few, rest = parts
    mask_id = mask_number(load_tokenizer(tiny_backbone), tiny_backbone)
    recipe = Recipe(epochs=3, batch_size=20, encoder_rate=1e-3, few_shot=True)

    class Interrupted(Exception):
        pass

    def run(stop: int = 0, place: Path | None = None) -> Network:
        def on_epoch(epoch: object) -> None:
            if getattr(epoch, "number", None) == stop:
                raise Interrupted

        torch.manual_seed(2)
        network = Network(load_encoder(tiny_backbone), LABELS)
        fine_tune(network, few, rest, mask_id, recipe, quiet=True, on_epoch=on_epoch, checkpoint=place)
        return network

    place = tmp_path / "few.checkpoint"
    with pytest.raises(Interrupted):
        run(2, place)
    again, whole = run(0, place), run()
    assert all(torch.equal(value, whole.state_dict()[name]) for name, value in again.state_dict().items())
    assert not place.exists()


def test_one_label_alone_is_refused(network: Network) -> None:
    data = Encoded([[2, 5, 3], [2, 6, 3]], {"sentiment": [1, 1], "topic": [0, 1]})
    with pytest.raises(InputError, match="fewer than two labels of 'sentiment'"):
        fine_tune(network, data, data, 4, Recipe(few_shot=True), quiet=True)


def test_scarce_labels_are_named_rarest_first() -> None:
    counts = {"topic": {"Banks": 12, "Energy": 50}, "sentiment": {"negative": 3, "positive": 49}}
    assert scarce_labels(counts) == [
        ("sentiment", "negative", 3),
        ("topic", "Banks", 12),
        ("sentiment", "positive", 49),
    ]
