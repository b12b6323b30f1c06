"""The kernels of :mod:`hasn.kernels` on a GPU, in Triton: one program a block of neurons, the time loop inside it.

A thread has one neuron of one sample and keeps its states in registers, so that memory is read and written once. The
operations and their order are those of the step loop, and Triton is told not to contract ``a*b + c``: that would change
spikes. Gradients may differ from C's in their last bits: the GPU divides and takes exp in its own way.

The updates of :mod:`hasn.kernels.scan` stand here as they are; of a program of rows (:mod:`hasn.kernels.rows`) the
source is written out, a line a row.

Imports Triton; :mod:`hasn.backends.snntorch.triton_trial` says when.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from hasn.kernels import Line, Reset, RowProgram, Rows, RowScan, Scan, Slope

#: Threads of a program: neurons are independent, and small programs fill the GPU evenly.
BLOCK = 128
OPTIONS = {"num_warps": BLOCK // 32, "enable_fp_fusion": False}

# What a Triton function reads from outside has to be a constexpr.
_ONE_ROW, _CURRENT_FIRST = tl.constexpr(int(Rows.ONE)), tl.constexpr(int(Rows.CURRENT_FIRST))
_NO_RESET, _TO_ZERO = tl.constexpr(int(Reset.NONE)), tl.constexpr(int(Reset.ZERO))
_ATAN, _FAST_SIGMOID = tl.constexpr(int(Slope.ATAN)), tl.constexpr(int(Slope.FAST_SIGMOID))
_SIGMOID, _TRIANGULAR = tl.constexpr(int(Slope.SIGMOID)), tl.constexpr(int(Slope.TRIANGULAR))

Source = Iterator[str]
#: States: of now, of before the step; on the way back gradients by them, and what was kept.
NOW, BEFORE, BY, BY_BEFORE, KEPT = "s", "b", "g", "o", "v"


def jitted(function: Callable[..., Any]) -> Any:
    """Sizes change from call to call, and are not worth a compilation each."""
    return triton.jit(do_not_specialize=("steps", "states", "neurons"))(function)


class States(NamedTuple):
    """The states of a scan: tensors of (batch, neurons) where :class:`hasn.kernels.States` has addresses.

    Attributes:
        v, c: what to start from; None: zeros.
        v_end, c_end: take what it ends with; None: not wanted.
        shared: v and c are one state of all samples, (neurons,).
    """

    v: Tensor | None = None
    c: Tensor | None = None
    v_end: Tensor | None = None
    c_end: Tensor | None = None
    shared: bool = False


def scan_forward(
    scan: Scan,
    coefficients: Tensor,
    x: Tensor,
    states: States,
    out: Tensor,
    before: Tensor | None = None,
    after: Tensor | None = None,
) -> None:
    """All steps of a population: :func:`hasn.kernels.scan_forward` with tensors, all on one device, for addresses."""
    count = scan.batch * scan.neurons
    with on_device_of(x):
        _forward[(triton.cdiv(count, BLOCK),)](
            coefficients,
            x,
            *states[:4],
            out,
            before,
            after,
            scan.steps,
            count,
            scan.neurons,
            int(scan.rows),
            int(scan.reset),
            bool(states.shared),
            BLOCK,
            **OPTIONS,
        )


def scan_backward(
    scan: Scan, coefficients: Tensor, gradient: Tensor | None, states: States, out: Tensor, before: Tensor | None = None
) -> None:
    """The adjoint: :func:`hasn.kernels.scan_backward` with tensors for addresses."""
    count = scan.batch * scan.neurons
    with on_device_of(out):
        _backward[(triton.cdiv(count, BLOCK),)](
            coefficients,
            gradient,
            *states[:4],
            out,
            before,
            surrogate_numbers(scan.parameter, out.dtype, out.device),
            scan.steps,
            count,
            scan.neurons,
            int(scan.rows),
            int(scan.reset),
            int(scan.slope),
            BLOCK,
            **OPTIONS,
        )


def on_device_of(x: Tensor) -> AbstractContextManager[Any]:
    """Triton launches on torch's current device, which need not be the tensors'."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()


