"""Triton's trial on a device: what it tries, that it passes, and that what fails it is named and not used."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from hasn.kernels import Reset

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("triton", reason="pip install triton (Linux)")
from hasn.backends.snntorch import triton_trial  # noqa: E402
from tests.unit.backends.snntorch.test_engine import compiled, given, outputs  # noqa: E402
from tests.unit.backends.snntorch.test_scan_triton import DEVICE  # noqa: E402

CPU = torch.device("cpu")


def test_the_trial_has_every_case_in_it() -> None:
    """Neurons that spike and that do not, at every step and in both samples; drives and states of either sign."""
    x, v, c, k = triton_trial._numbers(CPU)
    assert (x.shape, v.shape, c.shape, k.shape) == ((4, 2, 200), (2, 200), (2, 200), (8, 200))
    for part, low, high in ((x, -0.5, 1.5), (v, -0.5, 0.5), (c, -0.5, 0.5), (k, 0, 1)):
        assert low <= part.min() < low + 0.02 < high - 0.02 < part.max() <= high
        assert part.unique().numel() > 0.99 * part.numel()
    spikes, before, end_v, _ = triton_trial._by_torch(Reset.ZERO, k, x, v, c)
    assert bool(((spikes.mean(-1) > 0.1) & (spikes.mean(-1) < 0.9)).all())
    assert torch.equal(spikes, (before > k[6]).float())
    assert torch.equal(end_v[spikes[-1] == 1], k[7].expand(2, -1)[spikes[-1] == 1])
    rising, *_ = triton_trial._by_torch(Reset.NONE, k, x, v, c)
    assert not torch.equal(rising[1:], before[1:])
    assert torch.equal(rising[0], before[0])


def test_a_trial_passes_with_the_kernel_as_it_is(kernels: Any) -> None:
    triton_trial._passed.cache_clear()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        assert triton_trial.triton_runs_on(DEVICE)


def test_without_the_kernels_triton_is_not_asked(kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "0")
    assert not triton_trial.triton_runs_on(DEVICE)


def broken(way: str, module: Any) -> Any:
    """A scan that does not compile, one with a rounding less, and one whose gradient is a little off."""
    run = getattr(module, way.split()[0])

    def other(scan: Any, k: Any, x: Any, states: Any, out: Any, *more: Any) -> None:
        run(scan, k, x, states, out, *more)
        if way == "scan_forward contracts":
            more[0][2, 1, 70] *= 1 + 2**-23
        elif way == "scan_backward is off":
            out[0, 0, 0] += 1e-2
        elif way == "scan_backward is off by 3e-4":
            out *= 1 + 3e-4
        elif way == "scan_backward rounds":
            out *= 1 + 3e-6
        else:
            raise RuntimeError("ptxas is not here")

    return other


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("scan_forward contracts", "other numbers than torch's own"),
        ("scan_backward is off", "other gradients"),
        ("scan_backward is off by 3e-4", "other gradients"),
        ("scan_backward does not compile", "RuntimeError: ptxas is not here"),
    ],
)
def test_a_kernel_that_fails_its_trial_is_named_and_not_used(
    kernels: Any, way: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, way.split()[0], broken(way, kernels))
    triton_trial._passed.cache_clear()
    with pytest.warns(RuntimeWarning, match=f"Triton's scan does not work on {DEVICE}.*{said}"):
        assert not triton_trial.triton_runs_on(DEVICE)
    name, x = "two states", given("two states", steps=6, batch=2)
    expected = outputs(compiled(name, "steps"), x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(torch.equal(ours, expected[key]) for key, ours in outputs(compiled(name, "fused"), x).items())
    triton_trial._passed.cache_clear()


def test_a_gradient_may_be_rounded_otherwise(kernels: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "scan_backward", broken("scan_backward rounds", kernels))
    triton_trial._passed.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert triton_trial.triton_runs_on(DEVICE)


def test_a_trial_passes_with_the_rows_as_they_are(kernels: Any) -> None:
    triton_trial._passed.cache_clear()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        assert triton_trial.triton_runs_on(DEVICE, rows=True)


def test_the_trial_is_of_neurons_that_spike_and_are_held() -> None:
    x, v, w, k = triton_trial._numbers(CPU)
    k[5], k[7] = -k[5], (3 * k[7]).floor()
    out, _, _, left = triton_trial._rows_by_torch(k, x, v, w)
    assert 0.1 < out.mean() < 0.9
    assert {float(n) for n in left.unique()} == {0.0, 1.0, 2.0}


@pytest.mark.parametrize(
    ("way", "said"),
    [("rows_forward", "other numbers than torch's own"), ("rows_backward", "other gradients"), ("rows_call", "ptxas")],
)
def test_rows_that_fail_their_trial_are_named_and_not_used(
    kernels: Any, way: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor are they asked again; what has loops of its own goes on by them."""

    def other(scan: Any, k: Any, x: Any, states: Any, out: Any, *more: Any) -> None:
        if said == "ptxas":
            raise RuntimeError("ptxas is not here")
        call(scan, k, x, states, out, *more)
        out[1, 1, 70] += 2**-10

    name = way if way != "rows_call" else "rows_backward"
    call = getattr(kernels, name)
    monkeypatch.setattr(kernels, name, other)
    triton_trial._passed.cache_clear()
    with pytest.warns(RuntimeWarning, match=f"Triton's scan does not work on {DEVICE}.*{said}"):
        assert not triton_trial.triton_runs_on(DEVICE, rows=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not triton_trial.triton_runs_on(DEVICE, rows=True)
        assert triton_trial.triton_runs_on(DEVICE)
    triton_trial._passed.cache_clear()
