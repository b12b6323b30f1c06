"""A program of rows against plain torch: the same bits forwards, the same gradients backwards."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hasn.kernels import Line, RowProgram, RowScan, RowStates, Slope, available, rows, rows_backward, rows_forward
from hasn.kernels.rows import MAX_LINES, MAX_STATES, MAX_TERMS, NONE

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
from tests.unit.kernels.plain import plain_rows  # noqa: E402  it imports torch
from tests.unit.kernels.test_scan import Fenced, P  # noqa: E402

# test_implementation sees to it that there is one where there is a compiler.
pytestmark = pytest.mark.skipif(not available(), reason=f"no kernels here: {available().why}")

# A coefficient of each range: of the state itself, of another one, a gain, a bias, minus a threshold, a jump.
RANGES = [(0.6, 1.0), (-0.4, 0.4), (0.3, 1.2), (-0.2, 0.2), (-0.7, -0.2), (-0.3, 0.4)]
KEEP, READ, GAIN, BIAS, THRESHOLD, JUMP, HELD = range(7)
OTHER = 7  # the same ranges again, other numbers
SOME = {
    "moved threshold": RowProgram(
        3,
        2,
        (
            Line(0, ((0, KEEP), (2, READ)), bias=BIAS),
            Line(1, ((1, KEEP),)),
            Line(2, ((2, KEEP), (0, READ)), GAIN, BIAS),
        ),
        Line(2, ((2, NONE), (1, JUMP)), bias=THRESHOLD),
        (Line(2, bias=JUMP, moves=True), Line(1, bias=GAIN, moves=True), Line(0, bias=BIAS, moves=True)),
    ),
    "both of before, both jump": RowProgram(
        2,
        0,
        (Line(1, ((1, KEEP), (0, READ)), GAIN), Line(0, ((1, READ), (0, KEEP)), before=True)),
        Line(0, ((0, NONE),), bias=THRESHOLD),
        (Line(1), Line(0, bias=JUMP)),
    ),
    "resets that read what resets wrote": RowProgram(
        3,
        1,
        (Line(1, ((1, KEEP), (2, READ)), GAIN), Line(2, ((1, OTHER + READ), (2, KEEP)), OTHER + GAIN, before=True)),
        Line(1, ((1, KEEP), (2, READ)), bias=THRESHOLD),
        (
            Line(2, bias=OTHER + BIAS, moves=True),
            Line(1, ((2, NONE), (1, READ)), bias=JUMP),
            Line(0, ((1, KEEP), (0, NONE)), bias=BIAS),
            Line(1, ((1, KEEP), (0, OTHER + READ))),
        ),
    ),
    "nothing spikes": RowProgram(
        2, 1, (Line(0, ((1, KEEP), (0, READ)), GAIN), Line(1, ((0, READ), (1, KEEP)), bias=BIAS, before=True))
    ),
    "a row of nothing": RowProgram(2, 0, (Line(0, ((0, KEEP), (1, READ)), GAIN), Line(1))),
    "nothing resets": RowProgram(1, 0, (Line(0, ((0, KEEP),), GAIN, BIAS),), Line(0, ((0, NONE),), bias=THRESHOLD)),
    "as large as can be": RowProgram(
        MAX_STATES,
        7,
        tuple(
            Line(i % 8, tuple((j, READ if i % 8 - j else KEEP) for j in range(MAX_TERMS)), GAIN, before=i % 3 == 1)
            for i in range(MAX_LINES)
        ),
        Line(7, tuple((j, NONE if j == 7 else OTHER + READ) for j in range(MAX_TERMS)), bias=THRESHOLD),
        tuple(Line(i % 8, tuple((j, READ) for j in range(MAX_TERMS)), bias=JUMP) for i in range(MAX_LINES)),
    ),
}
PROGRAMS = SOME | {
    f"{name}, held": replace(program, held=HELD)
    for name, program in SOME.items()
    if program.condition is not None and name != "as large as can be"
}
# 1,100 neurons take two tiles, 9,000 two blocks, 5 samples of 1,000 one; 33 and 17 leave rests of every vector.
SIZES = [(1, 1, 1), (7, 3, 33), (6, 2, 1100), (4, 5, 1000), (3, 2, 9000), (12, 4, 17)]


def case(program: RowProgram, steps: int, batch: int, neurons: int, dtype: Any, grid: float = 0.0) -> dict[str, Any]:
    """Input, states, coefficients and gradients; on a grid, sums meet thresholds exactly."""
    torch.manual_seed(steps)

    def between(low: float, high: float, *shape: int) -> Any:
        drawn = low + (high - low) * torch.rand(*shape, dtype=dtype)
        return torch.round(drawn / grid) * grid if grid else drawn

    k = [between(low, high, neurons) for low, high in RANGES]
    k = [*k, torch.randint(0, 4, (neurons,)).to(dtype), *(between(low, high, neurons) for low, high in RANGES)]
    states = [between(-0.5, 0.5, batch, neurons) for _ in range(program.states)]
    if program.held != NONE:
        states.append(torch.randint(0, 3, (batch, neurons)).to(dtype))
    return {
        "x": between(-1.0, 1.5, steps, batch, neurons),
        "states": states,
        "k": torch.stack(k) * (0.5 if program.states == MAX_STATES else 1.0),
        "to_out": between(-1.0, 1.0, steps, batch, neurons),
        "to_states": [between(-1.0, 1.0, batch, neurons) for _ in range(program.states)],
    }


def job(given: dict[str, Any], program: RowProgram, slope: Slope = Slope.ATAN, threads: int = 1) -> RowScan:
    return RowScan(*given["x"].shape, program, given["x"].dtype == torch.float64, threads, slope, P[slope])


def at(arrays: Any) -> tuple[int, ...]:
    return tuple(array.data_ptr() for array in arrays)


def forward(given: dict[str, Any], scan: RowScan, learns: bool = False) -> dict[str, Any]:
    """All that it leaves; what the way back by the coefficients needs if it ``learns``."""
    program, x = scan.program, given["x"]
    fenced = Fenced(x, x, *given["states"], *(x for _ in program.kept), *(x for _ in range(learns * program.states)))
    out, after, *more = fenced.arrays
    ends, more = more[: program.arrays], more[program.arrays :]
    kept, begun = more[: len(program.kept)], more[len(program.kept) :]
    free = torch.full((x.numel() + 8,), 77, dtype=torch.uint8)
    states = RowStates(at(given["states"]), at(ends), kept=at(kept), begun=at(begun))
    rows_forward(scan, given["k"].data_ptr(), x.data_ptr(), states, out.data_ptr(), free.data_ptr(), after.data_ptr())
    fenced.check()
    assert (free[x.numel() :] == 77).all()
    return {"out": out, "after": after, "ends": ends, "kept": kept, "free": free[: x.numel()], "begun": begun}


def backward(given: dict[str, Any], scan: RowScan, found: dict[str, Any]) -> list[Any]:
    """Gradients by x and the states; where it learns also by every sample's coefficients, which are added to 1."""
    states, x, k = given["states"][: scan.program.states], given["x"], given["k"]
    learns = bool(found["begun"])
    by_k = [k.new_empty(len(k), *x.shape[1:])] if learns else []
    fenced = Fenced(x, *states, *by_k)
    none, last = (0,) * (scan.program.arrays - len(states)), 1 + len(states)
    starts = (*at(fenced.arrays[1:last]), *none)
    ends = RowStates((*at(given["to_states"]), *none), starts, kept=at(found["kept"]), begun=at(found["begun"]))
    for sums in fenced.arrays[last:]:
        sums.fill_(1.0)
    to_out, free, more = given["to_out"].data_ptr(), found["free"].data_ptr(), at([x, *fenced.arrays[last:]])
    rows_backward(scan, k.data_ptr(), to_out, ends, fenced.arrays[0].data_ptr(), free, *(more if learns else ()))
    fenced.check()
    return list(fenced.arrays)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_forwards_every_bit_is_that_of_plain_torch(name: str, dtype: str) -> None:
    program = PROGRAMS[name]
    for size, grid in [*((size, 0.0) for size in SIZES), ((6, 3, 50), 0.25)]:
        given = case(program, *size, getattr(torch, dtype), grid)
        out, after, ends = plain_rows(given["x"], given["states"], given["k"], program, Slope.ATAN, 2.0)
        for threads in (1, 2):
            found = forward(given, job(given, program, threads=threads))
            assert torch.equal(found["out"], out), (size, threads)
            assert torch.equal(found["after"], after), (size, threads)
            assert all(torch.equal(*pair) for pair in zip(found["ends"], ends, strict=True)), (size, threads)
        if program.condition is not None and size[2] > 30:
            assert 0.02 < out.mean() < 0.98


