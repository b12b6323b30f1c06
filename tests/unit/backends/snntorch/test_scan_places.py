"""Which kernel is asked, with stand-ins for a GPU and for Triton; and what the trial on a GPU tries."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from hasn.kernels import Implementation, Reset

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import scan_places  # noqa: E402

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
    monkeypatch.setattr(scan_places, "available", lambda: Implementation("c" if compiled else "none"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setenv("HASN_KERNELS", switch)
    assert scan_places.possible() is wanted


@pytest.mark.parametrize(
    ("switch", "installed", "passes", "wanted"),
    [("1", True, True, True), ("0", True, True, False), ("1", False, True, False), ("1", True, False, False)],
)
def test_a_gpus_tensors_are_read_by_triton_alone(
    switch: str, installed: bool, passes: bool, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU stands for the GPU here, and the C kernels are not asked for its tensors."""
    tried: list[Any] = []
    monkeypatch.setattr(scan_places, "_GPU", "cpu")
    monkeypatch.setattr(scan_places, "available", lambda: pytest.fail("asked for the CPU's kernels"))
    monkeypatch.setattr(scan_places, "_passed", lambda device, rows: (tried.append(device), passes)[1])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: (name == "triton" and installed) or None)
    monkeypatch.setenv("HASN_KERNELS", switch)
    assert scan_places.reads(torch.zeros(2)) is wanted
    assert tried == ([CPU] if switch == "1" and installed else [])


def test_the_trial_has_every_case_in_it() -> None:
    """Neurons that spike and that do not, at every step and in both samples; drives and states of either sign."""
    x, v, c, k = scan_places._numbers(CPU)
    assert (x.shape, v.shape, c.shape, k.shape) == ((4, 2, 200), (2, 200), (2, 200), (8, 200))
    for part, low, high in ((x, -0.5, 1.5), (v, -0.5, 0.5), (c, -0.5, 0.5), (k, 0, 1)):
        assert low <= part.min() < low + 0.02 < high - 0.02 < part.max() <= high
        assert part.unique().numel() > 0.99 * part.numel()
    spikes, before, end_v, _ = scan_places._by_torch(Reset.ZERO, k, x, v, c)
    assert bool(((spikes.mean(-1) > 0.1) & (spikes.mean(-1) < 0.9)).all())
    assert torch.equal(spikes, (before > k[6]).float())
    assert torch.equal(end_v[spikes[-1] == 1], k[7].expand(2, -1)[spikes[-1] == 1])
    rising, *_ = scan_places._by_torch(Reset.NONE, k, x, v, c)
    assert not torch.equal(rising[1:], before[1:])
    assert torch.equal(rising[0], before[0])
