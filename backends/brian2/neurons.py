"""Populations as Brian2 code: equations of parameters with units, and the update as abstract code.

The update is the Program's own, row by row: ``v = a0_v*v + gain0*summed + bias0``, sums from left to right. It is no
differential equation, so no integrator of Brian2 takes part. Volt, ampere and ohm are NIR's; an edge of real numbers
counts as ampere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hasn.backends.brian2.code import Given, GroupCode, given, quotient, source_code
from hasn.program.fuse import Network, Population, Relay
from hasn.program.model import Condition, Floats, Neurons, Row, Shape, Source, Threshold, moves

#: Unit of a state by its name; a name that is not here has none.
UNITS = {"v": "volt", "c": "amp"}
#: The variable that says whether a neuron is held, where neurons are: over 0.
HELD = "held"
SIGNAL = "amp"
"""Unit of a summed input, and of what Inputs and sums send."""


def codes(network: Network) -> dict[str, GroupCode]:
    """The code of every population."""
    return {p.name: group_code(p, network.drives.get(p.name, {})) for p in network.populations}


def group_code(population: Population, drive: dict[int, Floats]) -> GroupCode:
    """The code of a population.

    Args:
        population: Source, Neurons, Threshold or Relay.
        drive: first step -> constant that is added to the input at every step from there on.
    """
    return _CODE[type(population)](population, drive)


def _flat(value: Any, shape: Shape) -> Floats:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), shape).reshape(-1)


def _source(population: Source, drive: dict[int, Floats]) -> GroupCode:
    return source_code(SIGNAL)


def _sent(x: Given) -> str:
    """The code that takes the input; what is not finite stays (0*inf is NaN), for the look at the end of a run."""
    return "\n".join([*x.before, f"sent = {x.code} + 0*sent", x.after])


def _relay(population: Relay, drive: dict[int, Floats]) -> GroupCode:
    x = given(drive, SIGNAL)
    update = _sent(x)
    return GroupCode(
        {"sent": SIGNAL, **x.variables}, x.constants, x.initial, update, f"sent != 0*{SIGNAL}", value="sent"
    )


def _threshold(population: Threshold, drive: dict[int, Floats]) -> GroupCode:
    x = given(drive, SIGNAL)
    update = _sent(x)
    constants = {"theta": (SIGNAL, _flat(population.threshold, population.shape)), **x.constants}
    return GroupCode({"sent": SIGNAL, **x.variables}, constants, x.initial, update, "sent > theta")


def _neurons(population: Neurons, drive: dict[int, Floats]) -> GroupCode:
    made = _Made(population, given(drive, SIGNAL))
    lines = [*made.given.before, *made.kept(), *map(made.row, range(len(population.rows)), population.rows)]
    update = "\n".join([*lines, made.given.after])
    initial = {**made.given.initial, **{made.names[s]: made.flat(v) for s, v in population.initial.items()}}
    if population.condition is None:
        return GroupCode(made.variables, made.constants, initial, update, "v != 0*volt", value="v")
    condition = made.condition(population.condition)
    reset = "\n".join(made.row(f"_reset{i}", row) for i, row in enumerate(population.resets))
    if population.held is not None:
        # Counts down at each update from n + 1, so that it is over 0 at the n updates after a spike.
        update = f"{HELD} = {HELD} - int({HELD} > 0)\n{update}"
        condition = f"({condition}) and not ({HELD} > 0)"
        reset = "\n".join(filter(None, [reset, f"{HELD} = hold + 1"]))
    return GroupCode(made.variables, made.constants, initial, update, condition, reset)


class _Made:
    """A population's code in the making: its variables, and the constants that its rows ask for."""

    def __init__(self, population: Neurons, x: Given) -> None:
        self.population, self.given = population, x
        # Brian2's own names and ours (summed, drive, ...) are no state's.
        self.names = {state: state if state in UNITS else f"state_{state}" for state in population.states}
        self.units = {state: UNITS.get(state, "1") for state in population.states}
        self.constants: dict[str, tuple[str, Floats]] = dict(x.constants)
        self.variables = {self.names[state]: self.units[state] for state in population.states}
        self.variables |= {f"before_{state}": self.units[state] for state in self._read_before()}
        self.variables |= x.variables
        if population.held is not None:
            self.variables[HELD] = "1"
            self.constants["hold"] = ("1", self.flat(population.held))

    def flat(self, value: Any) -> Floats:
        """A value for each neuron."""
        return _flat(value, self.population.shape)

    def _read_before(self) -> list[str]:
        """States whose value of before the step some row reads."""
        read = {state for row in self.population.rows if row.before for state, _ in row.terms}
        return [state for state in self.population.states if state in read]

    def kept(self) -> list[str]:
        """The lines that keep them."""
        return [f"before_{state} = {self.names[state]}" for state in self._read_before()]

    def row(self, label: Any, row: Row) -> str:
        """One row as abstract code."""
        unit, summands = self.units[row.state], self._terms(f"a{label}", row.terms, self.units[row.state], row.before)
        if row.gain is not None:
            self.constants[f"gain{label}"] = (quotient(unit, SIGNAL), self.flat(row.gain))
            summands.append(f"gain{label}*{self.given.code}")
        if row.bias is not None:
            self.constants[f"bias{label}"] = (unit, self.flat(row.bias))
            summands.append(f"bias{label}")
        name = self.names[row.state]
        if not isinstance(label, int) and row.state not in {state for state, _ in row.terms}:
            summands.append(f"0*{name}")  # a state that is not finite outlives its reset: 0*inf is NaN
        made = " + ".join(summands) or f"0*{unit}"
        if row.state == "v" and self.population.held is not None and isinstance(label, int):
            # A product with 0 or 1 and a sum with 0 are exact.
            return f"{name} = {name}*int({HELD} > 0) + ({made})*int(not ({HELD} > 0))"
        return f"{name} = {made}"

    def condition(self, condition: Condition) -> str:
        """When it spikes."""
        if moves(condition.terms, "v"):
            self.constants["theta"] = ("volt", self.flat(-condition.constant))
            return "v > theta"
        seen = [*self._terms("spike", condition.terms, "volt", False), "spike_constant"]
        self.constants["spike_constant"] = ("volt", self.flat(condition.constant))
        return f"{' + '.join(seen)} > 0*volt"

    def _terms(self, prefix: str, terms: tuple[tuple[str, Floats], ...], unit: str, before: bool) -> list[str]:
        summands = []
        for state, coefficient in terms:
            read = f"before_{state}" if before else self.names[state]
            name = f"{prefix}_{state}"
            self.constants[name] = (quotient(unit, self.units[state]), self.flat(coefficient))
            summands.append(f"{name}*{read}")
        return summands


_CODE: dict[type, Callable[[Any, dict[int, Floats]], GroupCode]] = {
    Source: _source,
    Relay: _relay,
    Threshold: _threshold,
    Neurons: _neurons,
}
