"""What Brian2 is told of a population, whatever its arithmetic: variables, update, threshold, reset, and its input."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from hasn.program.model import Floats

PEAK = "peak"
"""A variable of this name is the largest that something has been in a population so far: :class:`Recorded` has it."""

_QUOTIENTS = {("volt", "amp"): "ohm", ("amp", "volt"): "siemens"}


def quotient(above: str, below: str) -> str:
    """The unit of a coefficient that turns ``below`` into ``above``, as Brian2 writes it."""
    if above == below:
        return "1"
    if below == "1":
        return above
    return _QUOTIENTS.get((above, below), f"1/{below}" if above == "1" else f"{above}/{below}")


@dataclass(frozen=True)
class GroupCode:
    """One population for Brian2.

    Attributes:
        variables: name -> unit of what changes during a run; events add to ``summed``.
        constants: name -> (unit, value for each neuron of one sample).
        initial: name -> value of a variable before the first step, where it is not 0.
        update: abstract code of the update slot.
        condition: when it sends; None: never.
        reset: abstract code at a spike.
        value: the variable whose value a graded population sends; empty for spikes.
    """

    variables: dict[str, str]
    constants: dict[str, tuple[str, Floats]] = field(default_factory=dict)
    initial: dict[str, Floats] = field(default_factory=dict)
    update: str = ""
    condition: str | None = None
    reset: str = ""
    value: str = ""

    @property
    def model(self) -> str:
        """Brian2's equations."""
        lines = [f"{name} : {unit}" for name, unit in self.variables.items()]
        lines += [f"{name} : {unit} (constant)" for name, (unit, _) in self.constants.items()]
        return "\n".join(lines)

    @property
    def value_unit(self) -> str:
        """The unit of what it sends."""
        return self.variables[self.value] if self.value else "1"

    @property
    def shown(self) -> str:
        """The variable that is recorded: what a graded population sends, the voltage of a spiking one."""
        return self.value or "v"


def source_code(unit: str) -> GroupCode:
    """The code of an Input: it sends where its value is not 0."""
    return GroupCode({"sent": unit}, condition=f"sent != 0*{unit}", value="sent")


@dataclass(frozen=True)
class Given:
    """Code that takes a population's input and clears it for the events that come after this update.

    Attributes:
        code: the input, as an expression.
        variables, constants, initial: what it needs, as in :class:`GroupCode`.
        before: lines that come before it is read.
        after: the line that clears it.
    """

    code: str
    variables: dict[str, str]
    constants: dict[str, tuple[str, Floats]]
    initial: dict[str, Floats]
    before: tuple[str, ...]
    after: str


def given(drive: Mapping[int, NDArray[Any]], unit: str) -> Given:
    """The input of a population.

    Args:
        drive: first step -> constant that is added to the input at every step from there on.
        unit: of the input.
    """
    after = f"summed = 0*{unit}"
    if not drive:
        return Given("summed", {"summed": unit}, {}, {}, (), after)
    later = sorted(onset for onset in drive if onset > 0)
    constants = {f"drive_{onset}": (unit, drive[onset]) for onset in later}
    initial = {"drive": drive[0]} if 0 in drive else {}
    # A product with 0 or 1 and a sum are exact, so this is the constant itself from its first step on.
    before = tuple(f"drive = drive + drive_{onset}*int(t_in_timesteps == {onset})" for onset in later)
    return Given("(summed + drive)", {"summed": unit, "drive": unit}, constants, initial, before, after)
