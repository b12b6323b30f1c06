"""Feedback edges: those of the definition, whatever the order in which a file lists nodes and edges."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hasn
from hasn.program.feedback import evaluation_order, feedback_edges
from hasn.testing.cases import CASES

NAMES = "abcdefgh"
PAIRS = st.sets(st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)), max_size=20)


def by_definition(names: str, edges: set[tuple[str, str]], inputs: set[str]) -> set[tuple[str, str]]:
    """The sentence of SEMANTICS, word by word."""
    found, done = set(), set()

    def visit(node: str, stack: tuple[str, ...]) -> None:
        for target in sorted(b for a, b in edges if a == node):
            if target in stack:
                found.add((node, target))
            elif target not in done:
                visit(target, (*stack, target))
        done.add(node)

    for root in [*sorted(inputs), *sorted(set(names) - inputs)]:
        if root not in done:
            visit(root, (root,))
    return found


@settings(max_examples=300, deadline=None)
@given(PAIRS, st.sets(st.sampled_from(NAMES), max_size=3), st.randoms(use_true_random=False))
def test_the_definition_and_no_matter_of_order(
    edges: set[tuple[str, str]], inputs: set[str], order: random.Random
) -> None:
    wanted = by_definition(NAMES, edges, inputs)
    names, listed, ports = list(NAMES), list(edges), list(inputs)
    for _ in range(3):
        for items in (names, listed, ports):
            order.shuffle(items)
        assert feedback_edges(names, listed, ports) == wanted


@settings(max_examples=200, deadline=None)
@given(PAIRS)
def test_without_feedback_edges_there_is_an_order(edges: set[tuple[str, str]]) -> None:
    late = feedback_edges(NAMES, edges, ["a"])
    order = evaluation_order(NAMES, edges - late)
    place = {name: i for i, name in enumerate(order)}
    assert sorted(order) == list(NAMES)
    assert all(place[a] < place[b] for a, b in edges - late)


def test_a_chain_deeper_than_pythons_stack() -> None:
    names = [f"n{i:05d}" for i in range(20_000)]
    edges = list(zip(names, [*names[1:], names[0]], strict=True))
    assert feedback_edges(names, edges, names[:1]) == {(names[-1], names[0])}


@pytest.mark.parametrize(
    "name", ["three_populations_two_loops", "two_populations_in_a_loop-hardware", "all_neurons_together"]
)
def test_a_program_is_the_same_however_the_file_lists_it(name: str) -> None:
    case, order = CASES[name], random.Random(5)
    first = hasn.lower(case.graph(), **case.options())
    for _ in range(5):
        net = case.graph()
        items, edges = list(net.nodes.items()), list(net.edges)
        order.shuffle(items)
        order.shuffle(edges)
        net.nodes, net.edges = dict(items), edges
        again = hasn.lower(net, **case.options())
        assert [step.name for step in again.nodes] == [step.name for step in first.nodes]
        assert set(again.edges) == set(first.edges)


def test_hardware_time_takes_the_cycles_own_step() -> None:
    """Population to population: one step each, and no feedback edge besides."""
    program = hasn.lower(CASES["two_populations_in_a_loop"].graph(), dt=1e-3, timing="hardware")
    assert {(e.source, e.target) for e in program.edges if e.delay} == {
        ("input", "lin"),
        ("exc", "to_inh"),
        ("inh", "to_exc"),
    }
    program = hasn.lower(CASES["two_populations_in_a_loop"].graph(), dt=1e-3)
    assert {(e.source, e.target) for e in program.edges if e.delay} == {("to_exc", "exc")}


@pytest.mark.parametrize("start", ["i", "m"])
def test_names_are_taken_in_sorted_order_from_the_start_and_behind_it(start: str) -> None:
    """Of a loop of a and b, that which is met first is a, in whatever order edges are listed."""
    edges = [("i", "m"), (start, "b"), (start, "a"), ("a", "b"), ("b", "a")]
    assert feedback_edges(["i", "m", "b", "a"], edges, ["i"]) == {("b", "a")}
