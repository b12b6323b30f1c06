"""A Recording as NIR data (`nir.NIRGraphData`), gridded or as events, and back.

NIR data knows samples, steps and flat neurons: node shapes are flattened in C order and come back with ``shapes``.
nir's own conversions between events and grids cut times with ``floor(time / dt)``, which loses a step where it
rounds down (0.3 / 0.1 gives 2); here the nearest step is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.counts import Counts
from hasn.errors import InputError, OptionError

if TYPE_CHECKING:
    from hasn.recording import Recording

Array = NDArray[Any]
Shape = tuple[int, ...]
_NAMES = {"outputs": "output", "spikes": "spikes", "voltages": "v", "currents": "u"}


def to_nir_data(recording: Recording, form: Literal["gridded", "event"] = "gridded") -> nir.NIRGraphData:
    """Every node's spikes ("spikes"), membrane potential ("v"), current ("u") and, for Outputs, values ("output").

    Args:
        recording: any recording; one without a batch axis becomes one sample.
        form: "gridded" (samples, steps, neurons), or "event": spikes as (index, time in seconds), padded with -1 and
            inf as NIR has it. Real-valued signals stay gridded.

    Raises:
        OptionError: unknown form.
        InputError: the recording has chosen neurons of a node: NIR data cannot say which.
    """
    if form not in ("gridded", "event"):
        raise OptionError("unknown form", parameter="form", got=repr(form), wanted="gridded or event")
    for group, chosen in recording.neurons.items():
        raise InputError(
            "NIR data know whole nodes alone",
            node=next(iter(chosen)),
            parameter=group,
            got=f"{len(next(iter(chosen.values())))} chosen neurons",
            way_out="Record all neurons of the node, or use save().",
        )
    nodes: dict[str, dict[str, Any]] = {}
    for group, name in _NAMES.items():
        for node, array in getattr(recording, group).items():
            flat = _samples_first(array, recording.batched)
            events = form == "event" and group == "spikes"
            dt = recording.dt * (1 if group in ("outputs", "spikes") else recording.every)
            data = _events(flat, dt) if events else nir.TimeGriddedData(flat, dt)
            nodes.setdefault(node, {})[name] = data
    return nir.NIRGraphData({node: nir.NIRNodeData(observables) for node, observables in nodes.items()})


def _samples_first(array: Array, batched: bool) -> Array:
    batch = array if batched else array[:, np.newaxis]
    return batch.reshape(*batch.shape[:2], -1).swapaxes(0, 1)


def _events(grid: Array, dt: float) -> nir.EventData:
    samples, steps, neurons = grid.shape
    most = int(grid.sum(axis=(1, 2)).max(initial=0))
    index, time = np.full((samples, most), -1), np.full((samples, most), np.inf)
    for sample in range(samples):
        when, who = np.nonzero(grid[sample])
        index[sample, : len(who)], time[sample, : len(when)] = who, when * dt
    return nir.EventData(index, time, neurons, steps * dt)


def from_nir_data(
    data: nir.NIRGraphData, *, dt: float | None = None, shapes: Mapping[str, Shape] | None = None, batched: bool = True
) -> dict[str, Any]:
    """What the Recording that NIR data holds is made of.

    Args:
        data: spikes ("spikes"), membrane potentials ("v"), currents ("u") and outputs ("output") by node.
        dt: seconds a step; needed where all data are events.
        shapes: node -> shape of its neurons; default: flat.
        batched: whether to keep the axis of samples; False needs exactly one sample.

    Raises:
        InputError: no dt, two different dt, an unknown observable, nested data, or several samples where one is meant.
    """
    found = _steps_of(data, dt)
    groups: dict[str, dict[str, Array]] = {group: {} for group in _NAMES}
    group_of = {name: group for group, name in _NAMES.items()}
    for node, entry in data.nodes.items():
        if not isinstance(entry, nir.NIRNodeData):
            raise InputError("nested data", node=node, way_out="Name the nodes outer.inner, as hasn does.")
        for name, observable in entry.observables.items():
            if name not in group_of:
                raise InputError("unknown observable", node=node, got=name, wanted=", ".join(group_of))
            grid = observable.data if isinstance(observable, nir.TimeGriddedData) else _grid(observable, found, node)
            shape = (shapes or {}).get(node, (grid.shape[2],))
            array = grid.swapaxes(0, 1).reshape(grid.shape[1], grid.shape[0], *shape)
            if not batched and grid.shape[0] != 1:
                raise InputError(
                    "several samples", node=node, got=grid.shape[0], wanted="1", way_out="Pass batched=True."
                )
            groups[group_of[name]][node] = array if batched else array[:, 0]
    spikes = {node: array.astype(bool) for node, array in groups["spikes"].items()}
    counts = Counts({node: int(array.sum()) for node, array in spikes.items()})
    arrays = {"outputs": groups["outputs"], "spikes": spikes, "voltages": groups["voltages"]}
    return {**arrays, "currents": groups["currents"], "dt": found, "shifts": {}, "counts": counts, "batched": batched}


def _steps_of(data: nir.NIRGraphData, dt: float | None) -> float:
    """The one dt of all data."""
    entries = [
        o for node in data.nodes.values() if isinstance(node, nir.NIRNodeData) for o in node.observables.values()
    ]
    known = {float(o.dt) for o in entries if isinstance(o, nir.TimeGriddedData)} | ({float(dt)} if dt else set())
    if len(known) != 1:
        raise InputError(
            "the data do not say one time step" if not known else "the data have different time steps",
            parameter="dt",
            got=", ".join(f"{k:g}" for k in sorted(known)) or None,
            wanted="seconds",
            way_out="Pass dt=..." if not known else "Resample them first.",
        )
    return known.pop()


def _grid(events: nir.EventData, dt: float, node: str) -> Array:
    steps = round(events.t_max / dt)
    valued = isinstance(events, nir.ValuedEventData)
    grid = np.zeros((events.n_samples, steps, events.n_neurons), dtype=float if valued else bool)
    for sample in range(events.n_samples):
        there = events.idx[sample] != -1
        when = np.rint(events.time[sample][there] / dt).astype(int)
        who = events.idx[sample][there]
        if np.any((when < 0) | (when >= steps) | (who < 0) | (who >= events.n_neurons)):
            raise InputError(
                "an event lies outside the recording",
                node=node,
                wanted=f"step 0..{steps - 1}, neuron 0..{events.n_neurons - 1}",
            )
        grid[sample, when, who] = events.value[sample][there] if valued else True
    return grid
