"""A population whose connections learn. No Lava in here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .engines import Arrays, Neurons
from .memory import Clock, Memory


class Learner:
    """The synapses of one connection: weights and traces, a value for each synapse.

    Args:
        number: which of the population's.
        given: ``first`` and ``size`` of its part of the port, ``modulators`` {name: element}, ``traces`` [{name, decay,
            feed, sets, from_weight}], ``rectified`` [{name, sum}], ``update``, ``transmits``; ``low``, ``high``,
            ``every``, ``shared``. A sum of products is [[factor, names]].
        arrays: of the cell.
        shape: of a step's port.
    """

    def __init__(
        self, number: int, given: Mapping[str, Any], arrays: Arrays, shape: tuple[int, ...], memory: Memory
    ) -> None:
        self.given = given
        self.pre, self.post, self.late = (arrays[f"learner{number}.{name}"] for name in ("pre", "post", "late"))
        whole = (*shape[:-1], len(self.pre))
        self.weight = memory.array(f"weight{number}", whole, arrays[f"learner{number}.weight"])
        self.traces = {
            trace["name"]: memory.array(
                f"trace{number}_{i}", whole, arrays[f"learner{number}.weight"] if trace["from_weight"] else 0.0
            )
            for i, trace in enumerate(given["traces"])
        }
        self.length = int(self.late.max(initial=0)) + 1
        self.ring = memory.array(f"arrived{number}", (self.length, *shape[:-1], int(given["size"])))
        self.arriving: Any = None

    def transmit(self, port: Any, t: int, outputs: int) -> Any:
        """What the target gets, with the weights of the last step."""
        first, size = int(self.given["first"]), int(self.given["size"])
        self.ring[t % self.length] = port[..., first : first + size]
        if self.length == 1:
            self.arriving = self.ring[0][..., self.pre]
        else:
            places = (t - self.late) % self.length
            self.arriving = np.moveaxis(self.ring, 0, -2)[..., places, self.pre]
        made = np.zeros((*port.shape[:-1], outputs))
        everywhere: Any = (..., self.post)
        sent = total(self.given["transmits"], {"pre": self.arriving, "w": self.weight, **self.decayed()})
        np.add.at(made, everywhere, sent)
        return made

    def decayed(self) -> dict[str, Any]:
        """Traces as this step reads them."""
        return {trace["name"]: trace["decay"] * self.traces[trace["name"]] for trace in self.given["traces"]}

    def learn(self, port: Any, spikes: Any, v: Any, t: int) -> None:
        """After the step: traces decay, the weight changes, traces are fed."""
        given = self.given
        decayed = self.decayed()
        known = {
            "pre": self.arriving,
            "post": spikes[..., self.post],
            "v": v[..., self.post],
            "w": self.weight,
            **{name: port[..., int(element), np.newaxis] for name, element in given["modulators"].items()},
            **decayed,
        }
        for part in given["rectified"]:
            known[part["name"]] = np.maximum(total(part["sum"], known), 0.0)
        fed = {trace["name"]: total(trace["feed"], known) for trace in given["traces"]}
        if (t + 1) % int(given["every"]) == 0:
            change = np.zeros_like(self.weight) + total(given["update"], known)
            if given["shared"] and change.ndim > 1:
                change = change.mean(axis=0, keepdims=True)
            self.weight[...] = np.clip(self.weight + change, given["low"], given["high"])
        for trace in given["traces"]:
            name = trace["name"]
            kept = np.where(fed[name] != 0, 0.0, decayed[name]) if trace["sets"] else decayed[name]
            self.traces[name][...] = kept + fed[name]


class Learners(Neurons):
    """Neurons, and the connections that lead to them."""

    def __init__(
        self,
        clock: Clock,
        memory: Memory,
        cell: Mapping[str, Any],
        arrays: Arrays,
        shape: tuple[int, ...],
        voltages: Any = None,
    ) -> None:
        super().__init__(clock, memory, cell, arrays, shape, voltages)
        port = (*shape[:-1], int(cell["size_in"]))
        self.learners = [Learner(i, given, arrays, port, memory) for i, given in enumerate(cell["learners"])]

    def respond(self, x: Any) -> Any:
        own = self.shape[-1]
        arriving = x[..., :own]
        for learner in self.learners:
            arriving = arriving + learner.transmit(x, self.clock.t, own)
        output = super().respond(arriving)
        spikes = output if self.condition is not None else np.zeros_like(output)
        for learner in self.learners:
            learner.learn(x, spikes, self.states["v"], self.clock.t)
        return output


def total(terms: Any, known: Mapping[str, Any]) -> Any:
    """A sum of products."""
    found: Any = 0.0
    for factor, names in terms:
        product: Any = factor
        for name in names:
            product = product * known[name]
        found = found + product
    return found
