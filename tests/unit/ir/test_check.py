# ruff: noqa: E501 - tables, one case a line
"""hasn.check: every statement it can make, each with node, parameter, value, condition and way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import OptionError, ParameterError, ShapeError, TimeStepError
from hasn.ir.finding import Finding
from tests.graphs import DT, Draw, Shape, chain, graph, inp, out

D = Draw(1)


def conv(**changes: Any) -> nir.NIRGraph:
    """A net of one convolution whose fields are set after NIR's own checks."""
    node = D.conv2d(4, 2, (3, 3))
    for key, value in changes.items():
        setattr(node, key, value)
    return chain(node, given=(2, 5, 5), result=(4, 3, 3))


def one(kind: str, **fixed: Any) -> nir.NIRGraph:
    """A net of one population of three."""
    return chain(D.neuron(kind, (3,), **fixed), given=(3,), result=(3,))


def with_field(net: nir.NIRGraph, **changes: Any) -> nir.NIRGraph:
    """The net with fields of its node n1 set."""
    for key, value in changes.items():
        setattr(net.nodes["n1"], key, value)
    return net


def pool(kernel: Shape = (2, 2), stride: Shape = (2, 2), padding: Shape = (0, 0)) -> nir.NIRGraph:
    """A net of one pooling."""
    node = nir.SumPool2d(np.array(kernel), np.array(stride), np.array(padding))
    return chain(node, given=(2, 4, 4), result=(2, 2, 2))


Made = Callable[[], nir.NIRGraph]
#: name -> (graph, node, parameter, part of the error's text)
ERRORS: dict[str, tuple[Made, str, str, str]] = {
    "tau negative": (lambda: one("LIF", tau=[1, -2, 3]), "n1", "tau", "got -2.0 at index (1,); wanted a finite time constant > 0 s"),
    "tau zero": (lambda: one("LI", tau=0.0), "n1", "tau", "got 0.0 at index (0,) (3 such values)"),
    "tau infinite": (lambda: one("LI", tau=np.inf), "n1", "tau", "got inf"),
    "tau_syn negative": (lambda: one("CubaLIF", tau_syn=-1e-3), "n1", "tau_syn", "got -0.001"),
    "tau_mem nan": (lambda: one("CubaLI", tau_mem=np.nan), "n1", "tau_mem", "got nan"),
    "r zero": (lambda: one("IF", r=[1, 2, 0]), "n1", "r", "got 0.0 at index (2,); wanted a finite resistance that is not 0 ohm"),
    "r infinite": (lambda: one("I", r=-np.inf), "n1", "r", "got -inf"),
    "threshold nan": (lambda: one("LIF", v_threshold=np.nan), "n1", "v_threshold", "wanted finite numbers"),
    "v_reset infinite": (lambda: one("LIF", v_reset=np.inf), "n1", "v_reset", "got inf"),
    "v_leak nan": (lambda: one("LIF", v_leak=np.nan), "n1", "v_leak", "got nan"),
    "w_in nan": (lambda: one("CubaLIF", w_in=np.nan), "n1", "w_in", "got nan"),
    "weight nan": (lambda: chain(nir.Linear(np.full((3, 3), np.nan)), given=(3,), result=(3,)), "n1", "weight", "got nan at index (0, 0) (9 such"),
    "bias nan": (lambda: chain(nir.Affine(np.ones((3, 3)), np.full(3, np.nan)), given=(3,), result=(3,)), "n1", "bias", "got nan"),
    "scale infinite": (lambda: chain(nir.Scale(np.full(3, np.inf)), given=(3,), result=(3,)), "n1", "scale", "got inf"),
    "delay negative": (lambda: chain(nir.Delay(np.array([0, -1, 0.0])), given=(3,), result=(3,)), "n1", "delay", "got -1.0 at index (1,); wanted a finite delay >= 0 s"),
    "weight is text": (lambda: with_field(chain(D.linear(3, 3), given=(3,), result=(3,)), weight=np.array([["a"]])), "n1", "weight", "is not numeric"),
    "weight is complex": (lambda: chain(nir.Linear(np.ones((3, 3)) * 1j), given=(3,), result=(3,)), "n1", "weight", "is not numeric; got complex128"),
    "weight is a vector": (lambda: with_field(chain(D.linear(3, 3), given=(3,), result=(3,)), weight=np.ones(3)), "n1", "weight", "is not a matrix; got (3,)"),
    "bias does not fit": (lambda: chain(nir.Affine(np.ones((3, 2)), np.ones(2)), given=(2,), result=(3,)), "n1", "bias", "got (2,); wanted (3,), one value an output"),
    "conv bias does not fit": (lambda: conv(bias=np.ones(3)), "n1", "bias", "got (3,); wanted (4,), one value a channel"),
    "conv weight of rank 3": (lambda: conv(weight=np.ones((4, 2, 3))), "n1", "weight", "wrong number of dimensions"),
    "conv groups": (lambda: conv(groups=3), "n1", "groups", "does not divide the output channels; got 3; wanted a divisor of 4"),
    "conv groups half": (lambda: conv(groups=1.5), "n1", "groups", "is not one whole number; got 1.5"),
    "conv stride zero": (lambda: conv(stride=(1, 0)), "n1", "stride", "is too small; got (1, 0); wanted integers >= 1"),
    "conv stride of three": (lambda: conv(stride=(1, 1, 1)), "n1", "stride", "neither one integer nor one for each dimension"),
    "conv dilation": (lambda: conv(dilation=0), "n1", "dilation", "is too small"),
    "conv padding negative": (lambda: conv(padding=-1), "n1", "padding", "is too small; got (-1, -1); wanted integers >= 0"),
    "conv padding word": (lambda: conv(padding="circular"), "n1", "padding", "unknown padding; got 'circular'; wanted 'same', 'valid' or integers"),
    "conv same with stride": (lambda: conv(padding="same", stride=2), "n1", "padding", "'same' has no meaning with a stride; got 2; wanted stride 1. Give the padding in numbers"),
    "pool stride": (lambda: pool(stride=(0, 1)), "n1", "stride", "is too small"),
    "pool kernel": (lambda: pool(kernel=(0, 2)), "n1", "kernel_size", "is too small"),
    "pool padding": (lambda: pool(padding=(0, -1)), "n1", "padding", "is too small"),
    "shape of tau": (lambda: with_field(one("LIF"), tau=np.full(2, 0.01)), "n1", "tau", "has another shape than r; got (2,); wanted (3,)"),
    "reset word": (lambda: one("LIF", metadata={"reset": "hard"}), "n1", "metadata['reset']", "unknown reset; got hard; wanted zero or subtract"),
    "v_init of two": (lambda: one("LIF", metadata={"v_init": np.ones(2)}), "n1", "metadata['v_init']", "does not fit the neurons; got (2,); wanted a number or shape (3,)"),
    "v_init nan": (lambda: one("LIF", metadata={"v_init": np.nan}), "n1", "metadata['v_init']", "got nan; wanted finite numbers"),
    "v_init text": (lambda: one("LIF", metadata={"v_init": "rest"}), "n1", "metadata['v_init']", "got rest; wanted finite numbers"),
    "dt over 2 tau": (lambda: one("LIF", tau=[0.01, 0.0004, 0.02]), "n1", "tau", "is under dt/2, so an Euler step diverges; got 0.0004 s; wanted >= 0.0005 s (dt = 0.001 s). Take a smaller dt, or method='exact'"),
}  # fmt: skip

