"""Compiling takes time in proportion to the nodes and edges of a graph, whatever its form."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise

import nir
import numpy as np
import pytest

import hasn
from hasn.backend import get_backend
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.model import Neurons
from hasn.program.past import needed
from hasn.program.retime import retime

Nodes = dict[str, nir.NIRNode]
Edges = list[tuple[str, str]]


def _lif() -> nir.LIF:
    return nir.LIF(tau=np.full(1, 0.02), r=np.ones(1), v_leak=np.zeros(1), v_threshold=np.ones(1), v_reset=np.zeros(1))


def _graph(nodes: Nodes, edges: Edges) -> nir.NIRGraph:
    ends = {"input": nir.Input(np.array([1])), "output": nir.Output(np.array([1]))}
    return nir.NIRGraph({**ends, **nodes}, edges, type_check=False)


def _chain(nodes: Nodes) -> nir.NIRGraph:
    names = ["input", *nodes, "output"]
    return _graph(nodes, list(pairwise(names)))


def _alone(n: int) -> nir.NIRGraph:
    return _graph({f"s{i}": nir.Scale(np.ones(1)) for i in range(n)}, [("input", "output")])


def _scales(n: int) -> nir.NIRGraph:
    return _chain({f"s{i:05}": nir.Scale(np.ones(1)) for i in range(n)})


def _populations(n: int) -> nir.NIRGraph:
    return _chain({f"s{i:05}": _lif() for i in range(n)})


def _fan(n: int) -> nir.NIRGraph:
    names = [f"s{i}" for i in range(n)]
    edges = [("input", name) for name in names] + [(name, "output") for name in names]
    return _graph({name: _lif() for name in names}, edges)


def _outputs(n: int) -> nir.NIRGraph:
    names = [f"s{i}" for i in range(n)]
    shown = {f"o{i}": nir.Output(np.array([1])) for i in range(n)}
    edges = [("input", name) for name in names] + list(zip(names, shown, strict=True))
    return _graph({**{name: _lif() for name in names}, **shown}, [*edges, ("s0", "output")])


def _loops(n: int) -> nir.NIRGraph:
    graph = _populations(n)
    graph.edges = [*graph.edges, *((f"s{i:05}", f"s{i - 1:05}") for i in range(1, n))]
    return graph


def _delays(n: int) -> nir.NIRGraph:
    return _chain({f"s{i:05}": nir.Delay(np.full(1, 1e-3)) for i in range(n)})


def _nested(n: int) -> nir.NIRGraph:
    def inner() -> nir.NIRGraph:
        return _graph({"lif": _lif()}, [("input", "lif"), ("lif", "output")])

    nodes: Nodes = {f"g{i}": inner() for i in range(n)}
    edges = [("input", f"g{i}.input") for i in range(n)] + [(f"g{i}.output", "output") for i in range(n)]
    return _graph(nodes, edges)


FORMS = [_alone, _scales, _populations, _fan, _outputs, _loops, _delays, _nested]


def _lines(work: Callable[[], object]) -> int:
    """Lines of Python that run: unlike time, the same on a busy machine. Comprehensions count each turn."""
    found = 0

    def trace(frame: object, event: str, arg: object) -> Callable[..., object]:
        nonlocal found
        found += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return found


def _growth(form: Callable[[int], nir.NIRGraph], work: Callable[[nir.NIRGraph], object]) -> float:
    """Twice as many more nodes, from 30 to 60 and from 60 to 120, take 2 times as many more lines where the lines are
    in proportion. One line for each pair of nodes would make it 2.09; what is done once (imports) cancels out.
    """
    work(form(3))  # imports
    small, medium, large = (_lines(lambda graph=graph: work(graph)) for graph in map(form, (30, 60, 120)))
    return (large - medium) / (medium - small)


@pytest.mark.parametrize("backend", ["snntorch", "brian2", "lava"])
@pytest.mark.parametrize("form", FORMS)
def test_compiling_is_linear(form: Callable[[int], nir.NIRGraph], backend: str) -> None:
    if get_backend(backend).why_not():
        pytest.skip(f"{backend} is not installed here")
    assert _growth(form, lambda graph: hasn.compile(graph, backend, dt=1e-3)) < 2.03


def _prepare(graph: nir.NIRGraph) -> None:
    program = lower(graph, dt=1e-3, timing="hardware")
    needed(program, [node.name for node in program.of(Neurons)])
    retime(fuse(program))


@pytest.mark.parametrize("form", FORMS)
def test_what_a_first_run_prepares_is_linear(form: Callable[[int], nir.NIRGraph]) -> None:
    """How far back a state reaches, and the shifts for hardware, are not asked for by every compile."""
    assert _growth(form, _prepare) < 2.03
