"""A run of a command as a whole, or, where it does not fit in memory, one piece of time after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasn.errors import OutOfMemoryError, UnsupportedError

if TYPE_CHECKING:
    from hasn.counts import Counts
    from hasn.executable import Executable
    from hasn.recording import Recording
    from hasn.recordings.histograms import Histograms, WeightHistogram

#: The share of the free memory that a piece's recording may take: the run itself takes some, too.
_SHARE = 8


@dataclass
class Shown:
    """What a command shows of an array: its shape, and numbers that add up over pieces."""

    shape: tuple[int, ...] = ()
    total: float = 0.0
    least: float = float("inf")
    most: float = float("-inf")

    def add(self, array: Any) -> None:
        """The next steps, (T, ...)."""
        self.shape = (array.shape[0] + (self.shape[0] if self.shape else 0), *array.shape[1:])
        if array.size:
            self.total += float(array.sum())
            self.least, self.most = min(self.least, float(array.min())), max(self.most, float(array.max()))

    @property
    def size(self) -> int:
        """Numbers."""
        import math

        return math.prod(self.shape)


@dataclass
class Summary:
    """What a command shows of a run.

    Attributes:
        last: the recording, or that of the last piece.
        counts: of all steps.
        pieces: in how many it was run.
        histograms: connection that learns -> its weights over time.
    """

    last: Recording
    counts: Counts
    pieces: int = 1
    steps: int = 0
    seconds: float = 0.0
    histograms: dict[str, WeightHistogram] = field(default_factory=dict)
    spikes: dict[str, Shown] = field(default_factory=dict)
    outputs: dict[str, Shown] = field(default_factory=dict)

    def add(self, recording: Recording) -> None:
        """The next steps."""
        self.last = recording
        self.steps += recording.steps
        self.seconds += recording.seconds
        for shown, arrays in ((self.spikes, recording.spikes), (self.outputs, recording.outputs)):
            for name, array in arrays.items():
                shown.setdefault(name, Shown()).add(array)


def run(
    executable: Executable,
    inputs: Any,
    steps: int | None,
    record: tuple[str, ...],
    out: Path | None,
    force: bool,
    say: Callable[[str], None],
) -> Summary:
    """Run at once, or in pieces where that does not fit; write all arrays to ``out``.

    Of connections that learn histograms are kept, and the course of their weights only where ``record`` names it.

    Raises:
        OutOfMemoryError: not even a step fits, or the backend's state does not travel.
    """
    more = ("counts", "histograms") if executable.program.learning else ()
    try:
        recording = executable.run(inputs, record=(*record, *more), steps=steps)
    except OutOfMemoryError as error:
        short = error.with_traceback(None)
    else:
        found = Summary(recording, recording.counts, histograms=recording.histograms)
        found.add(recording)
        if out is not None:
            _write(recording, out, force)
        return found
    say("It does not fit in memory at once: running one piece after the other")
    try:
        return _in_pieces(executable, inputs, steps, record, out, force)
    except UnsupportedError:
        raise short from None


def _in_pieces(
    executable: Executable, inputs: Any, steps: int | None, record: tuple[str, ...], out: Path | None, force: bool
) -> Summary:
    import numpy as np

    from hasn.counts import tallied
    from hasn.ir.whole import refuse_existing
    from hasn.program.operations import Tally
    from hasn.recordings.spool import Spool

    spool = None if out is None else Spool(refuse_existing(out, force=force))
    found: Summary | None = None
    try:
        total, size, batch = _pieces(executable, inputs, steps, record)
        tally, histograms = Tally(executable.program, batch), _Histograms(executable)
        for given, recording in _recorded(executable, inputs, record, total, size):
            drawn = executable.program.drawn_values(tally.steps, recording.steps, batch)
            tally.add({**given, **drawn, **recording.spikes}, recording.steps)
            found = found or Summary(recording, recording.counts, pieces=0)
            found.add(recording)
            found.pieces += 1
            histograms.add(found.steps, total)
            if spool is not None:
                for key, array in _arrays(recording).items():
                    spool.append(key, np.asarray(array))
        assert found is not None  # a run has a step
        found.counts, found.histograms = tallied(tally), histograms.made
        if spool is not None:
            for key, array in _figures(found.histograms).items():
                spool.append(key, array)
            dt = executable.program.dt
            spool.write({"dt": np.array(dt), "times": dt * np.arange(found.steps)}, {}, force)
    finally:
        if spool is not None:
            spool.close()
    return found


class _Histograms:
    """Histograms of all connections that learn, of what each piece leaves behind."""

    def __init__(self, executable: Executable) -> None:
        from hasn.recordings.histograms import Histograms

        self._executable, self._steps = executable, 0
        learning = executable.program.learning
        self._of: dict[str, Histograms] = {
            name: Histograms(rule.low, rule.high, 0, executable.weights(name)) for name, rule in learning.items()
        }

    def add(self, steps: int, total: int) -> None:
        """After so many of all steps."""
        from hasn.recordings.histograms import due

        if due(self._steps, steps, total):
            for name, histograms in self._of.items():
                histograms.add(steps, self._executable.weights(name))
        self._steps = steps

    @property
    def made(self) -> dict[str, WeightHistogram]:
        from hasn.recordings.histograms import WeightHistogram

        return {name: WeightHistogram.of(histograms.table) for name, histograms in self._of.items()}


def _recorded(
    executable: Executable, inputs: Any, record: tuple[str, ...], total: int, size: int
) -> Iterator[tuple[dict[str, Any], Recording]]:
    """(inputs, recording) of each piece; one that does not fit is halved."""
    names = [source.name for source in executable.program.inputs]
    state, t = None, 0
    while t < total:
        now = min(size, total - t)
        part, last = _part(inputs, t, now, names), t + now == total
        try:
            recording = executable.run(
                part or None, record=record, steps=None if part else now, state=state, keep_state=not last
            )
        except OutOfMemoryError:
            if now == 1:
                raise
            size = now // 2
            continue
        state = None if last else executable.state()
        yield part, recording
        t += now


def _part(inputs: Any, t: int, steps: int, names: list[str]) -> dict[str, Any]:
    if inputs is None:
        return {}
    import numpy as np

    given = inputs if isinstance(inputs, dict) else {names[0]: inputs}
    return {name: np.asarray(value[t : t + steps], dtype=np.float64) for name, value in given.items()}


def _pieces(executable: Executable, inputs: Any, steps: int | None, record: tuple[str, ...]) -> tuple[int, int, int]:
    """All steps, the steps of a piece, and the samples."""
    import math

    from hasn.recordings.asked import asked
    from hasn.recordings.room import row_bytes
    from hasn.room import free_bytes

    program = executable.program
    each = sum(row_bytes(program, asked(record, program, executable.recordable)).values())
    first = next(iter(inputs.values()), None) if isinstance(inputs, dict) else inputs
    total, batch = int(steps or 0), 1
    if first is not None:
        ends = len(program.inputs[0].shape)
        total, batch = first.shape[0], math.prod(first.shape[1 : first.ndim - ends])
    return total, max(1, min(total, free_bytes() // (_SHARE * max(1, math.ceil(each) * batch)))), batch


def _arrays(recording: Recording) -> dict[str, Any]:
    arrays = {group: kept for group, kept in recording.series.items() if group != "histograms"}
    return {f"{group}/{name}": array for group, kept in arrays.items() for name, array in kept.items()}


def _figures(histograms: Mapping[str, WeightHistogram]) -> dict[str, Any]:
    """histograms/CONNECTION/step and so on -> array."""
    return {f"histograms/{name}/{key}": array for name, made in histograms.items() for key, array in vars(made).items()}


def _write(recording: Recording, out: Path, force: bool) -> None:
    """All arrays of a recording, whole or not at all."""
    import numpy as np

    from hasn.ir.arrays import write_arrays

    arrays = {
        **_arrays(recording),
        **_figures(recording.histograms),
        "dt": np.array(recording.dt),
        "times": recording.times,
    }
    write_arrays(out, arrays, force=force)
