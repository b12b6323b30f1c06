"""A program of rows (:mod:`hasn.kernels.rows`) on a GPU: its source is written out, a line a row, for Triton.

As in :mod:`hasn.backends.snntorch.scan_triton`, a thread has one neuron of one sample and keeps its states in
registers; the operations and their order are the step loop's, and nothing is contracted.

Imports Triton; :mod:`hasn.backends.snntorch.scan_places` says when.
"""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import triton
import triton.language as tl
from torch import Tensor

from hasn.backends.snntorch.scan_triton import _OPTIONS, BLOCK, _jit, _on, _slope, _surrogate
from hasn.kernels import Line, RowProgram, RowScan

Source = Iterator[str]
#: States: of now, of before the step; on the way back gradients by them, and what was kept.
NOW, BEFORE, BY, BY_BEFORE, KEPT = "s", "b", "g", "o", "v"


class RowTensors(NamedTuple):
    """The states of a scan: tensors where :class:`hasn.kernels.RowStates` has addresses, None for 0.

    Attributes:
        start, end, shared, kept: as there.
    """

    start: Sequence[Tensor | None]
    end: Sequence[Tensor | None]
    shared: bool = False
    kept: Sequence[Tensor] = ()


def rows_forward(
    scan: RowScan, values: Tensor, x: Tensor, states: RowTensors, out: Tensor, free: Any = None, after: Any = None
) -> None:
    """All steps of a population: :func:`hasn.kernels.rows_forward` with tensors, all on one device, for addresses."""
    run, _ = functions(scan.program)
    kept = states.kept or (None,) * len(scan.program.kept)
    count = scan.batch * scan.neurons
    arrays = (values, x, *states.start, *states.end, *kept, out, free, after)
    with _on(x):
        run[(triton.cdiv(count, BLOCK),)](*arrays, scan.steps, count, scan.neurons, states.shared, BLOCK, **_OPTIONS)


def rows_backward(
    scan: RowScan, values: Tensor, gradient: Tensor | None, states: RowTensors, out: Tensor, free: Any = None
) -> None:
    """The adjoint: :func:`hasn.kernels.rows_backward` with tensors for addresses."""
    _, run = functions(scan.program)
    count, size = scan.batch * scan.neurons, scan.program.states
    surrogate = _surrogate(scan.parameter, out.dtype, out.device)
    arrays = (values, gradient, *states.start[:size], *states.end[:size], *states.kept, out, free, surrogate)
    with _on(out):
        run[(triton.cdiv(count, BLOCK),)](*arrays, scan.steps, count, scan.neurons, int(scan.slope), BLOCK, **_OPTIONS)


@cache
def functions(program: RowProgram) -> tuple[Any, Any]:
    """Both directions of a program, as Triton has them."""
    return _made(program, "forward", _forward(program)), _made(program, "backward", _backward(program))


def _made(program: RowProgram, name: str, lines: Source) -> Any:
    """The function of this source. Triton reads it through linecache, as Python's own tracebacks do."""
    file, source = f"<rows {program.encoded.hex()} {name}>", "\n".join(lines) + "\n"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    found: dict[str, Any] = {"tl": tl, "_slope": _slope, "__name__": __name__}
    exec(compile(source, file, "exec"), found)  # written here, from numbers alone
    return _jit(found[name])


def _forward(program: RowProgram) -> Source:
    states, v = range(program.arrays), f"{NOW}{program.v}"
    names = [*(f"start{i}" for i in states), *(f"end{i}" for i in states), *(f"kept{i}" for i in program.kept)]
    yield _head("forward", ["k", "x", *names, "out", "is_free", "after"], "SHARED")
    yield from _places(program)
    yield "    first = neuron if SHARED else at"
    yield from (f"    {NOW}{i} = tl.load(start{i} + first, here)" for i in states)
    yield "    now = at"
    yield "    for _ in range(steps):"
    yield "        x_now = tl.load(x + now, here)"
    if program.held >= 0:
        yield f"        free = {NOW}{program.states} <= 0"
    yield from (f"        {BEFORE}{i} = {NOW}{i}" for i in program.saved)
    for line in program.rows:
        made = _sum(line, BEFORE if line.before else NOW, "x_now")
        held = program.held >= 0 and line.state == program.v
        yield f"        {NOW}{line.state} = " + (f"tl.where(free, {made}, {BEFORE}{line.state})" if held else made)
    for i in program.kept:
        yield f"        if kept{i} is not None:"
        yield f"            tl.store(kept{i} + now, {NOW}{i}, here)"
    if program.condition is not None:
        yield from _spikes(program, NOW)
        if program.held >= 0:
            left = f"{NOW}{program.states}"
            yield "        if is_free is not None:"
            yield "            tl.store(is_free + now, free.to(tl.uint8), here)"
            yield f"        fewer = tl.where({left} > 1, {left} - 1, {left} * 0)"
            yield f"        {left} = tl.where(z > 0, k{program.held}, fewer)"
        for line in program.resets:
            yield f"        {NOW}{line.state} = {_reset(line, NOW)}"
    yield f"        tl.store(out + now, {v if program.condition is None else 'z'}, here)"
    yield "        if after is not None:"
    yield f"            tl.store(after + now, {v}, here)"
    yield "        now += states"
    for i in states:
        yield f"    if end{i} is not None:"
        yield f"        tl.store(end{i} + at, {NOW}{i}, here)"


