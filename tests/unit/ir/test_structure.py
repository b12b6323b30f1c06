"""Nested graphs laid flat, and what is wrong with edges and names."""

from __future__ import annotations

import nir
import pytest

import hasn
from hasn.errors import GraphError
from hasn.ir.structure import flatten
from tests.graphs import DT, Draw, chain, graph, inp, out

D = Draw(4)


def block(*inputs: str) -> nir.NIRGraph:
    """A nested graph whose Inputs all reach one population."""
    nodes = {**{name: inp(3) for name in inputs}, "n": D.lif(3), "o": out(3)}
    return graph(nodes, *(f"{name} > n" for name in inputs), "n > o")


def test_two_deep_names_edges_and_ports() -> None:
    net = chain(chain(block("i"), given=(3,), result=(3,)), given=(3,), result=(3,))
    flat = flatten(net)
    assert set(flat.nodes) == {"input", "output", "n1.input", "n1.output", "n1.n1.i", "n1.n1.n", "n1.n1.o"}
    assert set(flat.edges) == {
        ("input", "n1.input"), ("n1.input", "n1.n1.i"), ("n1.n1.i", "n1.n1.n"), ("n1.n1.n", "n1.n1.o"),
        ("n1.n1.o", "n1.output"), ("n1.output", "output"),
    }  # fmt: skip
    assert flat.inputs == ("input",)
    assert flat.outputs == ("output",)


def test_the_graph_is_not_changed() -> None:
    net = chain(block("i"), given=(3,), result=(3,))
    before = repr(net)
    hasn.lower(net, dt=DT)
    hasn.check(net)
    assert repr(net) == before


def test_an_edge_to_a_graph_with_two_inputs_must_name_one() -> None:
    net = chain(block("a", "b"), given=(3,), result=(3,))
    with pytest.raises(GraphError, match=r"node 'n1'.*2 Input nodes\. Name the one that is meant: n1\.a, n1\.b"):
        hasn.lower(net, dt=DT)


def test_a_graph_without_output_has_nothing_to_send() -> None:
    inner = graph({"i": inp(3), "n": D.lif(3)}, "i > n")
    with pytest.raises(GraphError, match=r"0 Output nodes.*add one"):
        hasn.lower(chain(inner, given=(3,), result=(3,)), dt=DT)


def test_an_edge_may_name_a_node_deep_inside() -> None:
    net = chain(chain(block("a", "b"), given=(3,), result=(3,)), given=(3,), result=(3,))
    net.nodes["n1"].edges = [("n1", "output")]
    net.edges = [("input", "n1.n1.a"), ("n1", "output")]
    assert ("input", "n1.n1.a") in flatten(net).edges


def test_a_wrong_name_inside_lists_what_is_there() -> None:
    net = chain(block("a"), given=(3,), result=(3,))
    net.edges = [("input", "n1.z"), ("n1", "output")]
    with pytest.raises(GraphError, match=r"there is no such node\. The graph has a, n, o"):
        hasn.lower(net, dt=DT)


def test_two_nodes_that_get_one_name() -> None:
    net = graph({"input": inp(3), "n1": block("i"), "n1.n": D.lif(3), "output": out(3)}, "input > n1 > output")
    with pytest.raises(GraphError, match=r"node 'n1\.n': two nodes get this name.*Rename"):
        hasn.lower(net, dt=DT)


def test_one_edge_written_in_two_ways() -> None:
    """An edge to a nested graph is the edge to its only Input: it must not count twice in silence."""
    net = chain(block("i"), given=(3,), result=(3,))
    net.edges.append(("input", "n1.i"))
    with pytest.raises(GraphError, match=r"node 'n1\.i': 2 edges lead here from 'input'"):
        hasn.lower(net, dt=DT)


def test_an_edge_into_an_input_of_the_graph() -> None:
    net = chain(D.lif(3), given=(3,), result=(3,))
    net.edges.append(("n1", "input"))
    with pytest.raises(GraphError, match="node 'input': edge from 'n1' into an Input of the graph"):
        hasn.lower(net, dt=DT)


def test_errors_inside_a_nested_graph_have_its_name() -> None:
    inner = block("i")
    inner.edges.append(("n", "nowhere"))
    found = hasn.check(chain(inner, given=(3,), result=(3,)))
    assert [(f.severity, f.node) for f in found] == [("error", "n1.nowhere")]
