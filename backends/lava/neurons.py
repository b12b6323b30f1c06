"""A population as a Lava process: stock LIF where that has its equation, one of ours where not, and why.

Lava's floating-point LIF (lava-nc 0.10.0, ``lava/proc/lif/models.py``), one number of each for the whole population:

    u <- u (1 - du) + a_in        v <- v (1 - dv) + u + bias        z = 1[v > vth]        v <- 0 where z
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.fuse import Population, Relay
from hasn.program.model import Floats, Neurons, Row, Threshold

#: Kinds of cell that Lava brings.
STOCK = ("lif", "lif_refractory")
Drives = Mapping[int, Floats]


@dataclass(frozen=True)
class PopulationCell:
    """What a population becomes.

    Attributes:
        kind: "lif" or "lif_refractory" (stock), "neurons", "compare" or "relay".
        why_not: why the chip's LIF cannot express it; empty if it can.
        size: elements.
        settings, arrays: the process's own.
        input_scale: what the weights of incoming connections are multiplied with, for each element; None for 1.
    """

    kind: str
    why_not: str
    size: int
    settings: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(repr=False)
    input_scale: Floats | None = None

    @property
    def stock(self) -> bool:
        """Whether Lava brings the process."""
        return self.kind in STOCK


def population_cell(population: Population, drives: Drives, shift: int, stock: bool) -> PopulationCell:
    """Choose the process of a population.

    Args:
        population: Neurons, Threshold or Relay.
        drives: first step -> constant input from there on.
        shift: steps that it runs late.
        stock: whether stock LIF may be chosen.
    """
    if isinstance(population, Threshold):
        why_not = _why_not_compare(population, drives, shift)
        if stock and not why_not:
            return _lif_of_compare(population, drives, shift)
        return _own(
            "compare", population, drives, shift, why_not, {}, {"threshold": _flat(population.threshold, population)}
        )
    if isinstance(population, Relay):
        why_not = "a sum of real numbers without a neuron is formed by a process of ours"
        return _own("relay", population, drives, shift, why_not, {}, {})
    if not isinstance(population, Neurons):
        raise TypeError(f"{population.name} is no population of its own")
    why_not = _why_not_lif(population, drives, shift)
    if stock and not why_not:
        return _lif(population, drives, shift)
    return _own("neurons", population, drives, shift, why_not, *_neuron_spec(population))


# --- what stock LIF cannot express


def _why_not_compare(population: Threshold, drives: Drives, shift: int) -> str:
    if not _uniform(population.threshold):
        return "threshold differs between neurons; stock LIF has one for all"
    return _why_not_silent(_any(drives), population.threshold, drives, shift)


def _why_not_lif(p: Neurons, drives: Drives, shift: int) -> str:
    """The first reason why stock LIF does not have this population's equation, or an empty text."""
    if not p.spiking:
        return "it does not spike: its output is the membrane potential, a real number at each step"
    firing = p.firing
    if firing is None:
        return "its spike condition or reset is not that of a leaky integrate-and-fire neuron"
    if firing.reset != "zero":
        return "reset by subtraction; stock LIF resets to 0"
    if np.any(firing.jump):
        return f"v_reset is not 0 (up to {_largest(firing.jump):g}); stock LIF resets to 0"
    reason = _why_not_rows(p) or _why_not_held(p)
    if reason:
        return reason
    if not _uniform(firing.threshold):
        return "threshold differs between neurons; stock LIF has one for all"
    if any(np.any(value) for value in p.initial.values()):
        return f"v_init is not 0 (up to {_largest(p.initial['v']):g})"
    bias = _any(drives) or any(row.bias is not None for row in p.rows)
    if len(p.rows) == 2 and _any(drives):
        return "a constant input drives the synaptic current; stock LIF adds its bias to the voltage"
    return _why_not_silent(bias, firing.threshold, drives, shift)


def _why_not_held(p: Neurons) -> str:
    """Lava's LIFRefractory holds all its neurons equally long, and lets a held one spike whose v lies above vth."""
    if p.held is None:
        return ""
    if not _uniform(p.held):
        return "refractory periods differ between neurons; stock LIFRefractory has one for all"
    if p.threshold is not None and np.min(p.threshold) < 0:
        return "a threshold below 0: stock LIFRefractory would spike while it is held at 0"
    return ""


def _why_not_rows(p: Neurons) -> str:
    if p.update == "voltage first":
        return "its voltage is driven by the current of the step before (method 'exact'); stock LIF takes the new one"
    if p.update == "general":
        return "its update is not that of a leaky integrator, with or without a synaptic current"
    coefficients = [row.terms[0][1] for row in p.rows]
    if not all(_uniform(a) for a in coefficients):
        return "time constants differ between neurons; stock LIF has one decay for all"
    return ""


