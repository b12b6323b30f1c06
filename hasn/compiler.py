"""`hasn.compile`: graph -> checked -> Program -> a backend's Executable."""

from __future__ import annotations

from typing import Any

import nir

from hasn.backend import require_backend
from hasn.errors import OptionError
from hasn.executable import Executable
from hasn.ir.lower import lower
from hasn.ir.typed import with_types


def compile(
    graph: nir.NIRGraph,
    backend: str = "snntorch",
    *,
    dt: float | None = None,
    method: str = "euler",
    reset: str = "zero",
    timing: str = "synchronous",
    precision: str = "float64",
    **backend_options: Any,
) -> Executable:
    """Make a graph ready to run on a backend.

    Args:
        graph: the network, or a :class:`hasn.QuantisedNetwork`; it is not changed.
        backend: "snntorch", "brian2", "lava", or a plug-in's (see :func:`hasn.list_backends`).
        dt: seconds a step; default: ``graph.metadata["dt"]``.
        method: "euler" or "exact" (see :mod:`hasn.program.discretise`).
        reset: "zero" or "subtract", for neurons whose ``metadata["reset"]`` says nothing.
        timing: "synchronous" (an edge takes no time), or "hardware" (every connection takes one step).
        precision: "float64" for comparing, "float32" for training and speed, "loihi" for the chip's integers (a graph
            in the chip's units, as :func:`hasn.quantise` makes it).
        **backend_options: the backend's own, e.g. ``device="cuda"`` for snnTorch.

    Returns:
        An executable: ``run`` whole sequences, ``step`` a stream.

    Raises:
        GraphError, ShapeError, ParameterError, TimeStepError: the graph or dt has no meaning.
        OptionError: unknown backend, method, reset, timing, precision or backend option.
        BackendUnavailable: the simulator is not installed; the message has the command that installs it.
        UnsupportedError: the backend cannot run a node as it is meant.
    """
    graph, dt, timing = of_graph(graph, dt, timing)
    plugin = require_backend(backend, precision)
    unknown = sorted(set(backend_options) - set(plugin.options()))
    if unknown:
        raise OptionError(
            f"{backend} has no such option",
            parameter=unknown[0],
            got=repr(backend_options[unknown[0]]),
            wanted=", ".join(plugin.options()) or "no option",
        )
    program = lower(graph, dt=dt, method=method, reset=reset, timing=timing)
    return plugin.compile(program, with_types(graph), precision, **backend_options)


def of_graph(graph: Any, dt: float | None, timing: str) -> tuple[Any, float | None, str]:
    """(graph, dt, timing) of what may be a quantised network, which knows its own dt and timing."""
    inner = getattr(graph, "graph", None)
    if not isinstance(inner, nir.NIRGraph):
        return graph, dt, timing
    return inner, graph.dt if dt is None else dt, graph.timing if timing == "synchronous" else timing
