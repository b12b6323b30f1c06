"""Drawn inputs: in place of an Input, in the middle of a graph, in a loop; the network also has an Input of its own."""

from __future__ import annotations

import nir
import numpy as np

from hasn.nodes import NoiseInput, PoissonInput
from hasn.testing.cases.case import Cases
from hasn.testing.graphs import DT, Draw, graph, inp, out

DRAWN = Cases()
case = DRAWN.add


def poisson(d: Draw, *shape: int, weight: tuple[float, float] = (0.5, 1.5), seed: int = 0) -> PoissonInput:
    """Trains of 100 to 700 Hz: 0.1 to 0.7 events a step; one element in silence."""
    rate = d.between(100.0, 700.0, shape)
    rate.reshape(-1)[0] = 0.0
    return PoissonInput(rate, d.between(*weight, shape), seed)


@case(steps=60)
@case(steps=60, suffix="batch", batch=3, method="exact")
@case(steps=60, suffix="hardware", timing="hardware", batch=2)
def poisson_trains_drive_neurons(d: Draw) -> nir.NIRGraph:
    """Nothing but drawn trains reaches the population; the Input has a way of its own."""
    nodes = {"input": inp(3), "trains": poisson(d, 6), "to": d.affine(5, 6), "lif": d.lif(5), "output": out(5),
             "lin": d.linear(2, 3), "other": d.lif(2), "shown": out(2)}  # fmt: skip
    return graph(nodes, "trains > to > lif > output", "input > lin > other > shown")


@case(steps=60)
@case(steps=60, suffix="batch", batch=3)
def noise_into_a_loop(d: Draw) -> nir.NIRGraph:
    """A Gaussian current beside an Input and a feedback edge with a delay, all summed at the population."""
    noise = NoiseInput(d.between(-0.02, 0.02, (5,)), d.between(0.01, 0.1, (5,)), 2**64 - 1)
    nodes = {"input": inp(6), "lin": d.linear(5, 6), "lif": d.neuron("CubaLIF", (5,)), "noise": noise,
             "delay": nir.Delay(np.array([0, 1, 2, 4, 3]) * DT), "rec": d.linear(5, 5, mean=0.0),
             "output": out(5)}  # fmt: skip
    return graph(nodes, "input > lin > lif > output", "lif > delay > rec > lif", "noise > lif")


@case(steps=50, batch=3)
@case(steps=50, suffix="subtract", reset="subtract")
def both_drawn_beside_an_input(d: Draw) -> nir.NIRGraph:
    """Trains through a nested graph and noise into a graded Output, of two dimensions."""
    inner = graph({"trains": poisson(d, 2, 3, seed=11), "output": out(2, 3)}, "trains > output")
    noise = NoiseInput(d.between(-0.1, 0.1, (2, 3)), d.between(0.0, 0.1, (2, 3)), 5)
    nodes = {"input": inp(2, 3), "scale": nir.Scale(d.between(0.1, 0.4, (2, 3))), "block": inner, "noise": noise,
             "lif": d.neuron("LIF", (2, 3)), "sum": out(2, 3), "output": out(2, 3)}  # fmt: skip
    return graph(nodes, "input > scale > lif > output", "block > scale", "noise > lif", "noise > sum", "lif > sum")
