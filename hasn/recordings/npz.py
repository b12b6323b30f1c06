"""A Recording as one .npz file: arrays under `group/node`, the rest as JSON; no pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hasn.counts import Counts, Operations
from hasn.errors import FileError
from hasn.ir.arrays import Damaged, archive, write_arrays
from hasn.recordings.events import Events, SpikeTrains

if TYPE_CHECKING:
    from hasn.recording import Recording

_GROUPS = ("outputs", "spikes", "voltages", "currents")
_FORMAT = 3
"""1 had dense spikes of all neurons at every step, and fewer counts; 2 had no digest."""
_SEALED = 3
_EVENTS = "events"
_FIRST: dict[str, Any] = {"more": [], "every": 1, "length": 0, "neurons": {}, "events": {}}
"""What a file of format 1 does not say."""


def save_npz(recording: Recording, path: str | Path, *, force: bool) -> None:
    """Write a recording.

    Raises:
        FileError: the file exists and ``force`` is False, or cannot be written.
    """
    trains = recording.spikes.events if isinstance(recording.spikes, SpikeTrains) else {}
    arrays: dict[str, Any] = {f"{_EVENTS}/{name}": np.stack([e.step, e.sample, e.neuron]) for name, e in trains.items()}
    for group, values in recording.series.items():
        if not (group == "spikes" and trains):
            arrays |= {f"{group}/{name}": array for name, array in values.items()}
    write_arrays(path, {"meta": meta_of(recording, trains), **arrays}, force=force)


def meta_of(recording: Recording, trains: Mapping[str, Events]) -> NDArray[Any]:
    """All that is no array, as JSON; ``trains``: the spikes that the file has as events."""
    meta = {
        "format": _FORMAT,
        "dt": recording.dt,
        "shifts": recording.shifts,
        "counts": asdict(recording.counts),
        "backend": recording.backend,
        "precision": recording.precision,
        "own_rule": recording.own_rule,
        "seconds": recording.seconds,
        "batched": recording.batched,
        "more": list(recording.more),
        "every": recording.every,
        "length": recording.length,
        "neurons": {
            group: {name: found.tolist() for name, found in nodes.items()} for group, nodes in recording.neurons.items()
        },
        "events": {name: {"samples": e.samples, "shape": e.shape} for name, e in trains.items()},
    }
    return np.array(json.dumps(meta))


def load_npz(path: str | Path, *, mapped: bool = False, verify: bool = True) -> dict[str, Any]:
    """What a Recording is made of, as :func:`save_npz` wrote it, or a run that was recorded to a file.

    Args:
        path: of the file.
        mapped: whether arrays that are not compressed stay in the file and are read when they are used.
        verify: read the whole file first and compare its digest; False for one that was written just now.

    Raises:
        FileError: there is no such file, it is no recording, it is damaged, or of a newer hasn.
    """
    place = Path(path)
    with archive(place, "a recording", verify=verify) as file:
        if "meta" not in file.declared:
            raise FileError("not a recording of hasn: it has no 'meta'", parameter=str(place))
        maps = file.mapped() if mapped else {}
        file.fits(set(file.declared) - set(maps))
        meta: dict[str, Any] = json.loads(str(file.read("meta")[()]))
        if _SEALED <= meta["format"] <= _FORMAT and not file.sealed:
            raise Damaged("the digest at its end is gone")
        arrays = {key: maps[key] if key in maps else file.read(key) for key in file.declared if key != "meta"}
        return _recording(meta, arrays, place)


def _recording(meta: dict[str, Any], arrays: dict[str, Any], place: Path) -> dict[str, Any]:
    if meta["format"] > _FORMAT:
        raise FileError(
            "written by a newer hasn",
            parameter=str(place),
            got=f"format {meta['format']}",
            wanted=f"format {_FORMAT}",
            way_out="Upgrade hasn.",
        )
    extra: dict[str, Any] = _FIRST | meta if meta["format"] == 1 else meta
    groups: dict[str, dict[str, Any]] = {group: {} for group in (*_GROUPS, *extra["more"], _EVENTS)}
    for key, array in arrays.items():
        group, _, name = key.partition("/")
        if array.dtype.kind not in "biuf" or array.ndim < 1:
            raise Damaged(f"array {key!r} is {array.dtype} {array.shape}")
        if group not in groups:
            raise FileError("not a recording: it has an array of no group", parameter=str(place), got=key)
        groups[group][name] = array
    neurons = {
        group: {name: np.array(numbers, dtype=np.int64) for name, numbers in nodes.items()}
        for group, nodes in extra["neurons"].items()
    }
    trains: Any = _trains(groups[_EVENTS], extra, neurons.get("spikes", {}))
    return {
        "outputs": groups["outputs"],
        "spikes": trains or groups["spikes"],
        "voltages": groups["voltages"],
        "currents": groups["currents"],
        "dt": float(meta["dt"]),
        "shifts": meta["shifts"],
        "counts": _counts(meta["counts"]),
        "backend": meta["backend"],
        "precision": meta["precision"],
        "own_rule": str(meta.get("own_rule", "")),  # older files are of rules as they stand
        "seconds": float(meta["seconds"]),
        "batched": bool(meta["batched"]),
        "more": {group: groups[group] for group in extra["more"]},
        "every": int(extra["every"]),
        "length": int(extra["length"]),
        "neurons": neurons,
    }


def _trains(events: dict[str, Any], meta: dict[str, Any], chosen: dict[str, Any]) -> SpikeTrains:
    steps, batched = int(meta["length"]), bool(meta["batched"])
    found = {}
    for name, of in meta["events"].items():
        step, sample, neuron = events[name]
        shape, samples = tuple(map(int, of["shape"])), int(of["samples"])
        for what, numbers, count in (
            ("step", step, steps),
            ("sample", sample, samples),
            ("neuron", neuron, math.prod(shape)),
        ):
            if numbers.dtype.kind not in "iu" or numbers.ndim != 1 or np.any((numbers < 0) | (numbers >= count)):
                raise Damaged(f"a {what} of node {name!r} lies outside the recording")
        found[name] = Events(step, sample, neuron, steps, samples, shape, chosen.get(name), batched)
    return SpikeTrains(found)


def _counts(data: dict[str, Any]) -> Counts:
    connections = {name: Operations(**found) for name, found in data.get("connections", {}).items()}
    return Counts(**{**data, "connections": connections, "unknown": tuple(data.get("unknown", ()))})
