"""What NIR leaves open and gives a graph its meaning: dt, method, reset, timing. The one place where it is settled.

The call comes first, then the metadata of the outermost graph, then what is usual. A neuron's own ``metadata["reset"]``
comes before all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import nir

from hasn.errors import GraphError, OptionError, ParameterError
from hasn.finding import Finding
from hasn.ir.timestep import dt_of
from hasn.nodes.neuron import RESETS
from hasn.nodes.values import in_numpy, text

#: What may be chosen, the usual first.
CHOICES = {"method": ("euler", "exact"), "reset": RESETS, "timing": ("synchronous", "hardware")}


@dataclass(frozen=True)
class Meaning:
    """What a graph means in discrete time.

    Attributes:
        dt: seconds a step; None: nobody says it.
        method: "euler" or "exact", see :mod:`hasn.program.discretise`.
        reset: "zero" or "subtract", of neurons that do not say it themselves.
        timing: "synchronous" or "hardware".
    """

    dt: float | None
    method: str
    reset: str
    timing: str


def meaning_of(metadata: Any, **given: Any) -> Meaning:
    """What is given in the call, else what the graph's metadata says, else what is usual.

    Args:
        metadata: of the outermost graph.
        given: dt, method, reset, timing; None and what is left out is not given.

    Raises:
        OptionError: no such method, reset or timing.
        ParameterError: the metadata say one that there is not.
        TimeStepError: dt is no finite number > 0.
    """
    require_options(**{name: given.get(name) for name in CHOICES})
    chosen = {name: given.get(name) or _said(metadata, name) or known[0] for name, known in CHOICES.items()}
    return Meaning(dt_of(metadata, given.get("dt")), **chosen)


def require_options(**given: Any) -> None:
    """Raise OptionError unless there is such a method, reset, timing; None is not given."""
    for name, value in given.items():
        if value is not None and value not in CHOICES[name]:
            wanted = " or ".join(CHOICES[name])
            raise OptionError(f"unknown {name}", parameter=name, got=repr(value), wanted=wanted)


def _said(metadata: Any, name: str) -> str | None:
    """What the metadata say of it.

    Raises:
        ParameterError: something that there is not.
    """
    value = metadata.get(name) if isinstance(metadata, Mapping) else None
    if value is None or text(value) in CHOICES[name]:
        return text(value)
    wanted = " or ".join(CHOICES[name])
    raise ParameterError(f"unknown {name}", parameter=f"metadata['{name}']", got=repr(value), wanted=wanted)


def keep(graph: nir.NIRGraph, *, dt: float, method: str = "euler", timing: str = "synchronous") -> None:
    """Say in a graph's metadata what it means; each neuron says its own reset. What is usual needs no words."""
    graph.metadata["dt"] = dt
    for name, value in (("method", method), ("reset", RESETS[0]), ("timing", timing)):
        graph.metadata.pop(name, None)
        if value != CHOICES[name][0]:
            graph.metadata[name] = value


def meaning_findings(graph: nir.NIRGraph, settled: Meaning, given: Mapping[str, Any]) -> Iterator[Finding]:
    """Notes of what the metadata say, and errors where a nested graph's contradict what the whole graph means.

    Args:
        graph: the outermost graph.
        settled: what it means.
        given: what the call says, which nested graphs may contradict.
    """
    for name in CHOICES:
        if given.get(name) is None and (said := _said(graph.metadata, name)) is not None:
            what = f"the graph is meant with {name}={said!r}, which is taken where a call says nothing"
            yield Finding("note", "", f"metadata['{name}']", what)
    left = {name: getattr(settled, name) for name in ("dt", *CHOICES) if given.get(name) is None}
    yield from _conflicts(graph, "", left)


def _conflicts(graph: nir.NIRGraph, prefix: str, settled: Mapping[str, Any]) -> Iterator[Finding]:
    for name, node in graph.nodes.items():
        if not isinstance(node, nir.NIRGraph):
            continue
        for key, value in settled.items():
            said: Any = dt_of(in_numpy(node.metadata)) if key == "dt" else _said(node.metadata, key)
            if said is not None and value is not None and said != value:
                yield Finding(
                    "error",
                    prefix + name,
                    f"metadata['{key}']",
                    "a nested graph says otherwise than the whole graph, which has one meaning",
                    f"Say {key} in the outermost graph's metadata, or in the call, and nowhere else.",
                    repr(said),
                    f"{value!r}",
                    GraphError,
                )
        yield from _conflicts(node, f"{prefix}{name}.", settled)
