"""Populations that say their rows: by the kernel, with the step loop's bits and gradients, or by the loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import hasn
from hasn import kernels
from hasn.kernels import Line, Slope, available
from hasn.kernels.rows import MAX_STATES, NONE
from hasn.program.model import Condition, Neurons, Row
from tests.graphs import DT, Draw, chain

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import scan  # noqa: E402
from hasn.backends.snntorch.equations import RowEquations, equations  # noqa: E402
from hasn.backends.snntorch.neurons import Population  # noqa: E402
from hasn.backends.snntorch.scan import Scanner, looped  # noqa: E402
from tests.unit.backends.snntorch.test_engine import SLOPES, assert_close, compiled, given, gradients, outputs  # noqa: E402
from tests.unit.backends.snntorch.test_equations import CHANGES  # noqa: E402
from tests.unit.kernels.plain import Spike  # noqa: E402

pytestmark = pytest.mark.skipif(not available(), reason=f"no kernels here: {available().why}")

KINDS = {
    "AdaptiveLIF": ("AdaptiveLIF", {}),
    "AdaptiveLIF, held": ("AdaptiveLIF", {"refractory": 2 * DT, "v_init": 0.4}),
    "ResonateFire": ("ResonateFire", {"v_init": 0.1}),
    "IF, held": ("IF", {"refractory": 3 * DT}),
    "LIF, held": ("LIF", {"refractory": DT}),
    "CubaLIF, held": ("CubaLIF", {"refractory": 2 * DT}),
}


def population(kind: str, neurons: int, precise: Any = None, **options: Any) -> Any:
    name, metadata = KINDS[kind]
    if name == "ResonateFire":
        metadata = {**metadata, "reset": "zero"}  # the one that it has
    node = Draw(1).neuron(name, (neurons,), metadata=metadata)
    g = chain(node, given=(neurons,), result=(neurons,))
    more = {} if precise is None else {"surrogate": lambda u: Spike.apply(u, *SLOPES[precise])}
    return hasn.compile(g, "snntorch", dt=DT, **options, **more).module.node("n1")


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Every population that went by its module over several steps."""
    seen: list[Any] = []
    monkeypatch.setattr(scan, "looped", lambda *given: (seen.append(given[0]), looped(*given))[1])
    return seen


