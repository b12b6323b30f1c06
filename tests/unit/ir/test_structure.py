# ruff: noqa: E501 - tables, one case a line
"""Nested graphs laid flat, and what is wrong with edges and names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import GraphError
from hasn.ir.structure import FlatGraph, flatten, node_at, structure_findings
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


def test_the_order_of_the_file_and_sorted_ports() -> None:
    """Edges keep the order of the file; the names of ports are sorted, for they are the order of a user's arrays."""
    inner = graph({"j": inp(3), "p": out(3)}, "j > p")
    nodes = {"b": inp(3), "a": inp(3), "m": inner, "n": D.lif(3), "z": out(3), "y": out(3)}
    net = graph(nodes, "n > z", "n > y", "b > n", "m > n", "a > m", "n > n", dt=DT)
    flat = flatten(net)
    assert flat.edges == (
        ("m.j", "m.p"), ("n", "z"), ("n", "y"), ("b", "n"), ("m.p", "n"), ("a", "m.j"), ("n", "n"),
    )  # fmt: skip
    assert (flat.inputs, flat.outputs, flat.metadata) == (("a", "b"), ("y", "z"), {"dt": DT})
    assert flat.nodes["m.j"] is inner.nodes["j"]
    net.metadata = None
    assert flatten(net).metadata == {}


def test_a_name_with_dots_is_first_of_all_a_name() -> None:
    net = graph({"i": inp(3), "n.n": D.lif(3), "n": block("a", "b"), "o": out(3)}, "i > n.n > o", "i > n.a")
    assert node_at(net, "n.n", True) == node_at(net, "n.n", False) == "n.n"
    assert node_at(net, "n.b", True) == "n.b"
    assert (node_at(net, "n", True), node_at(net, "i", True)) == ("n.o", "i")
    net.nodes["nn"] = block("c")
    assert (node_at(net, "nn.c", False), node_at(net, "nn", False)) == ("nn.c", "nn.c")
    with pytest.raises(GraphError, match=r"there is no such node\. The graph has no nodes"):
        node_at(graph({}), "n", True)


def changed(**fields: Any) -> nir.NIRGraph:
    """input > n1 > output, with fields of the graph replaced after NIR's own checks."""
    net = chain(D.lif(3), given=(3,), result=(3,))
    for key, value in fields.items():
        setattr(net, key, value)
    return net


def with_node(name: Any, node: Any, inside: bool = False) -> nir.NIRGraph:
    """The same with one more node, at the top or in a nested graph."""
    net = changed()
    if inside:
        net.nodes["m"] = chain(D.lif(3), given=(3,), result=(3,))
    (net.nodes["m"] if inside else net).nodes[name] = node
    return net


def itself(deep: bool) -> nir.NIRGraph:
    """A graph that holds itself, or whose nested graph does."""
    net, middle = changed(), changed()
    middle.nodes["again"] = net if deep else middle
    net.nodes["m"] = middle
    return net


def doubled(inside: bool) -> nir.NIRGraph:
    """An edge listed twice, with another between."""
    net = changed()
    net.edges = [("input", "n1"), ("n1", "output"), ("input", "n1")]
    return chain(net, given=(3,), result=(3,)) if inside else net


