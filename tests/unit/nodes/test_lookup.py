"""Plug-ins' kinds: what is found, what is refused, and kinds that do not keep to what they say."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import GraphError, OptionError, ShapeError
from hasn.nodes import leaky, lookup
from hasn.nodes.lookup import is_known, kind_names, kind_of, kinds, neuron_kind
from hasn.program.model import Neurons, Row
from tests.graphs import DT, Draw, chain

D = Draw(4)


def offered(monkeypatch: pytest.MonkeyPatch, **points: Any) -> None:
    """These are the entry points."""
    found = [
        SimpleNamespace(name=name, value=f"{name}:KINDS", load=lambda o=offer: o) for name, offer in points.items()
    ]
    monkeypatch.setattr(lookup, "entry_points", lambda group: found if group == "hasn.nodes" else [])
    kinds.cache_clear()


@pytest.fixture(autouse=True)
def own_kinds_afterwards() -> Iterator[None]:
    yield
    kinds.cache_clear()


def test_kinds_by_name_and_nested_graphs_among_them(monkeypatch: pytest.MonkeyPatch) -> None:
    offered(monkeypatch, b=(leaky.LIFKind(),), a=(leaky.LIKind(),))
    assert list(kinds()) == ["LI", "LIF"]
    assert kind_names() == ("LI", "LIF", "NIRGraph")


def test_two_packages_with_one_name_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    offered(monkeypatch, one=(leaky.LIFKind(),), other=(leaky.LIFKind(),))
    with pytest.raises(OptionError, match=r"entry point one:KINDS and other:KINDS: offer one node kind; got LIF"):
        kinds()


@pytest.mark.parametrize("offer", [leaky.LIFKind(), (nir.LIF,), "LIF", None])
def test_an_entry_point_that_names_no_kinds(monkeypatch: pytest.MonkeyPatch, offer: Any) -> None:
    offered(monkeypatch, wrong=offer)
    with pytest.raises(OptionError, match=r"entry point wrong:KINDS: names no node kinds.*Uninstall the plug-in"):
        kinds()


def test_a_subclass_may_mean_something_else() -> None:
    class Other(nir.LIF):  # type: ignore[misc]
        pass

    Other.__name__ = "LIF"
    node = D.lif(2)
    other = Other(**{p.name: getattr(node, p.name) for p in kind_of(node).parameters})
    assert (is_known(node), is_known(other)) == (True, False)
    with pytest.raises(GraphError, match=r"unknown node type LIF\..*hasn runs AdaptiveLIF, Affine"):
        kind_of(other)


def test_which_kinds_are_neurons() -> None:
    assert neuron_kind(D.lif(2)) is kinds()["LIF"]
    assert neuron_kind(D.linear(2, 2)) is None


# --- a kind that lies


class Liar(leaky.LIFKind):
    """A LIF that does not keep to its shape, in one way or another."""

    lie = ""

    def output_shape(self, node: Any, shape: Any) -> Any:
        return (*shape[:-1], shape[-1] + 1) if self.lie == "output_shape" else shape

    def rows(self, node: Any, dt: float, method: str, xp: Any = np) -> tuple[Row, ...]:
        (row,) = super().rows(node, dt, method, xp)
        if self.lie == "rows":
            return (Row("v", (("v", np.ones(7)),), row.gain),)
        return (Row("v", row.terms, np.ones((2, 3))),) if self.lie == "gain" else (row,)

    def meaning(self, node: Any, place: Any) -> Neurons:
        made = super().meaning(node, place)
        shape = (5,) if self.lie == "meaning" else made.shape
        return Neurons(made.name, shape, made.states, made.rows, made.initial, made.condition, made.resets)


@pytest.mark.parametrize(
    ("lie", "words"),
    [
        ("meaning", r"shape: .*; got \(5,\); wanted \(3,\)"),
        ("rows", r"v from v: .*; got \(7,\); wanted \(3,\)"),
        ("gain", r"v from the input: .*; got \(2, 3\); wanted \(3,\)"),
    ],
)
def test_a_kind_that_lies_about_its_shape_is_named(monkeypatch: pytest.MonkeyPatch, lie: str, words: str) -> None:
    liar = Liar()
    liar.lie = lie
    monkeypatch.setitem(kinds(), "LIF", liar)
    net = chain(D.lif(3, tau=0.01), given=(3,), result=(3,))
    with pytest.raises(ShapeError, match=rf"node 'n1' {words}.*Mend the package that brings the kind"):
        hasn.lower(net, dt=DT)


def test_an_output_shape_that_does_not_fit_what_comes_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    liar = Liar()
    liar.lie = "output_shape"
    monkeypatch.setitem(kinds(), "LIF", liar)
    net = chain(D.lif(3, tau=0.01), given=(3,), result=(3,))
    with pytest.raises(ShapeError, match=r"node 'output'.*shape mismatch along the edge from 'n1'"):
        hasn.lower(net, dt=DT)