# Adjoints are summed in another order than autograd's; from seven steps at most, some tens of roundings.
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("name", PROGRAMS)
def test_backwards_gradients_are_autograds(name: str, dtype: str, tolerance: float) -> None:
    program = PROGRAMS[name]
    for i, (steps, batch, neurons) in enumerate(SIZES[1:5]):
        given = case(program, steps, batch, neurons, getattr(torch, dtype))
        slope = list(Slope)[(i + len(name)) % 5] if i else Slope.ATAN
        x, *states = (part.clone().requires_grad_() for part in (given["x"], *given["states"][: program.states]))
        every = [*states, *given["states"][program.states :]]
        out, _, ends = plain_rows(x, every, given["k"], program, slope, P[slope])
        pairs = zip([out, *ends[: program.states]], [given["to_out"], *given["to_states"]], strict=True)
        loss = sum((made * by).sum() for made, by in pairs)
        wanted = torch.autograd.grad(loss, [x, *states], allow_unused=True, materialize_grads=True)
        scan = job(given, program, slope)
        found = backward(given, scan, forward(given, scan))
        assert wanted[0].abs().max() > 1e-3
        for ours, theirs in zip(found, wanted, strict=True):
            assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max(), (neurons, slope)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_by_coefficients_are_autograds(name: str, dtype: str, tolerance: float) -> None:
    """Of those that several lines share too; and nothing else changes by a bit."""
    program = PROGRAMS[name]
    trained = [number for number in range(program.coefficients) if number != program.held]
    for i, (steps, batch, neurons) in enumerate(SIZES[1:]):
        given = case(program, steps, batch, neurons, getattr(torch, dtype))
        slope = list(Slope)[(i + len(name)) % 5] if i else Slope.ATAN
        k, x = given["k"].clone().requires_grad_(), given["x"]
        out, _, ends = plain_rows(x, given["states"], k, program, slope, P[slope])
        pairs = zip([out, *ends[: program.states]], [given["to_out"], *given["to_states"]], strict=True)
        (wanted,) = torch.autograd.grad(sum((made * by).sum() for made, by in pairs), [k])
        scan = job(given, program, slope)
        plain, learning = (forward(given, scan, learns) for learns in (False, True))
        *same, by_k = backward(given, scan, learning)
        for ours, theirs in zip((learning["out"], *same), (plain["out"], *backward(given, scan, plain)), strict=True):
            assert torch.equal(ours, theirs)
        found = (by_k - 1.0).sum(1, dtype=torch.float64)
        assert wanted[trained].abs().max() > 1e-3
        # 1 is added to and taken off again: an ulp of it for each of the sums, beside what autograd's order makes.
        error = (found - wanted)[trained].abs().max()
        assert error <= tolerance * (wanted[trained].abs().max() + batch), (neurons, slope)


