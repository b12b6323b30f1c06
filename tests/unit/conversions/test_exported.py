"""What is made of an export, without the tool: a hand-written one of the form that Norse and Sinabs give."""

from __future__ import annotations

import inspect
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.exported import Tool, export, just_below, rebuilt, spread
from hasn.conversions.update import Piece, Update, piece_of
from hasn.errors import UnsupportedError

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
DT = 1e-3


class Part:
    """A module, as far as the conversion looks at it."""

    training = False

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def named_modules(self, prefix: str = "") -> Any:
        yield prefix, self
        for name, part in self.parts.items():
            yield from part.named_modules(f"{prefix}.{name}" if prefix else name)

    def children(self) -> Any:
        return iter(self.parts.values())


class Linear(Part):
    pass


class Cell(Part):
    """v <- 0.75 v + x, z = 1[v >= 1], v <- v - z."""


class Dropout(Part):
    pass


def cell(part: Any, path: str, shape: Any, dt: float) -> Piece:
    one = np.ones(shape)
    below = just_below(one)
    fires = {"v_threshold": below, "v_reset": below - one}
    return piece_of(Update(0.75 * one, one, fires=fires, metadata={"reset": "subtract"}), path, dt)


TOOL = Tool("The tool", {Cell: cell})


def exported() -> nir.NIRGraph:
    """The batch counted into the Input, one value for all neurons, an edge listed twice, tau in steps, no reset."""
    one = np.ones(())
    nodes = {
        "input": nir.Input(np.array([2, 3])),
        "fc": nir.Affine(np.array([[1.0, 1.0, -1.0], [0.5, 0.5, 0.25]]), np.zeros(2)),
        "block.lif": nir.LIF(tau=4 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one),
        "output": nir.Output(np.array([2, 2])),
    }
    edges = [("block.lif", "output"), ("input", "fc"), ("fc", "block.lif"), ("fc", "block.lif")]
    return nir.NIRGraph(nodes, edges, type_check=False)


MODULE = Part(fc=Linear(), block=Part(lif=Cell(), drop=Dropout()))


def test_neurons_are_rebuilt_and_the_rest_is_kept() -> None:
    graph = rebuilt(exported(), MODULE, TOOL, (3,), DT)
    x = np.random.default_rng(0).integers(0, 2, (300, 2, 3)).astype(float)
    v, wanted = np.zeros((2, 2)), []
    for sample in x:  # whole and quarter numbers: the voltage meets its threshold exactly
        v = 0.75 * v + sample @ np.array([[1.0, 0.5], [1.0, 0.5], [-1.0, 0.25]])
        wanted.append(v >= 1)
        v = v - wanted[-1]
    for precision in ("float64", "float32"):
        got = hasn.compile(graph, "snntorch", precision=precision).run(x).outputs["output"] > 0
        assert np.array_equal(got, wanted)
    assert 0.1 < np.mean(wanted) < 0.9
    repairs = graph.metadata["repairs"]
    assert "node 'block.lif' tau: 4 is now 0.004" in repairs
    assert "node 'block.lif' r: 1 is now 4" in repairs
    assert "metadata['reset']: subtract, which NIR leaves open" in repairs


@pytest.mark.parametrize("kind", [nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF])
def test_whatever_neuron_the_exporter_wrote_is_rebuilt(kind: Any) -> None:
    one = np.ones(())
    given = {"r": one, "tau": one, "v_leak": one, "v_threshold": one, "v_reset": one, "tau_syn": one, "tau_mem": one}
    names = inspect.signature(kind).parameters
    graph = exported()
    graph.nodes["block.lif"] = kind(**{name: value for name, value in given.items() if name in names})
    made = rebuilt(graph, MODULE, TOOL, (3,), DT)
    wanted = rebuilt(exported(), MODULE, TOOL, (3,), DT).nodes["block.lif"]
    assert type(made.nodes["block.lif"]) is nir.LIF
    np.testing.assert_array_equal(made.nodes["block.lif"].tau, wanted.tau)
    changed = f"node 'block.lif': {kind.__name__} is now LIF" in made.metadata["repairs"].splitlines()
    assert changed == (kind is not nir.LIF)


def test_layers_that_do_nothing_in_evaluation_may_be_left_out() -> None:
    for name in ("Identity", "Dropout", "Dropout2d"):
        nothing = type(name, (Part,), {})()
        parts = {"fc": Linear(), "block": MODULE.parts["block"], "nothing": nothing}
        assert set(rebuilt(exported(), Part(**parts), TOOL, (3,), DT).nodes) == set(exported().nodes)
        nothing.training = True
        with pytest.raises(UnsupportedError, match=f"leaves {name} out") as error:
            rebuilt(exported(), Part(**parts), TOOL, (3,), DT)
        assert (error.value.node, error.value.way_out) == ("nothing", "Call module.eval() first.")
        assert error.value.wanted == "Cell, and layers it knows"


def test_parts_inside_a_neuron_need_no_node_of_their_own() -> None:
    inside = Part(fc=Linear(), block=Part(lif=Cell(surrogate=Part())))
    assert "block.lif" in rebuilt(exported(), inside, TOOL, (3,), DT).nodes
    beside = Part(fc=Linear(), block=Part(lif=Cell()), block2=Part(lif2=Cell()))
    with pytest.raises(UnsupportedError, match="leaves Cell out") as error:
        rebuilt(exported(), beside, TOOL, (3,), DT)
    assert (error.value.node, error.value.way_out) == ("block2.lif2", None)


