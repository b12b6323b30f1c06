"""`hasn.compile`: graph -> checked -> Program -> a backend's Executable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir

from hasn.backend import Backend, require_backend
from hasn.errors import OptionError, UnsupportedError
from hasn.executable import Executable
from hasn.ir.check import checked
from hasn.ir.lower import lower_checked
from hasn.ir.typed import typed_copy
from hasn.program.model import Program
from hasn.recordings.room import widest
from hasn.room import in_memory


def compile(
    network: nir.NIRGraph | Program | Any,
    backend: str = "snntorch",
    *,
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    timing: str | None = None,
    precision: str | None = None,
    **backend_options: Any,
) -> Executable:
    """Make a network ready to run on a backend.

    Args:
        network: a graph; a :class:`hasn.QuantisedNetwork`; or a Program, as :func:`hasn.lower` makes it, which is
            neither checked nor lowered again. It is not changed.
        backend: "snntorch", "brian2", "lava", or a plug-in's (see :func:`hasn.list_backends`).
        dt: seconds a step. What is left out of dt, method, reset and timing is what the graph's metadata say of it.
        method: "euler" (the default) or "exact" (see :mod:`hasn.program.discretise`).
        reset: "zero" (the default) or "subtract", for neurons whose ``metadata["reset"]`` says nothing.
        timing: "synchronous" (the default: an edge takes no time), or "hardware" (every connection takes one step).
        precision: "float64" (the default) for comparing, "float32" for training and speed, "loihi" for the chip's
            integers (the default of a quantised network, which runs in no other).
        **backend_options: the backend's own, e.g. ``device="cuda"`` for snnTorch.

    Returns:
        An executable: ``run`` whole sequences, ``step`` a stream.

    Raises:
        GraphError, ShapeError, ParameterError, TimeStepError: the graph or dt has no meaning.
        OptionError: unknown backend, method, reset, timing, precision or backend option; one that contradicts the
            Program or the quantised network.
        BackendUnavailable: the simulator is not installed; the message has the command that installs it.
        UnsupportedError: the backend cannot run a node as it is meant.
    """
    exactness = precision_of(network, precision)
    _usable(backend, exactness, backend_options)  # before the network is looked at
    return compile_ready(ready(network, dt, method, reset, timing), backend, exactness, backend_options)


@dataclass(frozen=True)
class Ready:
    """A network checked and lowered once, for any number of backends.

    Attributes:
        program: what runs.
        graph: what it was lowered from, typed; None: a Program was given.
    """

    program: Program
    graph: nir.NIRGraph | None


def ready(network: Any, dt: float | None, method: str | None, reset: str | None, timing: str | None) -> Ready:
    """Check and lower a network; see :func:`compile`."""
    if isinstance(network, Program):
        given = {"dt": dt, "method": method, "timing": timing}
        for name, value in given.items():
            if value is not None and value != getattr(network, name):
                raise _settled("the Program", name, value, getattr(network, name))
        if reset is not None:
            raise _settled("the Program", "reset", reset, "nothing: every population has its own")
        return Ready(network, None)
    if _is_quantised(network):
        for name, value in {"dt": dt, "timing": timing}.items():
            if value is not None and value != getattr(network, name):
                raise _settled("the quantised network", name, value, getattr(network, name))
        network, dt, timing = network.graph, network.dt, network.timing
    graph_ok = checked(network, dt=dt, method=method, reset=reset, timing=timing)
    return Ready(lower_checked(graph_ok), typed_copy(network, graph_ok.shapes))


def compile_ready(made: Ready, backend: str, precision: str, options: dict[str, Any]) -> Executable:
    """Make a lowered network ready to run on a backend; see :func:`compile`."""
    plugin = _usable(backend, precision, options)
    for name, learning in made.program.learning.items():
        if not plugin.learns:
            raise UnsupportedError(
                f"connections do not learn on {backend}",
                node=name,
                got=f"a rule that moves the weights onto '{learning.target}'",
                way_out="Take the rule off with hasn.plasticity.detach, or name a backend that learns.",
            )
    way_out = "Make the network smaller, or take a machine with more memory."
    with in_memory(f"compile for {backend}", way_out, widest(made.program)):
        executable = plugin.compile(made.program, made.graph, precision, **options)
    executable.graph = made.graph
    return executable


def _usable(backend: str, precision: str, options: dict[str, Any]) -> Backend:
    plugin = require_backend(backend, precision)
    unknown = sorted(set(options) - set(plugin.options()))
    if unknown:
        raise OptionError(
            f"{backend} has no such option",
            parameter=unknown[0],
            got=repr(options[unknown[0]]),
            wanted=", ".join(plugin.options()) or "no option",
        )
    return plugin


def precision_of(network: Any, precision: str | None) -> str:
    """The precision that is meant.

    Raises:
        OptionError: a quantised network is to run as floats.
    """
    if not _is_quantised(network):
        return precision or "float64"
    if precision not in (None, "loihi"):
        raise OptionError(
            "a quantised network is in the chip's integers",
            parameter="precision",
            got=repr(precision),
            wanted="loihi",
            way_out="Pass its .graph to run the chip's units as floats, or the network that it was made from.",
        )
    return "loihi"


def _is_quantised(network: Any) -> bool:
    """Whether it holds a graph and says dt and timing itself. Its class lives in a room that this one does not know."""
    return isinstance(getattr(network, "graph", None), nir.NIRGraph)


def _settled(what: str, name: str, got: object, wanted: object) -> OptionError:
    way_out = "Leave it out, or lower the graph again with it."
    return OptionError(f"{what} has settled it", parameter=name, got=repr(got), wanted=str(wanted), way_out=way_out)
