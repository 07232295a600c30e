"""Half precision only where it is computed in, not emulated."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

import pytest
import torch

from trainer.learn import precision
from trainer.learn.precision import half_precision


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    precision._cpu_has_bfloat16.cache_clear()
    yield
    precision._cpu_has_bfloat16.cache_clear()


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx2": True, "avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"neon": True, "bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_a_cpu_computes_in_what_it_has_instructions_for(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: MappingProxyType(capabilities))
    layer = torch.nn.Linear(4, 4)
    with half_precision(torch.device("cpu")):
        assert layer(torch.ones(1, 4)).dtype == expected
    assert layer(torch.ones(1, 4)).dtype == torch.float32
