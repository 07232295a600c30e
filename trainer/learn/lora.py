"""Low-rank adaptation (Hu et al. 2022) of an encoder, by peft: W + s B A is learnt, A and B thin, and W stays."""

from __future__ import annotations

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as Adapted
from torch import Tensor, nn

from core.errors import InputError
from trainer.learn.averaging import State
from trainer.learn.network import Network

_NAME = "default"
DROPOUT = 0.05  # on what enters an adapter


def attach_adapters(network: Network, rank: int) -> None:
    """Freeze the encoder of `network` and put an adapter of `rank` beside each matrix product; the heads still learn.

    The product of A and B is scaled by 2, as is usual. Raises InputError for a rank that is no low one.
    """
    products = {name: module for name, module in network.encoder.named_modules() if isinstance(module, nn.Linear)}
    smallest = min(min(module.in_features, module.out_features) for module in products.values())
    if not 0 < rank < smallest:
        raise InputError(f"adapters of rank {rank} save nothing in this encoder; pass a rank from 1 to {smallest - 1}")
    config = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=DROPOUT, target_modules=list(products))
    inject_adapter_in_model(config, network.encoder, adapter_name=_NAME)


def merge_adapters(network: Network) -> None:
    """Add the adapters into the weights and take them away: a plain network again, all of it free to learn."""
    adapted = [(name, module) for name, module in network.encoder.named_modules() if isinstance(module, Adapted)]
    for name, module in adapted:
        module.merge()
        parent, _, attribute = name.rpartition(".")
        setattr(network.encoder.get_submodule(parent), attribute, module.get_base_layer())
    if hasattr(network.encoder, "peft_config"):
        del network.encoder.peft_config
    network.encoder.requires_grad_(True)


def merged_state(network: Network) -> State:
    """The plain state that `network` would have with its adapters merged, on the CPU; without, a copy of its own."""
    state = {
        name.replace(".base_layer.", "."): value.detach().cpu().clone()
        for name, value in network.plain_state().items()
        if ".lora_" not in name
    }
    for name, module in network.encoder.named_modules():
        if isinstance(module, Adapted):
            delta: Tensor = module.get_delta_weight(_NAME)
            state[f"encoder.{name}.weight"] += delta.detach().cpu()
    return state