SHAPE_ERRORS: dict[str, tuple[Made, str]] = {
    "sizes": (lambda: chain(D.affine(5, 6), D.lif(4), given=(6,), result=(4,)),
              "node 'n2': shape mismatch along the edge from 'n1'; got (5,); wanted (4,), which LIF takes. Give both ends one shape."),
    "one neuron for many": (lambda: chain(D.affine(5, 6), D.lif(1), given=(6,), result=(1,)), "Broadcast its parameters to shape (5,)"),
    "a Flatten is missing": (lambda: chain(D.lif(2, 3), D.affine(5, 6), given=(2, 3), result=(5,)), "Put a nir.Flatten between them"),
    "output": (lambda: chain(D.affine(5, 6), given=(6,), result=(4,)), "node 'output': shape mismatch along the edge from 'n1'"),
    "conv channels": (lambda: chain(D.conv2d(2, 6, (3, 3)), given=(5, 9, 9), result=(2, 7, 7)),
                      "node 'n1' weight: the convolution cannot take this input; got (5, 9, 9); wanted (channels, height, width) with 6 channels"),
    "conv kernel": (lambda: chain(D.conv2d(2, 6, (3, 3)), given=(6, 2, 9), result=(2, 1, 7)), "node 'n1' weight: the kernel is larger than the padded input"),
    "pool kernel": (lambda: chain(nir.SumPool2d(np.array([5, 2]), np.array([1, 1]), np.array([0, 0])), given=(1, 4, 4), result=(1, 1, 3)),
                    "node 'n1' kernel_size: the kernel is larger"),
    "pool of a vector": (lambda: chain(nir.AvgPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0])), given=(6,), result=(5,)),
                         "pooling cannot take this input; got (6,); wanted (channels, height, width)"),
    "flatten": (lambda: chain(nir.Flatten({"input": np.array([6])}, 1, -1), given=(6,), result=(6,)),
                "Flatten has no such dimensions; they are counted without the batch; got start_dim=1, end_dim=-1 for shape (6,)"),
    "nothing known": (lambda: graph({"c": D.conv2d(2, 2, (2, 2)), "o": out(2, 1, 1)}, "c > o"), "node 'c': its input shape is nowhere given"),
}  # fmt: skip


