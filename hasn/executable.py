"""A compiled network: whole sequences with `run`, a stream with `step`, the same on every backend."""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError, OptionError
from hasn.ir.meaning import keep
from hasn.ir.structure import flatten
from hasn.ir.typed import copy_graph, set_types
from hasn.nonfinite import require_finite_weights
from hasn.program.fuse import Network, fuse, stateless_loops
from hasn.program.learning import pattern, sizes, weights_of
from hasn.program.maps import Sparse
from hasn.program.model import Connection, Neurons, Node, Program, Source
from hasn.program.past import needed
from hasn.recording import Recording
from hasn.recordings.asked import Asked, asked
from hasn.recordings.keeper import Keeper
from hasn.recordings.room import FEWER, require_room, widest
from hasn.room import in_memory
from hasn.signals import Signals, modulated, parts, signals
from hasn.state import NetworkState, Snapshot

Array: TypeAlias = NDArray[Any]

#: Numbers of a piece of a run that keeps little: some 30 MiB in all.
PIECE = 1 << 20


@dataclass(frozen=True)
class Raw:
    """What a backend hands back: canonical time, arrays (T, batch, *shape).

    Attributes:
        outputs: every Output node.
        spikes: every name in ``program.recorded_spikes``, if asked for.
        voltages: every name in ``program.recorded_voltages``, if asked for.
        shifts: node -> steps that it ran late (already taken out).
        currents: every name in ``program.recorded_voltages``, if asked for and recordable.
        end: the state after the last step, if asked for.
        weights: every connection that learns, after each step, if asked for.
        learned: every connection that learns -> its weights after the last step, (batch, ...).
    """

    outputs: dict[str, Array]
    spikes: dict[str, Array]
    voltages: dict[str, Array]
    shifts: dict[str, int] = field(default_factory=dict)
    currents: dict[str, Array] = field(default_factory=dict)
    end: Snapshot | None = None
    weights: dict[str, Array] = field(default_factory=dict)
    learned: dict[str, Array] = field(default_factory=dict)


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

    ``run`` starts at the initial state, or at the one it is given, and leaves the stream alone unless it is told to
    keep its end; ``step`` continues the stream, and ``reset``, ``state`` and ``load_state`` are about the stream only.

    Attributes:
        backend: the backend's name.
        program: the Program that was compiled.
        precision: "float64", "float32" ...
        recordable: what ``record`` may name.
        own_rule: see :class:`hasn.recording.Recording`.
        graph: what the Program was lowered from; None: it was given as one.
    """

    backend: str
    recordable: tuple[str, ...] = ("spikes", "voltages")
    own_rule: str = ""
    graph: nir.NIRGraph | None = None

    def __init__(self, program: Program, precision: str) -> None:
        self.program = program
        self.precision = precision
        self._batch: int | None = None
        self._batched = False
        self._now = 0  # number of the stream's next step
        self._last: dict[str, Array] | None = None  # weights that the last run has learned; None: the stream's
        self._pending: NetworkState | None = None  # where the stream goes on, while no step has been taken from there

    # --- whole sequences

    def run(
        self,
        inputs: Any = None,
        *,
        record: str | Iterable[str] | Mapping[str, Any] = ("spikes",),
        steps: int | None = None,
        state: NetworkState | None = None,
        keep_state: bool = False,
        every: int = 1,
        last: int | None = None,
        rate_tau: float = 0.1,
        to: str | Path | None = None,
        force: bool = False,
        modulators: Mapping[str, Any] | None = None,
    ) -> Recording:
        """Run whole sequences.

        Args:
            inputs: (T, *shape) or (T, batch, *shape), or {Input node: such an array}. Real numbers; a spike is 1.
            record: "spikes" and/or "voltages" (precision "loihi": also "currents"), "rates", "counts", and of
                connections that learn "weights" or "histograms"; or a mapping that chooses nodes and neurons:
                ``{"spikes": ["hidden"], "voltages": {"hidden": [0, 17]}}``. Outputs are there too, unless the mapping
                says which, or "counts" is all that is recorded.
            steps: T, for a graph without Inputs.
            state: where to start: what :meth:`state` gave, of this or another backend; default: the initial state.
            keep_state: whether the stream continues from the end of this run: :meth:`state` is then that end.
            every: steps between two records of voltages, currents, rates and weights. Spikes and Outputs are never
                thinned.
            last: spikes kept for each neuron of each sample, the last ones; None: all.
            rate_tau: seconds of the running mean "rates" (see :class:`hasn.recordings.keeper.Rate`).
            to: a .npz file to write instead of keeping arrays in memory; it is there, whole, when the run is over.
            force: whether ``to`` may replace a file.
            modulators: name -> (T) or (T, batch), for the rules that read one (a reward; see :mod:`hasn.plasticity`).

        Returns:
            The recording in canonical time, with a batch axis only if the input had one. With ``to``, its arrays are
            maps of the file.

        Raises:
            InputError: the data does not fit the Inputs, or is not finite; the state is of another network, precision
                or batch.
            NotFiniteError: a state leaves the range of numbers; names the node and the step.
            OutOfMemoryError: what the run would keep, or the run itself, does not fit.
            OptionError: a group, a node or a neuron of ``record`` is not there, or a number makes no sense.
        """
        wanted = asked(record, self.program, self.recordable, every, last, rate_tau)
        wanted = wanted if to is None else replace(wanted, plain=False)
        begun = self._begun(state)
        if to is None:
            require_room(self.program, inputs, steps, wanted)
        with in_memory(f"run on {self.backend}", FEWER, widest(self.program)):
            given = modulated(self.program, inputs, modulators)
            return self._recorded(wanted, begun, given, steps, keep_state, to, force)

    def _recorded(
        self,
        wanted: Asked,
        begun: NetworkState | None,
        inputs: Any,
        steps: int | None,
        keep_state: bool,
        to: str | Path | None,
        force: bool,
    ) -> Recording:
        """Run, and keep what is wanted."""
        size = None if wanted.plain else self._piece
        origin = 0 if begun is None else begun.step
        pieces = parts(self.program, inputs, steps, size, origin, wanted.weights(self.program), wanted.pieces)
        end: tuple[Signals, Raw] | None = None
        with Keeper(self.program, wanted, to, force) as keeper:
            start = time.perf_counter()
            for given, raw in self._sound(self._started(pieces, begun, keep_state), wanted.groups):
                keeper.add(given, raw)
                end = given, raw
            recording = keeper.recording(self.backend, self.precision, time.perf_counter() - start)
        recording = replace(recording, own_rule=self.own_rule)
        if end is not None:
            self._ended(*end, keep_state)
        return recording

    def going_on(
        self, inputs: Any, steps: int, state: NetworkState | None, groups: frozenset[str]
    ) -> Iterator[tuple[Signals, Raw]]:
        """Run from a state, and let the stream continue from the end: for what records several runs as one.

        Args:
            inputs: see :meth:`run`, the modulators among them.
            steps: T.
            state: where to start.
            groups: what the backend records.

        Returns:
            The pieces of the run, as the backend gave them.
        """
        begun = self._begun(state)
        pieces = parts(self.program, inputs, steps, self._piece, 0 if begun is None else begun.step)
        end: tuple[Signals, Raw] | None = None
        for end in self._sound(self._started(pieces, begun, True), groups):
            yield end
        if end is not None:
            self._ended(*end, True)

    def _ended(self, given: Signals, raw: Raw, keep: bool) -> None:
        """Remember what the end of a run leaves behind."""
        if keep:
            self._keep(given, raw)
        if self.program.learning:
            self._last = raw.learned if given.batched else {name: w[0] for name, w in raw.learned.items()}

    #: :data:`PIECE` where a run may go on from a state; None: the backend runs the whole at once.
    _piece: int | None = None

    def _run_pieces(self, pieces: Iterable[Signals], record: frozenset[str]) -> Iterator[tuple[Signals, Raw]]:
        """Run piece after piece, each from the state that the one before left; without ``_piece`` there is one."""
        end: Snapshot | None = None
        for given in pieces:
            start = given.start if end is None else end
            raw = self._run(replace(given, start=start, keep=given.keep or given.more), record)
            end = raw.end
            yield given, raw

    def _sound(self, pieces: Iterable[Signals], record: frozenset[str]) -> Iterator[tuple[Signals, Raw]]:
        """Run piece after piece, with weights that are numbers behind each; a backend sees to its populations."""
        for given, raw in self._run_pieces(pieces, record):
            steps = range(given.first, given.first + given.steps)
            require_finite_weights(raw.learned, raw.weights, steps, self.precision)
            yield given, raw

    def _begun(self, state: NetworkState | None) -> NetworkState | None:
        """The state that a run starts from, checked; None: the initial one."""
        if state is None:
            return None
        self._check_state(state)
        return None if state.batch is None else state

    def _started(self, pieces: Iterable[Signals], begun: NetworkState | None, keep: bool) -> Iterator[Signals]:
        """The pieces of a run, the first with the state to start from."""
        for given in pieces:
            if begun is not None and (given.batch, given.batched) != (begun.batch, begun.batched):
                raise InputError(
                    "the state is of another batch",
                    parameter="state",
                    got=_batch_text(begun.batch or 0, begun.batched),
                    wanted=_batch_text(given.batch, given.batched),
                    way_out="Give as many samples as the state has.",
                )
            first = begun is None or given.first == begun.step
            yield replace(given, start=begun if first else None, keep=keep)

    def _keep(self, given: Signals, raw: Raw) -> None:
        """Let the stream continue from the end of a run."""
        if raw.end is None:
            raise RuntimeError(f"{self.backend} did not keep the end of the run")
        self.reset()
        self._pending = self._named(raw.end, given.batch, given.batched)

    @abstractmethod
    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        """Run all steps from ``given.start``; the end is in ``Raw.end`` if ``given.keep``."""

    # --- streams

    def step(self, inputs_t: Any = None, *, modulators: Mapping[str, Any] | None = None) -> StepResult:
        """One step of the stream, the state kept.

        Args:
            inputs_t: (*shape) or (batch, *shape), or {Input node: such an array}; the first step fixes the batch.
            modulators: name -> a number, or (batch), for the rules that read one.

        Returns:
            {Output node: its value at this step, in canonical time}.

        Raises:
            InputError: the data does not fit the Inputs, is not finite, or changes the batch.
        """
        if self._pending is not None:
            self.load_state(self._pending)
        inputs_t = modulated(self.program, inputs_t, modulators, time=False)
        given = signals(self.program, inputs_t, time=False, origin=self._now)
        if self._batch is None:
            with in_memory(f"start a stream on {self.backend}", "Step fewer samples.", widest(self.program)):
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
        self._now, self._last = self._now + 1, None
        return StepResult({name: np.asarray(value if self._batched else value[0]) for name, value in values.items()})

    def reset(self) -> None:
        """Back to the initial state: the next step is step 0, and may have another batch."""
        self._batch, self._batched, self._now, self._pending, self._last = None, False, 0, None, None
        self._end_stream()

    def state(self) -> NetworkState:
        """A copy of the stream's state, in the form that every backend takes; see :mod:`hasn.state`."""
        if self._pending is not None:
            return self._pending
        if self._batch is None:
            return self._named(Snapshot(0, {}, {}, {}), None, False)
        return self._named(self._state(), self._batch, self._batched)

    def load_state(self, state: NetworkState) -> None:
        """Continue the stream from a state, of whatever backend.

        Raises:
            InputError: it is no state, of another network or precision, or its arrays do not fit.
        """
        self._check_state(state)
        self.reset()
        if state.batch is not None:
            self._start_stream(state.batch)
            self._load_state(state)
            self._batch, self._batched, self._now = state.batch, state.batched, state.step

    def _named(self, at: Snapshot, batch: int | None, batched: bool) -> NetworkState:
        own = (self.structure, self.precision, batch, batched)
        return NetworkState(at.step, at.states, at.held, at.past, *own, learned=at.learned)

    def weights(self, connection: str) -> Array:
        """The present weights of a connection that learns: of the end of the last run, or of the stream after a step.

        Returns:
            (outputs, inputs), one for each synapse of a SparseLinear in its order, or a convolution's kernel; with a
            batch axis first if the inputs had one. A copy. Before anything has run: the weights of the start, without
            batch.

        Raises:
            OptionError: there is no such connection, or it does not learn.
        """
        if connection not in self.program.learning:
            raise OptionError(
                "no connection of that name learns",
                parameter="connection",
                got=repr(connection),
                wanted=", ".join(self.program.learning) or "none does: see hasn.plasticity.attach",
            )
        if self._last is not None:
            return self._last[connection].copy()
        at = self._pending if self._pending is not None else self._state() if self._batch is not None else None
        if at is None or not at.learned:
            return np.array(weights_of(self.program.node(connection)))
        batched = self._pending.batched if self._pending is not None else self._batched
        found = at.learned[connection]["w"]
        return (found if batched else found[0]).copy()

    def _check_state(self, state: Any) -> None:
        """Refuse a state that is not this network's."""
        if not isinstance(state, NetworkState):
            raise InputError("not a state", parameter="state", got=type(state).__name__, wanted="what state() returned")
        if state.precision != self.precision:
            raise InputError(
                "the state is of another precision",
                parameter="state",
                got=state.precision,
                wanted=self.precision,
                way_out=f"Compile with precision={state.precision!r}.",
            )
        if state.structure != self.structure:
            raise InputError(
                "the state is of another network",
                parameter="state",
                got=state.structure[:8],
                wanted=self.structure[:8],
                way_out="A state belongs to a graph's nodes, shapes, delays, timing and dt.",
            )
        if state.batch is not None:
            self._check_arrays(state, state.batch)

    def _check_arrays(self, state: NetworkState, batch: int) -> None:
        """Refuse arrays of other names or shapes than this network's."""
        shapes = {node.name: node.shape for node in self.program.nodes}
        populations = self.program.of(Neurons)
        wanted = (
            {f"states of '{p.name}'": dict.fromkeys(self._states_of(p), (batch, *p.shape)) for p in populations}
            | {
                "held": {p.name: (batch, *p.shape) for p in populations if p.held is not None},
                "past": {name: (steps, batch, *shapes[name]) for name, steps in self.memory.items()},
            }
            | {
                f"what '{name}' has learned": {key: (batch, *size) for key, size in self._learned_sizes(name).items()}
                for name in self.program.learning
            }
        )
        given: dict[str, Mapping[str, Array]] = {f"states of '{name}'": kept for name, kept in state.states.items()}
        given |= {f"what '{name}' has learned": kept for name, kept in state.learned.items()}
        given |= {"held": state.held, "past": state.past}
        for what in sorted({*wanted, *given}):
            found = {name: np.shape(array) for name, array in given.get(what, {}).items()}
            if found != wanted.get(what, {}):
                raise InputError(
                    f"the state's arrays do not fit: {what}",
                    parameter="state",
                    got=str(found),
                    wanted=str(wanted.get(what, {})),
                )

    def _learned_sizes(self, connection: str) -> dict[str, tuple[int, ...]]:
        """Name of what a connection has learned -> its shape for a sample."""
        of = self.program.by_name[connection].map  # type: ignore[union-attr]
        found, traces = sizes(of), self.program.learning[connection].traces
        return {"w": pattern(of), **{trace.name: found[trace.extent] for trace in traces}}

    def _states_of(self, population: Neurons) -> tuple[str, ...]:
        """Names of a population's states in a :class:`hasn.NetworkState`."""
        return population.states

    @abstractmethod
    def _start_stream(self, batch: int) -> None:
        """Make ready for step 0 of a stream of ``batch`` samples."""

    @abstractmethod
    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        """One step: {Input: (batch, *shape)} to {Output: (batch, *shape)}."""

    @abstractmethod
    def _end_stream(self) -> None:
        """Let go of what the stream held."""

    def _at_rest(self) -> dict[str, Any]:
        """Attributes of an executable without a stream, where they hold what cannot be copied."""
        return {}

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes: the stream as its state, from which the copy goes on by itself."""
        pending = self.state() if self._pending is not None or self._batch is not None else None
        stream = {"_batch": None, "_batched": False, "_now": 0, "_pending": pending}
        return {**vars(self), **stream, **self._at_rest()}

    @abstractmethod
    def _state(self) -> Snapshot:
        """A copy of the stream's state."""

    @abstractmethod
    def _load_state(self, state: Snapshot) -> None:
        """Go on from a state that fits; the stream has been started."""

    # --- back to NIR

    def to_nir(self) -> nir.NIRGraph:
        """The graph with the present weights: those that its connections have learned, and on snnTorch those that the
        module has been trained to. What it means (dt, method, resets, timing) is kept as metadata.

        Returns:
            A new graph; it compiles to the same network on every backend.

        Raises:
            OptionError: it was compiled from a Program; or every sample has learned weights of its own.
        """
        if self.graph is None:
            raise OptionError(
                "it was compiled from a Program, which holds no graph to put weights into",
                parameter="to_nir",
                way_out="Compile the graph itself.",
            )
        graph = copy_graph(self.graph)
        keep(graph, dt=self.program.dt, method=self.program.method, timing=self.program.timing)
        nodes = flatten(graph).nodes
        for population in self.program.of(Neurons):
            if population.reset == "subtract":
                nodes[population.name].metadata["reset"] = population.reset
        for name in self.program.learning:
            nodes[name].weight = self._one_weight(name)
        self._put_back(nodes)
        return set_types(graph)

    def _put_back(self, nodes: dict[str, nir.NIRNode]) -> None:  # noqa: B027
        """Put what a backend has trained into the nodes of a graph."""

    def _one_weight(self, connection: str) -> Array:
        """What a connection has learned, if that is one weight for each synapse."""
        weights = self.weights(connection)
        if weights.ndim > np.ndim(weights_of(self.program.node(connection))):
            if len(weights) > 1 and np.any(weights != weights[:1]):
                raise OptionError(
                    f"each of {len(weights)} samples has learned weights of its own",
                    node=connection,
                    parameter="to_nir",
                    wanted="one graph",
                    way_out="Run one sample, or let the rule learn by batch_learning='mean'.",
                )
            weights = weights[0]
        return weights

    # --- what it is

    @cached_property
    def network(self) -> Network:
        """Populations and sparse projections: the Program with its stateless chains composed."""
        return fuse(self.program)

    @cached_property
    def memory(self) -> dict[str, int]:
        """Source of anything that comes late -> how many steps of its past a state holds."""
        loops = stateless_loops(self.program)
        names = [node.name for node in self.program.nodes if not isinstance(node, Connection) or node.name in loops]
        steps = needed(self.program, names)
        return {name: steps[name] for name in names if steps[name]}

    @cached_property
    def structure(self) -> str:
        """A hash of the network's names, shapes, delays, timing and dt, not of its coefficients."""
        lines = [f"{type(s).__name__} {s.name} {s.shape} {_kept_of(s)}" for s in self.program.nodes]
        delays = [f"{s.name} {s.delay.tolist()}" for s in self.program.of(Connection) if s.delay is not None]
        maps = [(s.name, s.map) for s in self.program.of(Connection) if isinstance(s.map, Sparse)]
        delays += [f"{name} {_digest(m.delay)}" for name, m in maps if m.delay is not None]
        clock = f"{self.program.timing} {self.program.dt!r}"
        text = "\n".join([*lines, *delays, *map(str, self.program.edges), clock])
        return hashlib.sha256(text.encode()).hexdigest()

    def close(self) -> None:
        """Let go of processes and memory. The executable cannot be used afterwards."""
        self._end_stream()

    def __enter__(self) -> Executable:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _kept_of(node: Node) -> str:
    """What a node remembers or draws."""
    if isinstance(node, Neurons):
        return f"{node.states} {node.held is not None}"
    if isinstance(node, Connection) and node.learning is not None:
        rule = node.learning
        traces = [(trace.name, trace.extent) for trace in rule.traces]
        return f"learns {rule.target} {traces} {rule.modulators} {rule.every} {rule.shared}"
    return node.drawn.kind if isinstance(node, Source) and node.drawn is not None else ""


def _batch_text(batch: int, batched: bool) -> str:
    return f"{batch} sample(s)" if batched else "no batch axis"


def _digest(delay: Array) -> str:
    return hashlib.sha256(delay.astype(np.int32).tobytes()).hexdigest()