@lru_cache(maxsize=64)
def surrogate_numbers(parameter: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """p, p/2 and pi/2 p in the arrays' type: Triton would make a float argument float32."""
    return torch.tensor([parameter, parameter / 2, 1.5707963267948966 * parameter], dtype=dtype, device=device)


@jitted
def _forward(  # type: ignore[no-untyped-def]
    k, x, v_given, c_given, v_end, c_end, out, before, after, steps, states, neurons,
    ROWS: tl.constexpr, RESET: tl.constexpr, SHARED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, neuron = at < states, at % neurons
    keep_v, gain_v = tl.load(k + neuron, here), tl.load(k + neurons + neuron, here)
    bias = tl.load(k + 2 * neurons + neuron, here)
    keep_c, gain_c = tl.load(k + 3 * neurons + neuron, here), tl.load(k + 4 * neurons + neuron, here)
    weight = tl.load(k + 5 * neurons + neuron, here)
    threshold, jump = tl.load(k + 6 * neurons + neuron, here), tl.load(k + 7 * neurons + neuron, here)
    v, c = keep_v * 0, keep_v * 0
    first = neuron if SHARED else at
    if v_given is not None:
        v = tl.load(v_given + first, here)
    if c_given is not None:
        c = tl.load(c_given + first, here)
    now = at
    for _ in range(steps):
        drive = tl.load(x + now, here)
        if ROWS == _ONE_ROW:
            v = keep_v * v + gain_v * drive + bias
        elif ROWS == _CURRENT_FIRST:
            c = keep_c * c + gain_c * drive
            v = keep_v * v + weight * c + bias
        else:
            v = keep_v * v + weight * c + gain_v * drive + bias
            c = keep_c * c + gain_c * drive
        if before is not None:
            tl.store(before + now, v, here)
        if RESET == _NO_RESET:
            tl.store(out + now, v, here)
        else:
            z = (v > threshold).to(v.dtype)
            v = v * (1 - z) + jump * z if RESET == _TO_ZERO else v - z * jump
            tl.store(out + now, z, here)
        if after is not None:
            tl.store(after + now, v, here)
        now += states
    if v_end is not None:
        tl.store(v_end + at, v, here)
    if c_end is not None:
        tl.store(c_end + at, c, here)


@jitted
def _backward(  # type: ignore[no-untyped-def]
    k, gradient, v_given, c_given, v_end, c_end, out, before, surrogate, steps, states, neurons,
    ROWS: tl.constexpr, RESET: tl.constexpr, SLOPE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here, neuron = at < states, at % neurons
    keep_v, gain_v = tl.load(k + neuron, here), tl.load(k + neurons + neuron, here)
    keep_c, gain_c = tl.load(k + 3 * neurons + neuron, here), tl.load(k + 4 * neurons + neuron, here)
    weight = tl.load(k + 5 * neurons + neuron, here)
    threshold, jump = tl.load(k + 6 * neurons + neuron, here), tl.load(k + 7 * neurons + neuron, here)
    v, c, given = keep_v * 0, keep_v * 0, keep_v * 0
    if v_given is not None:
        v = tl.load(v_given + at, here)
    if c_given is not None:
        c = tl.load(c_given + at, here)
    now = at + (steps - 1) * states.to(tl.int64)
    for _ in range(steps):
        if gradient is not None:
            given = tl.load(gradient + now, here)
        if RESET == _NO_RESET:
            v = v + given
        else:
            u = tl.load(before + now, here)
            d = slope(u - threshold, surrogate, SLOPE)
            if RESET == _TO_ZERO:
                z = (u > threshold).to(v.dtype)
                v = v * (1 - z) + (given + v * (jump - u)) * d
            else:
                v = v + (given - v * jump) * d
        if ROWS == _ONE_ROW:
            tl.store(out + now, gain_v * v, here)
        elif ROWS == _CURRENT_FIRST:
            c = c + weight * v
            tl.store(out + now, gain_c * c, here)
            c = keep_c * c
        else:
            tl.store(out + now, gain_c * c + gain_v * v, here)
            c = keep_c * c + weight * v
        v = keep_v * v
        now -= states
    if v_end is not None:
        tl.store(v_end + at, v, here)
    if c_end is not None:
        tl.store(c_end + at, c, here)


@jitted
def slope(u, surrogate, SLOPE: tl.constexpr):  # type: ignore[no-untyped-def]
    """dz/du, as snntorch.surrogate 1.0 defines it."""
    p = tl.load(surrogate)
    d = u * 0 + 1
    if SLOPE == _ATAN:
        w = tl.load(surrogate + 2) * u
        d = tl.load(surrogate + 1) / (1 + w * w)
    elif SLOPE == _FAST_SIGMOID:
        w = p * tl.abs(u) + 1
        d = 1 / (w * w)
    elif SLOPE == _SIGMOID:  # even in u, so that nothing overflows
        e = tl.exp(-tl.abs(p * u))
        d = p * e / ((e + 1) * (e + 1))
    elif SLOPE == _TRIANGULAR:
        d = tl.where(u >= 0, -p, p)
    return d


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
    with on_device_of(x):
        run[(triton.cdiv(count, BLOCK),)](*arrays, scan.steps, count, scan.neurons, states.shared, BLOCK, **OPTIONS)


def rows_backward(
    scan: RowScan, values: Tensor, gradient: Tensor | None, states: RowTensors, out: Tensor, free: Any = None
) -> None:
    """The adjoint: :func:`hasn.kernels.rows_backward` with tensors for addresses."""
    _, run = functions(scan.program)
    count, size = scan.batch * scan.neurons, scan.program.states
    surrogate = surrogate_numbers(scan.parameter, out.dtype, out.device)
    arrays = (values, gradient, *states.start[:size], *states.end[:size], *states.kept, out, free, surrogate)
    with on_device_of(out):
        run[(triton.cdiv(count, BLOCK),)](*arrays, scan.steps, count, scan.neurons, int(scan.slope), BLOCK, **OPTIONS)


@cache
def functions(program: RowProgram) -> tuple[Any, Any]:
    """Both directions of a program, as Triton has them."""
    return _made(program, "forward", _forward_source(program)), _made(program, "backward", _backward_source(program))


def _made(program: RowProgram, name: str, lines: Source) -> Any:
    """The function of this source. Triton reads it through linecache, as Python's own tracebacks do."""
    file, source = f"<rows {program.encoded.hex()} {name}>", "\n".join(lines) + "\n"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    found: dict[str, Any] = {"tl": tl, "slope": slope, "__name__": __name__}
    exec(compile(source, file, "exec"), found)  # written here, from numbers alone
    return jitted(found[name])


def _forward_source(program: RowProgram) -> Source:
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


def _backward_source(program: RowProgram) -> Source:
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
    yield "        t = by_z * slope(u, surrogate, SLOPE)"
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
