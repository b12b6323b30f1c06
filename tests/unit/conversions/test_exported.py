"""What is made of an export, without the tool: a hand-written one of the form that Norse and Sinabs give."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.exported import Tool, export, just_below, rebuilt
from hasn.conversions.update import Piece, Update, piece_of
from hasn.errors import UnsupportedError

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
