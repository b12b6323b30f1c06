"""Populations as Brian2 code: equations of parameters with units, and the update as abstract code.

The update is the Program's own, row by row: ``v = a0_v*v + gain0*summed + bias0``, sums from left to right. It is no
differential equation, so no integrator of Brian2 takes part. Volt, ampere and ohm are NIR's; an edge of real numbers
counts as ampere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hasn.backends.brian2.code import GroupCode, given, quotient, source_code
from hasn.program.fuse import Network, Population, Relay
from hasn.program.model import Compare, Floats, Neurons, Row, Shape, Source

#: Unit of a state by its name; a name that is not here has none.
UNITS = {"v": "volt", "c": "amp"}
SIGNAL = "amp"
"""Unit of a summed input, and of what Inputs and sums send."""


def codes(network: Network) -> dict[str, GroupCode]:
    """The code of every population."""
    return {p.name: group_code(p, network.drives.get(p.name, {})) for p in network.populations}


def group_code(population: Population, drive: dict[int, Floats]) -> GroupCode:
    """The code of a population.

    Args:
        population: Source, Neurons, Compare or Relay.
        drive: first step -> constant that is added to the input at every step from there on.
    """
    return _CODE[type(population)](population, drive)


def _flat(value: Any, shape: Shape) -> Floats:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), shape).reshape(-1)


def _source(population: Source, drive: dict[int, Floats]) -> GroupCode:
    return source_code(SIGNAL)


def _relay(population: Relay, drive: dict[int, Floats]) -> GroupCode:
    x = given(drive, SIGNAL)
    update = "\n".join([*x.before, f"sent = {x.code}", x.after])
    return GroupCode(
        {"sent": SIGNAL, **x.variables}, x.constants, x.initial, update, f"sent != 0*{SIGNAL}", value="sent"
    )


def _compare(population: Compare, drive: dict[int, Floats]) -> GroupCode:
    x = given(drive, SIGNAL)
    update = "\n".join([*x.before, f"sent = {x.code}", x.after])
    constants = {"theta": (SIGNAL, _flat(population.threshold, population.shape)), **x.constants}
    return GroupCode({"sent": SIGNAL, **x.variables}, constants, x.initial, update, "sent > theta")


def _neurons(population: Neurons, drive: dict[int, Floats]) -> GroupCode:
    x = given(drive, SIGNAL)
    shape = population.shape
    units = {state: UNITS.get(state, "1") for state in population.states}
    constants: dict[str, tuple[str, Floats]] = dict(x.constants)
    lines = list(x.before)
    for index, row in enumerate(population.rows):
        lines.append(_row(row, index, units, x.code, constants, shape))
    update = "\n".join([*lines, x.after])
    initial = {**x.initial, **{s: _flat(v, shape) for s, v in population.initial.items()}}
    variables = {**units, **x.variables}
    if population.threshold is None or population.jump is None:
        return GroupCode(variables, constants, initial, update, "v != 0*volt", value="v")
    constants["theta"] = ("volt", _flat(population.threshold, shape))
    constants["jump"] = ("volt", _flat(population.jump, shape))
    reset = "v = jump" if population.reset == "zero" else "v = v - jump"
    return GroupCode(variables, constants, initial, update, "v > theta", reset)


def _row(
    row: Row, index: int, units: dict[str, str], x: str, constants: dict[str, tuple[str, Floats]], shape: Shape
) -> str:
    """One row as abstract code; its coefficients go into ``constants``."""
    summands = []
    for state, coefficient in row.terms:
        name = f"a{index}_{state}"
        constants[name] = (quotient(units[row.state], units[state]), _flat(coefficient, shape))
        summands.append(f"{name}*{state}")
    if row.gain is not None:
        constants[f"gain{index}"] = (quotient(units[row.state], SIGNAL), _flat(row.gain, shape))
        summands.append(f"gain{index}*{x}")
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
