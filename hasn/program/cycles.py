"""Nodes that are in cycles together, and an order in which whole runs can go through a network."""

from __future__ import annotations

from graphlib import TopologicalSorter
from typing import TypeAlias

import numpy as np

Group: TypeAlias = tuple[str, ...]


def cycles(names: list[str], edges: list[tuple[str, str]]) -> list[Group]:
    """Names that are in cycles together, or one alone; sources before targets, in a group the order of ``names``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    index = {name: i for i, name in enumerate(names)}
    pairs = [(index[source], index[target]) for source, target in edges]
    rows, columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(names)))
    part = connected_components(graph, directed=True, connection="strong")[1].tolist() if names else []
    before: dict[int, set[int]] = {label: set() for label in part}
    for source, target in pairs:
        if part[source] != part[target]:
            before[part[target]].add(part[source])
    order = TopologicalSorter(before).static_order()
    members: dict[int, list[str]] = {}
    for name, label in zip(names, part, strict=True):
        members.setdefault(label, []).append(name)
    return [tuple(members[label]) for label in order]
