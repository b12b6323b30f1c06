"""The order of whole runs: cycles as one, sources before targets; and when a value is read for the last time."""

from __future__ import annotations

from collections.abc import Iterator

from hasn.program.cycles import Group, cycles
from hasn.program.model import Program


def groups(program: Program) -> list[Group]:
    """Nodes that are in a cycle together (edges with a delay count), or one alone; in a group, the order of a step."""
    return cycles([step.name for step in program.nodes], list(_reads(program)))


def _reads(program: Program) -> Iterator[tuple[str, str]]:
    """(node, who reads its values): its edges, and the connections that learn from it."""
    yield from ((edge.source, edge.target) for edge in program.edges)
    for name, learning in program.learning.items():
        yield from ((node, name) for node, _ in learning.reads)


def last_reads(program: Program, order: list[Group]) -> list[Group]:
    """For each group, the nodes that no later group reads."""
    place = {name: i for i, group in enumerate(order) for name in group}
    last = dict(place)
    for source, reader in _reads(program):
        last[source] = max(last[source], place[reader])
    return [tuple(name for name, at in last.items() if at == i) for i in range(len(order))]
