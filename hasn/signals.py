"""Input data: from what a user passes to float arrays (T, batch, *shape), one for each Input and each drawn input."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.errors import InputError
from hasn.nodes.values import numbers, unusable
from hasn.program.model import Program
from hasn.state import Snapshot

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Signals:
    """What a run is given: checked input data, and where it starts.

    Attributes:
        values: Input or drawn input -> float64 (T, batch, *shape).
        steps: T.
        batch: samples.
        batched: whether the user's arrays had a batch axis.
        first: number of the first step.
        start: the state to start from; None: the initial one.
        keep: whether the state at the end is wanted.
        total: steps of the whole run, of which this may be a piece.
        more: whether further pieces come.
    """

    values: dict[str, NDArray[np.float64]]
    steps: int
    batch: int
    batched: bool
    first: int = 0
    start: Snapshot | None = None
    keep: bool = False
    total: int = 0
    more: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "total", max(self.total, self.steps))


def signals(
    program: Program, inputs: Any, steps: int | None = None, time: bool = True, first: int = 0, origin: int = 0
) -> Signals:
    """Check what a user passes as inputs, and draw what the network draws itself.

    Args:
        program: its Sources say which arrays are wanted, and their shapes.
        inputs: an array (T, *shape) or (T, batch, *shape), or {Input node: array}; without the T if not ``time``.
        steps: T, for a graph without Inputs.
        time: whether the arrays start with time.
        first: place of the first step in what the user passed.
        origin: number of the step at which that begins.

    Raises:
        InputError: an Input without data or data without an Input; wrong shape; NaN or infinite values; no step.
    """
    found = _given(program, inputs, steps, time, first, origin + first)
    if program.drawn:
        found.values.update(program.drawn_values(origin + first, found.steps, found.batch))
    return found


def modulated(program: Program, inputs: Any, modulators: Any, time: bool = True) -> Any:
    """What a user passes, with the modulators that learning reads among it, in the form of the inputs.

    Those that stand among the inputs already, as in a file, count too.

    Raises:
        InputError: a modulator is missing, is not known, or is no number a step.
    """
    wanted = program.modulators
    if not isinstance(modulators, Mapping | None):
        form = "{name: one number a step}"
        raise InputError("not modulators", parameter="modulators", got=type(modulators).__name__, wanted=form)
    if not wanted and not modulators:
        return inputs
    given = {str(name): value for name, value in modulators.items()} if modulators is not None else {}
    if isinstance(inputs, Mapping):
        given = {name: inputs[name] for name in wanted if name in inputs} | given
        inputs = {name: value for name, value in inputs.items() if name not in wanted} or None
    for name in sorted(set(given) ^ set(wanted)):
        _refuse_given(program, name)
        what = "the rule's modulator is not supplied" if name in wanted else "no rule reads such a modulator"
        way = "Pass modulators={...} with one number a step for each; in a file they stand beside the inputs."
        raise InputError(what, parameter="modulators", got=repr(name), wanted=", ".join(wanted) or "none", way_out=way)
    own = {source.name: source.shape for source in program.inputs if not source.modulates}
    shown = {} if inputs is None and not own else _by_name(inputs, own)
    lead = next((np.shape(value)[: np.ndim(value) - len(own[name])] for name, value in shown.items()), None)
    for name, value in given.items():
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
        alone = 1 if time else 0
        if lead is not None and len(lead) > array.ndim == alone:  # one number for all samples
            array = np.broadcast_to(array[..., np.newaxis], (*array.shape, lead[-1]))
        if array.ndim not in (alone, alone + 1) or (lead is not None and array.shape != tuple(lead)):
            raise InputError(
                "a modulator is one number a step, or one a step and sample",
                parameter=f"modulators[{name!r}]",
                got=array.shape,
                wanted="(T) or (T, batch)" if lead is None else str(tuple(lead)),
            )
        shown[name] = array
    return shown


def _refuse_given(program: Program, modulator: str) -> None:
    """Refuse a modulator that a node of the graph gives."""
    for learner, learning in program.learning.items():
        node = dict(learning.modulators).get(modulator)
        if node is not None and node not in program.modulators:
            raise InputError(
                f"the modulator of '{learner}' comes from a node of the graph: {node}",
                parameter="modulators",
                got=repr(modulator),
                wanted=", ".join(program.modulators) or "none",
                way_out="Leave it out, or attach the rule without modulators={...}.",
            )


def _given(program: Program, inputs: Any, steps: int | None, time: bool, first: int, number: int) -> Signals:
    shapes = {source.name: source.shape for source in program.inputs}
    given = _by_name(inputs, shapes)
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1):
        raise InputError("no such number of steps", parameter="steps", got=repr(steps), wanted="an integer >= 1")
    if not shapes:
        if time and steps is None:
            raise InputError(
                "the graph has no Input, so the number of steps is not known",
                parameter="steps",
                way_out="Pass steps=... to run.",
            )
        return Signals({}, int(steps or 1), 1, False, number)
    arrays = {
        name: _numbers(name, _shaped(name, given[name], shape, time), first if time else None)
        for name, shape in shapes.items()
    }
    return _together(arrays, shapes, steps, number)


def _by_name(inputs: Any, shapes: dict[str, Shape]) -> dict[str, Any]:
    if isinstance(inputs, Mapping):
        given = {str(name): value for name, value in inputs.items()}
    elif inputs is None and not shapes:
        given = {}
    elif inputs is None or not shapes:
        what = "no input is given" if inputs is None else "the graph has no Input"
        wanted = f"data for {', '.join(sorted(shapes))}" if shapes else "None, and steps=..."
        raise InputError(what, parameter="inputs", got=type(inputs).__name__, wanted=wanted)
    elif len(shapes) == 1:
        given = {next(iter(shapes)): inputs}
    else:
        raise InputError(
            f"the graph has {len(shapes)} Inputs, so one array is not enough",
            parameter="inputs",
            wanted=f"a mapping with {', '.join(sorted(shapes))}",
        )
    for name in sorted(set(given) ^ set(shapes)):
        what = "there is no such Input" if name in given else "the Input has no data"
        raise InputError(
            what, node=name, parameter="inputs", wanted=f"one array for each of {', '.join(sorted(shapes))}"
        )
    return given


def parts(
    program: Program,
    inputs: Any,
    steps: int | None,
    numbers: int | None,
    origin: int = 0,
    beside: int = 0,
    least: int = 1,
) -> Iterator[Signals]:
    """The same, checked and converted piece by piece: what lies in a file stays there until its steps come.

    Args:
        numbers: that all nodes of a piece hold at most; None: one piece.
        origin: number of the first step.
        beside: numbers that a step of one sample takes beside those of the nodes.
        least: pieces at least, where there are as many steps.

    Raises:
        InputError: as above; values that are not finite are found when their piece comes.
    """
    shapes = {source.name: source.shape for source in program.inputs}
    if numbers is None:
        return iter([signals(program, inputs, steps, origin=origin)])
    if not shapes:
        total, batch = _given(program, inputs, steps, True, 0, origin).steps, 1  # nothing is drawn for it
        arrays: dict[str, NDArray[Any]] = {}
    else:
        given = _by_name(inputs, shapes)
        arrays = {name: _shaped(name, given[name], shape, True) for name, shape in shapes.items()}
        lead = _one_lead(arrays, shapes, steps)
        total, batch = lead[0], lead[1] if len(lead) == 2 else 1
    width = batch * max(1, beside + sum(int(np.prod(node.shape)) for node in program.nodes))
    size = max(1, min(numbers // width, total // least))

    def pieces() -> Iterator[Signals]:
        for t in range(0, total, size):
            now = {name: array[t : t + size] for name, array in arrays.items()} or None
            piece = signals(program, now, min(size, total - t), first=t, origin=origin)
            yield replace(piece, total=total, more=t + size < total)

    return pieces()


def real_array(name: str, value: Any) -> NDArray[Any]:
    """What is given for an Input as an array of its own type.

    Raises:
        InputError: it holds no real numbers.
    """
    array = numbers(value)
    if array is None:
        raise InputError("not an array of real numbers", node=name, parameter="inputs", got=unusable(value))
    return array


def _shaped(name: str, value: Any, shape: Shape, time: bool) -> NDArray[Any]:
    """``value`` as an array (T, batch, *shape) or (T, *shape), of its own type."""
    array = real_array(name, value)
    array = array if time else array[np.newaxis]
    lead = array.ndim - len(shape)
    if lead not in (1, 2) or array.shape[lead:] != shape:
        t = "T, " if time else ""
        inner = ", ".join(map(str, shape))
        got = array.shape if time else array.shape[1:]
        raise InputError(
            "the input has the wrong shape",
            node=name,
            parameter="inputs",
            got=got,
            wanted=f"({t}{inner}) or ({t}batch, {inner})",
        )
    if array.shape[0] < 1 or (lead == 2 and array.shape[1] < 1):
        raise InputError(
            "the input has no step or no sample", node=name, parameter="inputs", got=array.shape, wanted="at least one"
        )
    return array


def _numbers(name: str, array: NDArray[Any], first: int | None) -> NDArray[np.float64]:
    """The same in float64; ``first``: number of the first step, None: there is no time to speak of."""
    numbers = array.astype(np.float64)
    finite = np.isfinite(numbers) if array.dtype.kind not in "biu" else np.True_
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise InputError(
            "the input has a value that is not finite",
            node=name,
            parameter="inputs",
            got=f"{numbers[where]} at index {(where[0] + first, *where[1:]) if first is not None else where[1:]}",
            wanted="finite numbers",
            way_out="Clean the data first (np.nan_to_num, or drop the sample).",
        )
    return numbers


def _together(
    arrays: dict[str, NDArray[np.float64]], shapes: dict[str, Shape], steps: int | None, number: int
) -> Signals:
    lead = _one_lead(arrays, shapes, steps)
    batched = len(lead) == 2
    values = {name: array if batched else array[:, np.newaxis] for name, array in arrays.items()}
    return Signals(values, lead[0], lead[1] if batched else 1, batched, number)


def _one_lead(arrays: Mapping[str, NDArray[Any]], shapes: dict[str, Shape], steps: int | None) -> Shape:
    """(T) or (T, batch): all Inputs must share T, the batch, and whether there is one."""
    leads = {name: array.shape[: array.ndim - len(shapes[name])] for name, array in arrays.items()}
    first = next(iter(leads))
    for name, lead in leads.items():
        if lead != leads[first]:
            raise InputError(
                f"another number of steps or samples than Input '{first}' has",
                node=name,
                parameter="inputs",
                got=lead,
                wanted=str(leads[first]),
            )
    lead = leads[first]
    if steps is not None and steps != lead[0]:
        raise InputError(
            "steps contradicts the input",
            parameter="steps",
            got=steps,
            wanted=str(lead[0]),
            way_out="Leave steps out: the input says it.",
        )
    return lead
