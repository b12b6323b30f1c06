"""What a connection has learned so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hasn.kernels.plastic import Job


@dataclass(frozen=True)
class Sent:
    """What came in at a step.

    Attributes:
        x: (batch, inputs).
        active: places in the flat x that are not 0.
        at: the addresses of both, which take a microsecond each to find out.
    """

    x: Tensor
    active: NDArray[np.int64]
    at: tuple[int, int]


@dataclass
class Told:
    """What the kernel is told of a step.

    Attributes:
        job: addresses of all that follows, of weights and traces.
        table: for each of ``sent``, newest first, the addresses of its two arrays and how many places there are.
        ranges: synapses at which something arrives, for each of these places, once the kernel has found them.
        held: what must live as long.
    """

    job: Job
    table: NDArray[np.int64]
    ranges: NDArray[np.int32]
    held: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Learned:
    """Weights and traces.

    Attributes:
        weight: (batch, outputs, inputs), (batch, synapses) or (batch, *kernel); where all samples share it, batch is 1.
        traces: name -> (batch, who has one); see ``scales``.
        step: number of the step to come.
        arrived: what came in at the last step: (batch, inputs), or with delays (batch, synapses).
        sent: the same where the connection goes by events: of this step and, newest first, of those before.
        told: what the kernel is told of it.
        scales: name -> what a trace is to be multiplied with; 1 if it is not there.
        owned: whether the run that goes on from here may write into ``weight`` and the scaled traces.
        outside: whether weights may lie outside the bounds, as no step has left them.
        marks: a bit for each weight, for the kernel.
    """

    weight: Tensor
    traces: Mapping[str, Tensor]
    step: int
    arrived: Tensor | None = None
    sent: tuple[Sent, ...] = ()
    told: Told | None = None
    scales: Mapping[str, float] = field(default_factory=dict)
    owned: bool = False
    outside: bool = False
    marks: NDArray[Any] | None = None

    def shared(self) -> Learned:
        """The same, into which nobody writes: whoever goes on from it makes memory of his own."""
        return replace(self, owned=False, marks=None)

    def standing(self) -> Tensor:
        """The weights, for someone who keeps them."""
        return self.weight.clone() if self.owned else self.weight

    def plain(self) -> dict[str, Tensor]:
        """name -> trace, as it is."""
        return {name: x * self.scales[name] if name in self.scales else x for name, x in self.traces.items()}
