"""Weights scaled so that every population spikes at a wanted rate on given inputs.

Data-driven initialisation, layer by layer (Mishkin & Matas, All you need is a good init, ICLR 2016, with the rate of
spikes in place of the variance; Rossbroich, Gygax & Zenke, Fluctuation-driven initialization for spiking neural network
training, Neuromorphic Computing and Engineering 2, 2022, say why rates matter).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir

from hasn.activity import RATE, feeding, gain_for, rates, scaled
from hasn.errors import OptionError
from hasn.ir.structure import flatten
from hasn.ir.typed import copy_graph
from hasn.program.cycles import cycles


def initialise(
    graph: nir.NIRGraph, inputs: Any, *, rate: float | Mapping[str, float] = RATE, dt: float | None = None
) -> nir.NIRGraph:
    """A copy of a graph whose populations spike at a rate on some inputs.

    Weights and biases into a population are multiplied by one gain, found by running the network; populations in the
    order in which spikes pass through them, each with the ones before it as they have become.

    Args:
        graph: not changed.
        inputs: (T, N, *shape), as :meth:`Executable.run` takes them; some tens of samples will do.
        rate: spikes for each neuron and step, for all populations or {population: rate} (others stay as they are).
        dt: seconds a step; default: what the graph says.

    Raises:
        OptionError: a rate outside 0..1, no such spiking population, or one that no gain brings to its rate.
    """
    made = copy_graph(graph)
    known = rates(made, inputs, dt=dt)
    wanted = dict(rate) if isinstance(rate, Mapping) else dict.fromkeys(known, rate)
    for name, value in wanted.items():
        if name not in known:
            raise OptionError(
                "no such spiking population", parameter="rate", got=repr(name), wanted=", ".join(known) or "neurons"
            )
        if not 0 < value < 1:
            raise OptionError("no such rate", node=name, parameter="rate", got=value, wanted="0 < rate < 1")
    flat = flatten(made)
    for name in [n for group in cycles(list(flat.nodes), list(flat.edges)) for n in group if n in wanted]:
        gain = gain_for(made, inputs, name, wanted[name], dt=dt) if feeding(flatten(made), name) else None
        if gain is None:
            raise OptionError(
                "no gain of its weights brings the population to this rate",
                node=name,
                parameter="rate",
                got=f"{rates(made, inputs, dt=dt)[name]:g} with the weights as they are",
                wanted=f"{wanted[name]:g}",
                way_out="Look at the inputs and thresholds before it, or leave it out: rate={population: rate}.",
            )
        made = scaled(made, name, gain.gain)
    return made
