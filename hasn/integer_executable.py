"""What the executables of precision "loihi" share: the integer network, integer inputs, and currents to record."""

from __future__ import annotations

from abc import ABC

import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError
from hasn.executable import Executable
from hasn.program.integers.lower import check_activation, to_integers
from hasn.program.integers.model import GRADED_LIMIT, IntegerNetwork, Integers
from hasn.program.model import Program
from hasn.signals import Signals


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

    def _integer_inputs(self, given: Signals) -> dict[str, Integers]:
        """{Input: int64 (T, batch, n)}, flat elements.

        Raises:
            InputError: a value is no integer or beyond 24 bits.
            UnsupportedError: so large that sums would leave 32 bits.
        """
        flat = {name: _integers(name, v).reshape(given.steps, given.batch, -1) for name, v in given.values.items()}
        largest = {name: int(np.abs(value).max(initial=0)) for name, value in flat.items()}
        for name, most in self.integers.largest_activation(largest).items():
            check_activation(name, most)
        return flat


def _integers(name: str, value: NDArray[np.float64]) -> Integers:
    whole: NDArray[np.float64] = np.rint(value)
    if np.any(whole != value):
        raise InputError(
            "the chip takes integers",
            node=name,
            parameter="inputs",
            got=float(value[whole != value][0]),
            wanted="spikes 0/1 or integers (graded spikes)",
            way_out="QuantisedNetwork.inputs(x) scales real-valued inputs as the network expects them.",
        )
    if np.any(np.abs(whole) >= GRADED_LIMIT):
        raise InputError(
            "beyond a graded spike's 24 bits",
            node=name,
            parameter="inputs",
            got=float(whole[np.abs(whole) >= GRADED_LIMIT][0]),
            wanted=f"integers within +-{GRADED_LIMIT - 1}",
        )
    return whole.astype(np.int64)
