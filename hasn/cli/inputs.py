"""Input data of a command: from a file, or random spikes that say so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasn.errors import InputError

if TYPE_CHECKING:
    from hasn.program.model import Program

DEFAULT_STEPS = 100
#: Random numbers that are drawn at once.
_DRAWN = 1 << 20


@dataclass(frozen=True)
class Given:
    """Input data.

    Attributes:
        values: what ``run`` and ``compare`` take.
        steps: T where it is not in the data.
        text: where they come from, for people.
        data: the same for programs.
    """

    values: Any
    steps: int | None
    text: str
    data: dict[str, Any]


def given_inputs(
    program: Program,
    path: Path | None,
    steps: int | None,
    rate: float,
    seed: int,
    batch: int | None,
    option: str = "--input",
) -> Given:
    """Read ``path``, which ``option`` names, or draw seeded Bernoulli spikes for every Input of the program.

    Raises:
        FileError: the file is not there or holds no plain arrays.
        InputError: no such number of steps or samples, rate or seed.
    """
    if path is not None:
        values = read_inputs(path, program, option)
        return Given(values, steps, f"Input: {path}", {"kind": "file", "path": str(path)})
    from hasn.program.describe import counted

    _check(steps, rate, seed, batch)
    count = DEFAULT_STEPS if steps is None else steps
    sources = program.inputs
    if not sources:
        return Given(None, count, f"The graph has no Input; {counted(count, 'step')}", {"kind": "none", "steps": count})
    values = random_spikes({source.name: source.shape for source in sources}, count, rate, seed, batch)
    size = counted(count, "step") + (f", {counted(batch, 'sample')}" if batch is not None else "")
    text = f"Input: random spikes (no --input was given): rate {rate:g} a step, {size}, seed {seed}"
    data = {"kind": "random", "steps": count, "rate": rate, "seed": seed, "samples": batch or 1}
    return Given(values, None, text, data)


def _check(steps: int | None, rate: float, seed: int, batch: int | None) -> None:
    for name, value in (("--steps", steps), ("--batch", batch)):
        if value is not None and value < 1:
            raise InputError("no such number", parameter=name, got=value, wanted="an integer >= 1")
    if not 0 <= rate <= 1:
        raise InputError("no such chance", parameter="--rate", got=rate, wanted="0 to 1")
    if seed < 0:
        raise InputError("no such seed", parameter="--seed", got=seed, wanted="an integer >= 0")


def random_spikes(
    shapes: dict[str, tuple[int, ...]], steps: int, rate: float, seed: int, batch: int | None
) -> dict[str, Any]:
    """{Input: whether it spikes (T[, batch], *shape)}, Inputs drawn in the order of their names; a byte a value.

    Raises:
        OutOfMemoryError: they do not fit; names the Input.
    """
    import numpy as np

    from hasn.room import in_memory

    rng = np.random.default_rng(seed)
    lead = () if batch is None else (batch,)
    found = {}
    for name in sorted(shapes):
        with in_memory("draw random spikes", "Take fewer --steps or a smaller --batch.", name):
            values = found[name] = np.empty((steps, *lead, *shapes[name]), dtype=bool)
        rows = max(1, _DRAWN // max(1, values[:1].size))
        for t in range(0, steps, rows):  # numbers come in the same order, however many at once
            values[t : t + rows] = rng.random(values[t : t + rows].shape) < rate
    return found


def read_inputs(path: Path, program: Program, option: str = "--input") -> Any:
    """The arrays of a .npy or .npz file; a single array serves a single Input, whatever its name.

    What the file claims to hold is compared with the program's Inputs before any of it is read.

    Args:
        path: the file.
        program: says which Inputs there are.
        option: that named the file, for messages.

    Raises:
        FileError: there is no such file, it holds no plain arrays, or more than there is memory for.
        InputError: the arrays are not what the Inputs take.
    """
    names = [source.name for source in program.inputs]

    def of_inputs(arrays: Any) -> Any:
        if not isinstance(arrays, dict) or set(arrays) == set(names):
            return arrays
        return next(iter(arrays.values())) if len(arrays) == 1 and len(names) == 1 else arrays

    _check_declared(path, program, of_inputs(declared_in(path, option)))
    return of_inputs(arrays_in(path, option))


def _check_declared(path: Path, program: Program, given: Any) -> None:
    """Compare shapes and types with what the Inputs take, on arrays that have no memory of their own.

    Raises:
        InputError: they do not fit; names the file.
    """
    import numpy as np

    from hasn.signals import modulated, parts

    def hollow(of: Any) -> Any:
        return np.broadcast_to(np.zeros((), dtype=of.dtype), of.shape)

    hollows = {name: hollow(of) for name, of in given.items()} if isinstance(given, dict) else hollow(given)
    try:
        parts(program, modulated(program, hollows, None), None, 1)
    except InputError as error:
        raise InputError(
            error.message,
            node=error.node,
            parameter=str(path),
            got=error.got,
            wanted=error.wanted,
            way_out=error.way_out,
        ) from None


def declared_in(path: Path, option: str) -> Any:
    """What the headers of a .npy (one) or .npz (by name) file claim."""
    from hasn.ir.arrays import arrays_of

    return arrays_of(path, f"Check the path given to {option}.")


def arrays_in(path: Path, option: str = "--input") -> Any:
    """The arrays of a .npy (itself) or .npz (a dict) file.

    Args:
        path: the file.
        option: of the command that names it.

    Raises:
        FileError: there is no such file, it holds no plain arrays, or more than there is memory for.
    """
    from hasn.ir.arrays import read_arrays

    declared_in(path, option)
    return read_arrays(path)
