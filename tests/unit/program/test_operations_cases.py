"""Counts of the conformance cases, against a plain walk: step by step, edge by edge, over unrolled matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hasn.counts import counts_of
from hasn.ir.lower import lower
from hasn.program.cycles import cycles
from hasn.program.maps import Identity, Sparse
from hasn.program.model import Connection, Neurons, Program, Sink
from hasn.testing.cases import CASES
from hasn.testing.interpreter import ProgramInterpreter

UNDER_WAY = 40  # steps after the end in which what was sent arrives; no case delays longer


def passes(node: Any) -> bool:
    return isinstance(node, Sink) or (isinstance(node, Connection) and isinstance(node.map, Identity))


def walkable(program: Program) -> bool:
    """Whether nothing joins before a Flatten, a Delay or an Output, and no loop is without a population."""
    names = [node.name for node in program.of(Connection, Sink)]
    inner = [(e.source, e.target) for e in program.edges if e.source in names and e.target in names]
    looped = any(len(group) > 1 for group in cycles(names, inner)) or any(one == other for one, other in inner)
    return not looped and not any(passes(program.node(n)) and len(program.edges_into(n)) > 1 for n in names)


def origin(program: Program, name: str) -> Any:
    """Who sent what comes out of a node that passes on."""
    while passes(program.node(name)) and program.edges_into(name):
        name = program.edges_into(name)[0].source
    return program.node(name)


def stored(matrix: Any, explicit: bool) -> Any:
    """How many synapses lead from each element to each result: several may join the same two. Those of weight 0 count
    where the pattern is explicit."""
    found = np.zeros(matrix.shape, dtype=int)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    np.add.at(found, (rows, matrix.indices), explicit | (matrix.data != 0))
    return found


def by_delay(node: Any) -> Any:
    """(steps, matrix) of the synapses of each delay, where a map's synapses have delays of their own."""
    late = getattr(node.map, "delay", None) is not None
    return node.map.parts(node.given) if late else ((0, node.map.matrix(node.given)),)


class Walk:
    """Who shows which events to the next, at every step of one sample; None: numbers."""

    def __init__(self, program: Program, sent: dict[str, Any], steps: int) -> None:
        self.program, self.sent, self.steps = program, sent, steps
        self.shows: dict[str, list[Any]] = {node.name: [] for node in program.nodes}
        self.took: dict[str, list[Any]] = {node.name: [] for node in program.nodes}
        self.operations: dict[str, int] = {}
        self.synapses = {
            node.name: [(steps, stored(matrix, isinstance(node.map, Sparse))) for steps, matrix in by_delay(node)]
            for node in program.of(Connection)
            if not passes(node)
        }
        self.came: dict[tuple[str, str, int], Any] = {}
        for t in range(steps + UNDER_WAY):
            for node in program.nodes:
                edges = [
                    (e.source, self.shows[e.source][t - e.delay]) for e in program.edges_into(node.name) if t >= e.delay
                ]
                self.shows[node.name].append(self._next(node, edges, t))

    def _count(self, name: str, number: Any) -> None:
        self.operations[name] = self.operations.get(name, 0) + int(number)

    def _next(self, node: Any, arriving: list[tuple[str, Any]], t: int) -> Any:
        quiet = np.zeros(int(np.prod(node.shape)), dtype=bool)
        if not isinstance(node, Connection | Sink):
            for source, events in arriving:
                before = origin(self.program, source)
                if events is not None and not isinstance(before, Connection):
                    self._count(f"{before.name} -> {node.name}", events.sum())
            if isinstance(node, Neurons) and not node.spiking:
                return None
            return self.sent[node.name][t] if t < self.steps else quiet
        taken = quiet
        for source, events in arriving:
            result = events
            if events is not None and not passes(node):
                self.came[node.name, source, t] = events
                result = quiet
                for steps, synapses in self.synapses[node.name]:
                    self._count(node.name, synapses[:, events].sum())
                    before = self.came.get((node.name, source, t - steps))
                    result = result if before is None else result | synapses[:, before].any(axis=1)
            taken = None if result is None or taken is None else taken | result
        if not passes(node):
            return taken if t < self.steps else quiet  # after the end nothing is sent
        self.took[node.name].append(taken)
        delay = getattr(node, "delay", None)
        if delay is None or taken is None:
            return taken
        return np.array([t >= d and bool(self.took[node.name][t - d][i]) for i, d in enumerate(delay.reshape(-1))])


KNOWN = [name for name, case in CASES.items() if not case.grid and walkable(lower(case.graph(), **case.options()))]


@pytest.mark.parametrize("name", KNOWN)
def test_a_case_is_counted_as_a_plain_walk_counts_it(name: str) -> None:
    case = CASES[name]
    program = lower(case.graph(), **case.options())
    executable = ProgramInterpreter(program)
    given = case.inputs()
    if case.batch is not None:
        given = {key: value[:, 0] for key, value in given.items()}
    recording = executable.run(given if given else None, steps=case.steps)
    given |= {key: value[:, 0] for key, value in program.drawn_values(0, case.steps, 1).items()}
    sent = {key: np.asarray(value).reshape(case.steps, -1) != 0 for key, value in {**given, **recording.spikes}.items()}
    with_batch = [{key: value[:, np.newaxis] for key, value in group.items()} for group in (given, recording.spikes)]
    found = counts_of(program, *with_batch, case.steps, 1)
    walked = Walk(program, sent, case.steps).operations
    effective = {key: done.effective for key, done in found.connections.items() if done.effective}
    assert effective == {key: number for key, number in walked.items() if number}
    assert sum(found.synaptic_operations.values()) == sum(effective.values())


def test_most_cases_can_be_walked() -> None:
    assert len(KNOWN) > 0.7 * sum(not case.grid for case in CASES.values())
