"""hasn's side of a comparison: each node of a Program, given what the source tool's parts sent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hasn.backends.snntorch.connections import connection_module
from hasn.conversions.refuse import refusal
from hasn.program.model import Connection, Edge, Neurons, Program, Sink, Source, Threshold
from hasn.program.simulate import Simulated

#: The tools compute in float32: some 1e-7 of the largest number, times the square root of some thousand terms, and a
#: membrane adds its steps' errors up. What is nearer than this to a threshold, or to another value, is the same.
_ROUNDING = 1e-4


class Replay:
    """A Program whose nodes are evaluated one by one.

    Attributes:
        ties: spikes that differ with the membrane within rounding of its threshold.

    Args:
        program: the network.
        inputs: Input -> (T, batch, *shape).
        heard: node -> what the tool has there, (T, batch, *shape) in float64.
        forced: node -> what the tool went on with in its place.
    """

    def __init__(
        self, program: Program, inputs: Mapping[str, Tensor], heard: Mapping[str, Tensor], forced: Mapping[str, Tensor]
    ) -> None:
        self._program = program
        self._inputs = {name: x.double() for name, x in inputs.items()}
        self._heard = heard
        self._forced = {name: x.double() for name, x in forced.items()}
        self._own: dict[str, Tensor] = {}
        self._asked: set[str] = set()
        self.ties = 0

    def difference(self, name: str, heard: Tensor) -> str | None:
        """Where hasn's node differs from what the tool has there: step, sample and both values; None: nowhere."""
        node = self._program.node(name)
        if isinstance(node, Threshold) or (isinstance(node, Neurons) and node.spiking):
            own, near = self._spikes(node, heard)
        else:
            own = self._value(name)
            near = torch.zeros((), dtype=torch.bool)
        size = torch.maximum(own.abs().amax(0), heard.abs().amax(0)).flatten(1).amax(1)
        size = size.view(-1, *(1,) * (own.ndim - 2))
        other = ~((heard - own).abs() <= _ROUNDING * size)  # NaN differs
        self.ties += int((other & near).sum())
        where = torch.nonzero(other & ~near)
        if not len(where):
            return None
        at = tuple(int(i) for i in where[0])
        total = int((other & ~near).sum())
        return (
            f"{float(heard[at]):.6g} where hasn has {float(own[at]):.6g}, in step {at[0]}, sample {at[1]}, "
            f"element {at[2:]}; {total} of {other.numel()} values differ"
        )

    # --- a node's own values

    def _spikes(self, node: Neurons | Threshold, heard: Tensor) -> tuple[Tensor, Tensor]:
        """(spikes, whether the membrane is within rounding of the threshold); resets follow the tool's spikes."""
        total = self._total(node.name)
        if isinstance(node, Threshold):
            seen = total - torch.as_tensor(np.asarray(node.threshold, dtype=np.float64))
            size = torch.maximum(total.abs().amax(0), torch.as_tensor(np.abs(node.threshold)))
        else:
            population = Simulated(node, (total.shape[1],))
            steps: list[NDArray[np.float64]] = []
            largest = np.zeros(total.shape[1:])
            for x, spikes in zip(total.numpy(), heard.numpy(), strict=True):
                population.step(x, spikes > 0.5)
                steps.append(population.seen)
                largest = np.maximum(largest, np.abs(population.peak) + np.abs(population.seen - population.peak))
            seen, size = torch.as_tensor(np.array(steps)), torch.as_tensor(largest)
        return (seen > 0).double(), seen.abs() <= _ROUNDING * size

    def _value(self, name: str) -> Tensor:
        """What the node makes of what arrives."""
        if name in self._own:
            return self._own[name]
        if name in self._asked:
            raise refusal(
                name,
                "verify",
                "lies in a loop of which no part can be heard",
                way_out="Pass verify=False to convert without a comparison.",
            )
        self._asked.add(name)
        node = self._program.node(name)
        if isinstance(node, Source):
            made = self._inputs[name]
        elif isinstance(node, Connection):
            made = self._mapped(node)
        elif isinstance(node, Sink):
            made = self._total(name)
        elif isinstance(node, Threshold):
            made = (self._total(name) > torch.as_tensor(np.asarray(node.threshold, dtype=np.float64))).double()
        else:
            total = self._total(name)
            population = Simulated(node, (total.shape[1],))
            made = torch.as_tensor(np.array([population.step(x) for x in total.numpy()]))
        self._own[name] = made
        return made

    @torch.no_grad()
    def _mapped(self, node: Connection) -> Tensor:
        total = self._total(node.name)
        steps, batch = total.shape[:2]
        module = connection_module(node, torch.float64).to(torch.float64)
        mapped: Tensor = module(total.flatten(0, 1))
        return mapped.reshape(steps, batch, *node.shape)

    def _total(self, name: str) -> Tensor:
        """The sum of what arrives, as the tool's parts sent it."""
        node = self._program.node(name)
        edges = self._program.edges_into(name)
        if not edges:
            some = next(iter(self._inputs.values()))
            return torch.zeros(*some.shape[:2], *(getattr(node, "given", None) or node.shape), dtype=torch.float64)
        total = self._arriving(edges[0])
        for edge in edges[1:]:
            total = total + self._arriving(edge)
        return total

    def _arriving(self, edge: Edge) -> Tensor:
        sent = self._forced.get(edge.source, self._heard.get(edge.source))
        value = self._value(edge.source) if sent is None else sent
        return torch.cat([torch.zeros_like(value[:1]), value[:-1]]) if edge.delay else value
