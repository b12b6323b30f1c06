"""The kinds of node that there are here: hasn's own and those of plug-ins, by the entry-point group ``hasn.nodes``."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

import nir

from hasn.errors import GraphError, OptionError
from hasn.nodes.kind import NodeKind
from hasn.nodes.neuron import NeuronKind

ENTRY_POINTS = "hasn.nodes"


@cache
def kinds() -> dict[str, NodeKind]:
    """Every kind by its name, sorted.

    Raises:
        OptionError: an entry point names no kinds, or two offer one name for different things.
    """
    found: dict[str, NodeKind] = {}
    homes: dict[str, str] = {}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: (point.name, point.value)):
        offered = point.load()
        if not isinstance(offered, tuple) or not all(isinstance(kind, NodeKind) for kind in offered):
            raise _wrong(point.value, "names no node kinds", repr(offered), "a tuple of hasn.nodes.kind.NodeKind")
        for kind in offered:
            known = found.setdefault(kind.name, kind)
            home = homes.setdefault(kind.name, point.value)
            if known is not kind:
                raise _wrong(f"{home} and {point.value}", "offer one node kind", kind.name, "one of them")
    return dict(sorted(found.items()))


def _wrong(where: str, what: str, got: str, wanted: str) -> OptionError:
    way_out = "Uninstall the plug-in, or mend its entry point."
    return OptionError(what, parameter=f"entry point {where}", got=got, wanted=wanted, way_out=way_out)


def kind_names() -> tuple[str, ...]:
    """Names of all kinds that a graph may hold, nested graphs included."""
    return (*kinds(), nir.NIRGraph.__name__)


def is_known(node: nir.NIRNode) -> bool:
    """Whether hasn gives the node a meaning. A subclass of a known kind may mean something else, so it is not."""
    kind = kinds().get(type(node).__name__)
    return kind is not None and kind.type is type(node)


def kind_of(node: nir.NIRNode) -> NodeKind:
    """What hasn knows of a node.

    Raises:
        GraphError: nothing.
    """
    if not is_known(node):
        raise GraphError(f"unknown node type {type(node).__name__}", way_out=f"hasn runs {', '.join(kind_names())}.")
    return kinds()[type(node).__name__]


def neuron_kind(node: nir.NIRNode) -> NeuronKind | None:
    """What hasn knows of a neuron; None for another node."""
    kind = kind_of(node)
    return kind if isinstance(kind, NeuronKind) else None
