"""A Program on Brian2: in floating point, and in the chip's integers."""

from __future__ import annotations

from abc import ABC
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.engine import Engine, Options
from hasn.backends.brian2.integers import check_peaks, integer_plan
from hasn.backends.brian2.neurons import codes
from hasn.backends.brian2.plan import Plan, make_plan
from hasn.backends.brian2.resume import Kept
from hasn.executable import PIECE, Array, Executable, Raw
from hasn.integer_executable import IntegerExecutable
from hasn.nonfinite import all_finite, first_step, graded_outputs, not_finite, refuse_out_of_range
from hasn.program.fuse import Network, has_spikes
from hasn.program.model import Neurons, Program, Source
from hasn.program.rings import longest, within
from hasn.signals import Signals
from hasn.state import Snapshot


class _OnBrian2(Executable, ABC):
    """What both arithmetics share: Signals into the engine, what it recorded out of it.

    Attributes:
        engine: runs the plan.
        result: type of outputs, voltages and currents.
    """

    backend = "brian2"
    engine: Engine
    result: Any

    def _take(self, engine: Engine) -> None:
        """Run on this engine: in pieces, where it can go on from a state."""
        self.engine = engine
        self._piece = None if engine.options.target == "cpp_standalone" else PIECE

    @property
    def plan(self) -> Plan:
        """Which code and synapses Brian2 gets."""
        return self.engine.plan

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        from hasn.backends.brian2.monitors import CURRENT, wanted

        found = self._engine_for(given).run(given, wanted(self.plan, record))
        self._check(found.peaks)
        shown: dict[str, Array] = {**given.values, **found.spikes}  # what an Output shows, by population
        shown |= {name: v for (name, variable), v in found.states.items() if variable != CURRENT and name not in shown}

        def states(asked: str, variable: str) -> dict[str, Array]:
            names = self.program.recorded_voltages if asked in record else ()
            return {name: self._typed(found.states[name, variable]) for name in names}

        outputs = {output: self._typed(shown[name]) for output, name in self.network.outputs.items()}
        for name in self._graded:
            if not all_finite(outputs[name]):
                raise not_finite(name, given.first + (first_step(outputs[name]) or 0), self.precision)
        return Raw(
            outputs,
            {name: found.spikes[name] for name in self.program.recorded_spikes} if "spikes" in record else {},
            states("voltages", "v"),
            currents=states("currents", CURRENT),
            end=found.end,
            weights=found.weights,
            learned=found.learned,
        )

    @cached_property
    def _graded(self) -> tuple[str, ...]:
        return graded_outputs(self.program)

    def _engine_for(self, given: Signals) -> Engine:
        """The engine; for a run that ends before a delay does, one without what would arrive later."""
        network = self.plan.network
        if given.start is not None or given.keep or network.plastic or longest(network) < given.steps:
            return self.engine
        if self._short is None or self._short[0] != given.steps:
            plan = self._planned(within(network, given.steps))
            self._short = given.steps, Engine(plan, self.engine.options, self.engine.kept)
        return self._short[1]

    _short: tuple[int, Engine] | None = None

    def _planned(self, network: Network) -> Plan:
        """The plan of a part of the network."""
        return make_plan(network, self.plan.codes, self.plan.dtype)

    def _check(self, peaks: dict[str, float]) -> None:
        """Refuse what has not been computed as it is meant, by the populations' peaks."""

    def _typed(self, values: Array) -> Array:
        return values.astype(self.result, copy=False)

    def _start_stream(self, batch: int) -> None:
        self.engine.start(batch)

    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        live = self.engine.stream
        live.step(inputs)
        self._check(live.peaks())
        wrong = live.not_finite()
        if wrong is not None:
            raise not_finite(wrong, self._now, self.precision)

        def shown(name: str) -> Array:
            population = self.network.by_name[name]
            if isinstance(population, Source):
                return inputs[name]
            return live.spikes(name) if has_spikes(population) else live.values(name)

        return {output: self._typed(shown(name)) for output, name in self.network.outputs.items()}

    def _end_stream(self) -> None:
        self.engine.end()

    def _state(self) -> Snapshot:
        return self.engine.stream.snapshot(self.engine.kept)

    def _load_state(self, state: Snapshot) -> None:
        self.engine.stream.resume(state, self.engine.kept)

    def _kept(self) -> Kept:
        return Kept(self.memory, {p.name: self._states_of(p) for p in self.program.of(Neurons)})

    def close(self) -> None:
        """Let go of the networks that were built."""
        self.engine.close()
        self._short = None


class Brian2Executable(_OnBrian2):
    """A Program as Brian2 groups and synapses, in float64 or float32."""

    def __init__(self, program: Program, precision: str, options: Options) -> None:
        super().__init__(program, precision)
        refuse_out_of_range(program, precision)
        if program.learning:
            self.recordable = (*self.recordable, "weights")
        self.result = np.dtype(precision)
        self._take(Engine(make_plan(self.network, codes(self.network), precision), options, self._kept()))


class Brian2Integers(_OnBrian2, IntegerExecutable):
    """The chip's integers as Brian2 groups and synapses (see :mod:`hasn.backends.brian2.integers`)."""

    def __init__(self, program: Program, options: Options) -> None:
        IntegerExecutable.__init__(self, program)
        self.result = np.dtype(np.int32)
        self._take(Engine(integer_plan(self.integers), options, self._kept()))

    def _check(self, peaks: dict[str, float]) -> None:
        check_peaks(peaks)

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        self._integer_inputs(given)  # refuses what is no integer
        return super()._run(given, record)

    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        self._integer_inputs(Signals(inputs, 1, 1, self._batched))  # as above; in which shape is all one
        return super()._step(inputs)
