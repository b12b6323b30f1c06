"""Populations as Brian2 code: equations of parameters with units, and the update as abstract code.

The update is the Program's own, row by row: ``v = a0_v*v + gain0*summed + bias0``, sums from left to right. It is no
differential equation, so no integrator of Brian2 takes part. Volt, ampere and ohm are NIR's; an edge of real numbers
counts as ampere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hasn.program.fuse import Population, Relay
from hasn.program.model import Compare, Floats, Neurons, Row, Shape, Source

#: Unit of a state by its name; a name that is not here has none.
UNITS = {"v": "volt", "c": "amp"}
SIGNAL = "amp"
"""Unit of a summed input, and of what Inputs and sums send."""

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
        variables: name -> unit of what changes during a run.
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


def group_code(population: Population, drive: dict[int, Floats]) -> GroupCode:
    """The code of a population.

    Args:
        population: Source, Neurons, Compare or Relay.
        drive: first step -> constant that is added to the input at every step from there on.
    """
    return _CODE[type(population)](population, drive)


def _flat(value: Any, shape: Shape) -> Floats:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), shape).reshape(-1)


@dataclass(frozen=True)
class _Input:
    """Code that takes the summed input and clears it for the events that come after this update."""

    code: str
    variables: dict[str, str]
    constants: dict[str, tuple[str, Floats]]
    initial: dict[str, Floats]


def _input(drive: dict[int, Floats]) -> _Input:
    later = sorted(onset for onset in drive if onset > 0)
    constants = {f"drive_{onset}": (SIGNAL, drive[onset]) for onset in later}
    if not drive:
        return _Input("summed", {"summed": SIGNAL}, {}, {})
    variables = {"summed": SIGNAL, "drive": SIGNAL}
    return _Input("(summed + drive)", variables, constants, {"drive": drive[0]} if 0 in drive else {})


def _drive_lines(drive: dict[int, Floats]) -> list[str]:
    # A product with 0 or 1 and a sum are exact, so this is the constant itself from its first step on.
    return [f"drive = drive + drive_{onset}*int(t_in_timesteps == {onset})" for onset in sorted(drive) if onset > 0]


def _source(population: Source, drive: dict[int, Floats]) -> GroupCode:
    return GroupCode({"sent": SIGNAL}, condition=f"sent != 0*{SIGNAL}", value="sent")


def _relay(population: Relay, drive: dict[int, Floats]) -> GroupCode:
    given = _input(drive)
    update = "\n".join([*_drive_lines(drive), f"sent = {given.code}", f"summed = 0*{SIGNAL}"])
    return GroupCode(
        {"sent": SIGNAL, **given.variables}, given.constants, given.initial, update, f"sent != 0*{SIGNAL}", value="sent"
    )


def _compare(population: Compare, drive: dict[int, Floats]) -> GroupCode:
    given = _input(drive)
    update = "\n".join([*_drive_lines(drive), f"sent = {given.code}", f"summed = 0*{SIGNAL}"])
    constants = {"theta": (SIGNAL, _flat(population.threshold, population.shape)), **given.constants}
    return GroupCode({"sent": SIGNAL, **given.variables}, constants, given.initial, update, "sent > theta")


def _neurons(population: Neurons, drive: dict[int, Floats]) -> GroupCode:
    given = _input(drive)
    shape = population.shape
    units = {state: UNITS.get(state, "1") for state in population.states}
    constants: dict[str, tuple[str, Floats]] = dict(given.constants)
    lines = _drive_lines(drive)
    for index, row in enumerate(population.rows):
        lines.append(_row(row, index, units, given.code, constants, shape))
    update = "\n".join([*lines, f"summed = 0*{SIGNAL}"])
    initial = {**given.initial, **{s: _flat(v, shape) for s, v in population.initial.items()}}
    variables = {**units, **given.variables}
    if population.threshold is None or population.jump is None:
        return GroupCode(variables, constants, initial, update, "v != 0*volt", value="v")
    constants["theta"] = ("volt", _flat(population.threshold, shape))
    constants["jump"] = ("volt", _flat(population.jump, shape))
    reset = "v = jump" if population.reset == "zero" else "v = v - jump"
    return GroupCode(variables, constants, initial, update, "v > theta", reset)


def _row(
    row: Row, index: int, units: dict[str, str], given: str, constants: dict[str, tuple[str, Floats]], shape: Shape
) -> str:
    """One row as abstract code; its coefficients go into ``constants``."""
    summands = []
    for state, coefficient in row.terms:
        name = f"a{index}_{state}"
        constants[name] = (quotient(units[row.state], units[state]), _flat(coefficient, shape))
        summands.append(f"{name}*{state}")
    if row.gain is not None:
        constants[f"gain{index}"] = (quotient(units[row.state], SIGNAL), _flat(row.gain, shape))
        summands.append(f"gain{index}*{given}")
    if row.bias is not None:
        constants[f"bias{index}"] = (units[row.state], _flat(row.bias, shape))
        summands.append(f"bias{index}")
    return f"{row.state} = {' + '.join(summands)}"


_CODE: dict[type, Callable[[Any, dict[int, Floats]], GroupCode]] = {
    Source: _source,
    Relay: _relay,
    Compare: _compare,
    Neurons: _neurons,
}
