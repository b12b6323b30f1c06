"""The C scan against a plain torch scan: the same bits forwards, the same gradients backwards."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hasn.kernels import Reset, Rows, Scan, Slope, States, available, scan_backward, scan_forward

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
from tests.unit.kernels.plain import plain_scan  # noqa: E402  it imports torch

# test_implementation sees to it that there is one where there is a compiler.
pytestmark = pytest.mark.skipif(not available(), reason=f"no kernels here: {available().why}")


# None of them a float32, but 0.
P = {Slope.ATAN: 3.1, Slope.FAST_SIGMOID: 24.9, Slope.SIGMOID: 24.9, Slope.TRIANGULAR: 0.3, Slope.STRAIGHT_THROUGH: 0.0}


def case(steps: int, batch: int, neurons: int, dtype: Any, seed: int = 0, grid: float = 0.0) -> dict[str, Any]:
    """Input, initial states, coefficients (in the order of hasn.kernels.scan.COEFFICIENTS), gradients.

    On a grid, nothing rounds for some steps, and voltages meet thresholds exactly.
    """
    torch.manual_seed(seed)

    def between(low: float, high: float, *shape: int) -> Any:
        drawn = low + (high - low) * torch.rand(*shape, dtype=dtype)
        return torch.round(drawn / grid) * grid if grid else drawn

    ranges = [(0.6, 1.0), (0.3, 1.2), (-0.1, 0.1), (0.3, 0.9), (0.3, 1.0), (0.3, 1.0), (0.4, 1.0), (-0.2, 0.5)]
    return {
        "x": between(-1.0, 1.5, steps, batch, neurons),
        "v": between(-0.5, 0.4, batch, neurons),
        "c": between(-0.5, 0.5, batch, neurons),
        "k": torch.stack([between(low, high, neurons) for low, high in ranges]),
        "to_out": between(-1.0, 1.0, steps, batch, neurons),
        "to_v": between(-1.0, 1.0, batch, neurons),
        "to_c": between(-1.0, 1.0, batch, neurons),
    }


def job(given: dict[str, Any], rows: Rows, reset: Reset, slope: Slope = Slope.ATAN, threads: int = 1) -> Scan:
    double = given["x"].dtype == torch.float64
    return Scan(*given["x"].shape, rows, reset, double, threads, slope, P[slope])


class Fenced:
    """Memory for results: NaN, between numbers that must stay as they are."""

    def __init__(self, *likes: Any) -> None:
        self._rooms = [torch.full((like.numel() + 128,), 12345.0, dtype=like.dtype) for like in likes]
        self.arrays = [
            room[64:-64].view(like.shape).fill_(torch.nan) for room, like in zip(self._rooms, likes, strict=True)
        ]

    def check(self) -> None:
        """Whether nothing was written beside them."""
        assert all((room[:64] == 12345.0).all() and (room[-64:] == 12345.0).all() for room in self._rooms)


def forward(given: dict[str, Any], scan: Scan) -> dict[str, Any]:
    x = given["x"]
    fenced = Fenced(x, x, x, given["v"], given["c"])
    found = dict(zip(("out", "before", "after", "v", "c"), fenced.arrays, strict=True))
    two = scan.rows is not Rows.ONE
    ends = (given["v"].data_ptr(), given["c"].data_ptr() * two, found["v"].data_ptr(), found["c"].data_ptr() * two)
    arrays = [found[name].data_ptr() for name in ("out", "before", "after")]
    scan_forward(scan, given["k"].data_ptr(), x.data_ptr(), States(*ends), *arrays)
    fenced.check()
    return found


# 9,000 neurons take two blocks, 5 samples of 1,000 one, of 3,000 several; 33 and 17 leave rests of every vector.
SIZES = [(1, 1, 1), (7, 3, 33), (4, 5, 1000), (4, 5, 3000), (3, 2, 9000), (12, 4, 17)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", list(Rows))
@pytest.mark.parametrize("reset", list(Reset))
def test_forwards_every_bit_is_that_of_a_plain_scan(rows: Rows, reset: Reset, dtype: str) -> None:
    for size, grid in [*((size, 0.0) for size in SIZES), ((6, 3, 50), 0.25)]:
        given = case(*size, getattr(torch, dtype), grid=grid)
        expected = plain_scan(*(given[n] for n in "xvck"), rows, reset, Slope.ATAN, 2.0)
        for threads in (1, 2):
            found = forward(given, job(given, rows, reset, threads=threads))
            for name in ("out", "before", "after", "v") + (("c",) if rows is not Rows.ONE else ()):
                assert torch.equal(found[name], expected[name]), (size, name, threads)
        assert bool(grid) is bool((expected["before"] == given["k"][6]).any())
        if reset is not Reset.NONE and size[2] > 30:
            assert 0.05 < found["out"].mean() < 0.95


# Adjoints are summed in another order than autograd's; from seven steps at most, some 10 roundings.
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("slope", list(Slope))
@pytest.mark.parametrize("reset", list(Reset))
@pytest.mark.parametrize("rows", list(Rows))
def test_backwards_gradients_are_autograds(
    rows: Rows, reset: Reset, slope: Slope, dtype: str, tolerance: float
) -> None:
    for steps, batch, neurons, grid in [*((*size, 0.0) for size in SIZES[1:5]), (6, 3, 50, 0.25)]:
        given = case(min(steps, 7), batch, neurons, getattr(torch, dtype), grid=grid)
        inputs = [given[name].clone().requires_grad_() for name in "xvc"]
        expected = plain_scan(*inputs, given["k"], rows, reset, slope, P[slope])
        loss = sum((expected[end] * given[f"to_{end}"]).sum() for end in ("out", "v", "c"))
        wanted = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
        found = backward(given, job(given, rows, reset, slope), expected["before"].detach().contiguous())
        for name, ours, theirs in zip("xvc", found, wanted, strict=True):
            if name != "c" or rows is not Rows.ONE:
                assert theirs.abs().max() > 1e-3
                assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max(), (name, neurons)


def backward(given: dict[str, Any], scan: Scan, before: Any) -> list[Any]:
    """Gradients by x, v and c."""
    fenced = Fenced(*(given[name] for name in "xvc"))
    made = fenced.arrays
    two = scan.rows is not Rows.ONE
    ends = (given["to_v"].data_ptr(), given["to_c"].data_ptr() * two, made[1].data_ptr(), made[2].data_ptr() * two)
    arrays = (made[0].data_ptr(), before.data_ptr())
    scan_backward(scan, given["k"].data_ptr(), given["to_out"].data_ptr(), States(*ends), *arrays)
    fenced.check()
    return made


# Fewer samples than threads; several blocks a sample, the last one short; samples that do not divide.
@pytest.mark.parametrize("size", [(2, 1, 40000), (2, 3, 17000), (2, 50, 700), (3, 7, 4000)])
def test_threads_change_no_bit(size: tuple[int, int, int]) -> None:
    given = case(*size, torch.float32)
    rows, reset = Rows.VOLTAGE_FIRST, Reset.ZERO
    expected = plain_scan(*(given[n] for n in "xvck"), rows, reset, Slope.ATAN, 3.0)
    back = backward(given, job(given, rows, reset), expected["before"])
    for threads in (0, 2, 3, 8):  # none: one
        found = forward(given, job(given, rows, reset, threads=threads))
        assert all(torch.equal(found[name], expected[name]) for name in found), threads
        made = backward(given, job(given, rows, reset, threads=threads), expected["before"])
        assert all(torch.equal(*pair) for pair in zip(made, back, strict=True)), threads


def test_nothing_to_do_is_done() -> None:
    for size in ((0, 3, 40), (3, 0, 40), (3, 2, 0)):
        given = case(*size, torch.float64)
        scan = job(given, Rows.CURRENT_FIRST, Reset.NONE, threads=2)
        found, made = forward(given, scan), backward(given, scan, given["x"])
        for name, gradient in zip("vc", made[1:], strict=True):  # without a step the states are what they were
            assert torch.equal(found[name], given[name]), size
            assert torch.equal(gradient, given[f"to_{name}"]), size


def test_a_spike_wants_more_than_the_threshold_and_a_number() -> None:
    """v = x here; by hand."""
    given = case(1, 1, 6, torch.float64)
    given["x"][0, 0] = torch.tensor([0.5, np.nextafter(0.5, 1), np.nextafter(0.5, 0), torch.inf, -torch.inf, torch.nan])
    for row, value in enumerate((1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.5, 0.25)):
        given["k"][row] = value
    given["v"].zero_()
    for reset, after in ((Reset.ZERO, 0.25), (Reset.SUBTRACT, np.nextafter(0.5, 1) - 0.25)):
        found = forward(given, job(given, Rows.ONE, reset))
        assert found["out"][0, 0].tolist() == [0, 1, 0, 1, 0, 0]
        assert found["after"][0, 0, :3].tolist() == [0.5, after, np.nextafter(0.5, 0)]


def test_what_is_not_given_is_zero_and_what_is_not_wanted_is_left_out() -> None:
    given = case(5, 3, 40, torch.float32)
    zeros = {**given, "v": torch.zeros(3, 40), "c": torch.zeros(3, 40)}
    scan = job(given, Rows.CURRENT_FIRST, Reset.ZERO)
    expected, out = forward(zeros, scan), torch.empty_like(given["x"])
    scan_forward(scan, given["k"].data_ptr(), given["x"].data_ptr(), States(), out.data_ptr())
    assert torch.equal(out, expected["out"])
    before, made = expected["before"], torch.empty_like(out)
    scan_backward(
        scan, given["k"].data_ptr(), 0, States(v=given["to_v"].data_ptr()), made.data_ptr(), before.data_ptr()
    )
    silent = {**given, "to_out": torch.zeros_like(out), "to_c": torch.zeros(3, 40)}
    assert torch.equal(made, backward(silent, scan, before)[0])
    assert made.abs().max() > 0.01


@pytest.mark.parametrize("rows", list(Rows))
@pytest.mark.parametrize("size", [(5, 3, 200), (2, 2, 9000)])  # one block, and two in a sample
def test_v_before_the_reset_may_take_the_inputs_place_and_samples_may_share_a_state(
    rows: Rows, size: tuple[int, int, int]
) -> None:
    given = case(*size, torch.float64)
    scan = job(given, rows, Reset.SUBTRACT)
    one = {**given, **{name: given[name][:1].expand(size[1], -1).contiguous() for name in "vc"}}
    expected = forward(one, scan)
    x, out = given["x"].clone(), torch.empty_like(given["x"])
    states = States(given["v"].data_ptr(), given["c"].data_ptr(), shared=True)
    scan_forward(scan, given["k"].data_ptr(), x.data_ptr(), states, out.data_ptr(), before=x.data_ptr())
    assert torch.equal(x, expected["before"])
    assert torch.equal(out, expected["out"])


@pytest.mark.parametrize(("dtype", "last"), [("float32", 60.0), ("float64", 600.0)])
def test_the_sigmoids_slope_is_exact_where_it_counts_and_nothing_far_away(dtype: str, last: float) -> None:
    """8 u is exact, so what is left is exp's own error; snnTorch's formula overflows, and gives NaN, far below."""
    u = np.concatenate(
        [np.linspace(-last, last, 4001) / 8, np.array([-0.0, (last + 0.5) / 8, -(last + 0.5) / 8, 1e4, -1e4])]
    )
    u = np.round(u * 64) / 64
    given = case(1, 1, len(u), getattr(torch, dtype))
    given["k"][:], given["to_v"][:], given["to_out"][:] = 0.0, 0.0, 1.0
    given["k"][1] = 1.0  # gain: dL/dx is the slope
    before = torch.tensor(u).to(given["x"].dtype).reshape(1, 1, -1)
    double = given["x"].dtype == torch.float64
    scan = Scan(*given["x"].shape, Rows.ONE, Reset.SUBTRACT, double, 1, Slope.SIGMOID, 8.0)
    made = backward(given, scan, before)[0].double().numpy()[0, 0]
    e = np.exp(-abs(8 * u))
    wanted = np.where(abs(8 * u) > last, 0.0, 8 * e / (1 + e) ** 2)
    assert (abs(made - wanted) <= 12 * torch.finfo(given["x"].dtype).eps * wanted).all()  # some ten roundings
    assert (made[abs(8 * u) <= last] > 0).all()


def test_numbers_are_those_of_c() -> None:
    """By name: an enumeration in another order would be another equation."""
    source = (Path(scan_forward.__code__.co_filename).parent / "_scan.c").read_text(encoding="utf8")
    found = [re.findall(r"\w+", names) for names in re.findall(r"enum \{([^}]*)\};", source)]
    ours = ([*Rows], [*Reset], [*Slope])
    names = [
        [f"{prefix}{member.name}" for member in kind] for prefix, kind in zip(("", "RESET_", ""), ours, strict=True)
    ]
    names[0][0] = "ONE_ROW"
    assert names == found
    assert [[int(member) for member in kind] for kind in ours] == [[0, 1, 2], [0, 1, 2], [0, 1, 2, 3, 4]]


def test_what_nobody_has_to_say() -> None:
    scan = Scan(1, 2, 3, Rows.ONE, Reset.ZERO)
    assert (scan.double, scan.threads, scan.slope, scan.parameter) == (False, 1, Slope.ATAN, 2.0)
    assert States() == States(v=0, c=0, v_end=0, c_end=0, shared=False)


def test_the_way_back_wants_what_it_needs_and_no_more() -> None:
    with pytest.raises(ValueError, match="needs v before it"):
        scan_backward(Scan(1, 1, 1, Rows.ONE, Reset.ZERO), 1, 1, States(), 1)
    with pytest.raises(ValueError, match="every sample has final states of its own"):
        scan_backward(Scan(1, 1, 1, Rows.ONE, Reset.NONE), 1, 1, States(shared=True), 1)
