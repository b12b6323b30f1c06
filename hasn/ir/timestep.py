"""dt: where it stands, what betrays it, and when a time constant is too short for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import TimeStepError
from hasn.finding import Finding
from hasn.ir.structure import FlatGraph
from hasn.nodes.lookup import kind_of, neuron_kind
from hasn.nodes.values import array_of


def taus_of(node: nir.NIRNode) -> tuple[str, ...]:
    """Names of a node's time constants, the membrane's last."""
    kind = neuron_kind(node)
    return () if kind is None else kind.taus


def check_dt(value: Any) -> float:
    """``value`` as seconds.

    Raises:
        TimeStepError: it is not a finite number > 0.
    """
    try:
        dt = float(np.asarray(array_of(value)).reshape(()))
    except (TypeError, ValueError):
        dt = float("nan")
    if not (np.isfinite(dt) and dt > 0):
        raise TimeStepError(
            "the time step has no meaning",
            parameter="dt",
            got=repr(value),
            wanted="a finite number of seconds > 0",
        )
    return dt


def dt_of(metadata: Any, given: Any = None) -> float | None:
    """dt as given, else as the graph's metadata has it, else None.

    Raises:
        TimeStepError: the value has no meaning.
    """
    if given is None and isinstance(metadata, dict):
        given = metadata.get("dt")
    return None if given is None else check_dt(given)


def propose_dt(flat: FlatGraph) -> float | None:
    """The dt that ``r = tau / dt`` betrays, as exporters write it whose neurons have no R; None if nothing does.

    snnTorch, for one, writes a ``Leaky`` neuron as ``r = tau / dt`` so that an input weighs 1.
    """
    candidates: list[float] = []
    for node in flat.nodes.values():
        taus = taus_of(node)
        if not taus or not hasattr(node, "r"):
            continue
        with np.errstate(all="ignore"):
            ratio = np.asarray(getattr(node, taus[-1]), dtype=float) / np.asarray(node.r, dtype=float)
        candidates.extend(np.unique(ratio[np.isfinite(ratio) & (ratio > 0) & (np.asarray(node.r) != 1)]).tolist())
    if not candidates or max(candidates) > 1.001 * min(candidates):
        return None
    return float(f"{np.median(candidates):.4g}")


def missing_dt_text(flat: FlatGraph) -> str:
    """How to give dt, with the value that the graph betrays if it does."""
    proposed = propose_dt(flat)
    hint = f" r = tau/dt in this graph points to dt={proposed:g}." if proposed else ""
    return f"Pass dt=... (seconds), or set graph.metadata['dt'].{hint}"


def dt_findings(flat: FlatGraph, dt: float | None, method: str) -> Iterator[Finding]:
    """dt missing, or what each node's kind holds against it."""
    if dt is None:
        yield Finding(
            "warning",
            "",
            "dt",
            "the graph does not say its time step",
            missing_dt_text(flat),
            error=TimeStepError,
        )
        return
    for name, node in flat.nodes.items():
        yield from kind_of(node).time_findings(name, node, dt, method)
