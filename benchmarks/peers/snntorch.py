"""snnTorch: the loop over time that its tutorials write, the reset in the step of the spike.

For recurrence the loop has a ``Linear`` of its own beside ``Leaky``. snnTorch's ``RLeaky`` is slower: with reset to
zero it computes its recurrent product twice a step (:class:`RecurrentLeaky`, measured beside it).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import snntorch
import torch
from torch import Tensor, nn

from benchmarks.network import Network, as_torch
from benchmarks.peers import SURROGATES, Peer, loop_of, parameters_of

SURROGATE = "atan"


class Trace(NamedTuple):
    """Spikes and voltages after the reset of every stage, each (T, batch, *shape)."""

    spikes: list[Tensor]
    voltages: list[Tensor]


class Loop(Peer):
    """The step loop."""

    def __init__(self, spec: Network, dtype: torch.dtype, surrogate: str = SURROGATE) -> None:
        super().__init__()
        self.maps, self.neurons, self.loops = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for stage in spec.stages:
            maps = as_torch(stage.maps)
            self.maps.append(maps[0] if len(maps) == 1 else nn.Sequential(*maps))
            self.loops.append(nn.Identity() if stage.loop is None else loop_of(stage.loop))
            self.neurons.append(
                snntorch.Leaky(
                    spec.beta,
                    threshold=spec.threshold,
                    spike_grad=SURROGATES[surrogate](),
                    reset_mechanism="zero",
                    reset_delay=False,
                )
            )
        # beta and threshold are registered in float32: in float64 they are what the network says.
        self.to(dtype)
        for neuron in self.neurons:
            neuron.beta.fill_(spec.beta)  # type: ignore[operator]
        self.recurrent = [stage.loop is not None for stage in spec.stages]
        self.shapes = [stage.shape for stage in spec.stages]
        self.dtype = dtype
        self._stream: tuple[list[Tensor], list[Tensor]] | None = None

    def weights(self) -> list[nn.Parameter]:
        """In the network's order."""
        return parameters_of(*(m for pair in zip(self.maps, self.loops, strict=True) for m in pair))

    def rest(self, batch: int) -> tuple[list[Tensor], list[Tensor]]:
        """Voltages and the last spikes, before the first step."""
        zeros = [torch.zeros(batch, *shape, dtype=self.dtype) for shape in self.shapes]
        return list(zeros), list(zeros)

    def advance(self, now: Tensor, mems: list[Tensor], last: list[Tensor]) -> Tensor:
        """One step; both lists move on."""
        for i, (maps, neuron) in enumerate(zip(self.maps, self.neurons, strict=True)):
            now = maps(now)
            if self.recurrent[i]:
                now = now + self.loops[i](last[i])
            spikes, mems[i] = neuron(now, mems[i])
            now = last[i] = spikes.to(self.dtype)  # snnTorch's surrogates give float32
        return now

    def forward(self, x: Tensor) -> Tensor:
        """(T, batch, *shape) to (T, batch, *shape of the last stage)."""
        mems, last = self.rest(x.shape[1])
        return torch.stack([self.advance(now, mems, last) for now in x])

    @torch.no_grad()
    def trace(self, x: Tensor) -> Trace:
        """What every stage does."""
        mems, last = self.rest(x.shape[1])
        kept: list[tuple[list[Tensor], list[Tensor]]] = []
        for now in x:
            self.advance(now, mems, last)
            kept.append((list(last), list(mems)))
        stages = range(len(self.shapes))
        return Trace(*([torch.stack([step[part][i] for step in kept]) for i in stages] for part in (0, 1)))

    def start(self) -> None:
        """At rest; a batch of one."""
        self._stream = self.rest(1)

    def step(self, x: Tensor) -> Tensor:
        """One step."""
        if self._stream is None:
            self.start()
        return self.advance(x, *self._stream)  # type: ignore[misc]


class RecurrentLeaky(Loop):
    """The same with ``snntorch.RLeaky`` where a population has a recurrence; its own bias is 0."""

    def __init__(self, spec: Network, dtype: torch.dtype) -> None:
        super().__init__(spec, dtype)
        for i, stage in enumerate(spec.stages):
            if stage.loop is not None:
                self.neurons[i] = self._recurrent(spec, stage.loop).to(dtype)
                self.loops[i] = self.neurons[i].recurrent  # type: ignore[assignment]

    @staticmethod
    def _recurrent(spec: Network, weight: Tensor) -> nn.Module:
        neuron: Any = snntorch.RLeaky(
            spec.beta, linear_features=len(weight), threshold=spec.threshold,
            spike_grad=SURROGATES[SURROGATE](), reset_mechanism="zero", reset_delay=False,
        )  # fmt: skip
        with torch.no_grad():
            neuron.recurrent.weight.copy_(weight)
            neuron.recurrent.bias.zero_()
        return neuron  # type: ignore[no-any-return]

    def weights(self) -> list[nn.Parameter]:
        """Without the bias of the recurrence, which the network has not."""
        biases = {id(n.recurrent.bias) for n in self.neurons if isinstance(n, snntorch.RLeaky)}
        return [weight for weight in super().weights() if id(weight) not in biases]

    def advance(self, now: Tensor, mems: list[Tensor], last: list[Tensor]) -> Tensor:
        """One step; both lists move on."""
        for i, (maps, neuron) in enumerate(zip(self.maps, self.neurons, strict=True)):
            before = (last[i], mems[i]) if self.recurrent[i] else (mems[i],)
            spikes, mems[i] = neuron(maps(now), *before)
            now = last[i] = spikes.to(self.dtype)
        return now


def network(spec: Network, dtype: torch.dtype = torch.float32, surrogate: str = SURROGATE) -> Loop:
    """snnTorch's loop."""
    return Loop(spec, dtype, surrogate)