def errors(net: nir.NIRGraph) -> list[Finding]:
    return [finding for finding in hasn.check(net, dt=DT) if finding.severity == "error"]


@pytest.mark.parametrize("name", ERRORS)
def test_a_value_without_meaning(name: str) -> None:
    make, node, parameter, text = ERRORS[name]
    found = errors(make())
    assert [(finding.node, finding.parameter) for finding in found] == [(node, parameter)]
    wanted = TimeStepError if name == "dt over 2 tau" else ParameterError
    with pytest.raises(wanted) as caught:
        hasn.lower(make(), dt=DT)
    assert f"node '{node}' {parameter}: " in str(caught.value)
    assert text in str(caught.value)


@pytest.mark.parametrize("name", SHAPE_ERRORS)
def test_shapes_that_do_not_meet(name: str) -> None:
    make, text = SHAPE_ERRORS[name]
    with pytest.raises(ShapeError) as caught:
        hasn.lower(make(), dt=DT)
    assert text in str(caught.value)


def test_a_good_graph_has_no_findings(net: nir.NIRGraph) -> None:
    assert hasn.check(net, dt=DT) == []


def test_all_errors_are_listed_and_the_exception_says_how_many_more() -> None:
    net = chain(D.lif(3, tau=-1.0), D.lif(3, r=0.0), D.lif(3, v_leak=np.nan), given=(3,), result=(3,))
    assert [(f.node, f.parameter) for f in errors(net)] == [("n1", "tau"), ("n2", "r"), ("n3", "v_leak")]
    with pytest.raises(ParameterError) as caught:
        hasn.lower(net, dt=DT)
    assert caught.value.__notes__ == ["(2 more: hasn.check lists all of them)"]


WARNINGS: dict[str, tuple[Made, float | None, str, str]] = {
    "no Output": (lambda: graph({"i": inp(3), "n": D.lif(3)}, "i > n"), DT, "", "no Output node"),
    "no dt": (lambda: one("LIF"), None, "dt", "does not say its time step"),
    "euler oscillates": (lambda: one("LIF", tau=0.7e-3), DT, "tau", "overshoots and oscillates"),
    "delay between steps": (lambda: chain(nir.Delay(np.array([1.5e-3, 0, 1e-3])), given=(3,), result=(3,)), DT, "delay", "no whole number of steps"),
    "reset above threshold": (lambda: one("LIF", v_reset=2.0), DT, "v_reset", "lies above v_threshold"),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNINGS)
def test_what_is_doubtful_is_a_warning_with_a_way_out(name: str) -> None:
    make, dt, parameter, text = WARNINGS[name]
    (finding,) = hasn.check(make(), dt=dt)
    assert (finding.severity, finding.parameter) == ("warning", parameter)
    assert text in finding.message
    assert finding.repair


def test_errors_come_first() -> None:
    net = chain(D.lif(3, tau=0.7e-3), D.lif(3, v_reset=2.0, metadata={"reset": "x"}), given=(3,), result=(3,))
    severities = [finding.severity for finding in hasn.check(net, dt=DT)]
    assert severities == sorted(severities)
    assert severities[0] == "error"


def test_nodes_inside_nested_graphs_have_their_outer_name() -> None:
    net = chain(chain(D.lif(3, tau=-1.0), given=(3,), result=(3,)), given=(3,), result=(3,))
    assert [finding.node for finding in errors(net)] == ["n1.n1"]


def test_what_is_no_graph_and_an_unknown_method_are_refused(net: nir.NIRGraph) -> None:
    with pytest.raises(OptionError, match=r"got dict; wanted nir\.NIRGraph"):
        hasn.check({"nodes": 1})
    with pytest.raises(OptionError, match="method: unknown method; got 'rk4'; wanted euler or exact"):
        hasn.check(net, method="rk4")


def test_a_class_that_nir_does_not_have_is_refused_by_name() -> None:
    class Adaptive(nir.LIF):  # type: ignore[misc]
        pass

    values = {key: np.ones(3) for key in ("tau", "r", "v_leak", "v_threshold")}
    (found,) = errors(chain(Adaptive(**values), given=(3,), result=(3,)))
    assert (found.node, found.message) == ("n1", "unknown node type Adaptive")
    assert "LIF" in found.repair
