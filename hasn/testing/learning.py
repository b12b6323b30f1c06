"""What a connection that learns does, by SEMANTICS ("Plasticity inside a step"): synapse by synapse, in plain NumPy.

Formulas are Python's own: the text of the rule is evaluated as it stands, on one number for each sample and synapse.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.nodes import SparseLinear
from hasn.testing.drawn import DRAWN
from hasn.testing.layers import convolution
from hasn.testing.structure import Structure

Array = NDArray[Any]


class Learner:
    """A Linear, Affine, SparseLinear or convolution with a rule.

    Attributes:
        weight: (batch, weights), in the order of the matrix, of the stored synapses, or of the kernel.
        target: the population that it feeds.
        tie: for each synapse the weight that is its: of a convolution, one for all positions.

    Args:
        node: the connection.
        target: see above.
        dt: seconds a step.
        given, result: shapes of what it takes and gives.
    """

    def __init__(self, node: Any, target: str, dt: float, given: tuple[int, ...], result: tuple[int, ...]) -> None:
        self.rule, self.target, self.dt, self.result = node.metadata["plasticity"], target, dt, result
        if isinstance(node, nir.Conv1d | nir.Conv2d):
            self.outputs, self.start = int(np.prod(result)), np.asarray(node.weight, dtype=float).reshape(-1)
            self.pre, self.post, self.tie = positions(node, given)
            self.late = np.zeros(len(self.pre), dtype=int)
            self.rows = np.indices(node.weight.shape)[0].reshape(-1)
        elif isinstance(node, SparseLinear):
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
        if not isinstance(node, nir.Conv1d | nir.Conv2d):
            self.tie, self.rows = np.arange(len(self.pre)), self.post
        bias = np.asarray(getattr(node, "bias", 0.0))
        self.bias = bias.reshape(-1, *[1] * (len(result) - 1)) if bias.ndim else bias
        self.past: list[Array] = []
        self.weight = self.start
        self.traces: dict[str, Any] = {}

    def __call__(self, x: Array, log: Any) -> Array:
        self.past.append(x.reshape(len(x), -1))
        if len(self.past) == 1:
            self.weight = np.tile(self.start, (len(x), 1))
            for name, trace in self.rule.get("traces", {}).items():
                self.traces[name] = self.weight[:, self.tie] if trace.get("start", "zero") == "weight" else 0.0
        self.arriving = self.sent()
        y = np.zeros((len(x), self.outputs))
        everywhere: Any = (slice(None), self.post)
        known = {
            "pre": self.arriving,
            "w": self.weight[:, self.tie],
            **self.rule.get("constants", {}),
            **self.decayed(),
        }
        np.add.at(y, everywhere, self.value(self.rule.get("transmits", "w * pre"), known))
        return np.asarray(y.reshape(len(x), *self.result) + self.bias)

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
        """After all nodes of the step; (batch, *outputs) twice, and (batch,) each."""
        rule, decayed, post, v = self.rule, self.decayed(), post.reshape(len(post), -1), v.reshape(len(v), -1)
        known: dict[str, Any] = {
            "pre": self.arriving,
            "post": post[:, self.post],
            "v": v[:, self.post],
            "w": self.weight[:, self.tie],
            "dt": self.dt,
            "w_min": rule.get("w_min", -np.inf),
            "w_max": rule.get("w_max", np.inf),
            **rule.get("constants", {}),
            **{name: value[:, np.newaxis] for name, value in modulators.items()},
            **decayed,
        }
        self.move(known)
        if "normalise" in rule and len(self.past) % rule.get("normalise_every", 1) == 0:
            self.weight = np.clip(self.normalised(), known["w_min"], known["w_max"])
        for name, kept in decayed.items():
            fed = np.zeros_like(self.arriving) + self.value(rule["traces"][name]["feed"], known)
            if rule["traces"][name].get("mean", False):
                fed = fed * (np.exp(self.dt / rule["traces"][name]["tau"]) - 1.0)
            sets = rule["traces"][name].get("sets", False)
            self.traces[name] = np.where(fed != 0, fed, kept) if sets else kept + fed

    def move(self, known: dict[str, Any]) -> None:
        """The weight, by what is known in this step."""
        if len(self.past) % self.rule.get("every", 1) == 0:
            change = np.zeros_like(self.weight)
            everywhere: Any = (slice(None), self.tie)
            np.add.at(change, everywhere, np.zeros_like(self.arriving) + self.value(self.rule["update"], known))
            if self.rule.get("batch_learning", "own") == "mean":
                change[:] = change.mean(axis=0)
            self.weight = np.clip(self.weight + change, known["w_min"], known["w_max"])

    def normalised(self) -> Array:
        """Each target's (or output channel's) weights, their sizes summing to ``normalise``; zeros stay."""
        made = self.weight.copy()
        for sample, target in np.ndindex(len(made), int(self.rows.max()) + 1):
            mine = self.rows == target
            total = sum(abs(value) for value in self.weight[sample, mine])
            if total:
                made[sample, mine] = self.weight[sample, mine] * self.rule["normalise"] / total
        return made

    def modulators(
        self,
        name: str,
        found: Structure,
        inputs: Mapping[str, Array],
        now: Mapping[str, Array],
        before: Mapping[str, Array],
        t: int,
    ) -> dict[str, Any]:
        """In step t: what the user gives; the mean of a node, in its own step where it is an Input or drawn (and takes
        no step to get there), else of the step before."""
        given: dict[str, Any] = {}
        for modulator in self.rule.get("modulators", "").split():
            own = found.nodes[name].metadata.get("plasticity_modulators", {})
            if modulator not in own:
                given[modulator] = inputs[modulator][t]
                continue
            source = name[: name.rfind(".") + 1] + own[modulator]
            first = source in found.inputs or isinstance(found.nodes[source], DRAWN)
            values = now if first and found.timing == "synchronous" else before
            sent = values.get(source, np.zeros((len(self.weight), 1)))
            given[modulator] = sent.reshape(len(sent), -1).mean(axis=1)
        return given

    @staticmethod
    def value(text: str, known: dict[str, Any]) -> Any:
        return eval(text, {"__builtins__": {}, "pos": lambda x: np.maximum(x, 0.0)}, known)


def positions(node: Any, given: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """(source, target, weight) of every synapse of a convolution, flat: each source sends 1, and the weights are
    numbered, so that what arrives at a target is the number of the weight between them."""
    numbered = copy.copy(node)
    numbered.weight = np.arange(1.0, node.weight.size + 1.0).reshape(node.weight.shape)
    numbered.bias = np.zeros(len(node.weight))
    found = convolution(numbered, np.eye(int(np.prod(given))).reshape(-1, *given))
    source, target = np.nonzero(found.reshape(len(found), -1))
    return source, target, np.rint(found.reshape(len(found), -1)[source, target]).astype(int) - 1
