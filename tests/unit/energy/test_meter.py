"""The machine's own meters, on a folder that looks like the kernel's and a driver made of numbers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hasn.energy import Meter
from hasn.energy.meter import nvml_readings, rapl_readings
from hasn.energy.text import joules_text


def package(root: Path, name: str, energy: str, most: str = "1000") -> None:
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "energy_uj").write_text(energy + "\n")
    (folder / "max_energy_range_uj").write_text(most + "\n")


def boards(*readings: list[int]) -> Callable[[], list[int]]:
    left = iter(readings)
    return lambda: next(left)


def test_packages_and_boards_are_summed(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", "100")
    package(tmp_path, "intel-rapl:1", "900")
    package(tmp_path, "intel-rapl:0:0", "5")  # a part of package 0
    with Meter(tmp_path, boards([5000, 100], [6500, 350])) as meter:
        package(tmp_path, "intel-rapl:0", "250")
        package(tmp_path, "intel-rapl:1", "50")  # its counter has started anew: 900 .. 1000, 0 .. 50
        package(tmp_path, "intel-rapl:0:0", "999")
    assert meter.cpu == pytest.approx((150 + 151) * 1e-6, rel=1e-12)
    assert meter.gpu == pytest.approx(1.75, rel=1e-12)


def test_a_machine_without_meters_is_unknown(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "none"):
        with Meter(root, boards([], [])) as meter:
            pass
        assert (meter.cpu, meter.gpu) == (None, None)


def test_a_meter_that_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", "100")
    package(tmp_path, "intel-rapl:1", "no number")
    assert rapl_readings(tmp_path) == {}
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert rapl_readings(tmp_path) == {}
    with Meter(tmp_path, boards([5, 6], [7])) as meter:  # a board has gone
        pass
    assert (meter.cpu, meter.gpu) == (None, None)


def test_a_package_that_goes_is_unknown(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", "100")
    with Meter(tmp_path, boards([], [])) as meter:
        package(tmp_path, "intel-rapl:1", "100")
    assert meter.cpu is None


def test_without_a_driver_there_is_nothing_to_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr("hasn.energy.meter.ctypes.CDLL", missing)
    assert nvml_readings() == []


@pytest.mark.parametrize("fails", [None, "init", "count", "handle", "energy"])
def test_the_drivers_answers(fails: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    class Driver:
        closed = 0

        def nvmlInit_v2(self) -> int:  # noqa: N802
            return fails == "init"

        def nvmlShutdown(self) -> None:  # noqa: N802
            Driver.closed += 1

        def nvmlDeviceGetCount_v2(self, count: object) -> int:  # noqa: N802
            count._obj.value = 2  # type: ignore[attr-defined]
            return fails == "count"

        def nvmlDeviceGetHandleByIndex_v2(self, number: int, device: object) -> int:  # noqa: N802
            device._obj.value = 100 + number  # type: ignore[attr-defined]
            return fails == "handle"

        def nvmlDeviceGetTotalEnergyConsumption(self, device: object, energy: object) -> int:  # noqa: N802
            energy._obj.value = 10 * device.value  # type: ignore[attr-defined]
            return fails == "energy"

    monkeypatch.setattr("hasn.energy.meter.ctypes.CDLL", lambda name: Driver())
    assert nvml_readings() == ([1000, 1010] if fails is None else [])
    assert Driver.closed == (fails != "init")


@pytest.mark.parametrize(
    ("joules", "text"),
    [(0, "0 J"), (1.2345e-9, "1.23 nJ"), (9.996e-10, "1 nJ"), (9.99e-10, "999 pJ"), (2e-17, "0.02 fJ"), (1.5, "1.5 J"),
     (3.3e-6, "3.3 µJ")],
)  # fmt: skip
def test_joules_as_text(joules: float, text: str) -> None:
    assert joules_text(joules) == text
