"""Gradients by the coefficients of a population: from the kernels, and from autograd over the step loop."""

from __future__ import annotations

from typing import Any

import pytest

from hasn.kernels import available

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import scan  # noqa: E402
from hasn.backends.snntorch.neurons import LinearNeuron  # noqa: E402
from tests.unit.backends.snntorch.test_engine import SLOPES, assert_close, compiled, given, outputs  # noqa: E402
from tests.unit.kernels.plain import Spike  # noqa: E402

pytestmark = pytest.mark.skipif(not available(), reason=f"no kernels here: {available().why}")

# One row and two, in either order, with each reset and without: each population's every coefficient trains.
CASES = ["readout, reset to zero", "readout, reset by subtraction", "two states", "two states, exact"]


def opened(executable: Any) -> dict[str, Any]:
    """The coefficients of its general neurons by name, made to train."""
    found = {}
    for name, neuron in executable.module.named_modules():
        if isinstance(neuron, LinearNeuron):
            found |= {f"{name}.{part}": value.requires_grad_() for part, value in neuron.named_buffers()}
    assert found
    return found


def gradients(executable: Any, x: Any) -> dict[str, Any]:
    """By every coefficient, every weight and the input, of a loss that weighs every value otherwise."""
    wanted = {"x": x.clone().requires_grad_(), **opened(executable), **dict(executable.module.named_parameters())}
    torch.manual_seed(3)
    loss = sum(
        (torch.rand_like(y) * y).sum() + 0.1 * y.square().sum() for y in outputs(executable, wanted["x"]).values()
    )
    made = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return {name: one for name, one in zip(wanted, made, strict=True) if one is not None}


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every population that went by its module over several steps."""
    seen: list[Any] = []
    looped = scan.looped
    monkeypatch.setattr(scan, "looped", lambda *given: (seen.append(given[0]), looped(*given))[1])
    return seen


@pytest.mark.parametrize("surrogate", SLOPES)
@pytest.mark.parametrize("name", CASES)
def test_in_float64_they_are_those_of_the_step_loop(name: str, surrogate: str, loops: list[Any]) -> None:
    """The step loop's spikes are float64 here: snnTorch's own are float32, and round every gradient."""
    precise = compiled(name, "steps", surrogate=lambda u: Spike.apply(u, *SLOPES[surrogate]))
    fused, x = compiled(name, "fused", surrogate=surrogate), given(name, steps=9, dtype=torch.float64)
    expected = gradients(precise, x)
    assert_close(gradients(fused, x), expected, 1e-10)
    assert any("neuron.a0" in part for part in expected)
    assert not loops


# Sums over 3 samples and 9 steps of some ten roundings each, in another order than autograd's.
@pytest.mark.parametrize("name", CASES)
def test_in_float32_to_one_part_in_a_hundred_thousand(name: str) -> None:
    x = given(name, steps=9)
    expected = gradients(compiled(name, "steps", precision="float32"), x)
    assert_close(gradients(compiled(name, "fused", precision="float32"), x), expected, 1e-5)


@pytest.mark.parametrize("name", CASES)
def test_in_chunks_they_go_through_the_states_between(name: str, loops: list[Any]) -> None:
    x = given(name, steps=9, dtype=torch.float64)
    whole, chunks = (compiled(name, "fused", recompute=every) for every in (None, 3))
    assert_close(gradients(chunks, x), gradients(whole, x), 1e-10)
    assert not loops


@pytest.mark.parametrize("name", ["recurrent", "convolution"])
def test_in_cycles_and_between_convolutions(name: str) -> None:
    x = given(name, steps=14, dtype=torch.float64)
    fused, steps = (compiled(name, engine, surrogate="atan") for engine in ("fused", "steps"))
    assert_close(gradients(fused, x), gradients(steps, x), 1e-5)


def test_only_what_trains_gets_one_and_every_run_has_its_own() -> None:
    """A threshold alone, twice forwards before twice backwards, as with losses of two batches."""
    fused, x = compiled("two states", "fused"), given("two states", steps=9)
    neuron = fused.module.node("n2").neuron
    neuron.threshold.requires_grad_()
    first, second = (outputs(fused, part)["output"].square().sum() for part in (x, x * 0.9))
    one = torch.autograd.grad(first, neuron.threshold)[0]
    other = torch.autograd.grad(second, neuron.threshold)[0]
    assert one.abs().max() > 1e-6
    assert not torch.equal(one, other)
    assert neuron.r0.grad is None
    with torch.no_grad():
        assert not outputs(fused, x)["output"].requires_grad
