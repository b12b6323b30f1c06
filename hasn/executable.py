"""A compiled network: whole sequences with `run`, a stream with `step`, the same on every backend."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError, OptionError
from hasn.program.fuse import Network, fuse
from hasn.program.model import Connection, Program
from hasn.program.operations import synaptic_operations
from hasn.recording import Counts, Recording
from hasn.signals import Signals, signals

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Raw:
    """What a backend hands back: canonical time, arrays (T, batch, *shape).

    Attributes:
        outputs: every Output node.
        spikes: every name in ``program.recorded_spikes``, if asked for.
        voltages: every name in ``program.recorded_voltages``, if asked for.
        shifts: node -> steps that it ran late (already taken out).
        currents: every name in ``program.recorded_voltages``, if asked for and recordable.
    """

    outputs: dict[str, Array]
    spikes: dict[str, Array]
    voltages: dict[str, Array]
    shifts: dict[str, int] = field(default_factory=dict)
    currents: dict[str, Array] = field(default_factory=dict)


@dataclass(frozen=True)
class State:
    """A stream's state at the end of a step, for :meth:`Executable.load_state`. Its content is the backend's own.

    Attributes:
        backend: who can load it.
        structure: :attr:`Executable.structure` of the network it belongs to.
        batch: samples, or None before the first step.
        batched: whether the inputs have a batch axis.
        step: number of the next step.
        content: the backend's own; a copy, which later steps do not change.
    """

    backend: str
    structure: str
    batch: int | None
    batched: bool
    step: int
    content: Any


class StepResult(dict[str, Array]):
    """{Output node: value at this step}, each (batch, *shape), or (*shape) where the input had no batch axis.

    ``numpy.asarray`` gives the array itself where the graph has one Output.
    """

    @property
    def output(self) -> Array:
        """The value of the only Output."""
        if len(self) != 1:
            raise KeyError(f"the graph has {len(self)} Outputs: {', '.join(self)}")
        return next(iter(self.values()))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.output, dtype=dtype)


class Executable(ABC):
    """A Program on a backend.

    ``run`` always starts at the initial state and leaves the stream alone; ``step`` continues the stream, and
    ``reset``, ``state`` and ``load_state`` are about the stream only.

    Attributes:
        backend: the backend's name.
        program: the Program that was compiled.
        precision: "float64", "float32" ...
        recordable: what ``record`` may name.
    """

    backend: str
    recordable: tuple[str, ...] = ("spikes", "voltages")

    def __init__(self, program: Program, precision: str) -> None:
        self.program = program
        self.precision = precision
        self._batch: int | None = None
        self._batched = False
        self._now = 0  # number of the stream's next step

    # --- whole sequences

    def run(
        self, inputs: Any = None, *, record: str | Iterable[str] = ("spikes",), steps: int | None = None
    ) -> Recording:
        """Run whole sequences from the initial state.

        Args:
            inputs: (T, *shape) or (T, batch, *shape), or {Input node: such an array}. Real numbers; a spike is 1.
            record: "spikes" and/or "voltages" (precision "loihi": also "currents"). Outputs are always there.
            steps: T, for a graph without Inputs.

        Returns:
            The recording in canonical time, with a batch axis only if the input had one.

        Raises:
            InputError: the data does not fit the Inputs, or is not finite.
            OptionError: nothing of that name can be recorded.
        """
        wanted = _recorded(record, self.recordable)
        given = signals(self.program, inputs, steps)
        start = time.perf_counter()
        raw = self._run(given, wanted)
        seconds = time.perf_counter() - start
        return self._recording(given, raw, seconds)

    @abstractmethod
    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        """Run all steps from the initial state."""

    def _recording(self, given: Signals, raw: Raw, seconds: float) -> Recording:
        spikes = {name: np.asarray(array) > 0.5 for name, array in raw.spikes.items()}
        events = {**given.values, **spikes}
        counts = Counts(
            {name: int(array.sum()) for name, array in spikes.items()},
            synaptic_operations(self.network, events) if spikes else {},
        )

        def cut(group: dict[str, Array]) -> dict[str, Array]:
            return group if given.batched else {name: array[:, 0] for name, array in group.items()}

        return Recording(
            cut(raw.outputs),
            cut(spikes),
            cut(raw.voltages),
            self.program.dt,
            dict(raw.shifts),
            counts,
            self.backend,
            self.precision,
            seconds,
            given.batched,
            cut(raw.currents),
        )

    # --- streams

    def step(self, inputs_t: Any = None) -> StepResult:
        """One step of the stream, the state kept.

        Args:
            inputs_t: (*shape) or (batch, *shape), or {Input node: such an array}; the first step fixes the batch.

        Returns:
            {Output node: its value at this step, in canonical time}.

        Raises:
            InputError: the data does not fit the Inputs, is not finite, or changes the batch.
        """
        given = signals(self.program, inputs_t, time=False, first=self._now)
        if self._batch is None:
            self._start_stream(given.batch)  # first: if it raises, no stream is running
            self._batch, self._batched = given.batch, given.batched
        elif (given.batch, given.batched) != (self._batch, self._batched):
            raise InputError(
                "the batch changes within the stream",
                parameter="inputs_t",
                got=_batch_text(given.batch, given.batched),
                wanted=_batch_text(self._batch, self._batched),
                way_out="Call reset() first.",
            )
        values = self._step({name: array[0] for name, array in given.values.items()})
        self._now += 1
        return StepResult({name: np.asarray(value if self._batched else value[0]) for name, value in values.items()})

    def reset(self) -> None:
        """Back to the initial state: the next step is step 0, and may have another batch."""
        self._batch, self._batched, self._now = None, False, 0
        self._end_stream()

    def state(self) -> State:
        """A copy of the stream's state: membrane potentials, currents and spikes under way."""
        content = None if self._batch is None else self._state()
        return State(self.backend, self.structure, self._batch, self._batched, self._now, content)

    def load_state(self, state: State) -> None:
        """Continue from a state that :meth:`state` gave, of this executable or another of the same network.

        Raises:
            InputError: it is no state, of another backend, or of another network.
        """
        if not isinstance(state, State):
            raise InputError("not a state", parameter="state", got=type(state).__name__, wanted="what state() returned")
        if (state.backend, state.structure) != (self.backend, self.structure):
            raise InputError(
                "the state is of another network or backend",
                parameter="state",
                got=f"{state.backend} {state.structure[:8]}",
                wanted=f"{self.backend} {self.structure[:8]}",
            )
        self.reset()
        if state.batch is not None:
            self._start_stream(state.batch)
            self._load_state(state.content)
            self._batch, self._batched, self._now = state.batch, state.batched, state.step

    @abstractmethod
    def _start_stream(self, batch: int) -> None:
        """Make ready for step 0 of a stream of ``batch`` samples."""

    @abstractmethod
    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        """One step: {Input: (batch, *shape)} to {Output: (batch, *shape)}."""

    @abstractmethod
    def _end_stream(self) -> None:
        """Let go of what the stream held."""

    @abstractmethod
    def _state(self) -> Any:
        """A copy of the stream's state."""

    @abstractmethod
    def _load_state(self, content: Any) -> None:
        """Take over what :meth:`_state` gave; the stream has been started."""

    # --- what it is

    @cached_property
    def network(self) -> Network:
        """Populations and sparse projections: the Program with its stateless chains composed."""
        return fuse(self.program)

    @cached_property
    def structure(self) -> str:
        """A hash of the network's names, shapes, delays and timing, not of its coefficients."""
        lines = [f"{type(s).__name__} {s.name} {s.shape} {getattr(s, 'states', '')}" for s in self.program.nodes]
        delays = [f"{s.name} {s.delay.tolist()}" for s in self.program.of(Connection) if s.delay is not None]
        text = "\n".join([*lines, *delays, *map(str, self.program.edges), self.program.timing, self.precision])
        return hashlib.sha256(text.encode()).hexdigest()

    def close(self) -> None:
        """Let go of processes and memory. The executable cannot be used afterwards."""
        self._end_stream()

    def __enter__(self) -> Executable:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _batch_text(batch: int, batched: bool) -> str:
    return f"{batch} sample(s)" if batched else "no batch axis"


def _recorded(record: str | Iterable[str], recordable: tuple[str, ...]) -> frozenset[str]:
    known = " and/or ".join(recordable)
    if not isinstance(record, Iterable):
        raise OptionError("not a name or several", parameter="record", got=repr(record), wanted=known)
    wanted = frozenset([record] if isinstance(record, str) else record)
    for name in sorted(wanted):
        if name not in recordable:
            raise OptionError("nothing of that name can be recorded", parameter="record", got=repr(name), wanted=known)
    return wanted