@pytest.mark.parametrize("size", [(2, 1, 40000), (2, 3, 17000), (2, 50, 700)])
def test_threads_change_no_bit(size: tuple[int, int, int]) -> None:
    program = PROGRAMS["moved threshold, held"]
    given = case(program, *size, torch.float32)
    found = forward(given, job(given, program), learns=True)
    back = backward(given, job(given, program), found)
    for threads in (0, 2, 3, 8):  # none: one
        again = forward(given, job(given, program, threads=threads), learns=True)
        assert torch.equal(again["out"], found["out"])
        assert all(torch.equal(*pair) for pair in zip(again["ends"], found["ends"], strict=True)), threads
        made = backward(given, job(given, program, threads=threads), found)
        assert all(torch.equal(*pair) for pair in zip(made, back, strict=True)), threads


def test_a_held_neuron_by_hand() -> None:
    """v <- v + x with the threshold 1, reset to 0.25, held for two steps after the second."""
    program = RowProgram(1, 0, (Line(0, ((0, NONE),), 0),), Line(0, ((0, NONE),), bias=1), (Line(0, bias=2),), held=3)
    x = torch.full((6, 1, 1), 0.75, dtype=torch.float64)
    given = {"x": x, "k": torch.tensor([[1.0], [-1.0], [0.25], [2.0]], dtype=torch.float64)}
    given |= {"states": [torch.zeros(1, 1, dtype=torch.float64)] * 2, "to_states": [torch.zeros_like(x[0])]}
    scan = RowScan(6, 1, 1, program, True, 1, Slope.STRAIGHT_THROUGH)
    found = forward(given, scan)
    assert found["out"].flatten().tolist() == [0, 1, 0, 0, 0, 1]  # 1 is not above 1
    assert found["after"].flatten().tolist() == [0.75, 0.25, 0.25, 0.25, 1.0, 0.25]
    assert found["free"].tolist() == [1, 1, 0, 0, 1, 1]
    assert [end.item() for end in found["ends"]] == [0.25, 2.0]
    # Only the last output counts, z = 1[v > 1] with the slope 1. dv/dv of step 4's reset: 1 + (0.25 - 1) = 0.25; of
    # step 1's: 0 + (0.25 - 1.5) = -1.25; of step 0's: 1 + (0.25 - 0.75) = 0.5. What came at steps 2 and 3 was lost.
    given["to_out"] = torch.zeros_like(x)
    given["to_out"][5] = 1.0
    by_x, by_v = backward(given, scan, found)
    assert by_x.flatten().tolist() == [0.25 * -1.25 * 0.5, 0.25 * -1.25, 0.0, 0.0, 0.25, 1.0]
    assert by_v.item() == 0.25 * -1.25 * 0.5


