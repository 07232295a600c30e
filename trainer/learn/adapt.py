"""Task-adaptive pre-training: a backbone reads unlabelled texts of the field before it learns labels.

Gururangan et al. 2020 show that it helps; the way of reading is the masked language model of Devlin et al. 2019.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from core.errors import InputError
from core.text import model_input, word_form
from trainer.data.examples import Example
from trainer.learn.backbone import backbone_name, load_encoder
from trainer.learn.backbone_file import check_savable, save_backbone
from trainer.learn.batches import UNLABELLED, Batch, Encoded, encode, grouped, make_batch
from trainer.learn.checkpoint import Checkpoint, fingerprint
from trainer.learn.encoder import Encoder
from trainer.learn.precision import half_precision
from trainer.learn.tokenizer import load_tokenizer, mask_number
from trainer.learn.training_loop import Epoch, Rates, TrainingLoop, best_device

log = logging.getLogger(__name__)

# Batch and generator (torch's own where None) -> ids with words hidden, true ids of those.
Ask = Callable[[Batch, torch.Generator | None], tuple[Tensor, Tensor]]

FEWEST = 100  # texts below which there is nothing to adapt to
HELD_OUT = 1_000  # texts at most, and a tenth of all, that are not learnt from but judged on


class Reading(msgspec.Struct, frozen=True):
    """How to adapt. `masked`: share of tokens to be guessed, of which 80% are hidden, 10% replaced and 10% left."""

    epochs: int = 3
    batch_size: int = 32
    rate: float = 1e-4
    weight_decay: float = 0.01
    warmup: float = 0.06
    clip_norm: float = 1.0
    masked: float = 0.15
    max_length: int = 64
    seed: int = 0


class Adapted(msgspec.Struct, frozen=True):
    """Where the adapted backbone lies, texts it learnt from, and mean loss per guess (nats) on texts held out of them,
    after each epoch of this call: none where it was adapted before and taken from there."""

    backbone: Path
    texts: int
    losses: list[float]


class Guesser(nn.Module):
    """An encoder and the head that guesses hidden words: a layer as in BERT, then the word vectors themselves."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        width = encoder.architecture.width
        self.encoder = encoder
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=encoder.architecture.epsilon)
        self.bias = nn.Parameter(torch.zeros(encoder.architecture.vocabulary))
        nn.init.normal_(self.dense.weight, std=0.02)
        nn.init.zeros_(self.dense.bias)

    def forward(self, ids: Tensor, mask: Tensor, asked: Tensor) -> Tensor:
        """Logits (asked places, vocabulary) at the places `asked` (batch, length) of `ids` with some words hidden."""
        hidden = self.encoder(ids, mask)[asked]
        guessed = self.norm(nn.functional.gelu(self.dense(hidden)))
        return nn.functional.linear(guessed, self.encoder.words.weight, self.bias)


