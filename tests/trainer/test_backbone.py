"""Backbones of several families compute in newstide's encoder what they compute at home."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import (
    AlbertConfig,
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    MPNetConfig,
    MPNetModel,
    RobertaConfig,
    RobertaModel,
)

from core.errors import InputError
from trainer.learn.backbone import backbone_name, find_backbone, load_encoder, packaged_backbone
from trainer.learn.encoder import Architecture, Encoder, LayerShape
from trainer.learn.network import Learned, Network, load_network, save_network
from trainer.learn.recipe import Recipe

SIZES = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
FAMILIES: dict[str, Any] = {
    "bert": BertModel(BertConfig(**SIZES), add_pooling_layer=False),
    "roberta": RobertaModel(RobertaConfig(**SIZES), add_pooling_layer=False),
    "electra": ElectraModel(ElectraConfig(**SIZES, embedding_size=16)),
    "mpnet": MPNetModel(MPNetConfig(**SIZES, max_position_embeddings=40), add_pooling_layer=False),
    "distilbert": DistilBertModel(DistilBertConfig(vocab_size=30, dim=16, n_layers=2, n_heads=2, hidden_dim=24)),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_hidden_states_are_those_of_the_family(family: str, tmp_path: Path) -> None:
    theirs = FAMILIES[family].eval()
    theirs.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").touch()
    ours = load_encoder(tmp_path)
    ids = torch.randint(5, 30, (3, 7))
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    ids[1, 4:] = FAMILIES[family].config.pad_token_id or 0
    with torch.no_grad():
        expected = theirs(input_ids=ids, attention_mask=mask).last_hidden_state
        found = ours(ids, mask)
    assert torch.allclose(expected[mask == 1], found[mask == 1], atol=1e-5)
    assert ours.architecture.relative_positions == (family == "mpnet")
    assert ours.architecture.parameters == sum(parameter.numel() for parameter in ours.parameters())


def test_an_unknown_family_is_named(tmp_path: Path) -> None:
    AlbertConfig().save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(InputError, match=r"'albert'.*bert, electra"):
        load_encoder(tmp_path)


def test_a_model_of_the_hub_is_called_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "models--owner--some-model" / "snapshots" / "0a1b"
    path.mkdir(parents=True)
    assert backbone_name(path) == "owner/some-model"
    assert backbone_name(tmp_path) == tmp_path.name


def test_the_packaged_one_is_found_by_its_name() -> None:
    assert find_backbone(backbone_name(packaged_backbone())) == packaged_backbone()


def test_a_name_that_is_neither_directory_nor_model_is_refused() -> None:
    with pytest.raises(InputError, match="owner/model"):
        find_backbone("./nowhere")


def test_a_network_is_kept_with_its_architecture(tmp_path: Path) -> None:
    shapes = [LayerShape(1, 8), LayerShape(2, 12, {"widen": 3})]
    architecture = Architecture(20, 10, 16, 8, shapes, "relu")
    network = Network(Encoder(architecture), {"sentiment": ("bad", "good")})
    tokenizer = Tokenizer(models.WordPiece({f"w{n}": n for n in range(20)}, unk_token="w0"))
    save_network(Learned(network, tokenizer, "tiny", Recipe(seed=3)), tmp_path / "kept.safetensors")
    kept = load_network(tmp_path / "kept.safetensors")
    assert (kept.backbone, kept.recipe) == ("tiny", Recipe(seed=3))
    assert kept.tokenizer.encode("w7").ids == [7]
    again = kept.network
    assert again.architecture == architecture
    assert again.labels == network.labels
    ids = torch.arange(6)[None]
    assert torch.equal(again.eval()(ids, ids > -1)["sentiment"], network.eval()(ids, ids > -1)["sentiment"])
    bare = Network(Encoder(msgspec.structs.replace(architecture, layers=[])), network.labels)
    save_network(msgspec.structs.replace(kept, network=bare), tmp_path / "bare.safetensors")
    with pytest.raises(InputError, match=r"bare\.safetensors holds no network.*no layers"):
        load_network(tmp_path / "bare.safetensors")
    with pytest.raises(InputError, match="can't be written"):
        save_network(kept, tmp_path / "bare.safetensors" / "below.safetensors")
    (tmp_path / "kept.safetensors").write_bytes(b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ")
    with pytest.raises(InputError, match="holds no network"):
        load_network(tmp_path / "kept.safetensors")
    with pytest.raises(InputError, match="does not exist"):
        load_network(tmp_path / "missing")
