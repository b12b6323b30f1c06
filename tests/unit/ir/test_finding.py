"""Findings and errors: one statement in two forms, no part of it lost."""

from __future__ import annotations

import pytest

from hasn.errors import GraphError, ParameterError, ShapeError
from hasn.finding import Finding, finding_of, in_graph, raise_errors

WHOLE = Finding("error", "a.n", "tau", "is bad", "Mend it.", -1.0, "> 0 s", ParameterError)
BARE = Finding("warning", "", "", "is bad")


def test_a_finding_is_an_error_with_all_its_parts_and_back() -> None:
    error = WHOLE.to_error()
    assert type(error) is ParameterError
    parts = (error.node, error.parameter, error.message, error.way_out, error.got, error.wanted)
    assert parts == ("a.n", "tau", "is bad", "Mend it.", -1.0, "> 0 s")
    assert str(WHOLE) == "node 'a.n' tau: is bad; got -1.0; wanted > 0 s. Mend it."
    assert finding_of(error, "another") == WHOLE
    bare = BARE.to_error()
    assert (type(bare), bare.node, bare.parameter, bare.way_out, bare.wanted) == (GraphError, None, None, None, None)
    assert finding_of(ShapeError("is bad"), "n") == Finding("error", "n", "", "is bad", error=ShapeError)


@pytest.mark.parametrize("more", [0, 1, 2])
def test_the_first_error_is_raised_and_the_others_are_counted(more: int) -> None:
    raise_errors([])
    raise_errors([BARE, Finding("note", "n", "", "is so")])
    others = [Finding("error", f"n{i}", "", "is worse", error=ShapeError) for i in range(more)]
    with pytest.raises(ParameterError, match=r"node 'a\.n' tau") as caught:
        raise_errors(iter([BARE, WHOLE, *others, BARE]))
    said = [f"({more} more: hasn.check lists all of them)"] if more else []
    assert getattr(caught.value, "__notes__", []) == said


def test_findings_seen_from_outside_a_nested_graph() -> None:
    inner, graph = in_graph("outer", [WHOLE, BARE])
    assert inner == Finding("error", "outer.a.n", "tau", "is bad", "Mend it.", -1.0, "> 0 s", ParameterError)
    assert graph == Finding("warning", "outer", "", "is bad")
