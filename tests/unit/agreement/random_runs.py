"""Random networks whose runs are known: the conformance suite's graphs, with spikes enough to judge."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import nir
import numpy as np
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st

from hasn.testing.strategies import graphs, options
from hasn.testing.structure import inline
from hasn.testing.wiring import PLAIN
from tests.unit.agreement.known import Known


def same_every_time(count: int) -> Callable[[Any], Any]:
    """Hypothesis with the same examples each time; they are small, and shrinking one takes longer than all of them."""
    return settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


@st.composite
def known_runs(draw: Any, length: st.SearchStrategy[int], ties: bool = False) -> Known:
    """A random network of up to three populations that has spiking nodes, with delays, cycles, batches, shapes.

    Args:
        draw: hypothesis'.
        length: number of steps.
        ties: whether one element of each Threshold compares with just what arrives in some step.
    """
    graph = draw(graphs(3, PLAIN))  # what is planted are voltages at thresholds that stand still
    steps, batch = draw(length), draw(st.sampled_from([3, 2, 1]))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    shapes = {n: node.input_type["input"] for n, node in graph.nodes.items() if isinstance(node, nir.Input)}
    inputs = {n: (rng.random((steps, batch, *map(int, shape))) < 0.6).astype(float) for n, shape in shapes.items()}
    known = Known(graph, inputs, **draw(options()))
    assume(known.seen)
    return with_ties_at_thresholds(known, rng) if ties else known


def with_ties_at_thresholds(known: Known, rng: np.random.Generator) -> Known:
    """The same graph, where one element of each Threshold node compares with just what arrives in some step."""
    graph = copy.deepcopy(known.graph)
    for name, node in known.nodes.items():
        if isinstance(node, nir.Threshold):
            seen = Known(graph, known.inputs, **known.options).seen[name]
            at = tuple(rng.integers(seen.shape))
            inline(graph)[0][name].threshold[at[2:]] = seen[at]
    return Known(graph, known.inputs, **known.options)
