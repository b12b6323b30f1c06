"""What a run's nodes sent at each step, kept for counts that are asked for later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError
from hasn.program.model import Program
from hasn.program.operations import Tally


@dataclass(frozen=True)
class Sent:
    """Inputs and spikes of a run.

    Attributes:
        program: what ran.
        values: Input -> (T, batch, *shape).
        spikes: spiking node -> (T, batch, *shape), those that are known.
        steps: T.
        samples: batch.
        first: number of the first step.
    """

    program: Program
    values: Mapping[str, NDArray[Any]]
    spikes: Mapping[str, NDArray[Any]]
    steps: int
    samples: int
    first: int = 0

    def tally(self, active: bool = False) -> Tally:
        """All of it counted."""
        tally = Tally(self.program, self.samples, active, self.first)
        tally.add(self._part(0, self.steps), self.steps)
        return tally

    def during(self, start: int, stop: int) -> Tally:
        """Steps ``start`` to ``stop - 1`` counted. An Input that ever sends more than 0 and 1 sends no spikes here.

        Raises:
            InputError: there are no such steps.
        """
        if not 0 <= start < stop <= self.steps:
            wanted = f"0 <= start < stop <= {self.steps}"
            raise InputError("no such steps", parameter="counts.during", got=f"({start}, {stop})", wanted=wanted)
        tally = Tally(self.program, self.samples, True, self.first)
        tally.know(self._part(0, self.steps))
        if start:
            tally.add(self._part(0, start), start)
        before, active = {name: found.copy() for name, found in tally.events.items()}, dict(tally.active or {})
        tally.add(self._part(start, stop), stop - start)
        tally.events = {name: found - before.get(name, 0) for name, found in tally.events.items()}
        tally.active = {name: found - active.get(name, 0) for name, found in (tally.active or {}).items()}
        tally.first, tally.steps = self.first + start, stop - start
        return tally

    def packed(self) -> Sent:
        """The same in a byte an element: 0, 1, or 2 for any other number."""
        codes = {
            name: value if value.dtype == np.uint8 else np.where(value == 1, 1, 2 * (value != 0)).astype(np.uint8)
            for name, value in self.values.items()
        }
        return replace(self, values=codes)

    def _part(self, start: int, stop: int) -> dict[str, NDArray[Any]]:
        known = {name: self.spikes[name] for name in self.program.recorded_spikes if name in self.spikes}
        return {name: array[start:stop] for name, array in {**self.values, **known}.items()}
