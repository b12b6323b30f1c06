"""What changes a network between the steps of a run, the same on every backend: homeostasis, growth, consolidation.

A *controller* is called after every K steps with the graph as it has learned until then, what it asked to have
recorded since its last call, and the number of the step to come. It may give back a changed graph: other thresholds,
gains, weights, delays, synapses. That is compiled anew and goes on from the state in which the run stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import nir
import numpy as np

from hasn.compiler import compile
from hasn.errors import HasnError, OptionError
from hasn.executable import Executable
from hasn.ir.differences import differences
from hasn.ir.typed import copy_graph
from hasn.program.model import Program
from hasn.recording import Recording
from hasn.recordings.asked import asked
from hasn.recordings.keeper import Keeper
from hasn.recordings.room import FEWER, require_room, widest
from hasn.room import in_memory
from hasn.signals import modulated, parts, real_array
from hasn.state import NetworkState
from hasn.takeover import taken_over

#: What :func:`run` hands on to ``Executable.run``'s checks of what is recorded.
_RECORDING = ("every", "last", "rate_tau")


class Controller(Protocol):
    """What :func:`run` takes.

    Attributes:
        every: K: it is called when the number of the step to come is a multiple of K, also behind the last step.
        record: what it needs to have recorded, as ``Executable.run(record=...)`` takes it.
    """

    every: int
    record: Any

    def __call__(self, graph: nir.NIRGraph, recording: Recording, step: int) -> nir.NIRGraph | None:
        """Look at a piece of the run.

        Args:
            graph: with the weights that have been learned; its own copy.
            recording: of the steps since its last call, or since the run began.
            step: number of the step to come.

        Returns:
            The graph to go on with, of the same populations, Inputs and Outputs; None: the one there is.
        """
        ...


@dataclass(frozen=True)
class Action:
    """What a controller did.

    Attributes:
        step: number of the step to come.
        controller: name of its class, or of the function.
        changed: what it changed: ``node.parameter``, a node that came or went, ``edges``; empty: nothing.
    """

    step: int
    controller: str
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Controlled:
    """A run under controllers.

    Attributes:
        recording: of all steps, as one run's.
        graph: at the end, with what has been learned and changed.
        state: at the end; it fits that graph.
        log: what each controller did, in the order of time.
    """

    recording: Recording
    graph: nir.NIRGraph
    state: NetworkState
    log: tuple[Action, ...]


def run(
    graph: nir.NIRGraph,
    inputs: Any = None,
    controllers: Sequence[Controller] = (),
    backend: str = "snntorch",
    *,
    record: str | Iterable[str] | Mapping[str, Any] = ("spikes",),
    steps: int | None = None,
    state: NetworkState | None = None,
    every: int = 1,
    last: int | None = None,
    rate_tau: float = 0.1,
    to: str | Path | None = None,
    force: bool = False,
    modulators: Mapping[str, Any] | None = None,
    progress: Callable[[int, int], None] | None = None,
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    timing: str | None = None,
    precision: str | None = None,
    **options: Any,
) -> Controlled:
    """Run a network that controllers change between steps. While none changes anything it is one run.

    At a step at which several are due each sees what those before it in ``controllers`` have left. Two calls of half
    the steps, the second with the graph and the state of the first, do what one call does; a controller's recording
    then begins with the second call.

    Args:
        graph: the network; not changed.
        inputs, record, steps, state, every, last, rate_tau, to, force, modulators: see :meth:`hasn.Executable.run`.
        controllers: see :class:`Controller`.
        backend, dt, method, reset, timing, precision, **options: see :func:`hasn.compile`.
        progress: called with (steps that are done, steps of the run), now and then.

    Raises:
        OptionError: a controller without ``every`` or ``record``, one that gives back no graph or changes the one that
            it was given without giving it back; a batch whose samples learn weights of their own; weights are recorded
            of a connection whose synapses change.
        GraphError: the graph of a controller has other populations, Inputs or Outputs: their state would not fit.
        UnsupportedError: the backend's state does not travel (Brian2's standalone programs).
        InputError: see :meth:`hasn.Executable.run`.
    """
    if not isinstance(graph, nir.NIRGraph):
        raise OptionError("controllers change a NIR graph", parameter="graph", got=type(graph).__name__)
    for controller in controllers:
        _check(controller)
    executable = compile(
        graph, backend, dt=dt, method=method, reset=reset, timing=timing, precision=precision, **options
    )
    run_ = _Run(executable, tuple(controllers), {"backend": backend, **options}, progress)
    try:
        wanted = {"every": every, "last": last, "rate_tau": rate_tau}
        return run_(inputs, record, steps, state, wanted, to, force, modulators)
    finally:
        run_.executable.close()


@dataclass
class _Due:
    """A controller, and what is recorded for it since its last call."""

    controller: Controller
    keeper: Keeper


@dataclass
class _Run:
    """One call of :func:`run`.

    Attributes:
        executable: the network as it is now.
        controllers: in their order.
        compiling: backend and its options.
        progress: see :func:`run`.
        log: of what has been done.
    """

    executable: Executable
    controllers: tuple[Controller, ...]
    compiling: dict[str, Any]
    progress: Callable[[int, int], None] | None
    log: list[Action] = field(default_factory=list)

    def __call__(
        self,
        inputs: Any,
        record: Any,
        steps: int | None,
        state: NetworkState | None,
        thinned: Mapping[str, Any],
        to: str | Path | None,
        force: bool,
        modulators: Any,
    ) -> Controlled:
        program, recordable = self.executable.program, self.executable.recordable
        wanted = asked(record, program, recordable, *(thinned[name] for name in _RECORDING))
        wanted = replace(wanted, plain=False, counts=wanted.counts or wanted.plain)  # kept piece by piece, all counted
        given = _arrays(modulated(program, inputs, modulators))
        first = 0 if state is None else state.step
        whole = next(parts(program, given, steps, 1, first))
        _check_batch(program, whole.batch)
        if to is None:
            require_room(program, given, steps, wanted)
        start = time.perf_counter()
        with Keeper(program, wanted, to, force) as keeper:
            self._due = [_Due(controller, self._keeper(controller)) for controller in self.controllers]
            for begin, end in _pieces(first, first + whole.total, self.controllers):
                now = None if given is None else _cut(given, begin - first, end - first)
                self._run(now, end - begin, state, keeper, begin - first, whole.total)
                state = self._controlled(self.executable.state(), keeper)
            recording = keeper.recording(
                self.executable.backend, self.executable.precision, time.perf_counter() - start
            )
        assert state is not None  # a run has a step
        return Controlled(recording, self.executable.to_nir(), state, tuple(self.log))

    def _run(self, inputs: Any, steps: int, state: NetworkState | None, keeper: Keeper, done: int, total: int) -> None:
        """Run a piece, and let all that record see it."""
        keepers = [keeper, *(due.keeper for due in self._due)]
        groups = frozenset().union(*(one.asked.groups for one in keepers))
        executable = self.executable
        with in_memory(f"run on {executable.backend}", FEWER, widest(executable.program)):
            for given, raw in executable.going_on(inputs, steps, state, groups):
                for one in keepers:
                    one.add(given, raw)
                done += given.steps
                if self.progress is not None:
                    self.progress(done, total)

    def _controlled(self, state: NetworkState, keeper: Keeper) -> NetworkState:
        """Call the controllers that are due; the state to go on from."""
        for due in self._due:
            if state.step % due.controller.every == 0:
                state = self._acted(due, state, keeper)
                due.keeper = self._keeper(due.controller)
        return state

    def _acted(self, due: _Due, state: NetworkState, keeper: Keeper) -> NetworkState:
        before, name = self.executable.to_nir(), _name(due.controller)
        graph = copy_graph(before)
        recording = due.keeper.recording(self.executable.backend, self.executable.precision, 0.0)
        answer = due.controller(graph, recording, state.step)
        if answer is not None and not isinstance(answer, nir.NIRGraph):
            wanted, got = "a NIR graph, or None", type(answer).__name__
            raise OptionError("the controller gave back no graph", parameter=name, got=got, wanted=wanted)
        with _told(name, state.step):
            changed = differences(before, graph if answer is None else answer)
        if changed and answer is None:
            way_out = "Let it return the graph."
            what = "the controller changed its graph and did not give it back"
            raise OptionError(what, parameter=name, got=", ".join(changed), way_out=way_out)
        self.log.append(Action(state.step, name, changed))
        if not changed:
            return state
        with _told(name, state.step):
            return self._taken_over(answer, state, [keeper, *(d.keeper for d in self._due if d is not due)])

    def _taken_over(self, graph: Any, state: NetworkState, keepers: Sequence[Keeper]) -> NetworkState:
        """Let another graph go on."""
        old = self.executable
        own = old.program
        meaning: dict[str, Any] = {"dt": own.dt, "method": own.method, "timing": own.timing}
        unsaid = {name: value for name, value in meaning.items() if name not in graph.metadata}
        new = compile(graph, precision=old.precision, **unsaid, **self.compiling)
        try:
            found = taken_over(state, old, new)
            for one in keepers:
                one.change(new.program)
        except BaseException:
            new.close()
            raise
        self.executable = new
        old.close()
        return found

    def _keeper(self, controller: Controller) -> Keeper:
        wanted = asked(controller.record, self.executable.program, self.executable.recordable)
        counts = wanted.counts or (wanted.plain and "spikes" in wanted.chosen)
        return Keeper(self.executable.program, replace(wanted, plain=False, counts=counts))


def _pieces(first: int, end: int, controllers: Sequence[Controller]) -> Iterator[tuple[int, int]]:
    """(first step, end) of what runs without a controller in between."""
    while first < end:
        stop = min([end, *(first + c.every - first % c.every for c in controllers)])
        yield first, stop
        first = stop


def _arrays(inputs: Any) -> Any:
    """What is given, as arrays that can be cut; what lies in a file stays there."""
    if isinstance(inputs, Mapping):
        return {str(name): real_array(str(name), value) for name, value in inputs.items()}
    return None if inputs is None else real_array("inputs", inputs)


def _cut(inputs: Any, first: int, end: int) -> Any:
    if isinstance(inputs, Mapping):
        return {name: array[first:end] for name, array in inputs.items()}
    return inputs[first:end]


def _check(controller: Any) -> None:
    every = getattr(controller, "every", None)
    if not callable(controller) or every is None or not hasattr(controller, "record"):
        wanted = "a function of (graph, recording, step) with the attributes every and record"
        raise OptionError("not a controller", parameter="controllers", got=_name(controller), wanted=wanted)
    if isinstance(every, bool) or not isinstance(every, int | np.integer) or every < 1:
        where = f"{_name(controller)}: every"
        raise OptionError("no number of steps", parameter=where, got=repr(every), wanted="an integer >= 1")


def _check_batch(program: Program, batch: int) -> None:
    own = [name for name, rule in program.learning.items() if not rule.shared]
    if batch > 1 and own:
        raise OptionError(
            "each sample learns weights of its own, and a controller sees one graph",
            node=own[0],
            parameter="inputs",
            got=f"{batch} samples",
            way_out="Run one sample, or let the rule learn by batch_learning='mean'.",
        )


def _name(controller: Any) -> str:
    return str(getattr(controller, "__qualname__", type(controller).__qualname__))


@contextmanager
def _told(controller: str, step: int) -> Iterator[None]:
    """Errors of a graph say whose it is."""
    try:
        yield
    except HasnError as error:
        error.add_note(f"This is the graph that {controller} gave back before step {step}.")
        raise
