"""More texts like those there are: words exchanged for near ones, so that teachers say what becomes of the meaning.

On the texts that they were fine-tuned on, teachers say little more than the labels; on texts of the same kind that
nobody labelled they show what they know. Jiao et al. 2020 (TinyBERT) made such texts for each task.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch import Tensor

VARIANT_SEED = 0  # of students of all seeds: they learn from the same texts, and teachers are asked once
SHARE = 0.4  # of a text's words that are exchanged
NEAR = 15  # a word is exchanged for one of so many
_ATTACHED = {"$", "@", "'", "’"}  # what follows one of these is a name or the end of a word
_COMMON = 5  # a word that the texts use less often is too odd to stand for another
_CHUNK = 1024  # words compared with all others at a time

Whole = tuple[int, int, int]  # a word of one piece: its number, and where it begins and ends in the text


def vary(texts: Sequence[str], tokenizer: Tokenizer, vectors: Tensor, count: int, seed: int) -> list[str]:
    """`count` variants of each of `texts`, the same for the same `seed`; none where the texts share too few words.

    Words that the tokenizer has whole, names of that kind too, are exchanged for one of their nearest by the cosine of
    `vectors` (vocabulary, width), among those that the texts use. Tickers, users, numbers, signs and words of several
    pieces stay as they are.
    """
    if not count:
        return []
    encodings = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    wholes = [_whole_words(text, encoding) for text, encoding in zip(texts, encodings, strict=True)]
    spelt: dict[int, Counter[str]] = {}
    for text, found in zip(texts, wholes, strict=True):
        for number, start, end in found:
            spelt.setdefault(number, Counter())[text[start:end].lower()] += 1
    common = sorted(number for number, forms in spelt.items() if forms.total() >= _COMMON)
    if len(common) < 2:
        return []
    nearest = _nearest(vectors[common], min(NEAR, len(common) - 1))
    forms = [spelt[number].most_common(1)[0][0] for number in common]
    near = {number: [forms[place] for place in row] for number, row in zip(common, nearest, strict=True)}
    generator = random.Random(seed)
    return [
        _variant(text, found, near, generator) for text, found in zip(texts, wholes, strict=True) for _ in range(count)
    ]


def _whole_words(text: str, encoding: Encoding) -> list[Whole]:
    pieces = Counter(encoding.word_ids)
    rows = zip(encoding.ids, encoding.tokens, encoding.word_ids, encoding.offsets, strict=True)
    return [
        (number, start, end)
        for number, piece, word, (start, end) in rows
        if pieces[word] == 1
        and text[start:end].isalpha()
        and text[start:end].lower() in piece.lower()  # the piece of an unknown word spells another
        and text[start - 1 : start] not in _ATTACHED
    ]


def _nearest(vectors: Tensor, count: int) -> NDArray[np.int64]:
    """Places (words, count) of the words nearest to each, itself left out."""
    unit = torch.nn.functional.normalize(vectors.detach().float(), dim=1)
    rows = []
    for start in range(0, len(unit), _CHUNK):
        likeness = unit[start : start + _CHUNK] @ unit.T
        own = torch.arange(len(likeness))
        likeness[own, own + start] = -torch.inf
        rows.append(likeness.topk(count).indices)
    return torch.cat(rows).numpy()


def _variant(text: str, wholes: Sequence[Whole], near: dict[int, list[str]], generator: random.Random) -> str:
    parts, done = [], 0
    for number, start, end in wholes:
        if number in near and generator.random() < SHARE:
            parts += [text[done:start], _cased(generator.choice(near[number]), text[start:end])]
            done = end
    return "".join([*parts, text[done:]])


def _cased(word: str, like: str) -> str:
    """`word` in the letters of `like`: all large, the first large, or all small."""
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word.capitalize() if like[0].isupper() else word
