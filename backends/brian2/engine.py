"""A Plan on Brian2: how many samples at once, compiled or not, whole sequences and streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.backends.brian2.plan import Plan, samples_at_once, size
from hasn.backends.brian2.resume import Kept
from hasn.errors import NotFiniteError, UnsupportedError
from hasn.executable import Array
from hasn.nonfinite import earliest, not_finite
from hasn.program.rings import require_rings
from hasn.signals import Signals
from hasn.state import joined_samples, some_samples

if TYPE_CHECKING:
    from hasn.backends.brian2.live import Live
    from hasn.backends.brian2.monitors import Recorded, Wanted

Target: TypeAlias = Literal["auto", "numpy", "cython", "cpp_standalone"]

CYTHON_FROM_STEPS = 100_000
"""Steps of a run from which ``target="auto"`` compiles. Measured on two cores, a recurrent net of two populations: a
step takes 0.3 ms with NumPy and 0.1 ms with Cython, but the first time its 16 pieces of code are compiled, which takes
over a minute; 10 million synapses at 25 steps take 1.7 s against 0.9 s. The numbers that come out are the same."""

_ELEMENT = 50
"""Bytes that Brian2 takes for a value in a delay line, about those of a synapse."""

RECORD_AT_ONCE = 100_000_000
"""Most values that one network may record before it is run in parts."""


@dataclass(frozen=True)
class Options:
    """How to run.

    Attributes:
        target: "auto", "numpy", "cython" or "cpp_standalone".
        build_dir: where cpp_standalone writes its program, or None for a temporary folder.
        max_synapses: most synapses of one network; larger batches are run in parts.
    """

    target: Target
    build_dir: str | None
    max_synapses: int


class Engine:
    """Runs a Plan, a batch side by side in one network.

    Attributes:
        plan: what is built.
        options: how it is run.
        kept: what a state holds.
    """

    def __init__(self, plan: Plan, options: Options, kept: Kept | None = None) -> None:
        self.plan = plan
        self.options = options
        self.kept = kept or Kept()
        self._at_once = samples_at_once(plan, options.max_synapses)
        self._built: dict[tuple[int, Wanted, str], Live] = {}
        self._stream: Live | None = None

    # --- whole sequences

    def run(self, given: Signals, what: Wanted) -> Recorded:
        """Run all steps of all samples.

        Raises:
            NotFiniteError: a number is not finite; names the population and the step.
        """
        from hasn.backends.brian2.monitors import Recorded

        copies = self._copies(given, what)
        self._check_learning(copies, given.batch)
        parts = [self._part(given, start, copies, what) for start in range(0, given.batch, copies)]
        if any(part.wrong for part in parts):
            raise self._not_finite(given, copies, [part.wrong for part in parts])
        spikes = {key: _joined([part.spikes[key] for part in parts], given.batch) for key in what.spikes}
        states = {key: _joined([part.states[key] for part in parts], given.batch) for key in what.states}
        peaks = {name: max(part.peaks[name] for part in parts) for name in parts[0].peaks}
        ends = [part.end for part in parts if part.end is not None]
        end = joined_samples(ends, given.batch) if len(ends) > 1 else next(iter(ends), None)
        weights = {key: _joined([part.weights[key] for part in parts], given.batch) for key in parts[0].weights}
        learned = {key: np.concatenate([p.learned[key] for p in parts])[: given.batch] for key in parts[0].learned}
        return Recorded(spikes, states, peaks, end, weights, learned)

    def _check_learning(self, copies: int, batch: int) -> None:
        """Refuse what a connection cannot learn from: some of its samples, or a program of its own."""
        for link in self.plan.plastic:
            if self.options.target == "cpp_standalone":
                raise UnsupportedError(
                    "a standalone program does not hand over what it has learned",
                    node=link.name,
                    parameter="target",
                    got="'cpp_standalone'",
                    way_out="Compile with target='numpy' or 'cython'.",
                )
            if link.learning.shared and copies < batch:
                raise UnsupportedError(
                    "all samples learn one weight, and do not fit into one network",
                    node=link.name,
                    parameter="max_synapses",
                    got=f"{copies} of {batch} samples at once",
                    way_out="Raise max_synapses, record less, or give fewer samples.",
                )

    def _copies(self, given: Signals, what: Wanted) -> int:
        """Samples of one network: as few networks as the limits allow, all of one size, so that one is built."""
        populations = self.plan.network.by_name
        names = (*what.spikes, *(name for name, _ in what.states))
        kept = given.steps * sum(size(populations[name]) for name in names)
        most = max(1, min(self._at_once, RECORD_AT_ONCE // max(kept, 1)))
        return -(-given.batch // -(-given.batch // most))

    def _part(self, given: Signals, start: int, copies: int, what: Wanted) -> Recorded:
        """Samples from ``start`` on; the last part is filled up with zeros."""
        feed = {name: _filled(array[:, start : start + copies], copies) for name, array in given.values.items()}
        if self.options.target == "cpp_standalone":
            from hasn.backends.brian2.standalone import run_standalone

            if given.start is not None or given.keep:
                raise _standalone("a standalone program starts at the initial state, and what it remembers is lost")
            return run_standalone(self.plan, copies, what, feed, given.steps, self.options.build_dir)
        from hasn.backends.brian2.preferences import isolated

        target = self._target(given.total)
        with isolated(self.plan.dtype, target):
            begun = given.start
            if begun is not None and copies < given.batch:  # of all samples it is itself: the network may go on from it
                begun = some_samples(begun, start, copies)
            kept = self.kept if given.keep else None
            return self._live(copies, what, target).run(feed, given.steps, begun, kept)

    def _not_finite(self, given: Signals, copies: int, wrong: Sequence[str | None]) -> NotFiniteError:
        """The first step and population of all parts, found by running those that are wrong again."""
        from hasn.backends.brian2.monitors import Wanted
        from hasn.backends.brian2.preferences import isolated

        found = []
        with isolated(self.plan.dtype, "numpy"):
            for i, name in enumerate(wrong):
                if name is None:
                    continue
                start = i * copies
                feed = {key: _filled(array[:, start : start + copies], copies) for key, array in given.values.items()}
                begun = None if given.start is None else some_samples(given.start, start, copies)
                again = self._live(copies, Wanted((), ()), "numpy").first_not_finite(feed, given.steps, begun)
                found.append(again or (name, given.first + given.steps - 1))
        name, step = earliest(found, self.plan.network.program)
        return not_finite(name, step, self.plan.dtype)

    def _live(self, copies: int, what: Wanted, target: str) -> Live:
        """The network of this size, built if the last one was another."""
        from hasn.backends.brian2.live import Live

        key = (copies, what, target)
        if key not in self._built:
            self._built.clear()  # the old one's memory goes first
            require_rings(self.plan.network, copies, _ELEMENT)
            self._built[key] = Live(self.plan, copies, what)
        return self._built[key]

    def _target(self, steps: int) -> str:
        from hasn.backends.brian2.preferences import cython_trouble, cython_works

        target = self.options.target
        if target == "auto":
            return "cython" if steps >= CYTHON_FROM_STEPS and cython_works() else "numpy"
        reason, way_out = cython_trouble() if target == "cython" else ("", "")
        if reason:
            raise UnsupportedError(
                f"a test compilation failed: {reason}", parameter="target", got="'cython'", way_out=way_out
            )
        return target

    # --- streams

    def start(self, batch: int) -> None:
        """Make ready for step 0 of a stream of ``batch`` samples.

        Raises:
            UnsupportedError: the target cannot be stepped, or the batch needs more synapses than one network may have.
        """
        from hasn.backends.brian2.live import Live
        from hasn.backends.brian2.monitors import Wanted
        from hasn.backends.brian2.preferences import isolated

        if self.options.target == "cpp_standalone":
            raise _standalone("a standalone program cannot be stepped")
        if batch > self._at_once:
            raise UnsupportedError(
                "a stream keeps all its samples in one network",
                parameter="max_synapses",
                got=self.options.max_synapses,
                wanted=f">= {batch * self.plan.synapses}",
                way_out="Raise max_synapses or step fewer samples.",
            )
        require_rings(self.plan.network, batch, _ELEMENT)
        with isolated(self.plan.dtype, self._target(0)):
            self._stream = Live(self.plan, batch, Wanted((), ()))
            self._stream.resume(None, self.kept)

    @property
    def stream(self) -> Live:
        """The network of the stream."""
        if self._stream is None:
            raise RuntimeError("no stream has been started")
        return self._stream

    def end(self) -> None:
        """Let go of the stream's network."""
        self._stream = None

    def close(self) -> None:
        """Let go of all networks."""
        self.end()
        self._built.clear()


def _standalone(what: str) -> UnsupportedError:
    return UnsupportedError(
        what,
        parameter="target",
        got="'cpp_standalone'",
        way_out="Compile with target='numpy' or 'cython' for streams and states, or use run() without one.",
    )


def _filled(array: NDArray[np.float64], copies: int) -> NDArray[np.float64]:
    """(T, samples, *shape) -> (T, elements of ``copies`` samples), with silent samples where some are missing."""
    steps, samples = array.shape[:2]
    if samples < copies:
        missing = [(0, 0), (0, copies - samples), *[(0, 0)] * (array.ndim - 2)]
        array = np.pad(array, missing)
    return array.reshape(steps, -1)


def _joined(parts: list[Array], batch: int) -> Array:
    return (parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1))[:, :batch]
