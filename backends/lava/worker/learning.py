"""A population whose connections learn. No Lava in here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .engines import Arrays, Neurons
from .memory import Clock, Memory


class Learner:
    """The synapses of one connection: traces, a value for each synapse, and weights, which several may share.

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
        self.tie, self.rows = arrays.get(f"learner{number}.tie"), arrays[f"learner{number}.rows"]
        whole, start = (*shape[:-1], len(self.pre)), arrays[f"learner{number}.weight"]
        self.weight = memory.array(f"weight{number}", (*shape[:-1], len(start)), start)
        self.traces = {
            trace["name"]: memory.array(
                f"trace{number}_{i}", whole, self.of_synapses(start) if trace["from_weight"] else 0.0
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
        sent = total(self.given["transmits"], {"pre": self.arriving, "w": self.present, **self.decayed()})
        np.add.at(made, everywhere, sent)
        return made

    @property
    def present(self) -> Any:
        """The weight of each synapse."""
        return self.of_synapses(self.weight)

    def of_synapses(self, weight: Any) -> Any:
        """What each synapse has of weights."""
        return weight if self.tie is None else weight[..., self.tie]

    def normalised(self) -> Any:
        """The weights of each target, or channel, scaled so that their sizes sum to what the rule says."""
        sums = np.zeros((*self.weight.shape[:-1], int(self.rows.max(initial=-1)) + 1))
        everywhere: Any = (..., self.rows)
        np.add.at(sums, everywhere, np.abs(self.weight))
        factors = np.divide(self.given["normal"], sums, out=np.ones_like(sums), where=sums > 0)
        return np.clip(self.weight * factors[..., self.rows], self.given["low"], self.given["high"])

    def change(self, known: Mapping[str, Any]) -> Any:
        """What weights change by: the sum over their synapses."""
        made = np.zeros_like(self.arriving) + total(self.given["update"], known)
        if self.tie is None:
            return made
        summed = np.zeros_like(self.weight)
        everywhere: Any = (..., self.tie)
        np.add.at(summed, everywhere, made)
        return summed

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
            "w": self.present,
            **{name: port[..., int(element), np.newaxis] for name, element in given["modulators"].items()},
            **decayed,
        }
        for part in given["rectified"]:
            known[part["name"]] = np.maximum(total(part["sum"], known), 0.0)
        fed = {trace["name"]: total(trace["feed"], known) for trace in given["traces"]}
        if (t + 1) % int(given["every"]) == 0:
            change = self.change(known)
            if given["shared"] and change.ndim > 1:
                change = change.mean(axis=0, keepdims=True)
            self.weight[...] = np.clip(self.weight + change, given["low"], given["high"])
        if given["normal"] and (t + 1) % int(given["normal_every"]) == 0:
            self.weight[...] = self.normalised()
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
