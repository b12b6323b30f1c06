"""Triton's scan against a plain torch scan: on the GPU where there is one, else in Triton's interpreter on the CPU."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from hasn.kernels import Reset, Rows, Slope
from tests.unit.backends.snntorch.engine_nets import NETS

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
triton = pytest.importorskip("triton", reason="pip install triton (Linux)")
from hasn.backends.snntorch import scan_places  # noqa: E402
from tests.unit.backends.snntorch.test_engine import assert_close, compiled, given, gradients, outputs  # noqa: E402
from tests.unit.backends.snntorch.test_scan_learning import gradients as by_coefficients  # noqa: E402
from tests.unit.kernels.plain import plain_scan  # noqa: E402
from tests.unit.kernels.test_scan import P, case, job  # noqa: E402

GPU = torch.cuda.is_available()
DEVICE = torch.device("cuda", 0) if GPU else torch.device("cpu")


@cache
def interpreted(name: str = "scan_triton") -> Any:
    """A copy of the module whose functions Triton interprets: it looks at the switch when it wraps them."""
    found = importlib.util.find_spec(f"hasn.backends.snntorch.{name}")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        if name != "scan_triton":
            patch.setitem(sys.modules, "hasn.backends.snntorch.scan_triton", interpreted())
        found.loader.exec_module(module)
    return module


@pytest.fixture
def triton_scan(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The scan, and everything that looks for it finds this one."""
    name = "hasn.backends.snntorch.scan_triton"
    if not GPU:
        monkeypatch.setitem(sys.modules, name, interpreted())
        monkeypatch.setitem(sys.modules, "hasn.backends.snntorch.rows_triton", interpreted("rows_triton"))
        monkeypatch.setenv("TRITON_INTERPRET", "1")  # the functions of rows are wrapped when they are made
        monkeypatch.setattr(scan_places, "_GPU", "cpu")
    monkeypatch.delenv("HASN_KERNELS", raising=False)
    yield importlib.import_module(name)
    scan_places._passed.cache_clear()


def on_device(steps: int, batch: int, neurons: int, dtype: str) -> dict[str, Any]:
    return {name: value.to(DEVICE) for name, value in case(steps, batch, neurons, getattr(torch, dtype)).items()}


def nan_like(given: dict[str, Any], *names: str) -> list[Any]:
    return [torch.full_like(given[name], torch.nan) for name in names]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", list(Rows))
@pytest.mark.parametrize("reset", list(Reset))
def test_forwards_every_bit_is_that_of_a_plain_scan(triton_scan: Any, rows: Rows, reset: Reset, dtype: str) -> None:
    two = rows is not Rows.ONE
    for size in ((1, 1, 1), (5, 2, 70)):
        given = on_device(*size, dtype)
        expected = plain_scan(*(given[n] for n in "xvck"), rows, reset, Slope.ATAN, 2.0)
        out, before, after, v, c = nan_like(given, "x", "x", "x", "v", "c")
        states = triton_scan.States(given["v"], given["c"] if two else None, v, c if two else None)
        triton_scan.scan_forward(job(given, rows, reset), given["k"], given["x"], states, out, before, after)
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
    triton_scan: Any, rows: Rows, reset: Reset, slope: Slope, dtype: str, tolerance: float
) -> None:
    given, two = on_device(4, 2, 70, dtype), rows is not Rows.ONE
    inputs = [given[name].clone().requires_grad_() for name in "xvc"]
    expected = plain_scan(*inputs, given["k"], rows, reset, slope, P[slope])
    loss = sum((expected[end] * given[f"to_{end}"]).sum() for end in ("out", "v", "c"))
    wanted = torch.autograd.grad(loss, inputs, allow_unused=True, materialize_grads=True)
    x, v, c = nan_like(given, "x", "v", "c")
    ends = triton_scan.States(given["to_v"], given["to_c"] if two else None, v, c if two else None)
    before = expected["before"].detach().contiguous()
    triton_scan.scan_backward(job(given, rows, reset, slope), given["k"], given["to_out"], ends, x, before)
    for name, ours, theirs in zip("xvc", (x, v, c), wanted, strict=True):
        if name != "c" or two:
            assert theirs.abs().max() > 1e-3
            assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max(), name


