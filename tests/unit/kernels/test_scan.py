"""Every scan there is against a plain torch scan: the same bits forwards, the same gradients backwards."""

from __future__ import annotations

from typing import Any

import pytest

from hasn.kernels import Reset, Rows, Scan, Slope, States, available, scan_backward, scan_forward

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
from tests.unit.kernels.plain import plain_scan  # noqa: E402  it imports torch


@pytest.fixture(params=["c", "numba"], autouse=True)
def kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each implementation at hand; test_implementation sees to it that there is one."""
    monkeypatch.setenv("HASN_KERNELS", request.param)
    if not available():
        pytest.skip(f"no such kernels here: {available().why}")
    return str(request.param)


P = {Slope.ATAN: 2.0, Slope.FAST_SIGMOID: 25.0, Slope.SIGMOID: 25.0, Slope.TRIANGULAR: 1.0, Slope.STRAIGHT_THROUGH: 0.0}


def case(steps: int, batch: int, neurons: int, dtype: Any, seed: int = 0) -> dict[str, Any]:
    """Input, initial states, coefficients (in the order of hasn.kernels.scan.COEFFICIENTS), gradients."""
    torch.manual_seed(seed)

    def between(low: float, high: float, *shape: int) -> Any:
        return low + (high - low) * torch.rand(*shape, dtype=dtype)

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


def forward(given: dict[str, Any], scan: Scan) -> dict[str, Any]:
    x = given["x"]
    found = {name: torch.full_like(x, torch.nan) for name in ("out", "before", "after")}
    found |= {name: torch.full_like(given[name], torch.nan) for name in ("v", "c")}
    two = scan.rows is not Rows.ONE
    ends = (given["v"].data_ptr(), given["c"].data_ptr() * two, found["v"].data_ptr(), found["c"].data_ptr() * two)
    arrays = [found[name].data_ptr() for name in ("out", "before", "after")]
    scan_forward(scan, given["k"].data_ptr(), x.data_ptr(), States(*ends), *arrays)
    return found


# 9,000 neurons take two blocks, 5 samples of 1,000 one, of 3,000 several; 33 and 17 leave rests of every vector.
SIZES = [(1, 1, 1), (7, 3, 33), (4, 5, 1000), (4, 5, 3000), (3, 2, 9000), (12, 4, 17)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", list(Rows))
@pytest.mark.parametrize("reset", list(Reset))
def test_forwards_every_bit_is_that_of_a_plain_scan(rows: Rows, reset: Reset, dtype: str) -> None:
    for size in SIZES:
        given = case(*size, getattr(torch, dtype))
        expected = plain_scan(*(given[n] for n in "xvck"), rows, reset, Slope.ATAN, 2.0)
        for threads in (1, 2):
            found = forward(given, job(given, rows, reset, threads=threads))
            for name in ("out", "before", "after", "v") + (("c",) if rows is not Rows.ONE else ()):
                assert torch.equal(found[name], expected[name]), (size, name, threads)
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
    for steps, batch, neurons in SIZES[1:5]:
        given = case(min(steps, 7), batch, neurons, getattr(torch, dtype))
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
    made = [torch.full_like(given[name], torch.nan) for name in "xvc"]
    two = scan.rows is not Rows.ONE
    ends = (given["to_v"].data_ptr(), given["to_c"].data_ptr() * two, made[1].data_ptr(), made[2].data_ptr() * two)
    arrays = (made[0].data_ptr(), before.data_ptr())
    scan_backward(scan, given["k"].data_ptr(), given["to_out"].data_ptr(), States(*ends), *arrays)
    return made


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


def test_v_before_the_reset_may_take_the_inputs_place_and_samples_may_share_a_state() -> None:
    given = case(5, 3, 200, torch.float64)
    scan = job(given, Rows.VOLTAGE_FIRST, Reset.SUBTRACT)
    one = {**given, "v": given["v"][:1].expand(3, -1).contiguous(), "c": given["c"][:1].expand(3, -1).contiguous()}
    expected = forward(one, scan)
    x, out = given["x"].clone(), torch.empty_like(given["x"])
    states = States(given["v"].data_ptr(), given["c"].data_ptr(), shared=True)
    scan_forward(scan, given["k"].data_ptr(), x.data_ptr(), states, out.data_ptr(), before=x.data_ptr())
    assert torch.equal(x, expected["before"])
    assert torch.equal(out, expected["out"])


def test_a_far_membrane_has_no_gradient_where_the_formula_overflows() -> None:
    """exp(-25 u) is infinite in float32 below u = -3.55, and snnTorch's own sigmoid gives NaN there."""
    given = case(1, 1, 8, torch.float32)
    before = torch.linspace(-50.0, 50.0, 8).reshape(1, 1, 8)
    made = backward(given, job(given, Rows.ONE, Reset.SUBTRACT, Slope.SIGMOID), before)[0]
    assert bool(torch.isfinite(made).all())


def test_the_way_back_wants_what_it_needs() -> None:
    with pytest.raises(ValueError, match="needs v before it"):
        scan_backward(Scan(1, 1, 1, Rows.ONE, Reset.ZERO), 1, 1, States(), 1)
