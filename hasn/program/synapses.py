"""Synapses that learn, in plain NumPy: one connection, one step after the other (docs/plasticity.md)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hasn.program.learning import Array, Learning, Product, Products


class Synapses:
    """Traces of some synapses of one connection, each with values of its own.

    Args:
        learning: how they learn.
        weight: of each at the start.

    Attributes:
        traces: name -> a value for each synapse, as the last step left it.
    """

    def __init__(self, learning: Learning, weight: Array) -> None:
        self.learning = learning
        zero = np.zeros(np.shape(weight))
        self.traces = {t.name: np.array(weight, dtype=np.float64) if t.from_weight else zero for t in learning.traces}

    def decayed(self) -> dict[str, Array]:
        """Traces as this step reads them."""
        return {trace.name: trace.decay * self.traces[trace.name] for trace in self.learning.traces}

    def sent(self, pre: Array, weight: Array) -> Array:
        """What each sends to its target for what arrives at it."""
        return total(self.learning.transmits, {"pre": pre, "w": weight, **self.decayed()})

    def read(self, given: Mapping[str, Array], traces: Mapping[str, Array]) -> dict[str, Array]:
        """All that formulas read: what is given (``pre``, ``post``, ``v``, ``w``, modulators), traces, ``pos(...)``."""
        known = {**given, **traces}
        for part in self.learning.rectified:
            known[part.name] = np.maximum(total(part.sum, known), 0.0)
        return known

    def feed(self, known: Mapping[str, Array]) -> None:
        """The end of a step: what was read enters the traces."""
        for trace in self.learning.traces:
            fed, kept = total(trace.feed, known), known[trace.name]
            self.traces[trace.name] = np.where(fed != 0, fed, kept) if trace.sets else kept + fed


def total(terms: Products, known: Mapping[str, Array]) -> Array:
    """A sum of products."""
    return np.asarray(sum(value_of(term, known) for term in terms), dtype=np.float64)


def value_of(term: Product, known: Mapping[str, Array]) -> Array:
    """One product."""
    found = np.asarray(term.factor)
    for name in term.names:
        found = np.asarray(found * known[name])
    return found
