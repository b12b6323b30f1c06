"""What a conformance case is: a graph, an input, and how to run it. Data, no behaviour of any backend."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.testing.cases.seeds import SEEDS
from hasn.testing.graphs import DT, Draw

Build = Callable[[Draw], nir.NIRGraph]


@dataclass(frozen=True)
class Case:
    """One network and one input, the same for every backend.

    Attributes:
        name: unique; the name of the test.
        build: makes the graph from seeded draws.
        method, reset, timing, dt: as in hasn.compile.
        batch: samples, or None: the input has no batch axis.
        graded: inputs are real numbers of both signs instead of spikes.
        rate: probability of an input spike, or the mean of graded inputs.
        steps: T.
        seed: of the parameters and the input.
        float32: whether every voltage stays so far from its threshold that float32 must give the same spikes.
        grid: whether it only repeats another case with another method, reset or batch; hasn's own backends then take
            turns (:func:`hasn.testing.matrix.in_turn`).
    """

    name: str
    build: Build
    method: str = "euler"
    reset: str = "zero"
    timing: str = "synchronous"
    dt: float = DT
    batch: int | None = None
    graded: bool = False
    rate: float = 0.4
    steps: int = 40
    seed: int = 7
    float32: bool = True
    grid: bool = False

    def graph(self) -> nir.NIRGraph:
        """The graph, made afresh."""
        return self.build(Draw(self.seed))

    def inputs(self) -> dict[str, NDArray[np.float64]]:
        """{Input: (T[, batch], *shape)}."""
        rng = np.random.default_rng([self.seed, 1])
        lead = (self.steps,) if self.batch is None else (self.steps, self.batch)
        found: dict[str, NDArray[np.float64]] = {}
        for name, node in sorted(self.graph().nodes.items()):
            if isinstance(node, nir.Input):
                shape = (*lead, *map(int, np.atleast_1d(node.input_type["input"])))
                found[name] = (
                    self.rate + rng.standard_normal(shape)
                    if self.graded
                    else (rng.random(shape) < self.rate).astype(float)
                )
        return found

    def options(self) -> dict[str, Any]:
        """Keyword arguments of hasn.compile and hasn.lower."""
        return {"dt": self.dt, "method": self.method, "reset": self.reset, "timing": self.timing}


class Cases(dict[str, Case]):
    """Cases by name, filled by the decorator :meth:`add`."""

    def add(self, **settings: Any) -> Callable[[Build], Build]:
        """Register a builder as a case of its own name; several decorators with ``suffix`` make several cases."""
        suffix = settings.pop("suffix", "")

        def register(build: Build) -> Build:
            name = build.__name__ + (f"-{suffix}" if suffix else "")
            self.put(Case(name, build, **settings))
            return build

        return register

    def put(self, case: Case) -> None:
        """Register a case."""
        if case.name in self:
            raise KeyError(f"two cases are called {case.name}")
        self[case.name] = replace(case, seed=SEEDS.get(case.name, case.seed))
