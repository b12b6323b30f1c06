"""What a scan overwrites, keeps and leaves to the step loop."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn import kernels
from hasn.kernels import Reset, Rows, available
from tests.graphs import DT, Draw, graph, inp, out, spikes

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import kernel_calls  # noqa: E402
from hasn.backends.snntorch.equations import Equations  # noqa: E402
from hasn.backends.snntorch.kernel_calls import forward  # noqa: E402
from hasn.backends.snntorch.scan import Scanner  # noqa: E402
from tests.unit.backends.snntorch.test_engine import compiled, given, outputs  # noqa: E402

pytestmark = pytest.mark.skipif(not available(), reason=f"no kernels here: {available().why}")


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of every forward call of the kernel."""
    seen: list[dict[str, Any]] = []
    forward = kernels.scan_forward

    def call(*given: Any) -> None:
        seen.append(dict(zip(("scan", "k", "x", "states", "out", "before", "after"), given, strict=True)))
        forward(*given)

    monkeypatch.setattr(kernels, "scan_forward", call)
    return seen


def test_what_nobody_else_reads_is_overwritten(calls: list[dict[str, Any]]) -> None:
    """A product's memory takes the spikes, or v before the reset where gradients want it."""
    x = given("two states", dtype=torch.float64)
    with torch.no_grad():
        outputs(compiled("two states", "fused"), x)
    assert [call["out"] == call["x"] for call in calls] == [True, True]
    assert not any(call["before"] or call["after"] for call in calls)
    calls.clear()
    outputs(compiled("two states", "fused"), x)
    assert [(call["before"] == call["x"], call["out"] == call["x"]) for call in calls] == [(True, False)] * 2
    calls.clear()
    hooked = compiled("two states", "fused")
    hooked.module.node("n1").register_forward_hook(lambda *_: None)
    with torch.no_grad():
        outputs(hooked, x)
    assert [call["out"] == call["x"] for call in calls] == [False, True]


def test_what_others_read_stays(calls: list[dict[str, Any]]) -> None:
    """ "w" is read by two populations and an Output; "sum" and "last" by nodes that have sums of their own."""
    executable = compiled("shared", "fused")
    with torch.no_grad():
        outputs(executable, given("shared", dtype=torch.float64))
    names = [name for group in executable.module.layers.order for name in group]
    order = [name for name in names if name in executable.program.recorded_voltages]
    taken = dict(zip(order, (call["out"] == call["x"] for call in calls), strict=True))
    assert taken == {"alone": True, "one": False, "two": False, "sum": True, "last": True}


def test_what_a_delay_gives_is_overwritten_unless_it_is_read_again(calls: list[dict[str, Any]]) -> None:
    d = Draw(3)
    nodes = {"input": inp(6), "w": d.linear(6, 6), "late": nir.Delay(np.arange(6) % 3 * DT), "lif": d.lif(6)}
    nodes |= {"output": out(6), "shown": out(6)}
    x = torch.tensor(spikes((6,), 8, 2))
    for path, overwritten in (("input > w", True), ("late > shown", False)):
        made = graph(nodes, "input > w > late > lif > output", path) if path == "late > shown" else None
        made = made or graph({k: v for k, v in nodes.items() if k != "shown"}, "input > w > late > lif > output")
        calls.clear()
        with torch.no_grad():
            outputs(hasn.compile(made, "snntorch", dt=DT), x)
        assert [call["out"] == call["x"] for call in calls] == [overwritten]


def test_the_sum_of_what_comes_a_step_later_is_overwritten(calls: list[dict[str, Any]]) -> None:
    """From one population to the next, a step later: what is read is a copy, shifted in time."""
    d = Draw(3)
    nodes = {"input": inp(6), "w": d.linear(6, 6), "one": d.lif(6), "two": d.lif(6), "output": out(6), "again": out(6)}
    made = graph(nodes, "input > w > one > two > output", "one > again")
    executable = hasn.compile(made, "snntorch", dt=DT, timing="hardware")
    assert [e.delay for e in executable.program.edges if (e.source, e.target) == ("one", "two")] == [1]
    with torch.no_grad():
        outputs(executable, torch.tensor(spikes((6,), 8, 2)))
    assert [call["out"] == call["x"] for call in calls] == [True, True]