# Laid out as one row; two tiles a sample; two blocks a sample.
@pytest.mark.parametrize(("batch", "neurons"), [(1, 7), (5, 100), (3, 1100), (2, 8200)])
@pytest.mark.parametrize("method", ["euler", "exact"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_is_the_step_loops(
    kind: str, reset: str, method: str, batch: int, neurons: int, loops: list[Any]
) -> None:
    for precision, dtype in (("float32", torch.float32), ("float64", torch.float64)):
        module = population(kind, neurons, reset=reset, method=method, precision=precision)
        x = torch.tensor(np.random.default_rng(1).normal(0.4, 1.0, (15, batch, neurons)), dtype=dtype)
        with torch.no_grad():
            output, states, voltages = Scanner(module)(x, module.initial(batch), voltages=True)
            wanted = looped(module, x, module.initial(batch), voltages=True)
        assert 0.01 < wanted.output.mean() < 0.9
        for ours, theirs in zip((output, voltages, *states), (*wanted[::2], *wanted.states), strict=True):
            assert ours.dtype == dtype
            assert torch.equal(ours, theirs)
    assert not loops


@pytest.mark.parametrize("surrogate", SLOPES)
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_the_step_loops(kind: str, reset: str, surrogate: str, loops: list[Any]) -> None:
    """The step loop's spikes are float64 here: snnTorch's own are float32, and round every gradient."""
    found = []
    for precise in (surrogate, None):
        more = {"surrogate": surrogate} if precise is None else {}
        module = population(kind, 30, precise, reset=reset, **more)
        torch.manual_seed(3)
        x = torch.randn(9, 4, 30, dtype=torch.float64, requires_grad=True)
        states = tuple(state.clone() for state in module.initial(4))
        floating = [s.requires_grad_() for s, name in zip(states, module.states, strict=True) if name != "held"]
        made = looped(module, x, states) if precise else Scanner(module)(x, states)
        ends = made.states[: len(floating)]
        loss = sum((torch.rand_like(y) * y).sum() for y in (made.output, *ends))
        made_of = torch.autograd.grad(loss, [x, *floating])
        found.append(dict(zip(("x", *module.states), made_of, strict=False)))
    assert_close(found[1], found[0], 1e-12)
    assert not loops


@pytest.mark.parametrize("name", ["moving thresholds", "held"])
def test_in_chunks_they_go_through_the_states_between(name: str, loops: list[Any]) -> None:
    x = given(name, steps=17, dtype=torch.float64)
    whole, chunks = (compiled(name, "fused", recompute=every) for every in (None, 5))
    assert_close(gradients(chunks, x), gradients(whole, x), 1e-12)
    assert not loops


def test_a_products_memory_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the spikes, or by the first of the states that gradients want."""
    seen: list[Any] = []
    run = kernels.rows_forward
    monkeypatch.setattr(kernels, "rows_forward", lambda *a: (seen.append(a), run(*a)))
    executable, x = compiled("moving thresholds", "fused"), given("moving thresholds", dtype=torch.float64)
    with torch.no_grad():
        executable.module(x)
    assert [out == x for _, _, x, _, out, *_ in seen] == [True, True]
    seen.clear()
    executable.module(x)
    assert [(states.kept[0] == x, out == x) for _, _, x, states, out, *_ in seen] == [(True, False)] * 2
    assert [len(states.kept) for _, _, _, states, *_ in seen] == [2, 2]  # v and theta


def test_one_memory_of_all_samples_is_told_to_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    run = kernels.rows_forward
    monkeypatch.setattr(kernels, "rows_forward", lambda *a: (seen.append(a[3].shared), run(*a)))
    for neurons, own in ((128, False), (127, False), (128, True)):
        module = population("LIF, held", neurons)
        states = tuple(s.contiguous() if own and i else s for i, s in enumerate(module.initial(3)))
        with torch.no_grad():
            Scanner(module)(torch.zeros(2, 3, neurons, dtype=torch.float64), states)
    assert seen == [True, False, False]


def test_the_rows_by_hand() -> None:
    """States in the order of their names: theta, v, w. dt/tau = 1/4, 1/8 and 1/2."""
    full = {"tau": 4e-3, "r": 2.0, "v_leak": 0.5, "v_threshold": 0.75, "v_reset": 0.25, "tau_adaptation": 8e-3}
    full |= {"a": 0.5, "b": 0.1, "tau_threshold": 2e-3, "threshold_jump": 0.3}
    node = Draw(1).neuron("AdaptiveLIF", (2,), metadata={"refractory": 3e-3}, **full)
    module = hasn.compile(chain(node, given=(2,), result=(2,)), "snntorch", dt=1e-3).module.node("n1")
    found = equations(module)
    assert isinstance(found, RowEquations)
    assert found.slope == (Slope.ATAN, 2.0)
    program, k = found.program, [value[0].item() for value in found.values]
    assert (program.states, program.v, program.arrays) == (3, 1, 4)

    def read(line: Line) -> tuple[Any, ...]:
        by = [(state, 1.0 if number == NONE else k[number]) for state, number in line.terms]
        parts = [None if number == NONE else k[number] for number in (line.gain, line.bias)]
        return line.state, by, *parts, line.before, line.moves

    assert [read(line) for line in program.rows] == [
        (2, [(2, 0.875), (1, 0.0625)], None, -0.03125, False, False),
        (0, [(0, 0.5)], None, None, False, False),
        (1, [(1, 0.75), (2, -0.5)], 0.5, 0.125, False, False),
    ]
    assert program.condition is not None
    assert read(program.condition)[1:4] == ([(1, 1.0), (0, -1.0)], None, -0.75)
    assert [read(line) for line in program.resets] == [
        (1, [], None, 0.25, False, False),
        (0, [], None, 0.3, False, True),
        (2, [], None, 0.1, False, True),
    ]
    assert k[program.held] == 3.0
    assert torch.equal(found.repeated(3).reshape(-1, 3, 2)[:, 2], found.values)


def test_both_rows_of_a_resonator_read_what_was_before() -> None:
    found = equations(population("ResonateFire", 2))
    assert isinstance(found, RowEquations)
    assert found.program.rows == (
        Line(1, ((1, 0), (0, 1)), gain=2),  # x is written first: it sees the same
        Line(0, ((1, 3), (0, 4)), before=True),
    )


@pytest.mark.parametrize("change", [name for name in CHANGES if "of the" in name or name == "half" or "own" in name])
def test_what_the_kernel_cannot_be_told(change: str) -> None:
    module = population("LIF, held", 3)
    assert equations(module) is not None
    CHANGES[change](module)
    assert equations(module) is None


def opened(module: Any) -> dict[str, Any]:
    """Its coefficients by name, made to train; for how many steps a neuron is held has no gradient."""
    return {name: value.requires_grad_() for name, value in module.neuron.named_buffers() if name != "held"}


# One sample's neurons in a row of their own, and laid out with the batch.
@pytest.mark.parametrize("neurons", [30, 130])
@pytest.mark.parametrize("surrogate", ["atan", "triangular"])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_by_coefficients_are_the_step_loops(
    kind: str, reset: str, surrogate: str, neurons: int, loops: list[Any]
) -> None:
    """Every coefficient trains; the step loop's spikes are float64, as above. The bits forwards are the loop's."""
    found, sent = [], []
    for precise in (surrogate, None):
        module = population(kind, neurons, precise, reset=reset, **({} if precise else {"surrogate": surrogate}))
        wanted = opened(module)
        torch.manual_seed(3)
        x = torch.randn(9, 4, neurons, dtype=torch.float64, requires_grad=True)
        made = looped(module, x, module.initial(4)) if precise else Scanner(module)(x, module.initial(4))
        ends = made.states[: len(module.neuron.spec.states)]
        loss = sum((torch.rand_like(y) * y).sum() for y in (made.output, *ends))
        by = torch.autograd.grad(loss, [x, *wanted.values()], allow_unused=True)
        found.append({name: one for name, one in zip(("x", *wanted), by, strict=True) if one is not None})
        sent.append(made.output)
    assert {"x", "threshold", "r0" if kind != "ResonateFire" else "r1"} < set(found[0])
    assert_close(found[1], found[0], 1e-10)
    assert torch.equal(*sent)
    assert not loops


def test_coefficients_that_train_go_by_the_kernel_in_chunks_and_not_in_one_step(loops: list[Any]) -> None:
    made = []
    for recompute in (None, 5):
        executable = compiled("moving thresholds", "fused", recompute=recompute)
        wanted = opened(executable.module.node("n2"))
        out = outputs(executable, given("moving thresholds", steps=17, dtype=torch.float64))
        by = torch.autograd.grad(sum(y.square().sum() for y in out.values()), list(wanted.values()), allow_unused=True)
        made.append({name: one for name, one in zip(wanted, by, strict=True) if one is not None})
    assert made[0]["threshold"].abs().max() > 1e-6
    assert_close(made[1], made[0], 1e-10)
    assert not loops
    module = population("AdaptiveLIF", 3)
    opened(module)
    Scanner(module)(torch.rand(1, 2, 3, dtype=torch.float64), module.initial(2))
    assert loops == [module]


def test_only_what_trains_gets_a_gradient() -> None:
    module = population("AdaptiveLIF", 3)
    module.neuron.a0_w.requires_grad_()
    output, states, _ = Scanner(module)(torch.rand(4, 2, 3, dtype=torch.float64), module.initial(2))
    (output.sum() + states[2].sum()).backward()
    assert module.neuron.a0_w.grad.abs().max() > 0
    assert module.neuron.threshold.grad is None
    with torch.no_grad():
        assert not Scanner(module)(torch.rand(4, 2, 3, dtype=torch.float64), module.initial(2)).output.requires_grad


def general(states: int, **more: Any) -> Neurons:
    """v, and states a, b, ... that each decays and adds to it."""
    names = ("v", *"abcdefghijkl"[: states - 1])
    rows = [Row(name, ((name, np.full(4, 0.9)),), np.full(4, 0.3)) for name in names[1:]]
    rows.append(Row("v", tuple((name, np.full(4, 0.5 if name == "v" else 0.2)) for name in names)))
    initial = {name: np.zeros(4) for name in names}
    return Neurons("n", (4,), names, tuple(rows), initial, **more)


@pytest.mark.parametrize("states", [2, 7, MAX_STATES, MAX_STATES + 1])
def test_a_neuron_of_ones_own_goes_by_the_kernel_if_it_fits(states: int, loops: list[Any]) -> None:
    condition = Condition((("v", np.full(4, 0.5)), ("a", np.full(4, 0.1))), np.full(4, -0.2))
    resets = (Row("v", (("a", np.full(4, 0.5)),)), Row("a", (("a", np.ones(4)),)))  # the second one moves nothing
    surrogate = population("LIF, held", 1).neuron.spike_grad
    module = Population(general(states, condition=condition, resets=resets), surrogate)
    x = torch.rand(9, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        ours, theirs = Scanner(module)(x, module.initial(3)), looped(module, x, module.initial(3))
    assert 0.05 < theirs.output.mean() < 0.95
    assert torch.equal(ours.output, theirs.output)
    assert all(torch.equal(*pair) for pair in zip(ours.states, theirs.states, strict=True))
    assert len(loops) == (states > MAX_STATES)


def test_without_a_condition_v_is_the_output(loops: list[Any]) -> None:
    module = Population(general(3), lambda u: u)
    x = torch.rand(5, 2, 4, dtype=torch.float64, requires_grad=True)
    made = []
    for run in (Scanner(module), lambda *a: looped(module, *a)):
        found = run(x, module.initial(2))
        made.append((found.output, *torch.autograd.grad(found.output.square().sum(), [x])))
    assert torch.equal(made[0][0], made[1][0])
    assert_close({"x": made[0][1]}, {"x": made[1][1]}, 1e-14)
    assert not loops
    held = Population(replace(general(3), held=np.full(4, 2)), lambda u: u)  # what never spikes is never held
    assert equations(held) is None