def test_convolutions_and_flatten_get_the_shapes_that_the_exporter_left_open() -> None:
    nodes = {
        "input": nir.Input(np.array([5, 1, 4, 6])),
        "c": nir.Conv2d(None, torch.ones(2, 1, 3, 3), 1, 0, 1, 1, torch.zeros(2)),
        "f": nir.Flatten({"input": np.array([5, 2, 2, 4])}, 0, -1),
        "fc": nir.Linear(torch.ones(3, 16)),
        "lif": nir.LIF(*(np.ones(()),) * 5),
        "output": nir.Output(np.array([5, 3])),
    }
    nodes["c"].metadata = {"mine": 1}
    edges = [("input", "c"), ("c", "f"), ("f", "fc"), ("fc", "lif"), ("lif", "output")]
    module = Part(c=Linear(), f=Linear(), fc=Linear(), lif=Cell())
    made = rebuilt(nir.NIRGraph(nodes, edges, type_check=False), module, TOOL, (1, 4, 6), DT)
    assert tuple(made.nodes["c"].input_shape) == (4, 6)
    assert made.nodes["f"].input_type["input"].tolist() == [2, 2, 4]
    assert isinstance(made.nodes["c"].weight, np.ndarray)
    assert made.nodes["c"].metadata == {"mine": 1}
    assert made.nodes["output"].output_type["output"].tolist() == [3]
    x = np.random.default_rng(0).integers(0, 3, (4, 1, 1, 4, 6)).astype(float)
    assert hasn.compile(made).run(x).outputs["output"].shape == (4, 1, 3)
    one = nir.NIRGraph(
        {"input": nir.Input(np.array([5, 2, 8])), "c": nir.Conv1d(None, np.ones((3, 2, 3)), 1, 0, 1, 1, np.zeros(3)),
         "output": nir.Output(np.array([3]))}, [("input", "c"), ("c", "output")], type_check=False)  # fmt: skip
    assert rebuilt(one, Part(c=Linear()), TOOL, (2, 8), DT).nodes["c"].input_shape == 8
    with pytest.raises(UnsupportedError) as error:
        rebuilt(nir.NIRGraph(nodes, edges, type_check=False), module, TOOL, (1, 2, 2), DT)
    assert error.value.node == "c"


def test_what_is_no_value_for_each_neuron() -> None:
    assert spread(torch.tensor([1.0, 2.0]), "tau", "a", (3, 2)).tolist() == [[1, 2]] * 3
    assert spread(2, "tau", "a", (2,)).dtype == np.float64
    with pytest.raises(UnsupportedError, match="is not one value for each neuron") as error:
        spread(np.ones(2), "tau", "a", (3,))
    assert (error.value.node, error.value.parameter) == ("a", "tau")
    assert (error.value.got, error.value.wanted) == ((2,), "a number or shape (3,)")


def test_just_below_is_the_next_float32() -> None:
    below = just_below(np.array([1.0, 0.0, 0.1]))
    assert below.tolist() == [1 - 2**-24, -(2**-149), float(np.float32(0.1)) - 2**-27]
    assert (below.astype(np.float32) < np.array([1.0, 0.0, 0.1], np.float32)).all()


def test_repairs_say_what_changed_and_nothing_else() -> None:
    """float32 in the exporter: a relative difference of 1e-5 is none."""
    graph = exported()
    tau = 4e-3 * np.array([1 + 9e-6, 1 + 9e-6])
    graph.nodes["block.lif"] = nir.LIF(
        tau=tau, r=4 * np.ones(2), v_leak=np.zeros(2), v_threshold=np.array([1.0, 2.0]), v_reset=np.zeros(2)
    )
    lines = rebuilt(graph, MODULE, TOOL, (3,), DT).metadata["repairs"].splitlines()
    assert lines == [
        "node 'block.lif' v_threshold: 1 .. 2 is now 1",
        "node 'block.lif' v_reset: 0 is now -5.96046e-08",
        "node 'block.lif' metadata['reset']: subtract, which NIR leaves open",
    ]
    graph.nodes["block.lif"].tau = 4e-3 * np.array([1 + 2e-5, 1 + 2e-5])
    assert "node 'block.lif' tau" in rebuilt(graph, MODULE, TOOL, (3,), DT).metadata["repairs"]


def test_what_the_exporter_left_out_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="node 'pool': The tool's exporter leaves Linear out"):
        rebuilt(exported(), Part(fc=Linear(), block=MODULE.parts["block"], pool=Linear()), TOOL, (3,), DT)
    training = Dropout()
    training.training = True
    with pytest.raises(UnsupportedError, match=r"node 'drop': .*leaves Dropout out.*eval"):
        rebuilt(exported(), Part(fc=Linear(), block=MODULE.parts["block"], drop=training), TOOL, (3,), DT)


def test_a_neuron_without_an_entry_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"node 'block.lif': Linear is no neuron of The tool's"):
        rebuilt(exported(), Part(fc=Linear(), block=Part(lif=Linear())), TOOL, (3,), DT)


def test_an_exporters_failure_is_told_in_its_words() -> None:
    def fails() -> Any:
        raise AssertionError("v_reset must be 0\nlonger story")

    with pytest.raises(UnsupportedError, match=r"The tool's exporter fails: v_reset must be 0\."):
        export(TOOL, fails)