def test_what_is_not_given_is_zero_and_the_inputs_place_may_be_taken() -> None:
    program = PROGRAMS["both of before, both jump"]
    given = case(program, 5, 3, 40, torch.float32)
    scan, k = job(given, program), given["k"].data_ptr()
    one = [state[:1].contiguous() for state in given["states"]]
    for start, shared in (((0, 0), False), (at(one), True)):
        every = [state.expand(3, -1).contiguous() if shared else torch.zeros(3, 40) for state in one]
        expected = forward({**given, "states": every}, scan)
        x, out = given["x"].clone(), given["x"].clone()
        kept = [x, torch.empty_like(x)]
        rows_forward(scan, k, x.data_ptr(), RowStates(start, (0, 0), shared, at(kept)), out.data_ptr())
        assert torch.equal(out, expected["out"])
        assert all(torch.equal(*pair) for pair in zip(kept, expected["kept"], strict=True))
        x = given["x"].clone()
        rows_forward(scan, k, x.data_ptr(), RowStates(start, (0, 0), shared), x.data_ptr())
        assert torch.equal(x, expected["out"])
    made = torch.empty_like(given["x"])
    ends = RowStates((given["to_states"][0].data_ptr(), 0), (0, 0), kept=at(expected["kept"]))
    rows_backward(scan, k, 0, ends, made.data_ptr())
    silent = {**given, "to_out": torch.zeros_like(made), "to_states": [given["to_states"][0], torch.zeros(3, 40)]}
    assert torch.equal(made, backward(silent, scan, expected)[0])
    assert made.abs().max() > 0.01


