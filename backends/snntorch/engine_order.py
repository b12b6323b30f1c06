"""The order of whole runs: cycles as one, sources before targets; and when a value is read for the last time."""

from __future__ import annotations

from graphlib import TopologicalSorter

import numpy as np

from hasn.program.model import Program

Group = tuple[str, ...]


def groups(program: Program) -> list[Group]:
    """Nodes that are in a cycle together (edges with a delay count), or one alone; in a group, the order of a step."""
    return cycles([step.name for step in program.steps], [(edge.source, edge.target) for edge in program.edges])


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
    return [tuple(name for name, label in zip(names, part, strict=True) if label == chosen) for chosen in order]


def last_reads(program: Program, order: list[Group]) -> list[Group]:
    """For each group, the nodes that no later group reads."""
    place = {name: i for i, group in enumerate(order) for name in group}
    last = dict(place)
    for edge in program.edges:
        last[edge.source] = max(last[edge.source], place[edge.target])
    return [tuple(name for name, at in last.items() if at == i) for i in range(len(order))]
