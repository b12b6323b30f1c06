"""The fused scan of any population over all time steps, on bare memory: ``_rows.h`` and what its numbers mean.

:mod:`hasn.kernels.scan` has the three updates that most neurons have; here a population says its rows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

from hasn.kernels.implementation import extension
from hasn.kernels.scan import Slope

#: What a program may have, as ``_scan.c`` says: states; lines of the update, and of the reset; terms of a line.
MAX_STATES, MAX_LINES, MAX_TERMS = 8, 12, 8
#: No coefficient: of a term 1, else that there is no such part.
NONE = -1


@dataclass(frozen=True)
class Line:
    """A row: ``state <- sum(coefficient * state') + gain * x + bias``, from left to right.

    Attributes:
        state: the state that is written, by its number.
        terms: (state that is read, its coefficient), by their numbers.
        gain, bias: coefficients, or NONE.
        before: whether the terms read the states of before the step.
        moves: of a reset: ``state <- state + z * bias``, and nothing is read.
    """

    state: int
    terms: tuple[tuple[int, int], ...] = ()
    gain: int = NONE
    bias: int = NONE
    before: bool = False
    moves: bool = False


@dataclass(frozen=True)
class RowProgram:
    """What a population does in a step, by numbers of states and of rows of the coefficients' array.

    The lines of ``rows`` act in order. Then ``z = 1[u > 0]``, u being what ``condition`` would write, and the lines of
    ``resets`` act in order: ``state <- state * (1 - z) + to * z``, ``to`` being what the line would write.

    Attributes:
        states: how many, without the steps left of a held neuron.
        v: the one that is the output where there is no condition, and that is held.
        rows, condition, resets: the lines.
        held: the coefficient that says for how many steps a spike holds a neuron, or NONE. The steps that are left are
            one more state, the last.
    """

    states: int
    v: int
    rows: tuple[Line, ...]
    condition: Line | None = None
    resets: tuple[Line, ...] = ()
    held: int = NONE

    @property
    def arrays(self) -> int:
        """How many states have memory."""
        return self.states + (self.held != NONE)

    @property
    def fits(self) -> bool:
        """Whether it is one that ``_scan.c`` has room for."""
        lines = (*self.rows, *self.resets, *(() if self.condition is None else (self.condition,)))
        few = self.states <= MAX_STATES and max(len(self.rows), len(self.resets)) <= MAX_LINES
        return few and all(len(line.terms) <= MAX_TERMS for line in lines)

    @cached_property
    def kept(self) -> tuple[int, ...]:
        """States whose values between update and reset the way back needs: what condition and resets read."""
        if self.condition is None:
            return ()
        jumps = [line for line in self.resets if not line.moves]
        read = {state for line in (self.condition, *jumps) for state, _ in line.terms}
        return tuple(sorted(read | {line.state for line in jumps}))

    @cached_property
    def saved(self) -> tuple[int, ...]:
        """States whose values of before the step somebody reads."""
        read = {state for line in self.rows if line.before for state, _ in line.terms}
        return tuple(sorted(read | (set() if self.held == NONE else {self.v})))

    @property
    def coefficients(self) -> int:
        """How many it numbers."""
        lines = (*self.rows, *self.resets, *(() if self.condition is None else (self.condition,)))
        numbers: list[int] = [n for line in lines for n in (line.gain, line.bias, *(by for _, by in line.terms))]
        return max(*numbers, self.held, NONE) + 1

    @cached_property
    def encoded(self) -> bytes:
        """As ``_scan.c`` reads it."""
        lines = [*self.rows, *(() if self.condition is None else (self.condition, *self.resets))]
        resets = 0 if self.condition is None else len(self.resets)
        numbers = [self.states, self.v, self.held, sum(1 << state for state in self.saved), len(self.rows)]
        numbers += [self.condition is not None, resets]
        for line in lines:
            numbers += [line.state, line.before, line.moves, line.gain, line.bias, len(line.terms)]
            numbers += [number for term in line.terms for number in term]
        return struct.pack(f"{len(numbers)}i", *numbers)


@dataclass(frozen=True)
class RowScan:
    """What both directions of a scan have in common.

    Attributes:
        steps, batch, neurons: lengths of the arrays' axes.
        program: the equations.
        double: arrays are float64, not float32.
        threads: at most so many; fewer where there is little to do.
        slope, parameter: the surrogate; only the way back reads them.
    """

    steps: int
    batch: int
    neurons: int
    program: RowProgram
    double: bool = False
    threads: int = 1
    slope: Slope = Slope.ATAN
    parameter: float = 2.0


@dataclass(frozen=True)
class RowStates:
    """Addresses of a scan's states, each (batch, neurons), in the program's order.

    Attributes:
        start: what to start from; 0: zeros.
        end: take what it ends with; 0: not wanted. May be ``start``.
        shared: ``start`` are initial states of all samples, (neurons,).
        kept: of the states of :attr:`RowProgram.kept`, (steps, batch, neurons) each, what forward leaves for the way
            back: their values between update and reset. None where there is no way back.
        begun: of every state but the steps left, (steps, batch, neurons), what forward leaves for the way back where
            coefficients train: their values before each step.
    """

    start: tuple[int, ...]
    end: tuple[int, ...]
    shared: bool = False
    kept: tuple[int, ...] = ()
    begun: tuple[int, ...] = ()


def rows_forward(
    scan: RowScan, coefficients: int, x: int, states: RowStates, out: int, free: int = 0, after: int = 0
) -> None:
    """All steps of a population. Every array is an address of C-contiguous memory; 0 is none.

    Args:
        scan: sizes and equations.
        coefficients: (coefficients, neurons).
        x: input, (steps, batch, neurons).
        states: the initial states, where the final ones go, and where those that are kept. One of the latter may be x.
        out: takes z, or v where there is no condition; like x, and may be x itself.
        free: takes who was not held, bytes, (steps, batch, neurons), for the way back; where neurons are held.
        after: takes v after the reset; like x.

    Raises:
        RuntimeError: there is no implementation, see :func:`hasn.kernels.available`.
        ValueError: the states are not the program's, or it does not fit.
    """
    rows_call(scan, coefficients, x, states, out, free, after)()


def rows_call(
    scan: RowScan, coefficients: int, x: int, states: RowStates, out: int, free: int = 0, after: int = 0
) -> Callable[[], None]:
    """:func:`rows_forward` made ready, for many calls on the same memory.

    Raises:
        RuntimeError: there is no implementation.
    """
    return _call(False, scan, states, (coefficients, x, out, free, after, 0, 0))


def rows_backward(
    scan: RowScan,
    coefficients: int,
    gradient: int,
    states: RowStates,
    out: int,
    free: int = 0,
    x: int = 0,
    by_coefficients: int = 0,
) -> None:
    """The adjoint of :func:`rows_forward`, which lets gradients through the resets. Addresses, as there.

    Args:
        scan: as in the forward call.
        coefficients: as in the forward call.
        gradient: dL/d(out of the forward call), or 0 for zeros.
        states: dL/d(final states), where dL/d(initial states) goes (the steps left have none), and what was kept.
        out: takes dL/dx.
        free: what the forward call wrote there.
        x: the forward call's, where coefficients train.
        by_coefficients: (coefficients, batch, neurons), to which dL/d(coefficients) is added for each sample, and
            ``states.begun`` is read; 0 where none train.

    Raises:
        RuntimeError: there is no implementation.
        ValueError: something that was to be kept is missing, or the states are shared.
    """
    if states.shared:
        raise ValueError("the way back starts at the end, and every sample has final states of its own")
    program, some = scan.program, scan.steps * scan.batch * scan.neurons > 0
    missing = len(states.kept) != len(program.kept) or 0 in states.kept or (free == 0 and program.held != NONE)
    if some and missing:
        raise ValueError("the way back through a reset needs what forward keeps")
    if some and by_coefficients and (x == 0 or len(states.begun) != program.states or 0 in states.begun):
        raise ValueError("gradients by coefficients need the input and all states before each step")
    _call(True, scan, states, (coefficients, gradient, out, free, 0, x, by_coefficients))()


def _call(backward: bool, scan: RowScan, states: RowStates, arrays: tuple[int, ...]) -> Callable[[], None]:
    program, kept = scan.program, [0] * scan.program.states
    for state, address in zip(program.kept, states.kept, strict=False):
        kept[state] = address
    sizes = (scan.steps, scan.batch, scan.neurons, int(scan.slope), float(scan.parameter))
    addresses = (*states.start, *states.end, *kept, *(states.begun or (0,) * program.states))
    packed = struct.pack(f"{len(addresses)}Q", *addresses)
    given = (backward, scan.double, scan.threads, *sizes, states.shared, program.encoded, packed, *arrays)
    return partial(extension().rows, *given)
