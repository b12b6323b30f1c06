"""Triton's scan against a plain torch scan: on the GPU where there is one, else in Triton's interpreter on the CPU."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hasn.kernels import Reset, Rows, Slope
from tests.unit.backends.snntorch.engine_nets import NETS

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
triton = pytest.importorskip("triton", reason="pip install triton (Linux)")
from hasn.backends.snntorch.triton_trial import triton_kernels  # noqa: E402
from tests.unit.backends.snntorch.test_engine import assert_close, compiled, given, gradients, outputs  # noqa: E402
from tests.unit.backends.snntorch.test_scan_learning import gradients as by_coefficients  # noqa: E402
from tests.unit.kernels.plain import plain_scan  # noqa: E402
from tests.unit.kernels.test_scan import P, case, job  # noqa: E402

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda", 0) if GPU else torch.device("cpu")


def on_device(steps: int, batch: int, neurons: int, dtype: str) -> dict[str, Any]:
    return {name: value.to(DEVICE) for name, value in case(steps, batch, neurons, getattr(torch, dtype)).items()}


def nan_like(given: dict[str, Any], *names: str) -> list[Any]:
    return [torch.full_like(given[name], torch.nan) for name in names]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", list(Rows))
@pytest.mark.parametrize("reset", list(Reset))
def test_forwards_every_bit_is_that_of_a_plain_scan(kernels: Any, rows: Rows, reset: Reset, dtype: str) -> None:
    two = rows is not Rows.ONE
    for size in ((1, 1, 1), (5, 2, 70)):
        given = on_device(*size, dtype)
        expected = plain_scan(*(given[n] for n in "xvck"), rows, reset, Slope.ATAN, 2.0)
        out, before, after, v, c = nan_like(given, "x", "x", "x", "v", "c")
        states = kernels.States(given["v"], given["c"] if two else None, v, c if two else None)
        kernels.scan_forward(job(given, rows, reset), given["k"], given["x"], states, out, before, after)
        found = {"out": out, "before": before, "after": after, "v": v} | ({"c": c} if two else {})
        for name, ours in found.items():
            assert torch.equal(ours, expected[name]), (size, name)
    if reset is not Reset.NONE:
        assert 0.05 < out.mean() < 0.95


# As in tests/unit/kernels/test_scan.py; a GPU's exp and division add some units in the last place of float32.
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-13)])
@pytest.mark.parametrize(
    ("rows", "reset", "slope"),
    [(Rows.ONE, Reset.ZERO, slope) for slope in Slope]
    + [(rows, reset, Slope.SIGMOID) for rows in Rows for reset in Reset if (rows, reset) != (Rows.ONE, Reset.ZERO)],
)
def test_backwards_gradients_are_autograds(
    kernels: Any, rows: Rows, reset: Reset, slope: Slope, dtype: str, tolerance: float
) -> None:
    given, two = on_device(4, 2, 70, dtype), rows is not Rows.ONE
    inputs = [given[name].clone().requires_grad_() for name in "xvc"]
    expected = plain_scan(*inputs, given["k"], rows, reset, slope, P[slope])
    loss = sum((expected[end] * given[f"to_{end}"]).sum() for end in ("out", "v", "c"))
    wanted = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
    x, v, c = nan_like(given, "x", "v", "c")
    ends = kernels.States(given["to_v"], given["to_c"] if two else None, v, c if two else None)
    before = expected["before"].detach().contiguous()
    kernels.scan_backward(job(given, rows, reset, slope), given["k"], given["to_out"], ends, x, before)
    for name, ours, theirs in zip("xvc", (x, v, c), wanted, strict=True):
        if name != "c" or two:
            assert theirs.abs().max() > 1e-3
            assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max(), name


def test_what_is_not_given_is_zero_and_a_state_may_be_every_samples(kernels: Any) -> None:
    given = on_device(4, 3, 60, "float32")
    zeros, v = torch.zeros_like(given["v"]), given["v"][0].contiguous()
    scan = job(given, Rows.CURRENT_FIRST, Reset.SUBTRACT)
    expected = plain_scan(given["x"], v.expand(3, -1), zeros, given["k"], scan.rows, scan.reset, Slope.ATAN, 2.0)
    x, out = given["x"].clone(), torch.empty_like(given["x"])
    kernels.scan_forward(scan, given["k"], x, kernels.States(v, shared=True), out, before=x)
    assert torch.equal(out, expected["out"])
    assert torch.equal(x, expected["before"])
    full, short = nan_like(given, "x", "x")
    kernels.scan_backward(scan, given["k"], None, kernels.States(given["to_v"]), short, x)
    kernels.scan_backward(scan, given["k"], torch.zeros_like(x), kernels.States(given["to_v"], zeros), full, x)
    assert torch.equal(short, full)
    assert short.abs().max() > 0.01


@pytest.mark.skipif(GPU, reason="this test's networks are on the CPU")
@pytest.mark.parametrize("name", ["readout, reset to zero", "two states", "snnTorch's own neurons", "recurrent"])
def test_a_network_runs_by_it(kernels: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for way in ("scan_forward", "scan_backward"):
        run = getattr(kernels, way)
        monkeypatch.setattr(kernels, way, lambda *a, _way=way, _run=run: (calls.append(_way), _run(*a)))
    steps, fused, x = compiled(name, "steps"), compiled(name, "fused"), given(name, steps=12, batch=2)
    with torch.no_grad():
        expected = outputs(steps, x)
        assert all(torch.equal(ours, expected[key]) for key, ours in outputs(fused, x).items())
    assert_close(gradients(fused, x), gradients(steps, x), 1e-5)
    assert {*calls} == {"scan_forward", "scan_backward"}
    assert name in NETS


@pytest.mark.skipif(GPU, reason="this test's networks are on the CPU")
def test_coefficients_train_by_it(kernels: Any) -> None:
    """Two states, the voltage first: each of the recursions of the gradients."""
    x = given("two states, exact", steps=5, batch=2, dtype=torch.float64)
    fused, steps = (compiled("two states, exact", engine) for engine in ("fused", "steps"))
    assert_close(by_coefficients(fused, x), by_coefficients(steps, x), 1e-5)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("architecture", [80, 90])
def test_compiled_for_a_gpu_nothing_is_contracted(
    architecture: int, bits: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The same source without the option does contract: that the option is what does it is seen here, without a GPU."""
    compiler = pytest.importorskip("triton.backends.compiler", reason="another Triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module = triton_kernels()
    constants = {"ROWS": 2, "RESET": 1, "SHARED": True, "BLOCK": module.BLOCK}
    sizes = dict.fromkeys(("steps", "states", "neurons"), "i32") | dict.fromkeys(constants, "constexpr")
    kinds = {name: sizes.get(name, f"*fp{bits}") for name in module._forward.arg_names}
    source = triton.compiler.ASTSource(fn=module._forward, signature=kinds, constexprs=constants)
    target, counts = compiler.GPUTarget("cuda", architecture, 32), {}
    for fusion in (module.OPTIONS["enable_fp_fusion"], True):
        made = triton.compile(source, target=target, options={**module.OPTIONS, "enable_fp_fusion": fusion})
        counts[fusion] = len(re.findall(rf"\bfma[\w.]*f{bits}", made.asm["ptx"]))
    assert counts[False] == 0
    assert counts[True] > 0
