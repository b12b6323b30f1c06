"""The same network as one compiled C++ program (Brian2's C++ standalone mode)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hasn.backends.brian2.build import build
from hasn.backends.brian2.live import Feed
from hasn.backends.brian2.load import brian2
from hasn.backends.brian2.monitors import Recorded, Wanted, make_monitors, recorded
from hasn.backends.brian2.plan import Plan
from hasn.backends.brian2.preferences import isolated
from hasn.backends.brian2.schedule import UPDATE, slot
from hasn.errors import UnsupportedError


def run_standalone(plan: Plan, copies: int, wanted: Wanted, feed: Feed, steps: int, build_dir: str | None) -> Recorded:
    """Write, compile and run a C++ program, and read what it recorded.

    Raises:
        UnsupportedError: it cannot be compiled or run here; the message has the last words of the compiler.
    """
    # A device of our own: a project that the user may be preparing on Brian2's is left alone.
    device = brian2.devices.cpp_standalone.device.CPPStandaloneDevice()
    with tempfile.TemporaryDirectory(prefix="hasn_brian2_") as temporary, isolated(plan.dtype, "auto", device):
        folder = build_dir or temporary
        network, parts, monitors = _network(plan, copies, wanted, feed)
        try:
            network.run((steps - 0.5) * parts.clock.dt, namespace={})
            device.build(directory=folder, compile=True, run=True, debug=False, with_output=False)
        except (RuntimeError, OSError) as error:
            raise UnsupportedError(
                "the standalone program could not be made or run",
                parameter="target",
                got=f"'cpp_standalone' ({error})",
                way_out=f"See {Path(folder) / 'results'}; target='numpy' needs no compiler.",
            ) from error
        return recorded(plan, parts, monitors, steps, copies)


def _network(plan: Plan, copies: int, wanted: Wanted, feed: Feed) -> tuple[Any, Any, Any]:
    parts = build(plan, copies)
    for name, values in feed.items():
        group = parts.groups[name]
        unit = group.variables["sent"].dim
        signal = brian2.TimedArray(brian2.Quantity(values, dim=unit), dt=parts.clock.dt, name=f"{group.name}_signal")
        group.namespace["signal"] = signal
        group.run_regularly("sent = signal(t, i)", when=slot(0, UPDATE), name=f"{group.name}_feed")
    monitors = make_monitors(parts, wanted, compiled=True)
    return parts.network(plan.depth, *monitors.all), parts, monitors
