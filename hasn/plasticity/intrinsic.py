"""Homeostasis of a population: its thresholds move until it spikes at a rate of its own."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import ArrayLike

from hasn.errors import OptionError
from hasn.ir.typed import copy_graph
from hasn.nodes.homeostatic import HomeostaticLIF
from hasn.plasticity.attach import held


def homeostatic(graph: nir.NIRGraph, node: str, rate: ArrayLike, threshold_jump: ArrayLike) -> nir.NIRGraph:
    """A graph in which LIF neurons hold a rate by their thresholds; the caller's is not changed.

    They become :class:`hasn.nodes.HomeostaticLIF` (Lazar, Pipa & Triesch 2009).

    A spike raises its neuron's threshold by ``threshold_jump``, and in a second without any it sinks by ``rate`` times
    that: the larger the jump, the sooner the rate is there, and the more the threshold wavers.

    Args:
        graph: the graph.
        node: name of a LIF; ``"outer.inner"`` in a nested graph.
        rate: Hz, one value or one a neuron.
        threshold_jump: V, one value or one a neuron.

    Raises:
        OptionError: there is no such node, it is no LIF, or a value has another shape. Numbers without meaning are seen
            by :func:`hasn.check`.
    """
    made = copy_graph(graph)
    found = held(made, node)
    if found is None:
        raise OptionError("there is no such node", parameter="node", got=repr(node), wanted=", ".join(graph.nodes))
    if type(found) is not nir.LIF:
        raise OptionError(
            "its threshold cannot move", node=node, parameter="node", got=type(found).__name__, wanted="LIF"
        )
    shape = np.shape(found.v_threshold)
    given = {}
    for parameter, value in (("rate", rate), ("threshold_jump", threshold_jump)):
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise OptionError("no numbers", node=node, parameter=parameter, got=repr(value)) from error
        if array.shape not in ((), shape):
            raise OptionError("no value for each neuron", node=node, parameter=parameter, got=array.shape, wanted=shape)
        given[parameter] = np.broadcast_to(array, shape).copy()
    kept = {key: getattr(found, key) for key in ("tau", "r", "v_leak", "v_threshold", "v_reset")}
    outer, _, name = node.rpartition(".")
    inside: Any = held(made, outer) if outer else made
    inside.nodes[name] = HomeostaticLIF(**kept, **given, metadata=dict(found.metadata))
    return made
