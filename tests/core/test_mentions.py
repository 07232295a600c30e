"""Companies are found in a text, and their tokens."""

from __future__ import annotations

import unicodedata

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from core.mentions import occurrences, tokens_of


@pytest.mark.parametrize(
    ("text", "name", "found"),
    [
        ("Acme soars as rival Beta slumps; Acme's shares", "Acme", ["Acme", "Acme"]),
        ("Acmes and Pacme", "Acme", []),
        ("ACME BANK falls", "Acme Bank", ["ACME BANK"]),
        ("ACME falls, Acme says", "Acme", ["Acme"]),
        ("long $BABA, short $BABAX", "$BABA", ["$BABA"]),
        ("阿里巴巴上涨, 京东下跌", "阿里巴巴", ["阿里巴巴"]),
        ("苹果Apple发布", "Apple", ["Apple"]),
        ("Nestlé and nestle", unicodedata.normalize("NFD", "Nestlé"), ["Nestlé"]),
        ("AT&T up", "AT&amp;T", ["AT&T"]),
        ("Dr. Reddy's (R) up", "Dr. Reddy's (R)", ["Dr. Reddy's (R)"]),
        ("anything", " ", []),
    ],
)
def test_names_are_whole_words(text: str, name: str, found: list[str]) -> None:
    assert [text[start:end] for start, end in occurrences(text, name)] == found


def test_tokens_follow_characters_through_normalisation() -> None:
    pieces = ["[UNK]", "nestle", "up", "阿", "里", "ﬁ", "fi", "rm"]
    tokenizer = Tokenizer(models.WordPiece({piece: n for n, piece in enumerate([*pieces, "##rm"])}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKD(), normalizers.BertNormalizer()])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    text = "阿里 Nestlé ﬁrm up 🚀 Nestlé"
    encoding = tokenizer.encode(text)
    assert [encoding.tokens[p] for p in tokens_of(encoding.offsets, occurrences(text, "Nestlé"))] == ["nestle"] * 2
    assert [encoding.tokens[p] for p in tokens_of(encoding.offsets, occurrences(text, "ﬁrm"))] == ["fi", "##rm"]
    assert [encoding.tokens[p] for p in tokens_of(encoding.offsets, ((1, 2),))] == ["里"]
    assert tokens_of([(0, 0), (0, 4), (0, 0)], ((0, 4),)) == [1]  # special tokens stand for no character
    assert tokens_of(encoding.offsets, ((400, 404),)) == []
