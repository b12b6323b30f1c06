"""A graph with resets to zero, as the chip has them, in the place of those by subtraction; what that costs.

    v <- v - (v_threshold - v_reset) where z        becomes        v <- 0 where z

What a neuron has above its threshold is lost at a spike, so that strong inputs give fewer spikes. Training the graph on
wins most of it back.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np

from hasn.compiler import compile as compiled
from hasn.errors import InputError, OptionError
from hasn.ir.lower import lower
from hasn.ir.structure import flatten
from hasn.program.model import Neurons


@dataclass(frozen=True)
class ZeroReset:
    """A graph with resets to zero, beside what it was.

    Attributes:
        graph: the new one.
        changed: populations that reset by subtraction before.
        spikes: of all populations on the inputs, before and after.
        differing: share of (step, sample, neuron) at which spikes differ.
        accuracy: by the spike counts of the one Output, before and after; None without labels.
    """

    graph: nir.NIRGraph = field(repr=False)
    changed: tuple[str, ...]
    spikes: tuple[int, int]
    differing: float
    accuracy: tuple[float, float] | None


def zero_reset(
    graph: nir.NIRGraph, inputs: Any, labels: Any = None, *, dt: float | None = None, reset: str | None = None
) -> ZeroReset:
    """Give a graph resets to zero, and measure what that costs on some inputs.

    Args:
        graph: not changed.
        inputs: (T, N, *shape), or {Input: such arrays}.
        labels: (N,) classes.
        dt: seconds a step, if the graph does not say.
        reset: of populations that do not say theirs; see :func:`hasn.compile`.

    Raises:
        OptionError: no population resets by subtraction.
        InputError: labels, and not one Output of classes.
    """
    program = lower(graph, dt=dt, reset=reset)
    changed = tuple(p.name for p in program.of(Neurons) if p.spiking and p.reset == "subtract")
    if not changed:
        raise OptionError("no population resets by subtraction", parameter="graph", way_out="Quantise it as it is.")
    other = copy.deepcopy(graph)
    nodes = flatten(other).nodes
    for name in changed:
        node: Any = nodes[name]
        node.metadata = {**(node.metadata or {}), "reset": "zero"}
        node.v_reset = np.zeros_like(np.asarray(node.v_threshold, dtype=np.float64))
    runs = [compiled(g, "snntorch", dt=dt, reset=reset).run(inputs, record=("spikes",)) for g in (graph, other)]
    before, after = (run.spikes for run in runs)
    different = sum(int((before[name] != after[name]).sum()) for name in before)
    places = sum(array.size for array in before.values())
    counts = tuple(sum(int(array.sum()) for array in spikes.values()) for spikes in (before, after))
    accuracy = None if labels is None else tuple(_accuracy(run.outputs, labels) for run in runs)
    return ZeroReset(other, changed, counts, different / places, accuracy)  # type: ignore[arg-type]


def _accuracy(outputs: Any, labels: Any) -> float:
    labels = np.asarray(labels)
    shown = next(iter(outputs.values()))
    if len(outputs) != 1 or shown.ndim != 3 or labels.shape != shown.shape[1:2]:
        got = f"labels {labels.shape}, " + ", ".join(f"{name} {value.shape}" for name, value in outputs.items())
        raise InputError("no classes to count", parameter="labels", got=got, wanted="(N,), and one Output (T, N, C)")
    return float((shown.sum(0).argmax(1) == labels).mean())
