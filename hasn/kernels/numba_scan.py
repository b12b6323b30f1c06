"""The scan's numba implementation, called as the C extension is.

Imported by :mod:`hasn.kernels.implementation` alone, and only when it is needed: importing numba takes half a second.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.kernels.numba_loops import ROOM, backward, forward
from hasn.kernels.scan import COEFFICIENTS

#: A thread gets at least this many neuron updates, 60 microseconds or more: handing them over takes some 45.
SHARE = 65536

#: By whether it is double: floats, whole numbers of their size, terms of exp's series, exponent bias, bits of mantissa.
_TYPES: dict[bool, tuple[Any, Any, tuple[int, int, int]]] = {
    False: (np.float32, np.uint32, (7, 127, 23)),
    True: (np.float64, np.uint64, (14, 1023, 52)),
}
#: For exp: 1.5 * 2^mantissa, ln(2) in two parts, and below what it is 0; ``_scan.c`` has the same.
_EXP = {
    False: (12582912.0, 0.693359375, -2.12194440e-4, -60.0),
    True: (6755399441055744.0, 6.93147180369123816490e-01, 1.90821492927058770002e-10, -600.0),
}


def scan(
    is_backward: bool,
    is_double: bool,
    threads: int,
    steps: int,
    batch: int,
    neurons: int,
    rows: int,
    reset: int,
    slope: int,
    parameter: float,
    shared: bool,
    coefficients: int,
    *arrays: int,
) -> None:
    """As ``scan`` of ``_scan.c``: arrays (x, v, c, v_end, c_end, out, before, after) are addresses, 0 for none."""
    real, _, terms = _TYPES[is_double]
    state, all_steps = batch * neurons, steps * batch * neurons
    start = neurons if shared else state
    lengths = (all_steps, start, start, state, state, all_steps, all_steps, all_steps)
    k = _memory(coefficients, len(COEFFICIENTS) * neurons, real)
    given = tuple(_memory(address, length, real) for address, length in zip(arrays, lengths, strict=True))
    sizes, kind = (steps, batch, neurons), (rows, reset, slope)
    constants = _constants(parameter, is_double)
    threads = max(1, min(threads, all_steps // SHARE))
    count, parts, most = _blocks(batch, neurons, threads)

    def run(part: int) -> None:
        blocks = (count * part // threads, count * (part + 1) // threads, parts, most)
        if is_backward:
            room = np.empty((2, ROOM), real)
            backward(blocks, sizes, kind, constants, terms, k, given, room, room[0].view(_TYPES[is_double][1]))
        else:
            forward(blocks, sizes, kind, bool(shared), k, given)

    others = [_pool(os.getpid()).submit(run, part) for part in range(1, threads)]
    run(0)
    for other in others:
        other.result()


def processor() -> str:
    """What LLVM calls the processor that it compiles for."""
    from llvmlite.binding import get_host_cpu_name

    return str(get_host_cpu_name())


def _blocks(batch: int, neurons: int, threads: int) -> tuple[int, int, int]:
    """How many blocks there are, into how many a sample is divided, and samples in a block; as ``_scan.c`` has it."""
    parts, share = -(-neurons // ROOM), -(-batch // threads)
    most = min(1 if parts > 1 else ROOM // max(neurons, 1), share)
    return (-(-batch // most) if most else 0) * parts, parts, most


def _constants(parameter: float, is_double: bool) -> NDArray[Any]:
    """p, p/2, pi/2 p, then exp's: 1/ln(2) comes last. Rounded once, from double."""
    shifter, high, low, lowest = _EXP[is_double]
    surrogate = (parameter, parameter / 2, 1.5707963267948966 * parameter)
    return np.array([*surrogate, shifter, high, low, lowest, 1.4426950408889634], dtype=_TYPES[is_double][0])


class _Place:
    """Memory as numpy finds it."""

    def __init__(self, address: int, length: int, kind: Any) -> None:
        self.__array_interface__ = {
            "data": (address, False),
            "shape": (length,),
            "typestr": np.dtype(kind).str,
            "version": 3,
        }


def _memory(address: int, length: int, kind: Any) -> NDArray[Any]:
    """An array at an address; an empty one if there is none."""
    return np.asarray(_Place(address, length, kind)) if address else np.empty(0, kind)


@cache
def _pool(process: int) -> ThreadPoolExecutor:
    """This process's threads: a forked one inherits none of its parent's."""
    del process
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="hasn-kernels")
