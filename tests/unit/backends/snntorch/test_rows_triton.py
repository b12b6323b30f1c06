"""Triton's rows against plain torch's: on the GPU where there is one, else in Triton's interpreter on the CPU."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hasn.kernels import Slope
from tests.unit.kernels.test_rows import PROGRAMS, case, job

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
triton = pytest.importorskip("triton", reason="pip install triton (Linux)")
from hasn.backends.snntorch.triton_trial import triton_kernels  # noqa: E402
from tests.unit.backends.snntorch.test_engine import assert_close, compiled, given, gradients, outputs  # noqa: E402
from tests.unit.backends.snntorch.test_scan_triton import DEVICE, GPU  # noqa: E402
from tests.unit.kernels.plain import plain_rows  # noqa: E402
from tests.unit.kernels.test_scan import P  # noqa: E402


def on_device(name: str, dtype: str, steps: int = 4) -> dict[str, Any]:
    found = case(PROGRAMS[name], steps, 2, 70, getattr(torch, dtype))
    return {
        key: [v.to(DEVICE) for v in value] if isinstance(value, list) else value.to(DEVICE)
        for key, value in found.items()
    }


def nan_like(*likes: Any) -> list[Any]:
    return [torch.full_like(like, torch.nan) for like in likes]


# As in tests/unit/kernels/test_rows.py; a GPU's exp and division add some units in the last place of float32.
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-5), ("float64", 1e-13)])
@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "as large as can be"])
def test_bits_and_gradients_are_plain_torchs(kernels: Any, name: str, dtype: str, tolerance: float) -> None:
    program, drawn = PROGRAMS[name], on_device(name, dtype)
    scan, size = job(drawn, program, Slope.SIGMOID), program.states
    x, *states = (part.clone().requires_grad_() for part in (drawn["x"], *drawn["states"][:size]))
    every = [*states, *drawn["states"][size:]]
    wanted = plain_rows(x, every, drawn["k"], program, Slope.SIGMOID, P[Slope.SIGMOID])

    out, after, *ends = nan_like(x, x, *drawn["states"])
    kept, free = nan_like(*(x for _ in program.kept)), torch.full(x.shape, 7, dtype=torch.uint8, device=DEVICE)
    free = free if program.held >= 0 else None
    at = kernels.RowTensors(drawn["states"], ends, False, kept)
    kernels.rows_forward(scan, drawn["k"], drawn["x"], at, out, free, after)
    for ours, theirs in zip((out, after, *ends), (*wanted[:2], *wanted[2]), strict=True):
        assert torch.equal(ours, theirs)

    pairs = zip([wanted[0], *wanted[2][:size]], [drawn["to_out"], *drawn["to_states"]], strict=True)
    loss = sum((made * by).sum() for made, by in pairs)
    by_hand = torch.autograd.grad(loss, [x, *states], allow_unused=True, materialize_grads=True)
    by_x, *by_states = nan_like(x, *states)
    none = [None] * (program.arrays - size)
    at = kernels.RowTensors([*drawn["to_states"], *none], [*by_states, *none], kept=kept)
    kernels.rows_backward(scan, drawn["k"], drawn["to_out"], at, by_x, free)
    for ours, theirs in zip((by_x, *by_states), by_hand, strict=True):
        assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()


def test_what_is_not_given_is_zero_and_a_state_may_be_every_samples(kernels: Any) -> None:
    name = "both of before, both jump"
    program, drawn = PROGRAMS[name], on_device(name, "float32")
    scan, one = job(drawn, program), [state[0].contiguous() for state in drawn["states"]]
    every = [state.expand(2, -1) for state in one]
    wanted, _, _ = plain_rows(drawn["x"], every, drawn["k"], program, Slope.ATAN, 2.0)
    x = drawn["x"].clone()
    kernels.rows_forward(scan, drawn["k"], x, kernels.RowTensors(one, (None, None), True), x)
    assert torch.equal(x, wanted)
    x, (kept, out) = drawn["x"].clone(), nan_like(x, x)
    kernels.rows_forward(scan, drawn["k"], x, kernels.RowTensors(one, (None, None), True, (x, kept)), out)
    assert torch.equal(out, wanted)
    short, full = nan_like(x, x)
    start, zeros = drawn["to_states"][0], torch.zeros_like(drawn["to_states"][0])
    kernels.rows_backward(
        scan, drawn["k"], None, kernels.RowTensors((start, None), (None, None), kept=(x, kept)), short
    )
    at = kernels.RowTensors((start, zeros), (None, None), kept=(x, kept))
    kernels.rows_backward(scan, drawn["k"], torch.zeros_like(x), at, full)
    assert torch.equal(short, full)
    assert short.abs().max() > 0.01


@pytest.mark.skipif(GPU, reason="this test's networks are on the CPU")
@pytest.mark.parametrize("name", ["moving thresholds", "resonators, exact", "held"])
def test_a_network_runs_by_it(kernels: Any, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    for way in ("rows_forward", "rows_backward"):
        call = getattr(kernels, way)
        monkeypatch.setattr(kernels, way, lambda *a, _way=way, _call=call: (calls.append(_way), _call(*a)))
    steps, fused, x = compiled(name, "steps"), compiled(name, "fused"), given(name, steps=8, batch=2)
    with torch.no_grad():
        expected = outputs(steps, x)
        assert all(torch.equal(ours, expected[key]) for key, ours in outputs(fused, x).items())
    assert_close(gradients(fused, x), gradients(steps, x), 1e-5)
    assert {*calls} == {"rows_forward", "rows_backward"}


@pytest.mark.parametrize("bits", [32, 64])
def test_compiled_for_a_gpu_nothing_is_contracted(bits: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """The same source without the option does contract."""
    compiler = pytest.importorskip("triton.backends.compiler", reason="another Triton")
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    module = triton_kernels()
    made = module.functions(PROGRAMS["moved threshold, held"])
    for function, choice in zip(made, ({"SHARED": True}, {"SLOPE": 1}), strict=True):
        constants = {**choice, "BLOCK": module.BLOCK}
        sizes = dict.fromkeys(("steps", "states", "neurons"), "i32") | dict.fromkeys(constants, "constexpr")
        kinds = {name: (sizes | {"is_free": "*u8"}).get(name, f"*fp{bits}") for name in function.arg_names}
        source = triton.compiler.ASTSource(fn=function, signature=kinds, constexprs=constants)
        target, counts = compiler.GPUTarget("cuda", 90, 32), {}
        for fusion in (module.OPTIONS["enable_fp_fusion"], True):
            built = triton.compile(source, target=target, options={**module.OPTIONS, "enable_fp_fusion": fusion})
            counts[fusion] = len(re.findall(rf"\bfma[\w.]*f{bits}", built.asm["ptx"]))
        assert counts[False] == 0
        assert counts[True] > counts[False]
