"""A connection that learns by events, on bare memory: ``_plastic.c``."""

from __future__ import annotations

import ctypes
from enum import IntEnum
from functools import cache
from types import ModuleType

from hasn.kernels.implementation import available, built

#: What the C functions' arguments mean; the same number stands in ``_plastic.c``.
INTERFACE = 3
#: What a rule may have, as ``_plastic.c`` says: values that it reads; products, and factors of one; formulas; the
#: longest delay of a synapse.
MAX_OPERANDS, MAX_TERMS, MAX_NAMES, MAX_FORMULAS, MAX_DELAY = 16, 32, 8, 9, (1 << 16) - 1

#: Synapses for which ``rows`` notes once whose target's the first one is, as ``_plastic.c`` has it.
BLOCK = 16


class Kind(IntEnum):
    """How an operand's value is found at a synapse."""

    ALL = 0
    SOURCE = 1
    TARGET = 2
    SYNAPSE = 3
    ARRIVING = 4
    WEIGHT = 5


class Operand(ctypes.Structure):
    """Something that formulas read; a sample's numbers begin ``stride`` behind those of the one before.

    A SYNAPSE's value is what stands at its place times ``scale``.
    """

    _fields_ = (
        ("kind", ctypes.c_int64),
        ("stride", ctypes.c_int64),
        ("at", ctypes.c_void_p),
        ("scale", ctypes.c_double),
    )


class Term(ctypes.Structure):
    """``factor * (a * b ...) * (c ...)``: operands by number, and where a bracket opens."""

    _fields_ = (
        ("factor", ctypes.c_double),
        ("count", ctypes.c_int64),
        ("names", ctypes.c_int64 * MAX_NAMES),
        ("opens", ctypes.c_int64 * MAX_NAMES),
    )


class Formula(ctypes.Structure):
    """Terms ``first`` to ``last``, whose sum is added to an operand; ``sets``: replaces it where it is not 0."""

    _fields_ = (
        ("first", ctypes.c_int64),
        ("last", ctypes.c_int64),
        ("target", ctypes.c_int64),
        ("sets", ctypes.c_int64),
    )


class Job(ctypes.Structure):
    """A connection, and what has happened at it; ``_plastic.c`` says what each is. Pointers are addresses."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "inputs", "outputs", "synapses", "lags", "shared")),
        *((name, ctypes.c_double) for name in ("low", "high")),
        *((name, ctypes.c_void_p) for name in ("weight", "indptr", "columns", "rows", "place", "ends")),
        *((name, ctypes.c_void_p) for name in ("late", "marks", "x", "active", "counts", "ranges", "before")),
        *((name, ctypes.c_void_p) for name in ("y", "everything", "post")),
        *((name, ctypes.c_int64) for name in ("by_source", "by_target", "operands", "formulas")),
        ("operand", Operand * MAX_OPERANDS),
        ("term", Term * MAX_TERMS),
        ("formula", Formula * MAX_FORMULAS),
    )


def plastic_available() -> bool:
    """Whether the kernel was built and is not switched off."""
    return bool(available()) and _extension() is not None


def transmit(job: Job, double: bool) -> None:
    """What the connection sends, into ``y``; arrays are float64 or float32."""
    _loaded().transmit(double, ctypes.addressof(job))


def learn(job: Job, double: bool) -> int:
    """Move weights and the synapses' own traces by a step; how many synapses were touched."""
    return int(_loaded().learn(double, ctypes.addressof(job)))


def _loaded() -> ModuleType:
    module = _extension()
    if module is None:
        raise RuntimeError("hasn.kernels has no learning by events here")
    return module


@cache
def _extension() -> ModuleType | None:
    module = built("_plastic", INTERFACE)[0]
    return module if module is not None and module.job_bytes == ctypes.sizeof(Job) else None