def _backward(program: RowProgram) -> Source:
    states = range(program.states)
    names = [*(f"start{i}" for i in states), *(f"end{i}" for i in states), *(f"kept{i}" for i in program.kept)]
    yield _head("backward", ["k", "gradient", *names, "out", "is_free", "surrogate"], "SLOPE")
    yield from _places(program)
    for i in states:
        yield f"    {BY}{i} = none"
        yield f"    if start{i} is not None:"
        yield f"        {BY}{i} = tl.load(start{i} + at, here)"
    yield "    now = at + (steps - 1) * states.to(tl.int64)"
    yield "    for _ in range(steps):"
    yield "        by_z = none"
    yield "        if gradient is not None:"
    yield "            by_z = tl.load(gradient + now, here)"
    if program.held >= 0:
        yield "        free = tl.load(is_free + now, here) > 0"
    yield from _spikes_back(program)
    yield from (f"        {BY_BEFORE}{i} = none" for i in program.saved)
    yield "        by_x = none"
    for line in reversed(program.rows):
        yield f"        t = {BY}{line.state}"
        if program.held >= 0 and line.state == program.v:
            yield f"        {BY_BEFORE}{line.state} += tl.where(free, none, t)"
            yield "        t = tl.where(free, t, none)"
        yield f"        {BY}{line.state} = none"
        yield from _shared_out(line, BY_BEFORE if line.before else BY)
        if line.gain >= 0:
            yield f"        by_x += k{line.gain} * t"
    yield from (f"        {BY}{i} += {BY_BEFORE}{i}" for i in program.saved)
    yield "        tl.store(out + now, by_x, here)"
    yield "        now -= states"
    for i in states:
        yield f"    if end{i} is not None:"
        yield f"        tl.store(end{i} + at, {BY}{i}, here)"


def _spikes_back(program: RowProgram) -> Source:
    """From gradients by the states after condition and resets to those before them."""
    if program.condition is None:
        yield f"        {BY}{program.v} += by_z"
        return
    yield from (f"        {KEPT}{i} = tl.load(kept{i} + now, here)" for i in program.kept)
    yield from _spikes(program, KEPT)
    for i, line in enumerate(program.resets):
        if not line.moves:
            yield f"        d{i} = {_sum(line, KEPT)} - {KEPT}{line.state}"
        if not line.moves or line.state in program.kept:
            yield f"        {KEPT}{line.state} = {_reset(line, KEPT)}"
    for i, line in reversed(list(enumerate(program.resets))):
        by = f"{BY}{line.state}"
        yield f"        by_z += {f'k{line.bias}' if line.moves else f'd{i}'} * {by}"
        if not line.moves:
            yield f"        t = {by} * z"
            yield f"        {by} = {by} * (1 - z)"
            yield from _shared_out(line, BY)
    yield "        t = by_z * _slope(u, surrogate, SLOPE)"
    if program.held >= 0:
        yield "        t = tl.where(free, t, none)"
    yield from _shared_out(program.condition, BY)


def _head(name: str, arrays: Sequence[str], choice: str) -> str:
    return f"def {name}({', '.join(arrays)}, steps, states, neurons, {choice}: tl.constexpr, BLOCK: tl.constexpr):"


def _places(program: RowProgram) -> Source:
    """Where a thread's neuron lies, and its coefficients."""
    yield "    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)"
    yield "    here, neuron = at < states, at % neurons"
    yield from (f"    k{i} = tl.load(k + {i} * neurons + neuron, here)" for i in range(program.coefficients))
    yield "    none = tl.full((BLOCK,), 0, k0.dtype)"


def _sum(line: Line, states: str, x: str = "") -> str:
    parts = [f"{states}{state}" if by < 0 else f"k{by} * {states}{state}" for state, by in line.terms]
    parts += [f"k{line.gain} * {x}"] if line.gain >= 0 else []
    parts += [f"k{line.bias}"] if line.bias >= 0 else []
    return f"({' + '.join(parts)})" if parts else "none"


def _spikes(program: RowProgram, states: str) -> Source:
    assert program.condition is not None
    yield f"        u = {_sum(program.condition, states)}"
    yield "        z = (u > 0).to(k0.dtype)"
    if program.held >= 0:
        yield "        z = tl.where(free, z, z * 0)"


def _reset(line: Line, states: str) -> str:
    old = f"{states}{line.state}"
    return f"{old} + z * k{line.bias}" if line.moves else f"{old} * (1 - z) + {_sum(line, states)} * z"


def _shared_out(line: Line, gradients: str) -> Source:
    """The gradient t of what a line wrote, to those that it read."""
    for state, by in line.terms:
        yield f"        {gradients}{state} += " + ("t" if by < 0 else f"k{by} * t")