TWICE = "the edge 'input' -> 'n1' is listed twice"
PATH = "no name that a file can hold: HDF5 takes '/' for a path"
PAIR = ("is no pair of names", "(source, target)")
Form = tuple[Callable[[], nir.NIRGraph], str, str, str, object, str]
#: name -> (graph, node, parameter, message, got, wanted)
FORMS: dict[str, Form] = {
    "an edge listed twice": (lambda: doubled(False), "n1", "", TWICE, None, ""),
    "an edge listed twice inside": (lambda: doubled(True), "n1.n1", "", TWICE, None, ""),
    "a path": (lambda: with_node("a/b", D.lif(3)), "a/b", "", PATH, "'a/b'", ""),
    "a path inside": (lambda: with_node("a/b", D.lif(3), True), "m.a/b", "", PATH, "'a/b'", ""),
    "a dot": (lambda: with_node(".", D.lif(3)), ".", "", PATH, "'.'", ""),
    "no name": (lambda: with_node("", D.lif(3)), "", "", PATH, "''", ""),
    "a number for a name": (lambda: with_node(1, D.lif(3)), "1", "", "is no node under a name", "int -> LIF", "str -> nir.NIRNode"),
    "no node": (lambda: with_node("n", 3), "n", "", "is no node under a name", "str -> int", "str -> nir.NIRNode"),
    "no node inside": (lambda: with_node("n", 3, True), "m.n", "", "is no node under a name", "str -> int", "str -> nir.NIRNode"),
    "no nodes": (lambda: changed(nodes=[D.lif(3)]), "", "nodes", "is not a mapping of names to nodes", "list", "a dict"),
    "no edges": (lambda: changed(edges=None), "", "edges", "is not a list of pairs of names", "NoneType", "a list"),
    "an edge of three": (lambda: changed(edges=[("input", "n1", "output")]), "", "edges", PAIR[0], "('input', 'n1', 'output')", PAIR[1]),
    "an edge of one": (lambda: changed(edges=[["n1"]]), "", "edges", PAIR[0], "['n1']", PAIR[1]),
    "an edge of a text": (lambda: changed(edges=["ab"]), "", "edges", PAIR[0], "'ab'", PAIR[1]),
    "an edge of a number": (lambda: changed(edges=[("input", 1)]), "", "edges", PAIR[0], "('input', 1)", PAIR[1]),
    "itself": (lambda: itself(False), "m.again", "", "the graph contains itself", None, ""),
    "itself, a level below": (lambda: itself(True), "m.again", "", "the graph contains itself", None, ""),
    "from nowhere": (lambda: changed(edges=[("x", "n1")]), "x", "", "edge 'x' -> 'n1': there is no such node", None, ""),
    "to nowhere": (lambda: changed(edges=[("n1", "x")]), "x", "", "edge 'n1' -> 'x': there is no such node", None, ""),
    "into an Input": (lambda: changed(edges=[("n1", "input")]), "input", "", "edge from 'n1' into an Input of the graph", None, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_graph_is_one_error_by_name(name: str) -> None:
    make, *wanted = FORMS[name]
    (found,) = structure_findings(make())
    assert [found.node, found.parameter, found.message, found.got, found.wanted] == wanted
    assert (found.severity, found.error) == ("error", GraphError)
    assert found.repair or found.wanted


@pytest.mark.parametrize("form", [list, tuple, set, frozenset])
def test_edges_in_every_form_that_keeps_pairs(form: Any) -> None:
    edges = [("input", "n1"), ("n1", "output")]
    assert list(structure_findings(changed(edges=form(edges)))) == []
    assert list(structure_findings(changed(edges=form([*edges, ("n1", "x")])))) != []
    assert list(structure_findings(changed(edges=[list(edge) for edge in edges]))) == []


def test_two_mistakes_are_two_findings() -> None:
    """Both ends of an edge, an edge three times, nodes and edges at once: nothing hides what comes after it."""
    messages = [finding.message for finding in structure_findings(changed(edges=[("x", "y")] * 3))]
    assert messages == [
        *["edge 'x' -> 'y': there is no such node"] * 2,
        *["the edge 'x' -> 'y' is listed twice", *["edge 'x' -> 'y': there is no such node"] * 2] * 2,
    ]
    assert [f.parameter for f in structure_findings(changed(nodes={"n": 1}, edges=[1, 2]))] == ["", "edges", "edges"]


def test_a_graph_twice_in_another_is_no_loop() -> None:
    inner = block("i")
    net = graph({"input": inp(3), "a": inner, "b": inner, "output": out(3)}, "input > a > b > output")
    assert list(structure_findings(net)) == []


def test_only_the_whole_graph_needs_an_output_and_refuses_edges_into_inputs() -> None:
    inner = graph({"i": inp(3), "n": D.lif(3)}, "i > n", "n > i")
    net = graph({"input": inp(3), "m": inner, "n": D.lif(3)}, "input > m", "input > n")
    (found,) = structure_findings(net)
    assert (found.severity, found.node, found.message[:30]) == ("warning", "", "the graph has no Output node, ")


def test_flat_edges_that_meet_name_how_many() -> None:
    net = chain(block("i"), given=(3,), result=(3,))
    net.edges += [("input", "n1.i"), ("n1.o", "output")]
    with pytest.raises(GraphError, match=r"node '(n1\.i|output)': 2 edges lead here from '(input|n1\.o)' once nested"):
        flatten(net)


def test_a_flat_graph_has_its_own_dicts() -> None:
    net = chain(D.lif(3), given=(3,), result=(3,))
    flat = flatten(net)
    assert isinstance(flat, FlatGraph)
    flat.nodes["n1"] = nir.Scale(np.ones(3))
    assert isinstance(net.nodes["n1"], nir.LIF)