def adapt_backbone(
    backbone: Path,
    texts: Sequence[str],
    reading: Reading,
    directory: Path,
    *,
    on_epoch: Callable[[int, float, float], None] | None = None,
    quiet: bool = False,
) -> Adapted:
    """Let `backbone` read `texts`; the adapted one is a model directory under `directory`, to be passed as a backbone.

    Its name tells texts, backbone and `reading` apart: a second call with the same takes what the first has made, and
    one that was interrupted goes on. Copies and empty texts are left out. `on_epoch` hears number, loss and held-out
    loss. The same input and machine give the same weights. Raises InputError for too few texts or a useless backbone.
    """
    tokenizer = load_tokenizer(backbone)
    torch.manual_seed(reading.seed)
    encoder = load_encoder(backbone)
    check_savable(encoder, backbone)
    masked_model = Guesser(encoder)
    fresh = _distinct(texts)
    if len(fresh) < FEWEST:
        raise InputError(f"{len(fresh)} different texts are too few to adapt to; give {FEWEST} or more")
    reading = msgspec.structs.replace(
        reading, max_length=min(reading.max_length, masked_model.encoder.architecture.positions)
    )
    name = fingerprint((reading, fresh), masked_model.state_dict())
    target = directory / f"{backbone_name(backbone).rsplit('/', 1)[-1]}-adapted-{name[:12]}"
    if (target / "config.json").is_file():
        log.info("%s was adapted to these texts before and is taken from there", target)
        return Adapted(target, len(fresh), [])
    step = max(10, -(-len(fresh) // HELD_OUT))
    held_out, learnt = fresh[::step], [text for place, text in enumerate(fresh) if place % step]
    data, judged = (
        encode([Example(text, {}, "unlabelled") for text in part], tokenizer, {}, reading.max_length)
        for part in (learnt, held_out)
    )
    mask_id = mask_number(tokenizer, backbone)

    def ask(batch: Batch, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        return asked_words(batch, tokenizer, mask_id, reading.masked, generator)

    checkpoint = Checkpoint(directory / f"{target.name}.checkpoint", name)
    losses = _read(masked_model, data, judged, ask, reading, checkpoint, on_epoch, quiet)
    save_backbone(masked_model.encoder, tokenizer.to_str(), target)
    checkpoint.remove()
    return Adapted(target, len(learnt), losses)


def _read(
    masked_model: Guesser,
    data: Encoded,
    judged: Encoded,
    ask: Ask,
    reading: Reading,
    checkpoint: Checkpoint,
    on_epoch: Callable[[int, float, float], None] | None,
    quiet: bool,
) -> list[float]:
    device = best_device()
    masked_model.to(device)
    steps = reading.epochs * -(-len(data.ids) // reading.batch_size)
    rates = Rates({"": reading.rate}, reading.weight_decay, reading.warmup, reading.clip_norm, steps)
    losses: list[float] = []

    def loss(rows: list[int]) -> Tensor:
        return guessing_loss(masked_model, make_batch(data, rows), ask, device)

    def log_epoch(epoch: Epoch) -> None:
        losses.append(held_out_loss(masked_model, judged, ask, device))
        if on_epoch is not None:
            on_epoch(epoch.number, epoch.loss, losses[-1])

    loop = TrainingLoop(masked_model, rates, reading.seed, checkpoint)
    loop.resume()
    loop.run(
        lambda generator: grouped(data, reading.batch_size, generator),
        loss,
        last=reading.epochs,
        on_epoch=log_epoch,
        quiet=quiet,
        title="reading",
    )
    masked_model.cpu()
    return losses


def guessing_loss(
    masked_model: Guesser, batch: Batch, ask: Ask, device: torch.device, generator: torch.Generator | None = None
) -> Tensor:
    """Mean cross-entropy of the guesses of one batch, 0 where nothing was asked."""
    ids, target = ask(batch, generator)
    asked = target != UNLABELLED
    with half_precision(device):
        logits = masked_model(ids.to(device), batch.mask.to(device), asked.to(device))
    if not len(logits):
        return masked_model.bias.sum() * 0.0
    return nn.functional.cross_entropy(logits.float(), target[asked].to(device))


@torch.no_grad()
def held_out_loss(masked_model: Guesser, judged: Encoded, ask: Ask, device: torch.device) -> float:
    """Mean loss on `judged`, always with the same words hidden."""
    masked_model.eval()
    generator = torch.Generator().manual_seed(0)
    batches = [make_batch(judged, rows) for rows in grouped(judged, 64)]
    found = [float(guessing_loss(masked_model, batch, ask, device, generator)) for batch in batches]
    return float(np.average(found, weights=[len(batch.rows) for batch in batches]))


def asked_words(
    batch: Batch, tokenizer: Tokenizer, mask_id: int, share: float, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Ids (batch, length) with a `share` of the words to be guessed, and the true ids of those, UNLABELLED elsewhere.

    Of these words 80% are hidden, 10% replaced by any other, 10% left; tokens that frame a text are never asked for.
    """
    special = [number for number, token in tokenizer.get_added_tokens_decoder().items() if token.special]
    frame = torch.tensor(sorted({*special, *tokenizer.encode("").ids, mask_id}))
    shape = batch.ids.shape
    asked = (batch.mask == 1) & ~torch.isin(batch.ids, frame) & (torch.rand(shape, generator=generator) < share)
    lot = torch.rand(shape, generator=generator)
    others = torch.randint(tokenizer.get_vocab_size(), shape, generator=generator)
    ids = torch.where(asked & (lot < 0.8), mask_id, batch.ids)
    ids = torch.where(asked & (lot >= 0.8) & (lot < 0.9), others, ids)
    return ids, torch.where(asked, batch.ids, UNLABELLED)


def _distinct(texts: Sequence[str]) -> list[str]:
    """Texts in the form a classifier reads, one of each story form, empty ones left out."""
    found: dict[str, str] = {}
    for text in map(model_input, texts):
        form = word_form(text)
        if form:
            found.setdefault(form, text)
    return list(found.values())