def _why_not_silent(bias: bool, threshold: Floats, drives: Drives, shift: int) -> str:
    """Stock LIF runs from step 0 on: a population that runs late must be silent without input."""
    if shift and bias:
        return f"a bias would act during the {shift} step(s) that it runs late; a process of ours holds it back"
    if shift and np.min(threshold) < 0:
        return f"a threshold below 0 would spike during the {shift} step(s) that it runs late"
    if any(first > 0 and np.any(value) for first, value in drives.items()):
        return "a bias that comes through a Delay starts later than step 0"
    return ""


# --- stock LIF


def _lif(p: Neurons, drives: Drives, shift: int) -> PopulationCell:
    voltage = p.rows[-1]
    gain = _flat(p.rows[0].gain if p.rows[0].gain is not None else 0.0, p)
    keep_v = _first(voltage.terms[0][1])
    if len(p.rows) == 1:
        du, scale = 1.0, gain
    else:
        du = 1.0 - _first(p.rows[0].terms[0][1])
        scale = gain * _flat(voltage.terms[1][1], p)
    bias = gain * sum(drives.values(), np.zeros(gain.size)) if _any(drives) else np.zeros(gain.size)
    if voltage.bias is not None:
        bias = bias + _flat(voltage.bias, p)
    settings = {"du": du, "dv": 1.0 - keep_v, "vth": _first(p.threshold)}
    if p.held is not None:
        settings["refractory_period"] = int(_first(p.held))
    return _stock(p, settings, bias, shift, scale)


def _lif_of_compare(p: Threshold, drives: Drives, shift: int) -> PopulationCell:
    """``1[x > threshold]`` is a LIF that keeps nothing: du = dv = 1."""
    bias = sum(drives.values(), np.zeros(int(np.prod(p.shape))))
    return _stock(p, {"du": 1.0, "dv": 1.0, "vth": _first(p.threshold)}, bias, shift, None)


def _stock(
    p: Neurons | Threshold, settings: dict[str, Any], bias: Floats, shift: int, scale: Floats | None
) -> PopulationCell:
    arrays = {"bias_mant": bias} if np.any(bias) else {}
    size = int(np.prod(p.shape))
    kind = "lif_refractory" if "refractory_period" in settings else "lif"
    why_not = (
        "Lava has LIFRefractory in floating point alone, so nothing says what a chip does" if kind != "lif" else ""
    )
    return PopulationCell(kind, why_not, size, {**settings, "onset": shift, "drives": []}, arrays, scale)


# --- processes of ours


def _own(
    kind: str,
    population: Population,
    drives: Drives,
    shift: int,
    why_not: str,
    settings: dict[str, Any],
    arrays: dict[str, NDArray[Any]],
) -> PopulationCell:
    names = [[first, f"drive.{first}"] for first in drives]
    values = {f"drive.{first}": np.asarray(value, dtype=np.float64) for first, value in drives.items()}
    why_not = why_not or "every cell of a stream is a process of ours"
    shared = {"onset": shift, "drives": names}
    return PopulationCell(kind, why_not, int(np.prod(population.shape)), {**settings, **shared}, {**arrays, **values})


def _neuron_spec(p: Neurons) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Settings and arrays that the worker's ``engines.Neurons`` reads."""
    arrays: dict[str, NDArray[Any]] = {f"initial.{state}": _flat(value, p) for state, value in p.initial.items()}

    def put(name: str, value: Any) -> str | None:
        if value is None:
            return None
        arrays[name] = _flat(value, p)
        return name

    def terms(label: str, given: tuple[tuple[str, Floats], ...]) -> list[list[str | None]]:
        return [[state, put(f"{label}.{state}", value)] for state, value in given]

    def row(label: str, row: Row) -> dict[str, Any]:
        gain, bias = put(f"{label}.gain", row.gain), put(f"{label}.bias", row.bias)
        return {"state": row.state, "terms": terms(label, row.terms), "gain": gain, "bias": bias, "before": row.before}

    condition = None
    if p.condition is not None:
        constant = put("condition.constant", p.condition.constant)
        condition = {"terms": terms("condition", p.condition.terms), "constant": constant}
    return {
        "states": list(p.states),
        "rows": [row(f"row{i}", one) for i, one in enumerate(p.rows)],
        "condition": condition,
        "resets": [row(f"reset{i}", one) for i, one in enumerate(p.resets)],
        "held": put("held", p.held),
    }, arrays


def _flat(value: Any, population: Population) -> Floats:
    full = np.broadcast_to(np.asarray(value, dtype=np.float64), population.shape)
    return np.ascontiguousarray(full).reshape(-1)


def _uniform(value: NDArray[Any]) -> bool:
    flat = np.asarray(value).reshape(-1)
    return bool(np.all(flat == flat[0])) if flat.size else True


def _first(value: Any) -> float:
    return float(np.asarray(value).reshape(-1)[0])


def _largest(value: Floats) -> float:
    flat = np.asarray(value).reshape(-1)
    return float(flat[np.argmax(np.abs(flat))])


def _any(drives: Drives) -> bool:
    return any(bool(np.any(value)) for value in drives.values())