def test_nothing_to_do_is_done() -> None:
    program = PROGRAMS["moved threshold, held"]
    for size in ((0, 3, 40), (3, 0, 40), (3, 2, 0)):
        given = case(program, *size, torch.float64)
        scan = job(given, program, threads=2)
        found = forward(given, scan)
        made = backward(given, scan, found)
        for ours, theirs in zip((*found["ends"], *made[1:]), (*given["states"], *given["to_states"]), strict=True):
            assert torch.equal(ours, theirs), size  # without a step the states are what they were


def test_what_does_not_fit_is_said_and_refused() -> None:
    source = (Path(rows.__file__).parent / "_scan.c").read_text(encoding="utf8")
    limits = dict(re.findall(r"#define (MAX_\w+) (\d+)", source))
    assert limits == {"MAX_STATES": str(MAX_STATES), "MAX_LINES": str(MAX_LINES), "MAX_TERMS": str(MAX_TERMS)}
    largest = PROGRAMS["as large as can be"]
    assert largest.fits
    long = Line(0, ((0, KEEP),) * (MAX_TERMS + 1))
    for program in (
        replace(largest, states=MAX_STATES + 1),
        replace(largest, rows=largest.rows + largest.rows[:1]),
        replace(largest, resets=largest.resets + largest.resets[:1]),
        replace(largest, rows=(long,)),
        replace(largest, condition=long),
        replace(largest, resets=(long,)),
    ):
        assert not program.fits
        nothing = (0,) * program.states
        with pytest.raises(ValueError, match="no program of rows that fits"):
            rows_forward(RowScan(0, 1, 1, program), 1, 1, RowStates(nothing, nothing), 1)
    longer = replace(largest)
    longer.__dict__["encoded"] = largest.encoded + bytes(4)  # a number too many
    with pytest.raises(ValueError, match="no program of rows that fits"):
        rows_forward(RowScan(0, 1, 1, longer), 1, 1, RowStates((0,) * 8, (0,) * 8), 1)
    with pytest.raises(ValueError, match="other states than it has"):
        rows_forward(RowScan(0, 1, 1, largest), 1, 1, RowStates((0,), (0,)), 1)


def test_the_way_back_wants_what_it_needs() -> None:
    program = PROGRAMS["moved threshold, held"]
    scan, nothing = RowScan(1, 1, 1, program), (0,) * 4
    for states, free in (
        (RowStates(nothing, nothing), 1),
        (RowStates(nothing, nothing, kept=(1, 0)), 1),
        (RowStates(nothing, nothing, kept=(1, 1)), 0),
    ):
        with pytest.raises(ValueError, match="needs what forward keeps"):
            rows_backward(scan, 1, 1, states, 1, free)
    for begun, x in (((), 1), ((1, 1), 1), ((1, 0, 1), 1), ((1, 1, 1), 0)):
        states = RowStates(nothing, nothing, kept=(1, 1), begun=begun)
        with pytest.raises(ValueError, match="need the input and all states before each step"):
            rows_backward(scan, 1, 1, states, 1, 1, x, 1)
    with pytest.raises(ValueError, match="every sample has final states of its own"):
        rows_backward(scan, 1, 1, RowStates(nothing, nothing, True, (1, 1)), 1, 1)


def test_no_more_is_kept_than_condition_and_jumps_read() -> None:
    assert {name: program.kept for name, program in SOME.items()} == {
        "moved threshold": (1, 2),
        "both of before, both jump": (0, 1),
        "resets that read what resets wrote": (0, 1, 2),
        "nothing spikes": (),
        "a row of nothing": (),
        "nothing resets": (0,),
        "as large as can be": tuple(range(8)),
    }
