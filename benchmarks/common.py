"""What the benchmarks share: progress bars, the line that says on which machine, and JSON files."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hasn.ir.whole import whole_file

Bar = Callable[[float, float, str], None]
"""``bar(done, total, text)``."""


@contextmanager
def stage(title: str) -> Iterator[Bar]:
    """A progress bar on stderr, with the elapsed time."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from hasn.cli.console import stderr

    columns = (
        TextColumn("{task.description:<36}"),
        BarColumn(),
        TextColumn("{task.fields[text]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=stderr) as progress:
        task = progress.add_task(title, total=None, text="")
        yield lambda done, total, text: progress.update(task, completed=done, total=total, text=text)
        progress.update(task, total=1, completed=1)


def machine() -> dict[str, Any]:
    """Where and with what a figure was measured."""
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": load(),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "python": platform.python_version(),
        "torch": _version("torch"),
        "lava": _lava_version(),
    }


def tools_machine(threads: int) -> dict[str, Any]:
    """The same for a comparison with other tools: the threads that were set, and the tools' versions."""
    import torch

    from hasn.kernels import available

    packages = ("torch", "snntorch", "spikingjelly", "norse", "numpy")
    return {
        "date": date.today().isoformat(),
        "cpu": _cpu(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "load": load(),
        "threads": threads,
        "python": platform.python_version(),
        "versions": {package: _version(package) for package in packages},
        "kernels": str(available().name),
    }


def load() -> float:
    """Processes that want a core, over the last minute."""
    return round(os.getloadavg()[0], 2)


def machine_line(found: dict[str, Any]) -> str:
    """The same in a line."""
    return (
        f"{found['cpu']}, {found['cores']} cores (load {found['load']}, OMP_NUM_THREADS {found['threads']}), "
        f"Python {found['python']}, torch {found['torch']}, lava-nc {found['lava']}, {found['date']}; "
        "simulated, no chip"
    )


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write the figures, if a file is wanted; one that is there is replaced."""
    if path is not None:
        write_whole(path, lambda temporary: temporary.write_text(json.dumps(figures, indent=2) + "\n"))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """A file that is there as a whole or not at all; one that is there is replaced."""
    with whole_file(path, force=True) as temporary:
        write(temporary)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _lava_version() -> str:
    from hasn.backend import get_backend

    return get_backend("lava").version() or "not installed"
