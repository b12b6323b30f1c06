"""Joules that this machine's own meters read: RAPL for the CPU, NVML for GPUs; None where it has none or forbids it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

POWERCAP = Path("/sys/class/powercap")
Readings = dict[str, tuple[int, int]]


class Meter:
    """Reads the meters at both ends of a ``with`` block.

    >>> with Meter() as meter:
    ...     recording = executable.run(x)
    >>> estimate(recording, "cpu", measured=meter.cpu)

    Attributes:
        cpu: joules of the CPU packages; None: unknown.
        gpu: joules of all GPUs' boards; None: unknown.

    Args:
        powercap: where the kernel shows RAPL.
        nvml: gives the millijoules of every GPU since the driver was loaded; None: there is no such meter.
    """

    def __init__(self, powercap: Path = POWERCAP, nvml: Callable[[], list[int]] | None = None) -> None:
        self.cpu: float | None = None
        self.gpu: float | None = None
        self._powercap = powercap
        self._nvml = nvml_readings if nvml is None else nvml

    def __enter__(self) -> Meter:
        self._cpu, self._gpu = rapl_readings(self._powercap), self._nvml()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        cpu, gpu = rapl_readings(self._powercap), self._nvml()
        if self._cpu and cpu.keys() == self._cpu.keys():
            self.cpu = sum(_since(self._cpu[name], now) for name, now in cpu.items()) * 1e-6
        if self._gpu and len(gpu) == len(self._gpu):
            self.gpu = sum(now - before for before, now in zip(self._gpu, gpu, strict=True)) * 1e-3


def _since(before: tuple[int, int], now: tuple[int, int]) -> int:
    """Microjoules between two readings; the counter starts anew behind its range."""
    passed = now[0] - before[0]
    return passed if passed >= 0 else passed + now[1] + 1


def rapl_readings(powercap: Path = POWERCAP) -> Readings:
    """Package -> (microjoules, the most that its counter holds); empty where there is none to read."""
    found: Readings = {}
    for folder in sorted(powercap.glob("intel-rapl:*")) if powercap.is_dir() else ():
        if folder.name.count(":") == 1:  # packages; what is in them is counted with them
            try:
                energy, most = (folder / name for name in ("energy_uj", "max_energy_range_uj"))
                found[folder.name] = int(energy.read_text()), int(most.read_text())
            except (OSError, ValueError):
                return {}
    return found


def nvml_readings() -> list[int]:
    """Millijoules of every GPU since the driver was loaded; empty where there is none, or one cannot say."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL("libnvidia-ml.so.1")
        if library.nvmlInit_v2() == 0:
            try:
                return _boards(library)
            finally:
                library.nvmlShutdown()
    return []


def _boards(library: ctypes.CDLL) -> list[int]:
    count, found = ctypes.c_uint(), []
    if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
        return []
    for number in range(count.value):
        device, energy = ctypes.c_void_p(), ctypes.c_ulonglong()
        if library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) != 0:
            return []
        if library.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy)) != 0:
            return []
        found.append(int(energy.value))
    return found
