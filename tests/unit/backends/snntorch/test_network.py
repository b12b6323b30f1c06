"""The torch module's edges: what it takes and refuses, what it keeps, and how a run is cut."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError
from hasn.program.integers.encode import chip_neuron
from tests.graphs import DT, Draw, chain, graph, inp, out, spikes
from tests.unit.backends.snntorch.engine_nets import net
from tests.unit.backends.snntorch.test_engine import compiled, given

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import executable as executables  # noqa: E402
from hasn.backends.snntorch.engine import Pass  # noqa: E402
from hasn.backends.snntorch.integer_network import TorchIntegers  # noqa: E402
from tests.unit.backends.snntorch import integers  # noqa: E402


@pytest.mark.parametrize("shape", [(5, 12), (5, 2, 11), (5, 2, 1, 12), (5, 2, 12, 1), (12,)])
def test_an_input_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="the input has the wrong shape") as caught:
        compiled("two states", "fused").module(torch.zeros(shape))
    assert (caught.value.node, caught.value.parameter, caught.value.got) == ("input", "x", shape)
    assert caught.value.wanted == "(T, batch, 12)"


def test_inputs_by_name() -> None:
    module, x = compiled("two states", "fused").module, given("two states")
    assert torch.equal(module({"input": x}), module(x))
    for wrong, got in (({}, "none"), ({"x": x}, "x"), ({"input": x, "x": x}, "input, x")):
        with pytest.raises(InputError, match="one tensor for each Input") as caught:
            module(wrong)
        assert (caught.value.got, caught.value.wanted) == (got, "input")
    assert module(x.double()).dtype == torch.float64  # the module's own type, whatever is given


def test_a_graph_without_an_input_runs_by_steps() -> None:
    alone = graph({"lif": Draw(2).lif(3, v_leak=4.0), "output": out(3)}, "lif > output")
    for engine in ("steps", "fused"):
        executable = hasn.compile(alone, "snntorch", dt=DT, engine=engine)
        with pytest.raises(InputError, match=r"the graph has no Input"):
            executable.module(torch.zeros(4, 2, 3))
        assert executable.run(steps=60).output.any()
        assert executable.run(steps=60).output.shape == (60, 3)


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("engine", ["steps", "fused"])
def test_a_network_without_parameters_computes_in_its_precision(engine: str, precision: str) -> None:
    late = nir.Delay(np.array([0, 1, 2]) * DT)
    bare = graph(
        {"input": inp(3), "late": late, "output": out(3), "echo": out(3)}, "input > late > output", "input > echo"
    )
    executable = hasn.compile(bare, "snntorch", dt=DT, engine=engine, precision=precision)
    x = np.random.default_rng(0).normal(size=(4, 2, 3))
    wanted = {"echo": x.astype(precision), "output": np.zeros((4, 2, 3), precision)}
    for i in range(3):
        wanted["output"][i:, :, i] = x[: 4 - i, :, i]
    run, made = executable.run(x).outputs, executable.module(torch.tensor(x))
    stream = [executable.step(now) for now in x]
    for name, array in wanted.items():
        for found in (run[name], made[name].numpy(), np.stack([step[name] for step in stream])):
            assert found.dtype == precision
            np.testing.assert_array_equal(found, array)


def test_a_checkpoint_is_for_training_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    name = "hasn.backends.snntorch.module.by_chunks"
    by_chunks = executables.SpikingNetwork.forward.__globals__["by_chunks"]
    monkeypatch.setattr(name, lambda *a: (calls.append(a[2]), by_chunks(*a))[1])
    executable, x = compiled("two states", "fused", recompute=4), given("two states")
    expected = compiled("two states", "steps").module(x)
    with torch.no_grad():
        assert torch.equal(executable.module(x), expected)
    assert not calls
    assert torch.equal(executable.module(x), expected)
    assert calls == [4]


def test_the_state_dict_has_weights_and_coefficients_and_no_initial_states() -> None:
    names = set(compiled("readout, reset to zero", "fused").module.state_dict())
    assert {"nodes.n1.weight", "nodes.n1.bias", "nodes.n2.neuron.threshold"} <= names
    assert not any("initial" in name for name in names)


@pytest.mark.parametrize("engine", ["steps", "fused"])
def test_neurons_keep_nothing_of_a_run(engine: str) -> None:
    executable = compiled("snnTorch's own neurons", engine)
    for run in (lambda: executable.module(given("snnTorch's own neurons")), lambda: executable.run(np.zeros((3, 12)))):
        run()
        for name in ("n2", "n4"):
            assert executable.module.node(name).neuron.mem.numel() == 0
        assert executable.module.node("n4").neuron.syn.numel() == 0
    with pytest.raises(KeyError):
        executable.module.node("input")


def test_back_to_nir_with_what_training_changed() -> None:
    """Weight, bias and scale; the step; and the reset of those neurons alone whose reset is no default."""
    d = Draw(3)
    nodes = (
        d.affine(5, 4), d.lif(5, metadata={"reset": "subtract"}), nir.Scale(d.between(0.5, 2.0, (5,))), d.linear(3, 5),
        d.lif(3),
    )  # fmt: skip
    original = chain(*nodes, given=(4,), result=(3,))
    executable = hasn.compile(original, "snntorch", dt=DT)
    before = {n: {p: np.copy(v) for p, v in vars(node).items() if p in ("weight", "bias", "scale")}
              for n, node in original.nodes.items()}  # fmt: skip
    with torch.no_grad():
        for parameter in executable.module.parameters():
            parameter.mul_(0.5)
    made = executable.to_nir()
    assert made.metadata["dt"] == DT
    assert "dt" not in original.metadata
    changed = 0
    for name, parts in before.items():
        for part, value in parts.items():
            np.testing.assert_array_equal(getattr(original.nodes[name], part), value)
            np.testing.assert_array_equal(getattr(made.nodes[name], part), value * 0.5)
            changed += 1
    assert changed == 4
    assert made.nodes["n2"].metadata["reset"] == "subtract"
    assert "reset" not in made.nodes["n5"].metadata
    with torch.no_grad():
        executable.module.node("n1").weight.mul_(3)
    assert not np.array_equal(made.nodes["n1"].weight, executable.to_nir().nodes["n1"].weight)  # a copy of its own


def test_a_long_run_is_cut_into_as_many_steps_as_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    class Seen(executables.Pass):
        def __init__(self, network: Any, state: Any, steps: int, *more: Any) -> None:
            super().__init__(network, state, steps, *more)
            seen.append(steps)

    monkeypatch.setattr(executables, "Pass", Seen)
    executable, x = compiled("two states", "fused"), spikes((12,), 23, 3)
    assert executable._width == 12 + 140 + 140 + 5 + 5 + 5  # of input, products, populations and output
    whole = executable.run(x).output
    for held, wanted in ((307 * 3 * 5, [5, 5, 5, 5, 3]), (307 * 3 * 6 - 1, [5, 5, 5, 5, 3]), (1, [1] * 23)):
        seen.clear()
        monkeypatch.setattr(executables, "_HELD", held)
        np.testing.assert_array_equal(executable.run(x).output, whole)
        assert seen == wanted
    assert net("two states")


def test_integers_are_cut_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, seen, advance = np.random.default_rng(0), [], TorchIntegers.advance
    monkeypatch.setattr(TorchIntegers, "advance", lambda *a: (seen.append(a[3]), advance(*a))[1])
    neuron = chip_neuron((3,), dt=DT, du=100, dv=100, vth=500)
    nodes = {"in": inp(4), "w": integers.linear(rng, (3, 4)), "pop": neuron, "out": out(3)}
    executable = integers.compiled(integers.chip_graph(nodes, ("in", "w"), ("w", "pop"), ("pop", "out")))
    assert executable._network.width == 2 * (4 + 3) + 3 * 3
    x = integers.spikes(1, 11, 2, 4)
    executable.run(x)
    monkeypatch.setattr("hasn.backends.snntorch.integer_executable._HELD", 23 * 2 * 4)
    executable.run(x)
    assert seen == [11, 4, 4, 3]


@pytest.mark.parametrize(
    ("kind", "fixed", "stock"),
    [
        ("LIF", {"v_threshold": 0.0}, "Leaky"),
        ("LIF", {"v_threshold": 0.5, "metadata": {"v_init": 0.5}}, "Leaky"),
        ("LIF", {"v_threshold": 0.5, "metadata": {"v_init": 0.51}}, "LinearNeuron"),
        ("LIF", {"tau": DT}, "Leaky"),  # beta = 0
        ("LIF", {"tau": 0.99 * DT}, "LinearNeuron"),
        ("CubaLIF", {"tau_syn": DT, "tau_mem": DT}, "Synaptic"),
        ("CubaLIF", {"tau_syn": 0.99 * DT}, "LinearNeuron"),
        ("CubaLIF", {"tau_mem": 0.99 * DT}, "LinearNeuron"),
        ("CubaLIF", {"v_leak": 0.1}, "LinearNeuron"),
        ("CubaLIF", {"v_threshold": -0.1}, "LinearNeuron"),
    ],
)
def test_where_snntorchs_equation_ends(kind: str, fixed: dict[str, Any], stock: str) -> None:
    """And it runs as the general neuron does."""
    arrays = {
        name: value if name == "metadata" else np.broadcast_to(value, 5).astype(float) for name, value in fixed.items()
    }
    node = Draw(1).neuron(kind, (5,), **{"v_leak": np.zeros(5), "v_reset": np.zeros(5)} | arrays)
    executable = hasn.compile(chain(Draw(1).linear(5, 4), node, given=(4,), result=(5,)), "snntorch", dt=DT)
    assert type(executable.module.node("n2").neuron).__name__ == stock


def test_a_pass_ends_with_what_was_wanted_and_no_more() -> None:
    """Of every other node the values are gone: they are most of what a run holds."""
    module = compiled("two states", "fused").module
    for wanted in ((), ("n1",), ("n2", "output")):
        with torch.no_grad():
            done = Pass(module, module.start(2), 5, 2, wanted, ("n4",)).run({"input": torch.rand(5, 2, 12).double()})
        assert set(done.values) == set(wanted)
        assert set(done.voltages) == {"n4"}


def test_values_are_let_go_after_their_last_reader() -> None:
    layers = compiled("snnTorch's own neurons", "fused").module.layers
    names = ["input", *(f"n{i}" for i in range(1, 7)), "output"]
    assert layers.order == [(name,) for name in names]
    assert layers.last == [(), *((name,) for name in names[:-2]), ("n6", "output")]
    shared = compiled("shared", "fused").module.layers
    place = {name: i for i, group in enumerate(shared.order) for name in group}
    gone = {name: i for i, names in enumerate(shared.last) for name in names}
    assert gone["w"] == max(place[n] for n in ("one", "two", "flag", "drive"))
    assert gone["last"] == max(place["output"], place["again"])
    assert shared.readers["w"] == 4
    assert compiled("recurrent", "fused").module.layers.looping == set()
