"""Nodes from the plain fields of a file: what arrives, what may be left out, what is evened out."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from hasn.errors import FileError, GraphError, ParameterError
from hasn.finding import Finding
from hasn.ir.build import build


def plain(kind: str, **fields: Any) -> dict[str, Any]:
    """A node's fields as a file has them, in a graph of their own."""
    return {"type": "NIRGraph", "edges": [], "nodes": {"n": {"type": kind, **fields}}}


def built(kind: str, changes: list[Finding] | None = None, **fields: Any) -> nir.NIRNode:
    """The node that these fields describe."""
    return build(plain(kind, **fields), "", "net.nir", changes).nodes["n"]


VALUES = {
    "r": 2.0,
    "tau": 0.3,
    "tau_syn": 0.4,
    "tau_mem": 0.5,
    "v_leak": 0.6,
    "v_threshold": 0.7,
    "v_reset": 0.8,
    "w_in": 0.9,
}
NEURONS = {
    "I": ("r",), "IF": ("r", "v_threshold", "v_reset"), "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"), "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NEURONS)
def test_every_parameter_of_a_neuron_arrives_and_none_can_be_missing(kind: str) -> None:
    fields = {name: np.full(3, VALUES[name]) for name in NEURONS[kind]}
    node = built(kind, **fields)
    for name in NEURONS[kind]:
        assert getattr(node, name).tolist() == [VALUES[name]] * 3
        less = {key: value for key, value in fields.items() if key != name}
        if name == "v_reset":
            assert built(kind, **less).metadata == {"v_reset_assumed": True}
        elif name == "w_in":
            assert built(kind, **less).w_in.tolist() == [1.0] * 3  # NIR's own default
        else:
            with pytest.raises(
                ParameterError, match=f"node 'n' {name}: this {kind} lacks it; wanted .*{name}.*hasn.save it"
            ):
                built(kind, **less)
    assert node.metadata == {}


@pytest.mark.parametrize("kind", [kind for kind in NEURONS if kind != "I"])  # an I has one parameter
def test_repair_evens_out_single_values_to_the_largest_shape(kind: str) -> None:
    """Each parameter in its turn as one number, or an array of one, among arrays."""
    for name in NEURONS[kind]:
        for single in (np.float64(VALUES[name]), np.full((1,), VALUES[name]), np.full((1, 1), VALUES[name])):
            fields = {key: np.full((2, 3), VALUES[key]) for key in NEURONS[kind]}
            changes: list[Finding] = []
            node = built(kind, changes, **{**fields, name: single})
            assert getattr(node, name).tolist() == [[VALUES[name]] * 3] * 2
            (change,) = changes
            assert (change.severity, change.node, change.parameter) == ("note", "n", name)
            assert (change.message, change.got) == ("one value for all: brought to shape (2, 3)", np.shape(single))
            if name != "w_in":  # which NIR evens out itself
                with pytest.raises(ParameterError, match="All parameters must have the same shape"):
                    built(kind, **{**fields, name: single})
    changes = []
    built(kind, changes, **{key: np.full(1, VALUES[key]) for key in NEURONS[kind]})
    assert changes == []


def test_repair_does_not_even_out_what_has_two_shapes() -> None:
    fields = {name: np.full(3, VALUES[name]) for name in NEURONS["LIF"]}
    with pytest.raises(ParameterError, match=r"node 'n': NIR refuses this LIF.*tau \(2,\).*wanted every parameter"):
        built("LIF", [], **{**fields, "tau": np.ones(2)})


@pytest.mark.parametrize("kind", ["Input", "Output"])
def test_a_shape_in_every_form_that_a_file_may_give_it(kind: str) -> None:
    key = kind.lower()
    for fields in ({"shape": np.array([2, 3])}, {f"{key}_type": {key: np.array([2.0, 3.0])}}, {f"{key}_type": [2, 3]}):
        node = built(kind, **fields)
        assert getattr(node, f"{key}_type")[key].tolist() == [2, 3]
    assert getattr(built(kind, shape=4), f"{key}_type")[key].tolist() == [4]
    assert getattr(built(kind, shape=np.array([1])), f"{key}_type")[key].tolist() == [1]
    assert getattr(built(kind), f"{key}_type")[key] is None
    for wrong in (np.array([2, 0]), np.array([2, -1]), True, np.array([0.5]), 2j):
        with pytest.raises(ParameterError, match=r"node 'n' shape: is not a shape; got .*; wanted integers >= 1"):
            built(kind, shape=wrong)


def test_shapes_that_are_left_open() -> None:
    conv = {
        "weight": np.ones((2, 1, 3)),
        "bias": np.zeros(2),
        "stride": 1,
        "padding": b"same",
        "dilation": 1,
        "groups": 1,
    }
    node = built("Conv1d", **conv)
    assert (node.input_shape, node.padding) == (None, "same")
    assert built("Conv1d", **conv, input_shape=7).input_shape == 7
    conv["weight"] = np.ones((2, 1, 3, 3))
    assert built("Conv2d", **conv).input_shape is None
    assert built("Flatten", start_dim=0, end_dim=-1).input_type == {"input": None}
    flat = built("Flatten", input_type=np.array([2, 3]), start_dim=0, end_dim=-1)
    assert flat.input_type["input"].tolist() == [2, 3]
    with pytest.raises(
        ParameterError, match="node 'n' start: Flatten has no such parameter; wanted input_type, start_dim, end_dim"
    ):
        built("Flatten", start=0)


def test_metadata_is_a_copy_and_an_older_files_mark_is_added_to_it() -> None:
    given = {"reset": "subtract"}
    fields = {name: np.full(3, VALUES[name]) for name in NEURONS["LIF"] if name != "v_reset"}
    node = built("LIF", **fields, metadata=given)
    assert node.metadata == {"reset": "subtract", "v_reset_assumed": True}
    assert given == {"reset": "subtract"}
    graph_of = build({**plain("LIF", **fields), "metadata": given}, "", "net.nir")
    graph_of.metadata["dt"] = 1.0
    assert given == {"reset": "subtract"}
    with pytest.raises(FileError, match=r"^net\.nir: the file holds a single LIF, not a graph\. Wrap it"):
        build({"type": "LIF"}, "", "net.nir")


@pytest.mark.parametrize("part", ["edges", "nodes"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_graph_that_lost_a_part_is_refused_not_taken_for_an_empty_one(part: str, nested: bool) -> None:
    graph = {key: value for key, value in {"type": "NIRGraph", "edges": [], "nodes": {}}.items() if key != part}
    fields = {"type": "NIRGraph", "edges": [], "nodes": {"inner": graph}} if nested else graph
    with pytest.raises(GraphError, match=f"the graph lacks its '{part}'") as caught:
        build(fields, "", "file.nir")
    assert (caught.value.node, caught.value.parameter) == (("inner", None) if nested else (None, "file.nir"))
    assert "export it again" in str(caught.value)
