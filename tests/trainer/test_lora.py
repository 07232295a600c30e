"""Adapters: few weights learn, and once merged the network is a plain one that says the same."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import torch

from core.errors import InputError
from core.taxonomy import Taxonomy
from trainer.learn.averaging import mean_f1
from trainer.learn.backbone import load_encoder
from trainer.learn.batches import encode
from trainer.learn.finetune import Recipe, fine_tune
from trainer.learn.lora import attach_adapters, merge_adapters, merged_state
from trainer.learn.network import Learned, Network, load_network, save_network
from trainer.learn.tokenizer import load_tokenizer, mask_number
from trainer.material import prepare
from trainer.pipeline import gather

LABELS = {"sentiment": ("negative", "neutral", "positive"), "topic": ("Banks", "Energy")}


@pytest.fixture
def network(tiny_backbone: Path) -> Network:
    torch.manual_seed(3)
    return Network(load_encoder(tiny_backbone), LABELS)


def test_a_merged_network_says_what_the_adapted_one_said(network: Network) -> None:
    plain = {name: value.clone() for name, value in network.state_dict().items()}
    attach_adapters(network, 4)
    learning = {name: p.numel() for name, p in network.named_parameters() if p.requires_grad}
    assert all(".lora_" in name or name.startswith("heads.") for name in learning)
    assert sum(learning.values()) < 0.4 * sum(value.numel() for value in plain.values())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if ".lora_" in name:
                parameter.normal_(std=0.1)
    network.eval()
    ids, mask = torch.randint(5, 60, (6, 9)), torch.ones(6, 9, dtype=torch.long)
    adapted = network(ids, mask)
    foreseen = merged_state(network)
    merge_adapters(network)
    assert network.state_dict().keys() == plain.keys() == foreseen.keys()
    for name, value in network.state_dict().items():
        assert torch.allclose(value, foreseen[name], atol=1e-6), name
    assert not torch.equal(network.encoder.layers[0].widen.weight, plain["encoder.layers.0.widen.weight"])
    assert all(parameter.requires_grad for parameter in network.parameters())
    for task, logits in network(ids, mask).items():
        assert torch.allclose(logits, adapted[task], atol=1e-5)


def test_fine_tuning_by_adapters_learns_and_leaves_a_plain_network(
    tmp_path: Path, tiny_backbone: Path, tiny_data: Path, tiny_taxonomy: Taxonomy
) -> None:
    material = prepare(gather([tiny_data], None, tiny_taxonomy), tiny_taxonomy)
    tokenizer = load_tokenizer(tiny_backbone)
    train, validation = (
        encode(part, tokenizer, material.labels, 40) for part in (material.split.train, material.split.validation)
    )
    recipe = Recipe(
        epochs=12, batch_size=16, head_rate=1e-2, lora_rank=8, lora_rate=6e-3, masked_words=0.0, patience=12
    )
    found = []
    for _ in range(2):
        torch.manual_seed(0)
        network = Network(load_encoder(tiny_backbone), material.labels)
        epochs = fine_tune(network, train, validation, mask_number(tokenizer, tiny_backbone), recipe, quiet=True)
        found.append(network)
    assert mean_f1(epochs[-1].validation) > 0.9
    before = load_encoder(tiny_backbone)
    assert torch.equal(found[0].encoder.words.weight, before.words.weight)
    assert torch.equal(found[0].encoder.layers[0].norm.weight, before.layers[0].norm.weight)
    assert not torch.equal(found[0].encoder.layers[0].narrow.weight, before.layers[0].narrow.weight)
    other = found[1].state_dict()
    assert all(torch.equal(value, other[name]) for name, value in found[0].state_dict().items())
    save_network(Learned(found[0], tokenizer, "tiny", recipe), tmp_path / "plain.safetensors")
    again = load_network(tmp_path / "plain.safetensors").network
    assert all(torch.equal(value, found[0].state_dict()[name]) for name, value in again.state_dict().items())


@pytest.mark.parametrize("rank", [32, 1000])
def test_a_rank_that_saves_nothing_is_refused(network: Network, rank: int) -> None:
    with pytest.raises(InputError, match="from 1 to 31"):
        attach_adapters(network, rank)
    with pytest.raises(InputError, match="lora_rank"):
        msgspec.structs.replace(Recipe(), lora_rank=-1)
