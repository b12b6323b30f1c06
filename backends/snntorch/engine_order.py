"""The order of whole runs: cycles as one, sources before targets; and when a value is read for the last time."""

from __future__ import annotations

from hasn.program.cycles import Group, cycles
from hasn.program.model import Program


def groups(program: Program) -> list[Group]:
    """Nodes that are in a cycle together (edges with a delay count), or one alone; in a group, the order of a step."""
    return cycles([step.name for step in program.nodes], [(edge.source, edge.target) for edge in program.edges])


def last_reads(program: Program, order: list[Group]) -> list[Group]:
    """For each group, the nodes that no later group reads."""
    place = {name: i for i, group in enumerate(order) for name in group}
    last = dict(place)
    for edge in program.edges:
        last[edge.source] = max(last[edge.source], place[edge.target])
    read: list[list[str]] = [[] for _ in order]
    for name, at in last.items():
        read[at].append(name)
    return [tuple(names) for names in read]
