"""A Program on Brian2."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.plan import Plan, make_plan, samples_at_once, size
from hasn.errors import UnsupportedError
from hasn.executable import Array, Executable, Raw
from hasn.program.fuse import has_spikes
from hasn.program.model import Program, Source
from hasn.signals import Signals

if TYPE_CHECKING:
    from hasn.backends.brian2.live import Live
    from hasn.backends.brian2.monitors import Recorded, Wanted

Target: TypeAlias = Literal["auto", "numpy", "cython", "cpp_standalone"]

CYTHON_FROM_STEPS = 100_000
"""Steps of a run from which ``target="auto"`` compiles. Measured on two cores, a recurrent net of two populations: a
step takes 0.3 ms with NumPy and 0.1 ms with Cython, but the first time its 16 pieces of code are compiled, which takes
over a minute; 10 million synapses at 25 steps take 1.7 s against 0.9 s. The numbers that come out are the same."""

RECORD_AT_ONCE = 100_000_000
"""Most values that one network may record before it is run in parts."""


class Brian2Executable(Executable):
    """A Program as Brian2 groups and synapses, a batch side by side in one network.

    Attributes:
        target: "auto", "numpy", "cython" or "cpp_standalone".
        build_dir: where cpp_standalone writes its program, or None for a temporary folder.
        max_synapses: most synapses of one network; larger batches are run in parts.
    """

    backend = "brian2"

    def __init__(
        self, program: Program, precision: str, target: Target, build_dir: str | None, max_synapses: int
    ) -> None:
        super().__init__(program, precision)
        self.target: Target = target
        self.build_dir = build_dir
        self.max_synapses = max_synapses
        self._at_once = samples_at_once(self.plan, max_synapses)
        self._built: dict[tuple[int, Wanted, str], Live] = {}
        self._stream: Live | None = None

    @cached_property
    def plan(self) -> Plan:
        """Which synapses Brian2 gets."""
        return make_plan(self.network)

    # --- whole sequences

    def _run(self, given: Signals, record: frozenset[str]) -> Raw:
        from hasn.backends.brian2.monitors import wanted

        what = wanted(self.network, record)
        copies = self._copies(given, what)
        parts = [self._part(given, start, copies, what) for start in range(0, given.batch, copies)]
        spikes = {n: _joined([part.spikes[n] for part in parts], given.batch) for n in what.spikes}
        values = {n: _joined([part.values[n] for part in parts], given.batch) for n in what.values}
        outputs = {output: self._shown(name, given, spikes, values) for output, name in self.network.outputs.items()}
        kept = {n: spikes[n] for n in self.program.recorded_spikes} if "spikes" in record else {}
        voltages = {n: values[n] for n in self.program.recorded_voltages} if "voltages" in record else {}
        return Raw(outputs, kept, voltages)

    def _copies(self, given: Signals, what: Wanted) -> int:
        """Samples of one network: as few networks as the limits allow, all of one size, so that one is built."""
        populations = self.network.by_name
        kept = given.steps * sum(size(populations[name]) for name in (*what.spikes, *what.values))
        most = max(1, min(self._at_once, RECORD_AT_ONCE // max(kept, 1)))
        return -(-given.batch // -(-given.batch // most))

    def _part(self, given: Signals, start: int, copies: int, what: Wanted) -> Recorded:
        """Samples from ``start`` on; the last part is filled up with zeros."""
        feed = {name: _filled(array[:, start : start + copies], copies) for name, array in given.values.items()}
        if self.target == "cpp_standalone":
            from hasn.backends.brian2.standalone import run_standalone

            return run_standalone(self.plan, copies, self.precision, what, feed, given.steps, self.build_dir)
        from hasn.backends.brian2.preferences import isolated

        target = self._target(given.steps)
        with isolated(self.precision, target):
            return self._live(copies, what, target).run(feed, given.steps)

    def _live(self, copies: int, what: Wanted, target: str) -> Live:
        """The network of this size, built if the last one was another."""
        from hasn.backends.brian2.live import Live

        key = (copies, what, target)
        if key not in self._built:
            self._built.clear()  # the old one's memory goes first
            self._built[key] = Live(self.plan, copies, self.precision, what)
        return self._built[key]

    def _target(self, steps: int) -> str:
        from hasn.backends.brian2.preferences import cython_works

        if self.target == "auto":
            return "cython" if steps >= CYTHON_FROM_STEPS and cython_works() else "numpy"
        if self.target == "cython" and not cython_works():
            raise UnsupportedError(
                "Cython or a C++ compiler is missing, or a test compilation failed",
                parameter="target",
                got="'cython'",
                way_out="Install gcc and `pip install cython`, or pass target='numpy': it gives the same numbers.",
            )
        return self.target

    def _shown(self, name: str, given: Signals, spikes: dict[str, Array], values: dict[str, Array]) -> Array:
        """What an Output shows: a population's spikes or values."""
        population = self.network.by_name[name]
        if isinstance(population, Source):
            return given.values[name].astype(self.precision)
        return spikes[name].astype(self.precision) if has_spikes(population) else values[name]

    # --- streams

    def _start_stream(self, batch: int) -> None:
        from hasn.backends.brian2.live import Live
        from hasn.backends.brian2.monitors import Wanted
        from hasn.backends.brian2.preferences import isolated

        if self.target == "cpp_standalone":
            self._batch = None
            raise UnsupportedError(
                "a standalone program cannot be stepped",
                parameter="target",
                got="'cpp_standalone'",
                way_out="Compile with target='numpy' or 'cython' for streams, or use run().",
            )
        if batch > self._at_once:
            self._batch = None
            raise UnsupportedError(
                "a stream keeps all its samples in one network",
                parameter="max_synapses",
                got=self.max_synapses,
                wanted=f">= {batch * self.plan.synapses}",
                way_out="Raise max_synapses or step fewer samples.",
            )
        target = self._target(0)
        with isolated(self.precision, target):
            self._stream = Live(self.plan, batch, self.precision, Wanted((), ()))

    def _step(self, inputs: dict[str, NDArray[np.float64]]) -> dict[str, Array]:
        live = self._streaming
        live.step(inputs)
        shown: dict[str, Array] = {}
        for output, name in self.network.outputs.items():
            population = self.network.by_name[name]
            if isinstance(population, Source):
                shown[output] = inputs[name].astype(self.precision)
            elif has_spikes(population):
                shown[output] = live.spikes(name).astype(self.precision)
            else:
                shown[output] = live.values(name)
        return shown

    @property
    def _streaming(self) -> Live:
        if self._stream is None:
            raise RuntimeError("no stream has been started")
        return self._stream

    def _end_stream(self) -> None:
        self._stream = None

    def _state(self) -> Any:
        return self._streaming.state()

    def _load_state(self, content: Any) -> None:
        self._streaming.load(content)

    def close(self) -> None:
        """Let go of the networks that were built."""
        super().close()
        self._built.clear()


def _filled(array: NDArray[np.float64], copies: int) -> NDArray[np.float64]:
    """(T, samples, *shape) -> (T, elements of ``copies`` samples), with silent samples where some are missing."""
    steps, samples = array.shape[:2]
    if samples < copies:
        missing = [(0, 0), (0, copies - samples), *[(0, 0)] * (array.ndim - 2)]
        array = np.pad(array, missing)
    return array.reshape(steps, -1)


def _joined(parts: list[Array], batch: int) -> Array:
    return (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))[:, :batch]
