"""Runs by chunks: values, sums and gradients of the whole run, whatever the chunks."""

from __future__ import annotations

from typing import Any

import pytest

from hasn.program.model import Sink

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch.chunks import _sum, by_chunks  # noqa: E402
from tests.unit.backends.snntorch.test_engine import compiled, given  # noqa: E402


def found(module: Any, x: Any, chunk: int) -> tuple[dict[str, Any], dict[str, Any], Any]:
    """Values, sums, and the gradient by the input."""
    x = x.clone().requires_grad_()
    kept = [step.name for step in module.program.of(Sink)]
    counted = list(module.program.recorded_spikes)
    values, counts, _ = by_chunks(module, module.inputs_of(x), chunk, kept, counted)
    assert list(values) == kept
    assert list(counts) == counted
    sum((y * (i + 1)).sum() for i, y in enumerate([*values.values(), *counts.values()])).backward()
    return values, counts, x.grad


@pytest.mark.parametrize("engine", ["steps", "fused"])
@pytest.mark.parametrize("name", ["recurrent", "delays"])
def test_every_chunk_gives_the_same(name: str, engine: str) -> None:
    executable, x = compiled(name, engine), given(name, steps=7, dtype=torch.float64)
    whole = executable.module(x)
    run = executable.run(x.numpy(), record=("spikes",))
    _, _, gradient = found(executable.module, x, 7)
    assert gradient.abs().max() > 1e-3
    for chunk in (1, 3, 100):  # 3 leaves one step
        values, counts, by_x = found(executable.module, x, chunk)
        assert torch.equal(next(iter(values.values())), whole), chunk
        for node, total in counts.items():
            assert total.detach().tolist() == run.spikes[node].sum(0).tolist()
        torch.testing.assert_close(by_x, gradient, rtol=1e-6, atol=1e-9)


def test_sums_count_beyond_256_in_16_bits() -> None:
    for dtype in (torch.bfloat16, torch.float16):
        total = _sum(torch.ones(4001, 2, dtype=dtype))
        assert (total.dtype, total.tolist()) == (torch.float32, [4001, 4001])
    for dtype in (torch.float32, torch.float64):
        assert _sum(torch.ones(3, 2, dtype=dtype)).dtype == dtype