@pytest.mark.parametrize("rows", [Rows.ONE, Rows.CURRENT_FIRST])
@pytest.mark.parametrize(
    ("neurons", "v", "c", "shared"),
    [
        (128, "one", "one", True),
        (127, "one", "one", False),  # laid out as one row of 381
        (128, "one", "each", False),
        (128, "each", "each", False),
        (128, "strided", "one", False),
    ],
)
def test_one_memory_of_all_samples_is_told_to_the_kernel(
    rows: Rows, neurons: int, v: str, c: str, shared: bool, calls: list[dict[str, Any]]
) -> None:
    """Initial states are not copied for each sample where a sample is a row of its own."""
    torch.manual_seed(0)
    wide, x = torch.rand(2 * neurons, dtype=torch.float64), torch.rand(2, 3, neurons, dtype=torch.float64)
    each = wide[:neurons].expand(3, neurons)
    kinds = {"one": each, "each": each.contiguous(), "strided": wide[::2].expand(3, neurons)}
    found = Equations(rows, Reset.NONE, torch.rand(8, neurons, dtype=torch.float64), None)
    given_v, given_c = kinds[v], None if rows is Rows.ONE else kinds[c]
    made = forward(x, given_v, given_c, found, None, None, torch.empty_like(x))
    own = [None if s is None else s.contiguous() for s in (given_v, given_c)]
    if rows is Rows.ONE and v == "one" and neurons == 128:
        shared = True  # there is no current to ask
    states = calls[0]["states"]
    assert states.shared is shared
    assert (states.v == each.data_ptr()) is shared
    wanted = forward(x, own[0], own[1], found, None, None, torch.empty_like(x))
    assert not calls[1]["states"].shared
    for ours, theirs in zip(made, wanted, strict=True):
        assert ours is theirs is None or torch.equal(ours, theirs)


def test_one_step_of_what_trains_goes_by_the_loop(calls: list[dict[str, Any]]) -> None:
    module = compiled("two states", "fused").module.node("n2")
    x, states = torch.rand(2, 3, 140, dtype=torch.float64), module.initial(3)
    Scanner(module)(x[:1], states)
    assert len(calls) == 1
    module.neuron.threshold.requires_grad_()
    Scanner(module)(x[:1], states)
    assert len(calls) == 1
    Scanner(module)(x, states)
    assert len(calls) == 2


@pytest.mark.parametrize("name", ["two states", "two states, exact", "readout, reset to zero"])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_voltages_states_and_outputs_are_the_loops(name: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = compiled(name, "fused").module.node("n2")
    size = module.spec.shape[0]
    x = torch.tensor(np.random.default_rng(1).normal(0.4, 1.0, (steps, 3, size)))
    found = []
    for switch in ("1", "0"):
        monkeypatch.setenv("HASN_KERNELS", switch)
        with torch.no_grad():
            output, states, voltages = Scanner(module)(x.clone(), module.initial(3), voltages=True)
        found.append((output, voltages, *states))
        assert Scanner(module)(x.clone(), module.initial(3)).voltages is None
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)
    assert found[0][0].shape == found[0][1].shape == x.shape


def test_which_tensors_a_kernel_reads() -> None:
    x = torch.zeros(2)
    assert kernel_calls.possible()
    assert kernel_calls.reads(x, x)
    assert not kernel_calls.reads(x, torch.nn.Parameter(x))
    assert not kernel_calls.reads(torch.nn.Parameter(x), x)
    assert not kernel_calls.reads(x, torch.zeros(2, device="meta"))
    assert not kernel_calls.reads(torch.zeros(2, device="meta"))


def test_switched_off_nothing_is_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "0")
    assert not kernel_calls.possible()
    assert not kernel_calls.reads(torch.zeros(2))
    module = compiled("two states", "fused").module.node("n2")
    assert Scanner(module)._found is None


def test_a_run_gives_spikes_of_its_precision() -> None:
    for precision, dtype in (("float32", np.float32), ("float64", np.float64)):
        found = compiled("two states", "fused", precision=precision).run(spikes((12,), 5, 2), record=("voltages",))
        assert found.output.dtype == dtype
        assert {v.dtype for v in found.voltages.values()} == {np.dtype(dtype)}
        assert not found.spikes
