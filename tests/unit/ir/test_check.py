# ruff: noqa: E501 - tables, one case a line
"""hasn.check: every statement it can make, each with node, parameter, value, condition and way out."""

from __future__ import annotations

from collections.abc import Callable

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import OptionError, ParameterError, ShapeError, TimeStepError
from hasn.finding import Finding
from hasn.ir.check import checked
from tests.graphs import DT, chain, graph, inp, out
from tests.unit.ir.nets import D, conv, one, pool, with_field

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


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_doubts_about_v_reset_in_every_neuron_that_fires(kind: str) -> None:
    (found,) = hasn.check(one(kind, v_threshold=1.0, v_reset=[0, 1.001, 0]), dt=DT)
    assert (found.severity, found.node, found.parameter) == ("warning", "n1", "v_reset")
    assert "Swap them" in found.repair
    (found,) = hasn.check(one(kind, metadata={"v_reset_assumed": True}), dt=DT)
    assert (found.severity, found.node, found.parameter) == ("note", "n1", "v_reset")
    assert "reset='subtract'" in found.repair


def test_all_that_is_wrong_with_a_convolution_and_a_population_is_said_at_once() -> None:
    found = errors(conv(stride=0, dilation=0, padding="full", groups=3))
    assert [f.parameter for f in found] == ["stride", "dilation", "groups"]  # padding means nothing without these
    assert [f.parameter for f in errors(conv(padding="full", groups=3))] == ["groups", "padding"]
    found = errors(chain(D.lif(3, metadata={"reset": "x", "v_init": np.nan}), given=(3,), result=(3,)))
    assert [f.parameter for f in found] == ["metadata['reset']", "metadata['v_init']"]
    both = with_field(one("LIF"), tau=np.full(3, -1.0), r=np.zeros(3))
    assert [f.parameter for f in errors(both)] == ["tau", "r"]
    pooled = pool(kernel=(0, 2), stride=(1.5, 1), padding=(0, -1))
    assert [(f.parameter, f.message[:6]) for f in errors(pooled)] == [
        ("kernel_size", "is too"), ("stride", "is nei"), ("padding", "is too"),
    ]  # fmt: skip


def test_what_is_judged_after_what() -> None:
    """Form, then values, then shapes and dt together: each would be nonsense without the one before."""
    net = chain(D.lif(3, tau=-1.0), D.lif(4), given=(3,), result=(3,))
    net.metadata["dt"] = -1.0
    net.edges.append(("n1", "nowhere"))
    assert [f.node for f in hasn.check(net)] == ["nowhere"]
    net.edges.pop()
    assert [(f.node, f.parameter) for f in hasn.check(net)] == [("n1", "tau")]
    net.nodes["n1"].tau = np.full(3, 0.01)
    found = hasn.check(net)
    assert [(f.node, f.parameter) for f in found] == [("n2", ""), ("output", ""), ("", "dt")]
    assert [f.error for f in found] == [ShapeError, ShapeError, TimeStepError]
    twice = chain(chain(D.lif(3), given=(3,), result=(3,)), given=(3,), result=(3,))
    twice.edges.append(("input", "n1.input"))
    (finding,) = hasn.check(twice)
    assert (finding.severity, finding.node) == ("error", "n1.input")
    assert "2 edges lead here" in finding.message


def test_what_lowering_takes_is_checked_with_its_own_dt_and_method() -> None:
    net = chain(D.lif(3, tau=0.7e-3), given=(3,), result=(3,))
    found = checked(net, dt=1e-3)
    assert (found.dt, found.shapes["n1"], set(found.flat.nodes)) == (1e-3, ((3,), (3,)), {"input", "n1", "output"})
    with pytest.raises(TimeStepError, match="diverges"):
        checked(net, dt=2e-3)
    assert checked(net, dt=2e-3, method="exact").dt == 2e-3
    with pytest.raises(
        TimeStepError, match=r"dt: the time step is not known; wanted seconds\. Pass dt=\.\.\. \(seconds\)"
    ):
        checked(net)
    net.metadata["dt"] = 5e-4
    assert (checked(net).dt, checked(net, dt=1e-3).dt) == (5e-4, 1e-3)
    with pytest.raises(OptionError, match="unknown method; got 'rk4'"):
        checked(net, method="rk4")
    with pytest.raises(OptionError, match="unknown method"):
        hasn.check("no graph either", method="rk4")


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


def test_errors_come_first_and_notes_last() -> None:
    doubted = D.lif(3, v_threshold=1.0, v_reset=2.0, metadata={"v_reset_assumed": True})
    net = chain(doubted, D.lif(3, metadata={"v_init": np.nan}), doubted, given=(3,), result=(3,))
    assert [(f.severity, f.node) for f in hasn.check(net, dt=DT)] == [
        ("error", "n2"), ("warning", "n1"), ("warning", "n3"), ("note", "n1"), ("note", "n3"),
    ]  # fmt: skip


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
