"""The numba scan against the C one: the same bits both ways, and threads that do not change them."""

from __future__ import annotations

import multiprocessing
from typing import Any

import pytest

from hasn.kernels import Reset, Rows, Slope, implementation

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
numba_scan = pytest.importorskip("hasn.kernels.numba_scan", reason="pip install 'hasn[kernels]'")
from tests.unit.kernels.test_scan import backward, case, forward, job  # noqa: E402  it imports torch


def both_ways(given: dict[str, Any], rows: Rows, reset: Reset, slope: Slope, threads: int = 1) -> list[Any]:
    """All that a scan and its adjoint give."""
    scan = job(given, rows, reset, slope, threads)
    found = forward(given, scan)
    made = backward(given, scan, found["before"])
    one = rows is Rows.ONE
    return [*(a for name, a in found.items() if not (one and name == "c")), *made[: 2 if one else 3]]


@pytest.mark.skipif(implementation._compiled_c()[0] is None, reason="no C was built to compare with")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows", list(Rows))
@pytest.mark.parametrize("reset", list(Reset))
def test_every_bit_is_that_of_c(rows: Rows, reset: Reset, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for slope in Slope:
        for size in ((5, 3, 77), (3, 2, 9000)):
            given = case(*size, getattr(torch, dtype), seed=int(slope))
            found = []
            for name in ("c", "numba"):
                monkeypatch.setenv("HASN_KERNELS", name)
                found.append(both_ways(given, rows, reset, slope))
            assert all(torch.equal(*pair) for pair in zip(*found, strict=True)), (slope, size)
            assert found[0][-1].abs().max() > 1e-3


def scanned_by_threads() -> list[Any]:
    """Seven blocks for three threads."""
    return both_ways(case(9, 7, 5000, torch.float32), Rows.CURRENT_FIRST, Reset.SUBTRACT, Slope.SIGMOID, 3)


def child(queue: Any) -> None:
    """What a forked process computes; torch's own threads did not come with it."""
    torch.set_num_threads(1)
    queue.put([part.double().sum().item() for part in scanned_by_threads()])


def test_threads_change_nothing_here_or_in_a_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "numba")
    alone = scanned_by_threads()
    monkeypatch.setattr(numba_scan, "SHARE", 1000)
    together = scanned_by_threads()
    assert all(torch.equal(*pair) for pair in zip(alone, together, strict=True))
    assert numba_scan._pool(numba_scan.os.getpid())._threads
    if "fork" in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("fork")
        queue = context.Queue()
        process = context.Process(target=child, args=(queue,), daemon=True)
        process.start()
        assert queue.get(timeout=60) == [part.double().sum().item() for part in alone]
        process.join(timeout=60)
