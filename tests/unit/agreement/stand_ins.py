"""Backends that stand in for simulators: fast, each with one trait of its own, and they keep a log."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.backend import Backend
from hasn.errors import OptionError, UnsupportedError
from hasn.executable import Executable, Raw
from hasn.ir.lower import lower
from hasn.program.model import Program
from hasn.signals import Signals
from hasn.testing.interpreter import ProgramInterpreter


class Run(ProgramInterpreter):
    """An interpreter's run, whose spikes a stand-in may spoil; ``log`` hears of it."""

    def __init__(self, program: Program, precision: str, log: list[Any], flip: int | None = None, u: float = 0.0):
        super().__init__(program)
        self.precision, self.log, self.flip, self.u = precision, log, flip, u
        if precision == "loihi":
            self.recordable = ("spikes", "voltages", "currents")

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        self.log.append(("run", given.steps, given.batch, record))
        raw = ProgramInterpreter(self.program)._run(given, record)
        if self.flip is not None:
            raw.spikes["n2"][self.flip, 0, 1] = 1.0 - raw.spikes["n2"][self.flip, 0, 1]
            raw.voltages["n2"][self.flip - 1 :] += 0.125
        if "currents" in record:
            raw.currents["n2"] = np.full_like(raw.voltages["n2"], self.u)
        return raw

    def close(self) -> None:
        self.log.append("closed")


class Plain(Backend):
    """Does what it is told, in two precisions, with an option of its own; keeps a log."""

    name = "plain"
    precisions: tuple[str, ...] = ("float64", "float32")

    def __init__(self) -> None:
        self.log: list[Any] = []

    def why_not(self) -> str:
        return ""

    def version(self) -> str:
        return "1"

    def compile(  # type: ignore[override]
        self, program: Program, graph: nir.NIRGraph, precision: str, *, threads: int = 1
    ) -> Executable:
        self.log.append((threads, program.method, program.timing, program.dt, precision))
        return Run(program, precision, self.log)


class Other(Plain):
    """Another, in float64 alone, with an option that nobody else has."""

    name = "other"
    precisions = ("float64",)

    def compile(  # type: ignore[override]
        self, program: Program, graph: nir.NIRGraph, precision: str, *, threads: int = 1, alpha: float = 0.0
    ) -> Executable:
        self.log.append((threads, alpha))
        return Run(program, precision, self.log)


class Wrong(Plain):
    """Turns a spike over."""

    name = "wrong"

    def compile(self, program: Program, graph: nir.NIRGraph, precision: str) -> Executable:  # type: ignore[override]
        return Run(program, precision, self.log, flip=7)


class Stubborn(Plain):
    """Steps by the other method, whatever it is told."""

    name = "stubborn"

    def compile(self, program: Program, graph: nir.NIRGraph, precision: str) -> Executable:  # type: ignore[override]
        method = {"euler": "exact", "exact": "euler"}[program.method]
        changed = lower(graph, dt=program.dt, method=method, reset="subtract", timing=program.timing)
        return Run(changed, precision, self.log)


class Absent(Plain):
    """Not installed."""

    name = "absent"

    def why_not(self) -> str:
        return "nowhere; pip install nowhere"


class Picky(Plain):
    """Refuses every graph."""

    name = "picky"

    def compile(self, program: Program, graph: nir.NIRGraph, precision: str) -> Executable:  # type: ignore[override]
        raise UnsupportedError("cannot run it", node="n2", got="LIF")


class Faulty(Plain):
    """Finds fault with an option."""

    name = "faulty"

    def compile(self, program: Program, graph: nir.NIRGraph, precision: str) -> Executable:  # type: ignore[override]
        raise OptionError("no such thing", parameter="speed")


class Chip(Plain):
    """Integers, with a current."""

    name = "chip"
    precisions = ("loihi",)
    u = 3.0

    def compile(self, program: Program, graph: nir.NIRGraph, precision: str) -> Executable:  # type: ignore[override]
        return Run(program, precision, self.log, u=self.u)


class Board(Chip):
    """The same spikes and voltages, and another current."""

    name = "board"
    u = 5.0


ALL = (Plain, Other, Wrong, Stubborn, Absent, Picky, Faulty, Chip, Board)