def test_what_is_not_given_is_zero_and_a_state_may_be_every_samples(triton_scan: Any) -> None:
    given = on_device(4, 3, 60, "float32")
    zeros, v = torch.zeros_like(given["v"]), given["v"][0].contiguous()
    scan = job(given, Rows.CURRENT_FIRST, Reset.SUBTRACT)
    expected = plain_scan(given["x"], v.expand(3, -1), zeros, given["k"], scan.rows, scan.reset, Slope.ATAN, 2.0)
    x, out = given["x"].clone(), torch.empty_like(given["x"])
    triton_scan.scan_forward(scan, given["k"], x, triton_scan.States(v, shared=True), out, before=x)
    assert torch.equal(out, expected["out"])
    assert torch.equal(x, expected["before"])
    full, short = nan_like(given, "x", "x")
    triton_scan.scan_backward(scan, given["k"], None, triton_scan.States(given["to_v"]), short, x)
    triton_scan.scan_backward(scan, given["k"], torch.zeros_like(x), triton_scan.States(given["to_v"], zeros), full, x)
    assert torch.equal(short, full)
    assert short.abs().max() > 0.01


@pytest.mark.skipif(GPU, reason="this test's networks are on the CPU")
@pytest.mark.parametrize("name", ["readout, reset to zero", "two states", "snnTorch's own neurons", "recurrent"])
def test_a_network_runs_by_it(triton_scan: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for way in ("scan_forward", "scan_backward"):
        run = getattr(triton_scan, way)
        monkeypatch.setattr(triton_scan, way, lambda *a, _way=way, _run=run: (calls.append(_way), _run(*a)))
    steps, fused, x = compiled(name, "steps"), compiled(name, "fused"), given(name, steps=12, batch=2)
    with torch.no_grad():
        expected = outputs(steps, x)
        assert all(torch.equal(ours, expected[key]) for key, ours in outputs(fused, x).items())
    assert_close(gradients(fused, x), gradients(steps, x), 1e-5)
    assert {*calls} == {"scan_forward", "scan_backward"}
    assert name in NETS


@pytest.mark.skipif(GPU, reason="this test's networks are on the CPU")
def test_coefficients_train_by_it(triton_scan: Any) -> None:
    """Two states, the voltage first: each of the recursions of scan_learning."""
    x = given("two states, exact", steps=5, batch=2, dtype=torch.float64)
    fused, steps = (compiled("two states, exact", engine) for engine in ("fused", "steps"))
    assert_close(by_coefficients(fused, x), by_coefficients(steps, x), 1e-5)


def test_a_trial_passes_with_the_kernel_as_it_is(triton_scan: Any) -> None:
    scan_places._passed.cache_clear()
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("error")
        assert scan_places.triton_runs_on(DEVICE)


def test_without_the_kernels_triton_is_not_asked(triton_scan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "0")
    assert not scan_places.triton_runs_on(DEVICE)


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
    triton_scan: Any, way: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(triton_scan, way.split()[0], broken(way, triton_scan))
    scan_places._passed.cache_clear()
    with pytest.warns(RuntimeWarning, match=f"Triton's scan does not work on {DEVICE}.*{said}"):
        assert not scan_places.triton_runs_on(DEVICE)
    name, x = "two states", given("two states", steps=6, batch=2)
    expected = outputs(compiled(name, "steps"), x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(torch.equal(ours, expected[key]) for key, ours in outputs(compiled(name, "fused"), x).items())
    scan_places._passed.cache_clear()


def test_a_gradient_may_be_rounded_otherwise(triton_scan: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_scan, "scan_backward", broken("scan_backward rounds", triton_scan))
    scan_places._passed.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert scan_places.triton_runs_on(DEVICE)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("architecture", [80, 90])
def test_compiled_for_a_gpu_nothing_is_contracted(
    architecture: int, bits: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """The same source without the option does contract: that the option is what does it is seen here, without a GPU."""
    compiler = pytest.importorskip("triton.backends.compiler", reason="another Triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module = importlib.import_module("hasn.backends.snntorch.scan_triton")
    constants = {"ROWS": 2, "RESET": 1, "SHARED": True, "BLOCK": module.BLOCK}
    sizes = dict.fromkeys(("steps", "states", "neurons"), "i32") | dict.fromkeys(constants, "constexpr")
    kinds = {name: sizes.get(name, f"*fp{bits}") for name in module._forward.arg_names}
    source = triton.compiler.ASTSource(fn=module._forward, signature=kinds, constexprs=constants)
    target, counts = compiler.GPUTarget("cuda", architecture, 32), {}
    for fusion in (module._OPTIONS["enable_fp_fusion"], True):
        made = triton.compile(source, target=target, options={**module._OPTIONS, "enable_fp_fusion": fusion})
        counts[fusion] = len(re.findall(rf"\bfma[\w.]*f{bits}", made.asm["ptx"]))
    assert counts[False] == 0
    assert counts[True] > 0
