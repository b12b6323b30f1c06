"""How a comparison was run: software, settings, machine, date."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from hasn.program.describe import counted
from hasn.program.model import Neurons
from hasn.report.facts import sized
from hasn.report.section import Section, html_table

if TYPE_CHECKING:
    from hasn.agreement import Comparison


def provenance_section(comparison: Comparison) -> Section:
    """A table that lets another person run the same again."""
    return Section("How it was run", html_table(("", ""), _facts(comparison), left=2, kind="facts"))


def _facts(comparison: Comparison) -> list[tuple[str, str]]:
    program = comparison.program
    resets = sorted({str(step.reset) for step in program.of(Neurons) if step.reset is not None})
    runs = [f"{label}: {r.precision or 'unknown'}, {r.seconds:.3g} s" for label, r in comparison.recordings.items()]
    return [
        ("reference", comparison.reference),
        ("precision and wall time of each run", "\n".join(runs)),
        ("data", sized(comparison)),
        ("time step", f"{program.dt * 1e3:g} ms"),
        ("method", program.method),
        ("reset", ", ".join(resets) or "no neuron spikes"),
        ("timing", program.timing),
        *[(f"not run: {label}", " ".join(reason.split())) for label, reason in comparison.skipped.items()],
        ("software", "\n".join(software())),
        ("machine", machine()),
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
    ]


def software() -> list[str]:
    """Versions of hasn, of what it stands on, and of the simulators that are here."""
    lines = [f"{name} {installed}" for name in ("hasn", "nir", "numpy", "scipy") if (installed := _version(name))]
    lines.append(f"Python {platform.python_version()}")
    return [*lines, *_simulators()]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


@cache
def _simulators() -> tuple[str, ...]:
    from hasn.backend import list_backends

    return tuple(f"{name} {info.version}" for name, info in list_backends().items() if info.version)


def machine() -> str:
    """Processor, usable cores and operating system in one line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    processor = _processor() or platform.processor() or platform.machine()
    return f"{processor}, {counted(cores, 'core')}, {platform.system()} {platform.machine()}"


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf8")
    except OSError:
        return ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    return names[0] if names else ""
