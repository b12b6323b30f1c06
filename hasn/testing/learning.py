"""What a connection that learns does, by SEMANTICS ("Plasticity inside a step"): synapse by synapse, in plain NumPy.

Formulas are Python's own: the text of the rule is evaluated as it stands, on one number for each sample and synapse.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.nodes import SparseLinear

Array = NDArray[Any]


class Learner:
    """A Linear, Affine or SparseLinear with a rule.

    Attributes:
        weight: (batch, synapses), in the order of the matrix or of the stored synapses.
        target: the population that it feeds.
    """

    def __init__(self, node: Any, target: str, dt: float) -> None:
        self.rule, self.target, self.dt = node.metadata["plasticity"], target, dt
        if isinstance(node, SparseLinear):
            self.outputs, self.inputs = node.shape
            self.post = np.repeat(np.arange(self.outputs), np.diff(node.indptr))
            self.pre = np.asarray(node.indices)
            self.start = np.asarray(node.data, dtype=float)
            self.late = np.zeros(len(self.pre), dtype=int) if node.delay is None else np.asarray(node.delay)
        else:
            self.outputs, self.inputs = node.weight.shape
            self.post, self.pre = (index.reshape(-1) for index in np.indices(node.weight.shape))
            self.start = np.asarray(node.weight, dtype=float).reshape(-1)
            self.late = np.zeros(len(self.pre), dtype=int)
        self.bias = np.asarray(getattr(node, "bias", 0.0))
        self.past: list[Array] = []
        self.weight = self.start
        self.traces: dict[str, Any] = {}

    def __call__(self, x: Array, log: Any) -> Array:
        self.past.append(x)
        if len(self.past) == 1:
            self.weight = np.tile(self.start, (len(x), 1))
            for name, trace in self.rule.get("traces", {}).items():
                self.traces[name] = self.weight if trace.get("start", "zero") == "weight" else 0.0
        self.arriving = self.sent()
        y = np.zeros((len(x), self.outputs)) + self.bias
        everywhere: Any = (slice(None), self.post)
        known = {"pre": self.arriving, "w": self.weight, **self.rule.get("constants", {}), **self.decayed()}
        np.add.at(y, everywhere, self.value(self.rule.get("transmits", "w * pre"), known))
        return np.asarray(y)

    def decayed(self) -> dict[str, Any]:
        """Traces as a step reads them."""
        return {n: kept * np.exp(-self.dt / self.rule["traces"][n]["tau"]) for n, kept in self.traces.items()}

    def sent(self) -> Array:
        """What arrives at each synapse in this step: (batch, synapses)."""
        found = np.zeros((len(self.past[0]), len(self.pre)))
        for late in np.unique(self.late):
            if late < len(self.past):
                found[:, self.late == late] = self.past[-1 - late][:, self.pre[self.late == late]]
        return found

    def learn(self, post: Array, v: Array, modulators: Mapping[str, Array]) -> None:
        """After all nodes of the step; (batch, outputs) twice, and (batch,) each."""
        rule, decayed = self.rule, self.decayed()
        known: dict[str, Any] = {
            "pre": self.arriving,
            "post": post[:, self.post],
            "v": v[:, self.post],
            "w": self.weight,
            "dt": self.dt,
            "w_min": rule.get("w_min", -np.inf),
            "w_max": rule.get("w_max", np.inf),
            **rule.get("constants", {}),
            **{name: value[:, np.newaxis] for name, value in modulators.items()},
            **decayed,
        }
        self.move(known)
        for name, kept in decayed.items():
            fed = np.zeros_like(self.weight) + self.value(rule["traces"][name]["feed"], known)
            if rule["traces"][name].get("mean", False):
                fed = fed * (np.exp(self.dt / rule["traces"][name]["tau"]) - 1.0)
            sets = rule["traces"][name].get("sets", False)
            self.traces[name] = np.where(fed != 0, fed, kept) if sets else kept + fed

    def move(self, known: dict[str, Any]) -> None:
        """The weight, by what is known in this step."""
        if len(self.past) % self.rule.get("every", 1) == 0:
            change = np.zeros_like(self.weight) + self.value(self.rule["update"], known)
            if self.rule.get("batch_learning", "own") == "mean":
                change[:] = change.mean(axis=0)
            self.weight = np.clip(self.weight + change, known["w_min"], known["w_max"])

    @staticmethod
    def value(text: str, known: dict[str, Any]) -> Any:
        return eval(text, {"__builtins__": {}, "pos": lambda x: np.maximum(x, 0.0)}, known)
