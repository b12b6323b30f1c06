"""Which kernel is asked, with stand-ins for a GPU and for Triton."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from hasn.kernels import Implementation

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import kernel_calls, triton_trial  # noqa: E402

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("compiled", "gpu", "switch", "wanted"),
    [
        (True, False, "1", True),
        (False, True, "1", True),
        (False, True, "0", False),
        (False, False, "1", False),
    ],
)
def test_whether_a_kernel_may_be_of_use(
    compiled: bool, gpu: bool, switch: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_calls, "available", lambda: Implementation("c" if compiled else "none"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setenv("HASN_KERNELS", switch)
    assert kernel_calls.possible() is wanted


@pytest.mark.parametrize(
    ("switch", "installed", "passes", "wanted"),
    [("1", True, True, True), ("0", True, True, False), ("1", False, True, False), ("1", True, False, False)],
)
def test_a_gpus_tensors_are_read_by_triton_alone(
    switch: str, installed: bool, passes: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands for the GPU here, and the C kernels are not asked for its tensors."""
    tried: list[Any] = []
    monkeypatch.setattr(kernel_calls, "_GPU", "cpu")
    monkeypatch.setattr(kernel_calls, "available", lambda: pytest.fail("asked for the CPU's kernels"))
    monkeypatch.setattr(triton_trial, "_passed", lambda device, rows: (tried.append(device), passes)[1])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: (name == "triton" and installed) or None)
    monkeypatch.setenv("HASN_KERNELS", switch)
    assert kernel_calls.reads(torch.zeros(2)) is wanted
    assert tried == ([CPU] if switch == "1" and installed else [])
