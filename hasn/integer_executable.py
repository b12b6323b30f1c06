"""What the executables of precision "loihi" share: the integer network, integer inputs, and currents to record."""

from __future__ import annotations

from abc import ABC
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError
from hasn.executable import Executable
from hasn.program.integers.lower import check_activation, to_integers
from hasn.program.integers.model import GRADED_LIMIT, IntegerNetwork, Integers
from hasn.program.model import Neurons, Program
from hasn.signals import Signals

#: Values checked at a time, so that they stay in the cache: large inputs cost as much as the network itself.
_BLOCK = 1 << 14


class IntegerExecutable(Executable, ABC):
    """A network in the chip's integers: spikes, u and v are the same bits on every backend.

    Inputs are integers (spikes 0 and 1, or graded spikes within 24 bits). Outputs and ``voltages`` are v after the
    reset, ``currents`` u after the wrap, both integers in the chip's units (int32).

    Attributes:
        integers: the registers and weights.
    """

    recordable = ("spikes", "voltages", "currents")

    def __init__(self, program: Program) -> None:
        super().__init__(program, "loihi")
        self.integers: IntegerNetwork = to_integers(self.network)

    @cached_property
    def memory(self) -> dict[str, int]:
        """Of the integer network, whose connections that round to nothing are gone."""
        delays: dict[str, int] = {}
        for p in self.integers.projections:
            delays[p.source] = max(p.delay, delays.get(p.source, 0))
        return {name: delays[name] for name in self.integers.network.by_name if delays.get(name)}

    def _states_of(self, population: Neurons) -> tuple[str, ...]:
        """The chip's registers."""
        return ("u", "v")

    def _integer_inputs(self, given: Signals) -> dict[str, Integers]:
        """{Input: int64 (T, batch, n)}, flat elements.

        Raises:
            InputError: a value is no integer or beyond 24 bits.
            UnsupportedError: so large that sums would leave 32 bits.
        """
        return self._integers_and_largest(given)[0]

    def _integers_and_largest(self, given: Signals, dtype: Any = np.int64) -> tuple[dict[str, Any], dict[str, int]]:
        """The same in a type that holds 24 bits, and {Input: its largest absolute value}."""
        found = {name: _integers(name, value, dtype) for name, value in given.values.items()}
        largest = {name: most for name, (_, most) in found.items()}
        for name, most in self.integers.largest_activation(largest).items():
            check_activation(name, most)
        return {name: x.reshape(given.steps, given.batch, -1) for name, (x, _) in found.items()}, largest


def _integers(name: str, value: NDArray[np.float64], dtype: Any) -> tuple[NDArray[Any], int]:
    """An Input's data as whole numbers, flat, and the largest absolute value."""
    flat = value.reshape(-1)
    whole, most, rounded = np.empty(flat.size, dtype=dtype), 0.0, np.empty(_BLOCK)
    for start in range(0, flat.size, _BLOCK):
        part = flat[start : start + _BLOCK]
        off = np.rint(part, out=rounded[: part.size]) != part
        if off.any():
            raise InputError(
                "the chip takes integers",
                node=name,
                parameter="inputs",
                got=float(part[off][0]),
                wanted="spikes 0/1 or integers (graded spikes)",
                way_out="QuantisedNetwork.inputs(x) scales real-valued inputs as the network expects them.",
            )
        most = max(most, float(part.max()), -float(part.min()))
        if most >= GRADED_LIMIT:
            raise InputError(
                "beyond a graded spike's 24 bits",
                node=name,
                parameter="inputs",
                got=float(part[np.abs(part) >= GRADED_LIMIT][0]),
                wanted=f"integers within +-{GRADED_LIMIT - 1}",
            )
        whole[start : start + _BLOCK] = part
    return whole, int(most)
