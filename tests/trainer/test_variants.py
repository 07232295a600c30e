"""Variants of texts: what is exchanged, what stays, and that none is a text students are judged by."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from core.taxonomy import Taxonomy
from core.text import word_form
from tests.trainer.conftest import BAD, GOOD
from trainer.compress.distil import Mixture
from trainer.compress.student import prepare_distillation
from trainer.compress.variants import vary
from trainer.learn.backbone import load_encoder
from trainer.learn.network import Learned, Network
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import load_tokenizer
from trainer.material import Material, prepare
from trainer.pipeline import gather


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone: Path) -> Tokenizer:
    return load_tokenizer(tiny_backbone)


@pytest.fixture(scope="module")
def vectors(tokenizer: Tokenizer) -> torch.Tensor:
    """Bad words lie together, good ones too; all others point away from each other."""
    directions = torch.eye(tokenizer.get_vocab_size())
    for words in (BAD, GOOD):
        numbers = [tokenizer.token_to_id(word) for word in words]
        directions[numbers, numbers[0]] += 5
    return directions


# Each word often enough to stand for another, and no more words of its kind than the texts hold.
TEXTS = [*[" ".join(BAD)] * 5, *[" ".join(GOOD)] * 5]


def test_a_word_is_exchanged_for_its_neighbours(
    tokenizer: Tokenizer, vectors: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.compress.variants.NEAR", 4)
    found = vary(["oil wins", *TEXTS], tokenizer, vectors, 40, seed=1)[:40]
    assert {text.split()[0] for text in found} == {"oil"}  # too rare in these texts
    assert {text.split()[1] for text in found} == set(GOOD)


def test_tickers_numbers_signs_and_letters_stay(tokenizer: Tokenizer, vectors: torch.Tensor) -> None:
    for variant in vary(["$WINS: Acme1 WINS 7%, Profit; bad's LOSS  .", *TEXTS], tokenizer, vectors, 40, seed=1)[:40]:
        head, signs, tail = variant.partition(" Acme1 ")
        assert (head, signs) == ("$WINS:", " Acme1 ")
        upper, number, title, odd, last, dot = tail.split()
        assert (upper.isupper(), title.istitle(), last.isupper()) == (True, True, True)
        assert (number, odd, dot) == ("7%,", "bad's", ".")
        assert variant.endswith("  .")
    assert vary([], tokenizer, vectors, 3, seed=1) == vary(TEXTS, tokenizer, vectors, 0, seed=1) == []


def test_an_unknown_word_is_no_word(tokenizer: Tokenizer, vectors: torch.Tensor) -> None:
    odd = ["日 wins"] * 10  # often enough, were it one
    found = vary([*odd, *TEXTS], tokenizer, vectors, 20, seed=1)
    assert all(text.startswith("日 ") for text in found[:200])
    assert not any("日" in text for text in found[200:])


def test_a_seed_tells_which_variants(tokenizer: Tokenizer, vectors: torch.Tensor) -> None:
    once, again, other = (vary(TEXTS, tokenizer, vectors, 2, seed) for seed in (1, 1, 2))
    assert once == again != other
    assert len(once) == 2 * len(TEXTS)


def test_variants_join_the_lesson_but_none_of_a_judged_text(
    tiny_data: Path, tiny_taxonomy: Taxonomy, tiny_backbone: Path, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    material: Material = prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)
    teacher = Learned(Network(load_encoder(tiny_backbone), material.labels), tokenizer, "tiny", Recipe())
    plain = prepare_distillation([teacher], material, ["acme1 oil wins"], Mixture(), 32, keep=tmp_path, quiet=True)
    kept = set(tmp_path.iterdir())
    data = prepare_distillation(
        [teacher], material, ["acme1 oil wins"], Mixture(), 32, variants=3, keep=tmp_path, quiet=True
    )
    assert kept < set(tmp_path.iterdir())  # what was kept is taken; only variants were asked about
    assert data.examples == plain.examples
    variants = [text for text in data.unlabelled if text.source == "variant"]
    assert len(variants) > len(data.examples)
    forms = [word_form(text.text) for text in variants]
    assert len(forms) == len(set(forms))
    split = material.split
    assert not set(forms) & {word_form(e.text) for part in (split.train, split.validation, split.test) for e in part}
    for task, rows in data.soft.items():
        assert rows.shape == (len(data.texts), len(material.labels[task]))
        assert torch.equal(rows[: len(plain.texts)], plain.soft[task])
