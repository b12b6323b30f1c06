"""Precision "loihi": what cannot be meant is refused by name."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, OptionError, UnsupportedError
from hasn.program.integers.encode import chip_neuron
from hasn.testing.chip_graphs import DT
from tests.graphs import small_net
from tests.unit.backends.snntorch.integers import chip_graph, compiled, inp, linear, out

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")


def net(weight: Any = None, **neuron: Any) -> nir.NIRGraph:
    w = linear(np.random.default_rng(0), (3, 4)) if weight is None else nir.Linear(weight)
    neurons = chip_neuron((3,), dt=DT, **{"du": 100, "dv": 100, "vth": 500, **neuron})
    nodes = {"in": inp(w.weight.shape[1]), "w": w, "pop": neurons, "out": out(3)}
    return chip_graph(nodes, ("in", "w"), ("w", "pop"), ("pop", "out"))


def test_a_float_graph_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnsupportedError, match=r"hasn\.quantise") as caught:
        compiled(small_net(), dt=DT)
    assert caught.value.node
    assert caught.value.parameter


@pytest.mark.parametrize(
    ("graph", "node", "parameter"),
    [
        (net(np.array([[0.5] * 4] * 3)), "pop", "weights"),
        (net(vth=10.5), "pop", "v_threshold"),
        (net(dv=10.5), "pop", "decay of v"),
        (net(du=10.5), "pop", "decay of c"),
    ],
)
def test_what_is_off_the_grid(graph: nir.NIRGraph, node: str, parameter: str) -> None:
    with pytest.raises(UnsupportedError) as caught:
        compiled(graph)
    assert caught.value.node == node
    assert parameter in str(caught.value.parameter)


@pytest.mark.parametrize(
    ("value", "message"),
    [(0.5, "takes integers"), (1 + 1e-12, "takes integers"), (2.0**23, "24 bits"), (-1e300, "24 bits")],
)
def test_inputs_that_are_no_graded_spikes(value: float, message: str) -> None:
    x = np.zeros((5, 2, 4))
    x[3, 1, 2] = value
    with pytest.raises(InputError, match=message) as caught:
        compiled(net()).run(x)
    assert caught.value.node == "in"
    assert caught.value.got == value


def test_a_current_that_leaves_32_bits() -> None:
    """Lava adds in 32 bits; 516 inputs of the largest weight fill half of that in a step, and du = 0 keeps them."""
    graph = net(np.full((3, 516), 254.0 * 128), du=0, dv=0)
    x = np.zeros((6, 516))
    x[:2] = 1
    assert compiled(graph).run(x, record=("currents",)).currents["pop"].max() > 2**30
    x[:4] = 1
    with pytest.raises(UnsupportedError, match="32 bits") as caught:
        compiled(graph).run(x)
    assert caught.value.node == "pop"


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"dtype": "float32"}, "dtype"),
        ({"surrogate": "fast_sigmoid"}, "surrogate"),
        ({"device": "nowhere"}, "device"),
        ({"device": "meta"}, "device"),
        ({"threads": 2}, "threads"),
    ],
)
def test_options_that_integers_have_no_use_for(options: dict[str, Any], parameter: str) -> None:
    with pytest.raises(OptionError) as caught:
        compiled(net(), **options)
    assert caught.value.parameter == parameter


def test_loihi_is_a_precision_and_no_dtype() -> None:
    with pytest.raises(OptionError, match="float64 or float32"):
        hasn.compile(net(), "snntorch", dtype="loihi")
