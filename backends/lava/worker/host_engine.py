"""What the host process does in a step. No Lava in here."""

from __future__ import annotations

from typing import Any

import numpy as np

from .memory import Clock


class HostEngine:
    """Feeds, tapes and Vars.

    Args:
        clock: the host's.
        feeds: Inputs as (data (T, samples, n), shift, shape of a step).
        tapes: recordings as (array (T, samples, n), shift).
        variables: dicts with ``probe`` ((array, shift) or None), ``clear`` (bool) and ``zero`` (what clears it).
    """

    def __init__(
        self,
        clock: Clock,
        feeds: list[tuple[Any, int, tuple[int, ...]]],
        tapes: list[tuple[Any, int]],
        variables: list[dict[str, Any]],
    ) -> None:
        self.clock = clock
        self.feeds = feeds
        self.tapes = tapes
        self.vars = variables
        self.silence = [np.zeros(shape) for _, _, shape in feeds]
        self.probing = any(var["probe"] is not None for var in variables)
        self.clearing = any(var["clear"] for var in variables)

    def feed(self, i: int) -> Any:
        """The value of Input ``i`` in this step; 0 outside its data."""
        data, shift, _ = self.feeds[i]
        value = self.clock.place(data, shift)
        return self.silence[i] if value is None else value

    def record(self, i: int, value: Any) -> None:
        """Write what arrived at recording ``i``, unless it is outside the canonical steps."""
        tape, shift = self.tapes[i]
        place = self.clock.place(tape, shift)
        if place is not None:
            place[...] = value

    @property
    def reads_vars(self) -> bool:
        """Whether this step touches Vars."""
        return self.probing or (self.clearing and self.clock.last)

    def probes(self, var: dict[str, Any]) -> bool:
        """Whether this Var is read in this step."""
        return var["probe"] is not None and self.clock.place(*var["probe"]) is not None

    def probe(self, var: dict[str, Any], value: Any) -> None:
        """Write a membrane potential that was read."""
        self.clock.place(*var["probe"])[...] = value

    def clears(self, var: dict[str, Any]) -> bool:
        """Whether this Var is set back in this step."""
        return bool(var["clear"] and self.clock.last)
