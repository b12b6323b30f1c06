"""What the host process does in a step. No Lava in here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .memory import Alarm, Clock


@dataclass(frozen=True)
class Feed:
    """An Input: data (T, samples, n), the steps that it comes late, the shape of a step."""

    data: Any
    shift: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Tape:
    """Where a process's values go: array (T, samples, n), steps that it runs late, the shape of a step, its part."""

    array: Any
    shift: int
    shape: tuple[int, ...]
    members: Any


@dataclass(frozen=True)
class Variable:
    """A Var of a stock process.

    Attributes:
        cell, name: which.
        tape: where its value is written at every step, or None.
        offset: what is taken off the value before.
        clear: whether it is set back at the end of a sample.
        initial: to what.
        lead: (k, samples, ...): what it is set to at the end of each of a sample's first k steps, or None.
        alarm: told at the end of a sample if it is not finite; None: nobody asks.
    """

    cell: str
    name: str
    tape: Tape | None
    offset: Any
    clear: bool
    initial: Any
    lead: Any = None
    alarm: Alarm | None = None


class HostEngine:
    """Feeds, tapes and Vars.

    Args:
        clock: the host's.
        feeds: Inputs.
        tapes: recordings.
        variables: Vars that are read or set back.
    """

    def __init__(self, clock: Clock, feeds: list[Feed], tapes: list[Tape], variables: list[Variable]) -> None:
        self.clock = clock
        self.feeds = feeds
        self.tapes = tapes
        self.vars = variables
        self.silence = [np.zeros(feed.shape) for feed in feeds]

    def feed(self, i: int) -> Any:
        """The value of Input ``i`` in this step; 0 outside its data."""
        value = self.clock.place(self.feeds[i].data, self.feeds[i].shift)
        return self.silence[i] if value is None else value

    def record(self, i: int, value: Any) -> None:
        """Write what arrived at recording ``i``, unless it is outside the canonical steps."""
        self._write(self.tapes[i], value)

    @property
    def reads_vars(self) -> bool:
        """Whether this step touches Vars."""
        return any(self.probes(var) or self.setting(var) is not None for var in self.vars)

    def probes(self, var: Variable) -> bool:
        """Whether this Var is read in this step."""
        taped = var.tape is not None and self.clock.place(var.tape.array, var.tape.shift) is not None
        return taped or (var.alarm is not None and self.clock.last)

    def probe(self, var: Variable, value: Any) -> None:
        """Write a state that was read, and look at the last one."""
        if var.alarm is not None and self.clock.last:
            var.alarm.look_late(value)
        if var.tape is not None:
            self._write(var.tape, np.ravel(value) - var.offset)

    def setting(self, var: Variable) -> Any:
        """What this Var is set to at the end of this step; None: it stays as it is."""
        if var.lead is not None and self.clock.t < len(var.lead):
            return var.lead[self.clock.t, self.clock.sample]
        return var.initial if var.clear and self.clock.last else None

    def _write(self, tape: Tape, value: Any) -> None:
        place = self.clock.place(tape.array, tape.shift)
        if place is not None:
            place[..., tape.members] = value
