"""The fused scan of a population over all time steps, on bare memory: ``_scan.c`` and what its numbers mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from hasn.kernels.implementation import extension

#: Rows of the coefficients' array (8, neurons), in this order.
COEFFICIENTS = ("keep_v", "gain_v", "bias", "keep_c", "gain_c", "weight", "threshold", "jump")


class Rows(IntEnum):
    """Which update.

    Attributes:
        ONE: ``v <- keep_v v + gain_v x + bias``.
        CURRENT_FIRST: ``c <- keep_c c + gain_c x``, then ``v <- keep_v v + weight c + bias``.
        VOLTAGE_FIRST: ``v <- keep_v v + weight c + gain_v x + bias``, then ``c <- keep_c c + gain_c x``.
    """

    ONE = 0
    CURRENT_FIRST = 1
    VOLTAGE_FIRST = 2


class Reset(IntEnum):
    """What follows the update.

    Attributes:
        NONE: nothing; the output is v.
        ZERO: ``z = 1[v > threshold]``, ``v <- v (1 - z) + jump z``; the output is z.
        SUBTRACT: ``v <- v - z jump`` instead.
    """

    NONE = 0
    ZERO = 1
    SUBTRACT = 2


class Slope(IntEnum):
    """The gradient of z by ``u = v - threshold``, with a parameter p, as snntorch.surrogate 1.0 defines it.

    Attributes:
        ATAN: ``(p/2) / (1 + (pi/2 p u)^2)``.
        FAST_SIGMOID: ``1 / (p |u| + 1)^2``.
        SIGMOID: ``p exp(-p u) / (exp(-p u) + 1)^2``, computed with ``exp(-p |u|)``: the same, and cannot overflow.
        TRIANGULAR: ``-p`` where ``u >= 0``, else ``p``.
        STRAIGHT_THROUGH: 1.
    """

    ATAN = 0
    FAST_SIGMOID = 1
    SIGMOID = 2
    TRIANGULAR = 3
    STRAIGHT_THROUGH = 4


@dataclass(frozen=True)
class Scan:
    """What both directions of a scan have in common.

    Attributes:
        steps, batch, neurons: lengths of the arrays' axes.
        rows, reset: the equations.
        double: arrays are float64, not float32.
        threads: at most so many; fewer where there is little to do.
        slope, parameter: the surrogate; only the way back reads them.
    """

    steps: int
    batch: int
    neurons: int
    rows: Rows
    reset: Reset
    double: bool = False
    threads: int = 1
    slope: Slope = Slope.ATAN
    parameter: float = 2.0


@dataclass(frozen=True)
class States:
    """Addresses of a scan's states, each (batch, neurons); c only where the update has two rows.

    Attributes:
        v, c: what to start from; 0: zeros.
        v_end, c_end: take what it ends with; 0: not wanted.
        shared: v and c are initial states of all samples, (neurons,).
    """

    v: int = 0
    c: int = 0
    v_end: int = 0
    c_end: int = 0
    shared: bool = False


def scan_forward(
    scan: Scan, coefficients: int, x: int, states: States, out: int, before: int = 0, after: int = 0
) -> None:
    """All steps of a population. Every array is an address of C-contiguous memory; 0 is none.

    Args:
        scan: sizes and equations.
        coefficients: (8, neurons), see :data:`COEFFICIENTS`.
        x: input, (steps, batch, neurons).
        states: the initial states, and where the final ones go.
        out: takes z, or v with ``Reset.NONE``; like x.
        before: takes v before the reset, which the way back needs; like x, and may be x itself.
        after: takes v after the reset; like x.

    Raises:
        RuntimeError: there is no implementation, see :func:`hasn.kernels.available`.
    """
    _call(False, scan, coefficients, x, states, (out, before, after))()


def scan_backward(scan: Scan, coefficients: int, gradient: int, states: States, out: int, before: int = 0) -> None:
    """The adjoint of :func:`scan_forward`, which lets gradients through the reset. Addresses, as there.

    Args:
        scan: as in the forward call.
        coefficients: as in the forward call.
        gradient: dL/d(out of the forward call), or 0 for zeros.
        states: dL/d(final states), and where dL/d(initial states) goes.
        out: takes dL/dx.
        before: what the forward call wrote there; not read with ``Reset.NONE``.

    Raises:
        RuntimeError: there is no implementation.
        ValueError: ``before`` is missing, or the states are shared.
    """
    if states.shared:
        raise ValueError("the way back starts at the end, and every sample has final states of its own")
    if before == 0 and scan.reset is not Reset.NONE and scan.steps * scan.batch * scan.neurons:
        raise ValueError("the way back through a reset needs v before it")
    _call(True, scan, coefficients, gradient, states, (out, before, 0))()


def forward_call(
    scan: Scan, coefficients: int, x: int, states: States, out: int, before: int = 0, after: int = 0
) -> Callable[[], None]:
    """:func:`scan_forward` made ready, for many calls on the same memory.

    Raises:
        RuntimeError: there is no implementation.
    """
    return _call(False, scan, coefficients, x, states, (out, before, after))


def _call(
    backward: bool, scan: Scan, coefficients: int, x: int, states: States, more: tuple[int, int, int]
) -> Callable[[], None]:
    sizes = (scan.steps, scan.batch, scan.neurons)
    kind = (int(scan.rows), int(scan.reset), int(scan.slope), float(scan.parameter))
    arrays = (coefficients, x, states.v, states.c, states.v_end, states.c_end, *more)
    given = (backward, scan.double, scan.threads, *sizes, *kind, states.shared, *arrays)
    return partial(extension().scan, *given)
