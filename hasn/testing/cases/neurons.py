"""Neurons beyond NIR's own: held after a spike, with a moving threshold and an adaptation current, resonating."""

from __future__ import annotations

from functools import partial
from typing import Any

import nir
import numpy as np

from hasn.testing.cases.case import Case, Cases
from hasn.testing.cases.primitives import settings
from hasn.testing.graphs import DT, Draw, chain, graph, inp, out

NEURONS = Cases()
#: Steps that each neuron is held, 0 and a time that no run comes back from among them.
HELD = np.array([1.0, 0.0, 4.0, 60.0, 2.0])


def between(draw: Draw, kind: str, metadata: dict[str, Any]) -> nir.NIRGraph:
    """A population between two matrices."""
    neuron = draw.neuron(kind, (5,), metadata=metadata)
    return chain(draw.affine(5, 6), neuron, draw.linear(3, 5), given=(6,), result=(3,))


#: name -> (kind, metadata)
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "AdaptiveLIF": ("AdaptiveLIF", {}),
    "HomeostaticLIF": ("HomeostaticLIF", {}),
    "HomeostaticLIF_refractory": ("HomeostaticLIF", {"refractory": 2 * DT, "v_init": 0.4}),
    "ResonateFire": ("ResonateFire", {}),
    "IF_refractory": ("IF", {"refractory": HELD * DT}),
    "LIF_refractory": ("LIF", {"refractory": HELD * DT}),
    "CubaLIF_refractory": ("CubaLIF", {"refractory": HELD * DT}),
    "AdaptiveLIF_refractory": ("AdaptiveLIF", {"refractory": 2 * DT, "v_init": 0.4}),
}


def every_setting() -> None:
    """Each x method x reset x batch."""
    for name, (kind, metadata) in KINDS.items():
        for suffix, how in settings():
            if kind == "ResonateFire" and how["reset"] == "subtract":
                continue  # it has no such reset
            build = partial(between, kind=kind, metadata=metadata)
            first = suffix in ("-euler-zero-batch", "-exact-subtract")
            NEURONS.put(Case(name + suffix, build, grid=not first, **how))


every_setting()


@NEURONS.add(steps=60)
def refractory_of_one_length(d: Draw) -> nir.NIRGraph:
    """What Lava's LIFRefractory is: one decay, one threshold, a reset to 0, all held equally long."""
    lif = d.lif(5, tau=0.01, v_leak=0.0, v_threshold=0.8, v_reset=0.0, metadata={"refractory": 3 * DT})
    return chain(d.linear(5, 6), lif, d.linear(3, 5), given=(6,), result=(3,))


@NEURONS.add(steps=60)
@NEURONS.add(steps=60, suffix="hardware", timing="hardware")
@NEURONS.add(steps=60, suffix="batch", batch=2, method="exact")
def held_neurons_in_a_loop(d: Draw) -> nir.NIRGraph:
    """Recurrence through neurons that are held, a delay, and a population that never is."""
    held, adaptive = d.neuron("CubaLIF", (5,), metadata={"refractory": 2 * DT}), d.neuron("AdaptiveLIF", (4,))
    nodes = {"input": inp(6), "lin": d.affine(5, 6), "held": held, "delay": nir.Delay(np.array([0, 1, 2, 5, 3]) * DT),
             "rec": d.linear(5, 5, mean=0.1), "on": d.linear(4, 5), "adaptive": adaptive,
             "back": d.linear(5, 4, mean=-0.1), "output": out(4)}  # fmt: skip
    loops = ("held > delay > rec > held", "adaptive > back > held")
    return graph(nodes, "input > lin > held > on > adaptive > output", *loops)


@NEURONS.add(graded=True, steps=60)
@NEURONS.add(graded=True, steps=60, suffix="exact", method="exact", batch=2)
def adaptive_after_real_numbers(d: Draw) -> nir.NIRGraph:
    """A leaky integrator drives neurons that adapt, which drive resonators."""
    resonator = d.neuron("ResonateFire", (4,), metadata={"v_init": 0.1})
    nodes = {"input": inp(6), "lin": d.linear(5, 6), "li": d.neuron("LI", (5,)), "on": d.linear(4, 5),
             "adaptive": d.neuron("AdaptiveLIF", (4,)), "to": d.linear(4, 4, mean=0.5), "resonator": resonator,
             "output": out(4)}  # fmt: skip
    return graph(nodes, "input > lin > li > on > adaptive > to > resonator > output")
