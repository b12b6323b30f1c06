"""Parameter values: which ones a node's equation gives a meaning to."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from hasn.finding import Finding
from hasn.ir.structure import FlatGraph
from hasn.nodes.kind import NodeKind, error
from hasn.nodes.lookup import kind_of
from hasn.nodes.values import array_of, numbers

#: Errors of a node whose shape is known all the same.
HAVE_A_SHAPE = ("has a value with no meaning", "unknown reset")


def parameter_findings(flat: FlatGraph) -> Iterator[Finding]:
    """Values with no meaning (errors) and values that are likely a mistake (warnings)."""
    for name, node in flat.nodes.items():
        kind = kind_of(node)
        yield from _value_findings(name, node, kind)
        if all(numbers(getattr(node, parameter.name, None)) is not None for parameter in kind.parameters):
            yield from kind.findings(name, node)


def _value_findings(name: str, node: nir.NIRNode, kind: NodeKind) -> Iterator[Finding]:
    for parameter in kind.parameters:
        given = getattr(node, parameter.name, None)
        value = numbers(given)
        if value is None:
            array = array_of(given)
            got = type(given).__name__ if array is None else array.dtype
            yield error(name, parameter.name, "is not numeric", got, parameter.wanted)
            continue
        bad = ~np.asarray(parameter.holds(value), dtype=bool)
        if np.any(bad):
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            at = f" at index {where}" if value.ndim else ""
            more = f" ({int(bad.sum())} such values)" if bad.sum() > 1 else ""
            got = f"{value[where]}{at}{more}"
            yield error(name, parameter.name, "has a value with no meaning", got, parameter.wanted)
