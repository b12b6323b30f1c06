"""Time and state of the processes of ours: plain arrays in a run, files that the caller maps too in a stream."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np


def new_file(path: Path, shape: tuple[int, ...], dtype: Any) -> Any:
    """A new .npy file of zeros, mapped.

    Raises:
        OSError: the disk is full. Said now: a mapping that finds no room later ends the process.
    """
    library: Any = np.lib.format
    array = library.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with path.open("r+b") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, path.stat().st_size))
    # A plain view: np.memmap's own class makes every operation slower.
    return np.asarray(array)


class Clock:
    """Where a process is: step ``t`` of sample ``sample``.

    A sample lasts ``period`` steps; 0: a stream, which never ends. A canonical step lasts ``stride`` of them. In a
    stream the caller writes the step's number into ``shared`` before each step, so that a loaded state continues at its
    own step.
    """

    def __init__(self, period: int, shared: Any = None, stride: int = 1) -> None:
        self.period = period
        self.stride = stride
        self.shared = shared
        self.t = 0
        self.sample = 0

    def tick(self, step: int) -> None:
        """Go to the run's ``step`` (0, 1, ...)."""
        if self.shared is not None:
            self.t = int(self.shared[0])
        elif self.period:
            self.sample, self.t = divmod(step, self.period)
        else:
            self.t = step

    @property
    def last(self) -> bool:
        """Whether this is the last step of a sample."""
        return self.t == self.period - 1

    def place(self, array: Any, shift: int) -> Any:
        """The part of ``array`` (T, samples, ...) for this step of a population that runs ``shift`` late, or None."""
        if self.shared is not None:
            return array[0, 0]
        t, between = divmod(self.t - shift, self.stride)
        return array[t, self.sample] if not between and 0 <= t < array.shape[0] else None


class Alarm:
    """Where a population says that a number of it is not finite.

    Args:
        place: (1,) of a file that the caller reads: 1 + the first such step, 0 for none, -1 for one that is not known.
    """

    def __init__(self, place: Any) -> None:
        self.place = place

    def look(self, t: int, *arrays: Any) -> None:
        """Look at what there is after step ``t``."""
        if not all(np.isfinite(array).all() for array in arrays) and not 0 < self.place[0] <= t + 1:
            self.place[0] = t + 1

    def look_late(self, array: Any) -> None:
        """Look at what has been gathering for steps."""
        if not np.isfinite(array).all() and self.place[0] == 0:
            self.place[0] = -1


class Memory:
    """Hands out the arrays that hold a process's state, and puts them back to their initial values.

    Args:
        folder: where a stream keeps them as ``<process>.<state>.npy``; None: plain arrays.
        name: the process.
    """

    def __init__(self, folder: str | None, name: str) -> None:
        self.folder = folder
        self.name = name
        self.arrays: dict[str, tuple[Any, Any]] = {}

    def array(self, state: str, shape: tuple[int, ...], initial: Any = 0.0) -> Any:
        """A float64 array of ``shape``, filled with ``initial``."""
        if self.folder is None:
            array: Any = np.empty(shape)
        else:
            path = Path(self.folder) / f"{self.name}.{state}.npy"
            array = new_file(path, shape, np.float64)
        array[...] = initial
        self.arrays[state] = (array, initial)
        return array

    def clear(self) -> None:
        """Back to the initial values."""
        for array, initial in self.arrays.values():
            array[...] = initial
