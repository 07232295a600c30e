"""Half precision where the processor computes in it."""

from __future__ import annotations

from functools import cache

import torch

_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # what processors have for it, the last on ARM


def half_precision(device: torch.device) -> torch.autocast:
    """A context in which networks on `device` compute in bfloat16.

    A CPU without instructions for it stays in 32 bits: where AVX-512 is missing too, to emulate them takes many times
    as long, for less precision.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type != "cpu" or _cpu_has_bfloat16())


@cache
def _cpu_has_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name, False) for name in _BFLOAT16)
