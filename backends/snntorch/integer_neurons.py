"""The chip's LIF neuron on integer tensors: u and v in int32, a population and a batch at a time.

    u <- wrap(trunc(u * (4096 - (du + 1)) / 4096) + x)           x: the synaptic input << 6
    v <- clip(trunc(v * (4096 - dv) / 4096) + u + bias)
    z  = v > vth << 6,  v <- 0 where z

The decays' products need up to 43 bits. In float64 they are exact (a factor of 1/4096 costs none of its 53 bits), and
a cast to int32 cuts towards 0 as the chip's decay does. Measured on one thread for 64 x 128 neurons: 25 us, against 73
for int32 split in halves of 12 bits and 78 for int64.
"""

from __future__ import annotations

from enum import Enum

import numpy as np
import torch
from torch import Tensor

from hasn.program.integers.lower import check_current
from hasn.program.integers.model import ALIGN_BITS, DECAY_BITS, DECAY_MAX, STATE_LIMIT, IntegerPopulation, Integers

_UNITY = 1 << DECAY_BITS


class Wrap(Enum):
    """What a current needs, by the largest input that can arrive in a step.

    Attributes:
        NEVER: it stays below 2**23 whatever comes.
        MODULAR: the input is at most 2**24, so one turn brings the current back: arithmetic modulo 2**24.
        ONCE: one turn may not be enough, and what is left over stays, as in Lava; within the 32 bits that Lava adds in.
    """

    NEVER = 0
    MODULAR = 1
    ONCE = 2


class IntegerNeurons:
    """A population's registers as tensors.

    Attributes:
        spec: the registers.
        kept_u, kept_v: (4096 - decay) / 4096 for each neuron, float64; None: nothing of u, all of v is kept.
        bias: int32, or None.
        threshold: ``vth << 6``, int32.
    """

    def __init__(self, spec: IntegerPopulation, device: torch.device) -> None:
        def tensor(values: Integers) -> Tensor:
            return torch.from_numpy(values.astype(np.int32)).to(device)

        self.spec = spec
        self.kept_u = tensor(DECAY_MAX - spec.du).double() / _UNITY if np.any(spec.du < DECAY_MAX) else None
        self.kept_v = tensor(_UNITY - spec.dv).double() / _UNITY if np.any(spec.dv) else None
        self.bias = tensor(spec.bias) if np.any(spec.bias) else None
        self.threshold = tensor(spec.vth << ALIGN_BITS)
        self.v_init = tensor(spec.v_init)
        self.half, self.mask, self.turn = (
            torch.tensor(value, dtype=torch.int32, device=device)
            for value in (STATE_LIMIT - 1, 2 * STATE_LIMIT - 1, 2 * STATE_LIMIT)
        )

    def wrap(self, largest: Integers) -> Wrap:
        """How currents must be wrapped.

        Args:
            largest: for each neuron, the largest absolute input of a step, aligned.
        """
        if np.all(largest * _UNITY < STATE_LIMIT * (self.spec.du + 1)):  # u <= kept * u + largest has this fixed point
            return Wrap.NEVER
        return Wrap.MODULAR if np.all(largest <= 2 * STATE_LIMIT) else Wrap.ONCE


class Running:
    """A population over some steps. The input becomes the trace of u in place.

    Attributes:
        currents: int32 (T, batch, n): the aligned input of steps to come, u of steps that are done.
        u, v: int32 (batch, n), the state after the last step done.
        voltages: v after the reset, int32 (T, batch, n), if kept.
    """

    def __init__(self, neurons: IntegerNeurons, x: Tensor, u: Tensor, v: Tensor, wrap: Wrap, keep_v: bool) -> None:
        self.neurons, self.currents, self.u, self.v = neurons, x, u, v.clone()
        self.voltages = torch.empty_like(x) if keep_v else None
        self._wrap = wrap
        self._quiet = torch.empty_like(x)  # 1 where a neuron did not spike: int32, so that v can be multiplied by it
        self._rows = list(zip(x.unbind(), self._quiet.unbind(), strict=True))
        self._product = torch.empty(v.shape, dtype=torch.float64, device=v.device)
        self._decayed = torch.empty_like(v)
        self._peak = torch.zeros((), dtype=torch.float64, device=v.device)

    def all(self) -> None:
        """Every step; nothing more is added to the input."""
        if self.neurons.kept_u is None:
            self._settle(self.currents)
            self._wrap = Wrap.NEVER
        for t in range(len(self._rows)):
            self.step(t)

    def step(self, t: int) -> None:
        """Step ``t``: its input is complete."""
        n, v = self.neurons, self.v
        u, quiet = self._rows[t]
        if self._wrap is Wrap.ONCE:
            self._once(u)
        else:
            if n.kept_u is not None:
                torch.mul(self.u, n.kept_u, out=self._product)
                u.add_(self._decayed.copy_(self._product))
            self._settle(u)
        if n.kept_v is not None:
            torch.mul(v, n.kept_v, out=self._product)
            v.copy_(self._product)
        v.add_(u)
        if n.bias is not None:
            v.add_(n.bias)
        v.clamp_(1 - STATE_LIMIT, STATE_LIMIT - 1)
        torch.le(v, n.threshold, out=quiet)
        v.mul_(quiet)
        self.u = u
        if self.voltages is not None:
            self.voltages[t].copy_(v)

    def _settle(self, u: Tensor) -> None:
        """Wrap currents that hold no more than one turn."""
        if self._wrap is Wrap.MODULAR:  # 2**23 stays and -2**23 becomes 2**23, so the range is shifted by one
            n = self.neurons
            u.add_(n.half).bitwise_and_(n.mask).sub_(n.half)
        elif self._wrap is Wrap.ONCE:
            self._peak = torch.maximum(self._peak, u.abs().amax().double())
            u.sub_((u > STATE_LIMIT) * self.neurons.turn).add_((u <= -STATE_LIMIT) * self.neurons.turn)

    def _once(self, u: Tensor) -> None:
        """Decay, add and wrap in float64, which is exact here, and note the largest sum."""
        total = u.double()
        if self.neurons.kept_u is not None:
            total += torch.mul(self.u, self.neurons.kept_u, out=self._product).trunc_()
        self._peak = torch.maximum(self._peak, total.abs().amax())
        turns = (total > STATE_LIMIT).double() - (total <= -STATE_LIMIT).double()
        u.copy_(total.sub_(turns, alpha=2 * STATE_LIMIT))

    def spikes(self, t: int | None = None, out: Tensor | None = None) -> Tensor:
        """Where a neuron spiked, at every step or at one: bool, or in the type of ``out``."""
        quiet = self._quiet if t is None else self._rows[t][1]
        return torch.eq(quiet, 0) if out is None else torch.eq(quiet, 0, out=out)

    def check(self) -> None:
        """Refuse what 32 bits did not hold.

        Raises:
            UnsupportedError: the current and its input added up to more.
        """
        peak = float(self._peak) if self._wrap is Wrap.ONCE else 0.0
        check_current(self.neurons.spec.name, peak)
