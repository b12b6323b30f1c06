"""In what two graphs differ: names of nodes and of their parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import nir
import numpy as np

from hasn.ir.structure import flatten

#: What follows from the rest.
_INFERRED = ("input_type", "output_type", "input_shape")


def differences(before: nir.NIRGraph, after: nir.NIRGraph) -> tuple[str, ...]:
    """``node.parameter`` for each value that differs, ``node`` for one that came, went or became another kind, and
    ``edges``.

    Raises:
        GraphError: one of them is no graph that can be laid flat.
    """
    return tuple(_differences(before, after))


def _differences(before: nir.NIRGraph, after: nir.NIRGraph) -> Iterator[str]:
    if not _same(dict(before.metadata), dict(after.metadata)):
        yield "metadata"
    one, two = flatten(before), flatten(after)
    for name in dict.fromkeys([*one.nodes, *two.nodes]):
        old, new = one.nodes.get(name), two.nodes.get(name)
        if type(old) is not type(new):
            yield name
            continue
        values = {key: (vars(old).get(key), vars(new).get(key)) for key in dict.fromkeys([*vars(old), *vars(new)])}
        for key, (was, now) in values.items():
            if key not in _INFERRED and not _same(was, now):
                yield f"{name}.{key}"
    if set(one.edges) != set(two.edges):
        yield "edges"


def _same(one: Any, two: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return set(one) == set(two) and all(_same(one[key], two[key]) for key in one)
    if one is None or two is None:
        return one is two
    return bool(np.array_equal(one, two))
