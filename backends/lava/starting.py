"""Where the processes of an integer network start that goes on from a state: u, v, and what is under way.

Everything begins one step late, so that a Var can be set at the end of a step before it is first used. A population
that is shifted by ``s`` steps has its first canonical step in step ``S = s + 1`` of the run: at the end of every step
before, its registers are set to the state's, and what its connections hold to what its past has sent, so that what it
does meanwhile goes nowhere. A connection holds, at the end of step ``k`` and in slot ``j``, what it sends in step
``k + 1 + j``: the weights times what its source sent ``d`` steps before that, ``d`` being its delay; this was
``S - (k + 1 + j - d)`` steps before the source's first canonical one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hasn.backends.lava.integers import IntegerMapping
from hasn.backends.lava.mapping import Cell
from hasn.program.integers.model import DECAY_MAX
from hasn.state import Snapshot

Array = NDArray[Any]


def leads(mapping: IntegerMapping, at: Snapshot, batch: int) -> dict[str, dict[str, Array]]:
    """Cell -> Var -> its values at the end of the first steps, (k, batch, *shape).

    Args:
        mapping: the processes.
        at: the state.
        batch: its samples.
    """
    fires = {cell.node: -int(cell.arrays["v"][0]) for cell in mapping.cells if _always(mapping, cell)}
    cells = {cell.name: cell for cell in mapping.cells}
    senders = {to: cells[of] for of, to in mapping.wires if cells[of].kind == "lif"}
    found: dict[str, dict[str, Array]] = {}
    for cell in mapping.cells:
        if cell.node in fires:  # it counts up from there, and fires from 1 on
            found[cell.name] = {"v": np.full((1, batch, 1), min(0, at.step - fires[cell.node]))}
        elif cell.kind == "lif":
            found[cell.name] = _registers(cell, mapping.shifts[cell.node] + 1, at, batch)
        elif (source := cell.settings["source"]) in fires:
            past = np.full((1, batch, 1), int(at.step > fires[source]))
            found[cell.name] = {"a_buff": _under_way(cell, 1, past)}
        else:
            members = senders[cell.name].arrays["members"] if cell.name in senders else slice(None)
            past = np.zeros((0, batch, cell.size_in), np.int64)  # of a source that is read in its own step alone
            if source in at.past:
                past = at.past[source].reshape(*at.past[source].shape[:2], -1)[..., members].astype(np.int64)
            found[cell.name] = {"a_buff": _under_way(cell, mapping.shifts[source] + 1, past)}
    return found


def _always(mapping: IntegerMapping, cell: Cell) -> bool:
    """Whether a neuron brings constant inputs."""
    return cell.kind == "lif" and cell.node not in mapping.populations


def _registers(cell: Cell, first: int, at: Snapshot, batch: int) -> dict[str, Array]:
    """u, unless nothing is kept of it, and v, until the population's first step."""
    names = ("u", "v") if cell.settings["du"] != DECAY_MAX else ("v",)
    members = cell.arrays["members"]
    values = {name: np.reshape(at.states[cell.node][name], (batch, -1))[:, members] for name in names}
    return {name: np.repeat(value[np.newaxis], first, axis=0) for name, value in values.items()}


def _under_way(cell: Cell, first: int, past: Array) -> Array:
    """What a connection holds until its source's step ``first``, (first, batch, outputs), with an axis of slots where
    it has several; ``past``: what the source sent, (D, batch, inputs)."""
    delay, exponent = cell.settings.get("slots", 1), cell.settings["weight_exp"]
    weights = _weights(cell)
    sums = [(weights @ values.T).T for values in past]
    sums = [x << exponent if exponent > 0 else x >> -exponent for x in sums]
    held = np.zeros((first, past.shape[1], cell.size_out, delay), dtype=np.int64)
    for k, slot in np.ndindex(first, delay):
        age = first - (k + 1 + slot - delay)
        if age <= len(sums):
            held[k, :, :, slot] = sums[-age]
    return held if cell.kind == "delay_dense" else held[..., 0]


def _weights(cell: Cell) -> Any:
    if "weights" in cell.arrays:
        return cell.arrays["weights"].astype(np.int64)
    data, indices, indptr, shape = (cell.arrays[f"weights.{part}"] for part in ("data", "indices", "indptr", "shape"))
    return csr_array((data.astype(np.int64), indices, indptr), shape=tuple(shape))
