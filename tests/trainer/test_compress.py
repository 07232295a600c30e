"""Each compression stage on a tiny network: smaller, and still the same function where it claims to be."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.compress.distil import Mixture, distillation
from trainer.compress.ensemble import mixed
from trainer.compress.factorize import factorize
from trainer.compress.prune import drop_layers, importance, only_layers, prune_layers, with_encoder
from trainer.compress.vocabulary import prune_vocabulary
from trainer.data.corpora import read_jsonl
from trainer.data.examples import Example
from trainer.learn.averaging import judge_all, mean_f1, predict_logits
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import Batch, Encoded, bucketed, encode
from trainer.learn.encoder import rebuilt
from trainer.learn.finetune import fine_tune
from trainer.learn.network import Network
from trainer.learn.objectives import labelled_loss
from trainer.learn.recipe import Recipe
from trainer.learn.tokenizer import load_tokenizer

RECIPE = Recipe(epochs=8, batch_size=16, encoder_rate=3e-3, head_rate=1e-2, masked_words=0.0, patience=8)
MASK_ID = 4


@pytest.fixture(scope="module")
def examples(tiny_data: Path, tiny_taxonomy: Taxonomy) -> list[Example]:
    return read_jsonl(tiny_data, tiny_taxonomy)


@pytest.fixture(scope="module")
def tokenizer(tiny_backbone: Path) -> Tokenizer:
    return load_tokenizer(tiny_backbone)


@pytest.fixture(scope="module")
def data(examples: list[Example], tokenizer: Tokenizer, tiny_taxonomy: Taxonomy) -> Encoded:
    return encode(examples, tokenizer, tiny_taxonomy.tasks, 32)


@pytest.fixture(scope="module")
def teacher(tiny_backbone: Path, tiny_taxonomy: Taxonomy, data: Encoded) -> Network:
    torch.manual_seed(0)
    network = Network(load_encoder(tiny_backbone), tiny_taxonomy.tasks)
    fine_tune(network, data, data, MASK_ID, RECIPE, quiet=True)
    assert mean_f1(judge_all(network, data)) > 0.95
    return network


def batch_loss(network: Network, batch: Batch) -> torch.Tensor:
    return labelled_loss(network(batch.ids, batch.mask), batch, 0.0)


@torch.no_grad()
def mean_loss(network: Network, data: Encoded) -> float:
    network.eval()
    return float(np.mean([float(batch_loss(network, batch)) for batch in bucketed(data, 64)]))


def largest_gap(one: Network, other: Network, data: Encoded) -> float:
    pairs = zip(predict_logits(one, data).values(), predict_logits(other, data).values(), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


def test_a_neuron_and_a_head_without_effect_are_the_first_to_go(teacher: Network, data: Encoded) -> None:
    network = only_layers(teacher, [0, 1])
    with torch.no_grad():
        for layer in network.encoder.layers:
            layer.narrow.weight[:, [3, 10, 40]] = 0
            layer.attention.weight[:, :16] = 0
    scores = importance(network, data, batch_loss)
    for heads, inner in scores:
        assert heads.argmin() == 0
        assert set(np.argsort(inner)[:3]) == {3, 10, 40}
    pruned = prune_layers(network, scores, 1, 61)
    assert [(layer.heads, layer.inner) for layer in pruned.architecture.layers] == [(1, 61)] * 2
    assert pruned.architecture.parameters < network.architecture.parameters
    assert largest_gap(network, pruned, data) < 1e-4
    with pytest.raises(InputError, match="at least one"):
        prune_layers(network, scores, 0, 5)


def test_the_layer_that_does_nothing_is_dropped(teacher: Network, data: Encoded) -> None:
    idle = only_layers(teacher, [0, 0, 1])
    with torch.no_grad():
        for product in (idle.encoder.layers[1].attention, idle.encoder.layers[1].narrow):
            product.weight.zero_()
            product.bias.zero_()
    kept = drop_layers(idle, 2, data, mean_loss)
    assert largest_gap(kept, only_layers(idle, [0, 2]), data) == 0
    with pytest.raises(InputError, match="the network has 3"):
        drop_layers(idle, 4, data, mean_loss)


def test_unused_words_leave_the_vocabulary_and_no_text_changes(
    teacher: Network, data: Encoded, examples: list[Example], tokenizer: Tokenizer, tiny_taxonomy: Taxonomy
) -> None:
    texts = [example.text for example in examples]
    smaller, other = prune_vocabulary(teacher, tokenizer, texts, 1000)
    assert smaller.architecture.vocabulary == other.get_vocab_size() < tokenizer.get_vocab_size()
    again = encode(examples, other, tiny_taxonomy.tasks, 32)
    assert [len(ids) for ids in again.ids] == [len(ids) for ids in data.ids]
    pairs = zip(predict_logits(teacher, data).values(), predict_logits(smaller, again).values(), strict=True)
    assert all(np.abs(a - b).max() < 1e-5 for a, b in pairs)


def test_a_small_vocabulary_spells_rare_words(teacher: Network, tokenizer: Tokenizer, examples: list[Example]) -> None:
    smaller, other = prune_vocabulary(teacher, tokenizer, [example.text for example in examples], 30)
    assert smaller.architecture.vocabulary <= 30
    assert other.encode("bank").tokens[0] == "[CLS]"
    assert other.token_to_id("[MASK]") is not None
    bpe = Tokenizer.from_str(
        '{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,"pre_tokenizer":null,'
        '"post_processor":null,"decoder":null,"model":{"type":"BPE","vocab":{"a":0},"merges":[]}}'
    )
    with pytest.raises(InputError, match="BPE"):
        prune_vocabulary(teacher, bpe, [], 10)


def test_full_rank_changes_nothing_and_low_rank_little(teacher: Network, data: Encoded) -> None:
    whole = factorize(teacher, data, 1.0, ["widen"])
    assert largest_gap(teacher, factorize(_low_rank(teacher, 5), data, 1.0, ["widen"]), data) > 0
    exact = _low_rank(teacher, 5)
    assert largest_gap(exact, factorize(exact, data, 1.0, ["widen"]), data) < 1e-3
    assert whole.architecture.layers[0].ranks == {"widen": 21}
    assert mean_f1(judge_all(whole, data)) > 0.9
    with pytest.raises(InputError, match="no product 'wide'"):
        factorize(teacher, data, 0.5, ["wide"])
    with pytest.raises(InputError, match="share of 0"):
        factorize(teacher, data, 0, ["widen"])


def _low_rank(network: Network, rank: int) -> Network:
    copy = only_layers(network, [0, 1])
    with torch.no_grad():
        for layer in copy.encoder.layers:
            left, values, right = torch.linalg.svd(layer.widen.weight, full_matrices=False)
            values[rank:] = 0
            layer.widen.weight.copy_(left * values @ right)
    return copy


def test_a_student_learns_what_its_teachers_say_of_unlabelled_texts(teacher: Network, data: Encoded) -> None:
    student = prune_layers(teacher, importance(teacher, data, batch_loss), 1, 16)
    with torch.no_grad():
        for head in student.heads.values():
            head.weight.zero_()
    bare = Encoded(data.ids, {task: [-100] * len(data.ids) for task in data.targets})
    before = mean_f1(judge_all(student, data))
    answers = predict_logits(teacher, bare)
    equal = {task: [0.5, 0.5] for task in answers}
    soft = {task: torch.from_numpy(rows) for task, rows in mixed([answers, answers], equal, 2.0).items()}
    assert all(torch.allclose(rows.sum(1), torch.ones(len(bare.ids))) for rows in soft.values())
    objective = distillation(soft, Mixture(temperature=2.0, labels=0.0, hidden=1.0), 0.0, teacher)
    fine_tune(student, bare, data, MASK_ID, RECIPE, objective=objective, quiet=True)
    assert before < 0.5
    assert mean_f1(judge_all(student, data)) > 0.95


def test_a_head_takes_its_view_of_distances_with_it(teacher: Network, data: Encoded) -> None:
    architecture = msgspec.structs.replace(teacher.architecture, relative_positions=True)
    weights = teacher.encoder.state_dict()
    for number in range(2):
        weights[f"layers.{number}.position_bias"] = torch.tensor([[1.0], [2.0]]).expand(2, 79).clone()
    network = with_encoder(teacher, rebuilt(architecture, weights))
    scores = [(np.array([0.0, 1.0]), np.ones(64)), (np.array([1.0, 0.0]), np.ones(64))]
    pruned = prune_layers(network, scores, 1, 64)
    assert [set(layer.position_bias.flatten().tolist()) for layer in pruned.encoder.layers] == [{2.0}, {1.0}]
    assert pruned.architecture.parameters == sum(p.numel() for p in pruned.encoder.parameters())
