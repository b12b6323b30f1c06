"""Networks on which both engines must agree to the last bit: every sum of weights is exact, in whatever order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np

from tests.graphs import DT, Draw, chain, graph, inp, out

#: Weights are multiples of it: sums of some hundred below 8 need 15 bits of float32's 24.
GRID = 2.0**-6


def on_grid(g: nir.NIRGraph) -> nir.NIRGraph:
    """The graph with weights, biases and scales rounded to the grid."""
    for node in g.nodes.values():
        for parameter in ("weight", "bias", "scale"):
            if hasattr(node, parameter):
                setattr(node, parameter, np.round(np.asarray(getattr(node, parameter)) / GRID) * GRID)
    return g


def _readout(d: Draw) -> nir.NIRGraph:
    """LinearNeurons with biases and v_init, the last layer a readout without a threshold.

    Its voltages stay above threshold - 3.5, below which the gradient of snnTorch's sigmoid is NaN in float32.
    """
    second = d.lif(9, metadata={"v_init": 0.3})
    first = d.affine(150, 12, spread=0.1)
    nodes = (first, d.lif(150), d.linear(9, 150, mean=0.02, spread=0.1), second, d.linear(4, 9), d.neuron("LI", (4,)))
    return chain(*nodes, given=(12,), result=(4,))


def _stock(d: Draw) -> nir.NIRGraph:
    """snntorch.Leaky and snntorch.Synaptic."""
    leaky, plain = d.lif(20, v_leak=0.0, v_reset=0.0), {"v_leak": 0.0, "v_reset": 0.0}
    two = d.neuron("CubaLIF", (8,), **plain)
    readout = d.neuron("CubaLI", (3,), v_leak=0.0)
    return chain(d.affine(20, 12), leaky, d.linear(8, 20), two, d.linear(3, 8), readout, given=(12,), result=(3,))


def _cuba(d: Draw) -> nir.NIRGraph:
    nodes = (d.linear(140, 12), d.neuron("CubaLIF", (140,)), d.linear(5, 140, mean=0.03), d.neuron("CubaLIF", (5,)))
    return chain(*nodes, given=(12,), result=(5,))


def _convolution(d: Draw) -> nir.NIRGraph:
    pool = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    flat = nir.Flatten({"input": np.array([3, 3, 3])}, start_dim=0)
    conv = d.conv2d(3, 1, (3, 3), input_shape=(8, 8))
    nodes = (conv, d.lif(3, 6, 6), pool, flat, d.linear(6, 27), d.neuron("IF", (6,)))
    return chain(*nodes, given=(1, 8, 8), result=(6,))


def _recurrent(d: Draw) -> nir.NIRGraph:
    """A population that feeds itself by a matrix, between two that do not; a bare loop of two behind it."""
    nodes = {"input": inp(12), "w": d.linear(10, 12), "first": d.lif(10), "w1": d.linear(9, 10), "loop": d.lif(9)}
    nodes |= {"back": d.linear(9, 9, mean=-0.1), "w2": d.linear(6, 9), "a": d.lif(6), "b": d.neuron("CubaLIF", (6,))}
    nodes |= {"ab": d.linear(6, 6), "ba": d.linear(6, 6, mean=-0.1), "w3": d.linear(4, 6), "last": d.lif(4)}
    paths = ("input > w > first > w1 > loop > back > loop", "loop > w2 > a > ab > b > ba > a", "b > w3 > last > output")
    return graph({**nodes, "output": out(4)}, *paths)


def _delays(d: Draw) -> nir.NIRGraph:
    late = nir.Delay(np.arange(10) % 4 * DT)
    nodes = (d.linear(10, 12), late, d.lif(10), d.linear(5, 10), nir.Delay(np.full(5, 3 * DT)), d.lif(5))
    return chain(*nodes, given=(12,), result=(5,))


def _shared(d: Draw) -> nir.NIRGraph:
    """A product that two populations and an Output read, sums of several edges, a Scale, a Threshold, silence."""
    nodes = {"input": inp(12), "w": d.linear(10, 12), "one": d.lif(10), "two": d.neuron("IF", (10,))}
    nodes |= {"scale": nir.Scale(d.between(0.5, 2.0, (10,))), "sum": d.lif(10), "v": d.linear(10, 10)}
    nodes |= {"flag": nir.Threshold(d.between(0.6, 1.5, (10,))), "w2": d.linear(4, 10), "last": d.lif(4)}
    nodes |= {"alone": d.lif(3, v_leak=4.0), "drive": out(10), "output": out(4), "again": out(4), "quiet": out(3)}
    paths = ("input > w > one > scale > sum", "w > two > v > sum", "w > flag > w2", "sum > w2 > last > output")
    return graph({**nodes, "echo": out(12)}, *paths, "w > drive", "last > again", "alone > quiet", "input > echo")


def _adaptive(d: Draw) -> nir.NIRGraph:
    """Moving thresholds and adaptation currents; the second population is held after a spike."""
    held = d.neuron("AdaptiveLIF", (5,), metadata={"refractory": 2 * DT, "v_init": 0.4})
    nodes = (d.linear(140, 12), d.neuron("AdaptiveLIF", (140,)), d.linear(5, 140, mean=0.03), held)
    return chain(*nodes, given=(12,), result=(5,))


def _resonators(d: Draw) -> nir.NIRGraph:
    """Rows that read the states of before the step, and two states that jump; one population feeds itself."""
    nodes = {"input": inp(12), "w": d.linear(130, 12), "first": d.neuron("ResonateFire", (130,))}
    nodes |= {"v": d.linear(6, 130, mean=0.02), "loop": d.neuron("ResonateFire", (6,), metadata={"v_init": 0.1})}
    nodes |= {"back": d.linear(6, 6, mean=-0.1), "output": out(6)}
    return graph(nodes, "input > w > first > v > loop > back > loop", "loop > output")


def _held(d: Draw) -> nir.NIRGraph:
    """Refractory periods of one length and of several, none among them."""
    lif = d.lif(20, metadata={"refractory": np.arange(20) % 4 * DT})
    cuba = d.neuron("CubaLIF", (130,), metadata={"refractory": 2 * DT})
    nodes = {"input": inp(12), "w": d.linear(20, 12), "lif": lif, "v": d.linear(130, 20, mean=0.1), "cuba": cuba}
    nodes |= {"u": d.linear(5, 130, mean=0.03), "if": d.neuron("IF", (5,), metadata={"refractory": DT})}
    return graph({**nodes, "output": out(5)}, "input > w > lif > v > cuba > u > if > output")


NETS: dict[str, tuple[Callable[[Draw], nir.NIRGraph], dict[str, Any]]] = {
    "readout, reset to zero": (_readout, {}),
    "readout, reset by subtraction": (_readout, {"reset": "subtract"}),
    "snnTorch's own neurons": (_stock, {}),
    "two states": (_cuba, {"reset": "subtract"}),
    "two states, exact": (_cuba, {"method": "exact"}),
    "convolution": (_convolution, {}),
    "recurrent": (_recurrent, {}),
    "delays": (_delays, {}),
    "hardware timing": (_readout, {"timing": "hardware"}),
    "recurrent, hardware timing": (_recurrent, {"timing": "hardware"}),
    "shared": (_shared, {}),
    "moving thresholds": (_adaptive, {}),
    "moving thresholds, by subtraction, exact": (_adaptive, {"reset": "subtract", "method": "exact"}),
    "resonators": (_resonators, {}),
    "resonators, exact": (_resonators, {"method": "exact"}),
    "held": (_held, {}),
    "held, by subtraction, exact": (_held, {"reset": "subtract", "method": "exact"}),
}


def net(name: str) -> tuple[nir.NIRGraph, dict[str, Any], tuple[int, ...]]:
    """The graph, the options it is compiled with, the Input's shape."""
    make, options = NETS[name]
    g = on_grid(make(Draw(7)))
    return g, {"dt": DT, **options}, tuple(int(n) for n in g.nodes["input"].input_type["input"])
