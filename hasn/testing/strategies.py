"""Random networks for hypothesis: graphs, inputs that fit them, and the options of a call.

The structure (who feeds whom through what, nested graphs, delays, names) is hypothesis' own choice, so that a failure
shrinks to a small graph; the numbers come from :class:`hasn.testing.graphs.Draw`, seeded by a number that is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from hypothesis import strategies as st
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import Constants
from numpy.typing import NDArray

from hasn.testing.graphs import Shape
from hasn.testing.readable import readable
from hasn.testing.wiring import KINDS, DrawFn, Wiring

MOST_STEPS = 24

#: hypothesis (since 6.131) also draws constants that it finds in the source of all modules that happen to be loaded:
#: what "derandomize" gives then hangs on which tests ran before. It has no switch for that, so these are none.
_NO_CONSTANTS = Constants()
setattr(providers, "_get_local_constants", lambda: _NO_CONSTANTS)  # noqa: B010 - another module's own name


@st.composite
def graphs(draw: DrawFn, most_populations: int = 4, kinds: tuple[str, ...] = KINDS) -> nir.NIRGraph:
    """A graph of one to ``most_populations`` populations of these kinds.

    There are one or two Inputs, chains of stateless nodes with delays, paths that meet, feedback (on a population
    itself, or over several), nested graphs up to two deep, one or more Outputs; every neuron has parameters of its own,
    and some have ``v_init`` or ``reset`` in their metadata. dt is 1 ms or less (a tau is never under 3 ms).
    """
    wiring = Wiring(draw, kinds)
    wiring.inputs(draw(st.integers(1, 2)))
    for _ in range(draw(st.integers(1, most_populations))):
        wiring.population()
    for _ in range(draw(st.integers(0, 2))):
        wiring.feedback()
    wiring.outputs(draw(st.integers(1, 3)))
    return wiring.graph()


@st.composite
def inputs_for(draw: DrawFn, graph: nir.NIRGraph) -> dict[str, NDArray[np.float64]]:
    """Data for every Input: spikes or real numbers, (T, *shape) or (T, batch, *shape)."""
    steps = draw(st.integers(1, MOST_STEPS))
    batch = draw(st.sampled_from([None, None, 1, 3]))
    lead = (steps,) if batch is None else (steps, batch)
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    rate, graded = draw(st.sampled_from([0.1, 0.5, 0.9])), draw(st.booleans())
    found: dict[str, NDArray[np.float64]] = {}
    for name, node in sorted(graph.nodes.items()):
        if isinstance(node, nir.Input):
            shape: Shape = (*lead, *map(int, node.input_type["input"]))
            drawn = rate + rng.standard_normal(shape) if graded else (rng.random(shape) < rate).astype(float)
            found[name] = drawn
    return found


def options() -> st.SearchStrategy[dict[str, Any]]:
    """Keyword arguments of :func:`hasn.compile` and :func:`hasn.lower` that give a graph its meaning."""
    return st.fixed_dictionaries(
        {
            "dt": st.sampled_from([1e-3, 5e-4]),
            "method": st.sampled_from(["euler", "exact"]),
            "reset": st.sampled_from(["zero", "subtract"]),
            "timing": st.sampled_from(["synchronous", "synchronous", "hardware"]),
        }
    )


@dataclass(frozen=True)
class Trial:
    """A graph, its inputs and the options; prints as text that a person can read."""

    graph: nir.NIRGraph
    inputs: dict[str, NDArray[np.float64]]
    options: dict[str, Any]

    @property
    def steps(self) -> int:
        """T."""
        return len(next(iter(self.inputs.values())))

    @property
    def batched(self) -> bool:
        """Whether the inputs have a batch axis."""
        name, value = next(iter(self.inputs.items()))
        return value.ndim > 1 + len(self.graph.nodes[name].input_type["input"])

    def __repr__(self) -> str:
        arrays = [f"{name} {value.shape}: {value.reshape(-1)[:12].round(4)}" for name, value in self.inputs.items()]
        return "\n".join(["Trial", readable(self.graph), *(f"  given {line}" for line in arrays), f"  {self.options}"])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What hypothesis prints."""
        printer.text(repr(self))


@st.composite
def trials(draw: DrawFn, most_populations: int = 4) -> Trial:
    """All that a run needs."""
    graph = draw(graphs(most_populations))
    return Trial(graph, draw(inputs_for(graph)), draw(options()))
