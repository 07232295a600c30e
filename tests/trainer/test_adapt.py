"""A backbone reads texts: it guesses hidden words better, and is a backbone again afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import torch

from core.errors import InputError
from trainer.learn.adapt import Guesser, Reading, adapt_backbone, asked_words
from trainer.learn.backbone import load_encoder
from trainer.learn.backbone_file import save_backbone
from trainer.learn.batches import UNLABELLED, Batch
from trainer.learn.encoder import Encoder, LayerShape, rebuilt
from trainer.learn.tokenizer import load_tokenizer

READING = Reading(epochs=6, batch_size=16, rate=3e-3, max_length=40, seed=2)


@pytest.fixture(scope="module")
def texts(tiny_data: Path) -> list[str]:
    return [json.loads(line)["text"] for line in tiny_data.read_text().splitlines()]


def test_it_reads_learns_and_is_a_backbone_again(tmp_path: Path, tiny_backbone: Path, texts: list[str]) -> None:
    heard: list[tuple[int, float, float]] = []
    adapted = adapt_backbone(
        tiny_backbone, texts, READING, tmp_path, on_epoch=lambda *epoch: heard.append(epoch), quiet=True
    )
    assert [number for number, _, _ in heard] == [1, 2, 3, 4, 5, 6]
    assert adapted.losses == [is_held for _, _, is_held in heard]
    assert adapted.losses[-1] < adapted.losses[0] - 0.5
    assert adapted.backbone.parent == tmp_path
    before, after = load_encoder(tiny_backbone), load_encoder(adapted.backbone)
    assert after.architecture == before.architecture
    assert not torch.equal(after.words.weight, before.words.weight)
    assert load_tokenizer(adapted.backbone).to_str() == load_tokenizer(tiny_backbone).to_str()
    assert [path.name for path in tmp_path.iterdir()] == [adapted.backbone.name]

    again = adapt_backbone(tiny_backbone, texts, READING, tmp_path, quiet=True)
    assert again.backbone == adapted.backbone
    assert again.losses == []
    other = adapt_backbone(tiny_backbone, texts, msgspec.structs.replace(READING, epochs=1), tmp_path, quiet=True)
    assert other.backbone != adapted.backbone


def test_an_interrupted_reading_ends_with_the_same_weights(
    tmp_path: Path, tiny_backbone: Path, texts: list[str]
) -> None:
    reading = msgspec.structs.replace(READING, epochs=3)

    class Interrupted(Exception):
        pass

    def stop(number: int, loss: float, is_held: float) -> None:
        if number == 2:
            raise Interrupted

    whole = adapt_backbone(tiny_backbone, texts, reading, tmp_path / "whole", quiet=True)
    with pytest.raises(Interrupted):
        adapt_backbone(tiny_backbone, texts, reading, tmp_path / "broken", on_epoch=stop, quiet=True)
    again = adapt_backbone(tiny_backbone, texts, reading, tmp_path / "broken", quiet=True)
    assert again.losses == whole.losses[2:]
    expected = load_encoder(whole.backbone).state_dict()
    for name, value in load_encoder(again.backbone).state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert [path.name for path in (tmp_path / "broken").iterdir()] == [again.backbone.name]


def test_words_are_hidden_as_in_the_paper(tiny_backbone: Path) -> None:
    tokenizer = load_tokenizer(tiny_backbone)
    words, mask_id = tokenizer.get_vocab_size(), tokenizer.token_to_id("[MASK]")
    ids = torch.randint(5, words, (400, 30))
    ids[:, 0], ids[:, -1] = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")
    mask = torch.ones_like(ids)
    mask[:, 20:] = 0
    batch = Batch(ids, mask, {}, list(range(400)))
    torch.manual_seed(0)
    given, target = asked_words(batch, tokenizer, mask_id, 0.15)
    asked = target != UNLABELLED
    assert not asked[:, 0].any()
    assert not asked[:, 20:].any()
    assert torch.equal(target[asked], ids[asked])
    assert torch.equal(given[~asked], ids[~asked])
    places = 400 * 19
    assert int(asked.sum()) / places == pytest.approx(0.15, abs=0.02)
    assert float((given[asked] == mask_id).float().mean()) == pytest.approx(0.8, abs=0.05)
    assert float((given[asked] == ids[asked]).float().mean()) == pytest.approx(0.1, abs=0.05)


def test_the_guesser_shares_the_word_vectors(tiny_backbone: Path) -> None:
    guesser = Guesser(load_encoder(tiny_backbone))
    names = [name for name, parameter in guesser.named_parameters() if parameter.shape[0] == 64]
    ids, mask = torch.randint(5, 60, (3, 7)), torch.ones(3, 7, dtype=torch.long)
    asked = torch.zeros(3, 7, dtype=torch.bool)
    asked[0, 2] = asked[2, 5] = True
    logits = guesser(ids, mask, asked)
    assert logits.shape == (2, guesser.encoder.architecture.vocabulary)
    logits.sum().backward()
    assert guesser.encoder.words.weight.grad is not None
    assert not any("decoder" in name for name in names)


def test_too_few_texts_are_refused(tmp_path: Path, tiny_backbone: Path) -> None:
    with pytest.raises(InputError, match="1 different texts are too few"):
        adapt_backbone(tiny_backbone, ["acme1 bank fraud"] * 500 + [""], READING, tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_an_uneven_encoder_is_no_backbone(tmp_path: Path, tiny_backbone: Path) -> None:
    encoder, words = load_encoder(tiny_backbone), load_tokenizer(tiny_backbone).to_str()
    uneven = msgspec.structs.replace(encoder.architecture, layers=[LayerShape(2, 64), LayerShape(2, 32)])
    weights = encoder.state_dict()
    for name in ("widen.weight", "widen.bias"):
        weights[f"layers.1.{name}"] = weights[f"layers.1.{name}"][:32]
    weights["layers.1.narrow.weight"] = weights["layers.1.narrow.weight"][:, :32]
    with pytest.raises(InputError, match="layers differ"):
        save_backbone(rebuilt(uneven, weights), words, tmp_path / "saved")
    distant = Encoder(msgspec.structs.replace(encoder.architecture, relative_positions=True))
    with pytest.raises(InputError, match="relative positions"):
        save_backbone(distant, words, tmp_path / "saved")
    save_backbone(encoder, words, tmp_path / "saved")
    for name, value in load_encoder(tmp_path / "saved").state_dict().items():
        assert torch.equal(value, encoder.state_dict()[name]), name
