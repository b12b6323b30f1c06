"""A running network's state, in one form for all backends: by node, in canonical time. Saved here, it goes on there."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.errors import FileError
from hasn.ir.arrays import Damaged, archive, write_arrays

Array: TypeAlias = NDArray[Any]
_FORMAT = 2
#: Since this format a state has a digest.
_SEALED = 2
_META = ("step", "structure", "precision", "batch", "batched")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a network remembers between two steps. Arrays have the batch axis first, and nobody else's memory.

    Attributes:
        step: number of the step to come.
        states: population -> state's name -> its value after the last step, (batch, *shape).
        held: population that can be held after a spike -> steps for which each neuron still is, (batch, *shape).
        past: source -> what it sent in the last D steps, oldest first, (D, batch, *shape), 0 before the start. D is the
            longest delay with which anything reads it: all values under way are there, whatever lines, rings or queues
            a backend keeps them in.
        learned: connection that learns -> "w" and its traces' names -> (batch, ...): a weight for each (output, input)
            or each synapse of a SparseLinear; a trace for each source, target or synapse.
    """

    step: int
    states: dict[str, dict[str, Array]]
    held: dict[str, Array]
    past: dict[str, Array]
    learned: dict[str, dict[str, Array]] = field(default_factory=dict, kw_only=True)


@dataclass(frozen=True, eq=False)
class NetworkState(Snapshot):
    """A state and whose it is; :meth:`hasn.Executable.state` gives it.

    Attributes:
        structure: :attr:`hasn.Executable.structure` of the network.
        precision: the arithmetic of its numbers; "loihi": the chip's registers u and v.
        batch: samples, or None: no step has been taken, and all else is empty.
        batched: whether the inputs have a batch axis.
    """

    structure: str
    precision: str
    batch: int | None
    batched: bool

    def save(self, path: str | Path, *, force: bool = True) -> None:
        """Write the state as a ``.npz`` file without pickles.

        It is written under a temporary name and renamed when it is complete: until then an old file stays whole,
        whatever happens.

        Args:
            path: the file; the folder must exist.
            force: replace a file that is already there.

        Raises:
            FileError: it cannot be written, or is there and ``force`` is False.
        """
        arrays = {"states": self.states, "held": {"": self.held}, "past": {"": self.past}, "learned": self.learned}
        places = [
            (group, outer, inner, array)
            for group, parts in arrays.items()
            for outer, part in parts.items()
            for inner, array in part.items()
        ]
        meta = {name: getattr(self, name) for name in _META}
        meta |= {"hasn_state": _FORMAT, "arrays": [place[:3] for place in places]}
        content: dict[str, Any] = {f"a{i}": array for i, (*_, array) in enumerate(places)}
        write_arrays(path, {"meta": np.array(json.dumps(meta)), **content}, force=force, compress=False)


def some_samples(at: Snapshot, first: int, count: int) -> Snapshot:
    """The state of ``count`` samples from ``first`` on; where there are fewer, zeros make up for them."""

    def cut(array: Array, axis: int) -> Array:
        found = array[(slice(None),) * axis + (slice(first, first + count),)]
        missing = [(0, 0)] * array.ndim
        missing[axis] = (0, count - found.shape[axis])
        return np.pad(found, missing)

    return _each([at], lambda arrays, axis: cut(arrays[0], axis))


def joined_samples(parts: Sequence[Snapshot], batch: int) -> Snapshot:
    """One state of several, of the first ``batch`` samples together."""

    def join(arrays: Sequence[Array], axis: int) -> Array:
        return np.concatenate(arrays, axis)[(slice(None),) * axis + (slice(batch),)]

    return _each(parts, join)


def _each(parts: Sequence[Snapshot], made: Callable[[Sequence[Array], int], Array]) -> Snapshot:
    """A state whose arrays are made of all parts' arrays of the same name, and the place of their batch axis."""
    first = parts[0]
    states, learned = (
        {
            node: {name: made([getattr(part, group)[node][name] for part in parts], 0) for name in kept}
            for node, kept in getattr(first, group).items()
        }
        for group in ("states", "learned")
    )
    held = {node: made([part.held[node] for part in parts], 0) for node in first.held}
    past = {node: made([part.past[node] for part in parts], 1) for node in first.past}
    return Snapshot(first.step, states, held, past, learned=learned)


def load_state(path: str | Path) -> NetworkState:
    """Read what :meth:`NetworkState.save` wrote. Whether it fits a network is seen where it is used.

    Raises:
        FileError: there is no such file, it is no state, it is damaged, or of a newer hasn.
    """
    with archive(Path(path), "a state of hasn") as file:
        file.fits()
        meta: dict[str, Any] = json.loads(str(file.read("meta")[()]))
        if meta["hasn_state"] > _FORMAT:
            got, wanted = f"format {meta['hasn_state']}", f"format {_FORMAT}"
            raise FileError(
                "written by a newer hasn", parameter=str(path), got=got, wanted=wanted, way_out="Upgrade hasn."
            )
        if meta["hasn_state"] >= _SEALED and not file.sealed:
            raise Damaged("the digest at its end is gone")
        groups: dict[str, dict[str, dict[str, Array]]] = {"states": {}, "held": {}, "past": {}, "learned": {}}
        for i, (group, outer, inner) in enumerate(meta["arrays"]):
            array = file.read(f"a{i}")
            groups[group].setdefault(str(outer), {})[str(inner)] = array.astype(array.dtype.newbyteorder("="))
        found = NetworkState(
            states=groups["states"],
            held=groups["held"].get("", {}),
            past=groups["past"].get("", {}),
            learned=groups["learned"],
            **{name: meta[name] for name in _META},
        )
        _check_form(found)
    return found


def _check_form(state: NetworkState) -> None:
    """Numbers where there should be numbers; whose they are is seen where the state is used.

    Raises:
        Damaged: names what is wrong.
    """
    wanted = {"step": int, "structure": str, "precision": str, "batched": bool, "batch": int | None}
    for name, kind in wanted.items():
        value: Any = getattr(state, name)
        if not isinstance(value, kind) or (name in ("step", "batch") and (value is True or value is False)):
            raise Damaged(f"{name} is {value!r}")
    if state.step < 0 or (state.batch is not None and state.batch < 1):
        raise Damaged(f"step is {state.step}, batch is {state.batch}")
    arrays = [array for group in (state.states, state.learned) for kept in group.values() for array in kept.values()]
    for array in [*arrays, *state.held.values(), *state.past.values()]:
        if array.dtype.kind not in "biuf":
            raise Damaged(f"an array of {array.dtype}")
