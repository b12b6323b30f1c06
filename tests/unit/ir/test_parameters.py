# ruff: noqa: E501 - tables, one case a line
"""Parameter values: which ones have a meaning, element by element and node by node."""

from __future__ import annotations

from collections.abc import Callable

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import ParameterError
from hasn.finding import Finding
from tests.graphs import DT, chain, inp, out
from tests.unit.ir.nets import D, conv, one, with_field, with_types

Made = Callable[[], nir.NIRGraph]


def errors(net: nir.NIRGraph) -> list[Finding]:
    return [finding for finding in hasn.check(net, dt=DT) if finding.severity == "error"]


NEURONS = {
    "I": ("r",), "IF": ("r", "v_threshold", "v_reset"), "LI": ("tau", "r", "v_leak"),
    "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"), "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
    "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
}  # fmt: skip
OTHERS: dict[str, Made] = {
    "Affine": lambda: chain(D.affine(3, 3), given=(3,), result=(3,)),
    "Linear": lambda: chain(D.linear(3, 3), given=(3,), result=(3,)),
    "Conv1d": lambda: chain(D.conv1d(3, 2, 2), given=(2, 4), result=(3, 3)),
    "Conv2d": lambda: conv(),
    "Scale": lambda: chain(nir.Scale(np.ones(3)), given=(3,), result=(3,)),
    "Threshold": lambda: chain(nir.Threshold(np.ones(3)), given=(3,), result=(3,)),
    "Delay": lambda: chain(nir.Delay(np.ones(3)), given=(3,), result=(3,)),
}
PARAMETERS = [
    *((kind, name) for kind, names in NEURONS.items() for name in names),
    *((kind, "weight") for kind in ("Affine", "Linear", "Conv1d", "Conv2d")),
    *((kind, "bias") for kind in ("Affine", "Conv1d", "Conv2d")),
    ("Scale", "scale"), ("Threshold", "threshold"), ("Delay", "delay"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "parameter"), PARAMETERS)
def test_every_element_of_every_parameter_has_a_meaning(kind: str, parameter: str) -> None:
    """NaN and infinities never; zero and below where a time constant, a resistance or a delay has no meaning."""
    net = OTHERS[kind]() if kind in OTHERS else one(kind)
    value = getattr(net.nodes["n1"], parameter)
    last = tuple(n - 1 for n in value.shape)
    low = {"tau": (0.0, -1e-9), "tau_syn": (0.0, -1e-9), "tau_mem": (0.0, -1e-9), "r": (0.0,), "delay": (-1e-9,)}
    for bad in (np.nan, np.inf, -np.inf, *low.get(parameter, ())):
        changed = value.copy()
        changed[last] = bad
        (finding,) = errors(with_field(net, **{parameter: changed}))
        assert (finding.node, finding.parameter, finding.got) == ("n1", parameter, f"{bad} at index {last}")
        assert finding.error is ParameterError
    negative = {"r": -2.0, "delay": 0.0}.get(parameter, 1e-3 if parameter.startswith("tau") else -1e-3)
    changed = value.copy()
    changed[last] = negative
    assert errors(with_field(net, **{parameter: changed})) == []


@pytest.mark.parametrize("kind", [kind for kind in NEURONS if kind != "I"])  # an I has one parameter
def test_every_parameter_of_a_neuron_has_the_shape_of_r(kind: str) -> None:
    for name in NEURONS[kind]:
        found = errors(with_field(one(kind), **{name: np.full(2, 0.5)}))
        at = next(other for other in NEURONS[kind] if other != "r") if name == "r" else name
        assert [(f.node, f.parameter, f.message) for f in found] == [("n1", at, "has another shape than r")]


def test_a_parameter_without_dimensions_names_no_index() -> None:
    net = with_field(one("I"), r=np.array(0.0))
    (found,) = errors(net)
    assert found.got == "0.0"
    (found,) = errors(with_field(one("LIF"), tau=[[1, 2], [3]]))
    assert (found.message, found.got, found.wanted) == ("is not numeric", "list", "a finite time constant > 0 s")


def test_everything_that_is_no_number_is_said() -> None:
    net = with_field(one("LIF"), tau="fast", v_leak=None, v_threshold=np.full(3, np.nan))
    assert [(f.parameter, f.message) for f in errors(net)] == [
        ("tau", "is not numeric"), ("v_leak", "is not numeric"), ("v_threshold", "has a value with no meaning"),
    ]  # fmt: skip


#: What a node says itself is judged before anything is made of it. name -> (graph, parameter, message, got, wanted)
SAID: dict[str, tuple[Made, str, str, object, str]] = {
    "an Input without types": (lambda: with_types(inp(3), "input", None), "input_type", "does not say a shape", "None", "{'input': shape}"),
    "an Input of another key": (lambda: with_types(inp(3), "input", {"output": 3}), "input_type", "does not say a shape", "{'output': 3}", "{'input': shape}"),
    "an Output of another key": (lambda: with_types(out(3), "output", {"input": 3}), "output_type", "does not say a shape", "{'input': 3}", "{'output': shape}"),
    "a Flatten of zero": (lambda: with_types(nir.Flatten({"input": None}, 0, -1), "input", {"input": [0]}), "input_type", "is not a shape", "[0]", "integers >= 1"),
    "a shape of halves": (lambda: with_types(inp(3), "input", {"input": [1.5]}), "input_type", "is not a shape", "[1.5]", "integers >= 1"),
    "a shape of truths": (lambda: with_types(inp(3), "input", {"input": [True]}), "input_type", "is not a shape", "[True]", "integers >= 1"),
    "a shape of rows": (lambda: with_types(inp(3), "input", {"input": [[3, 3]]}), "input_type", "is not a shape", "[[3, 3]]", "integers >= 1"),
    "a shape of text": (lambda: with_types(inp(3), "input", {"input": "six"}), "input_type", "is not a shape", "'six'", "integers >= 1"),
    "a convolution's shape": (lambda: conv(input_shape=(5, 0)), "input_shape", "is not a shape", "(5, 0)", "integers >= 1"),
    "conv1d weight of rank 4": (lambda: with_field(OTHERS["Conv1d"](), weight=np.ones((3, 2, 2, 1))), "weight", "has the wrong number of dimensions", (3, 2, 2, 1), "(out channels, in channels / groups, kernel)"),
    "conv2d weight of rank 3": (lambda: conv(weight=np.ones((4, 2, 3))), "weight", "has the wrong number of dimensions", (4, 2, 3), "(out channels, in channels / groups, kernel height, kernel width)"),
    "conv1d stride": (lambda: with_field(OTHERS["Conv1d"](), stride=0), "stride", "is too small", (0,), "integers >= 1"),
    "conv1d padding": (lambda: with_field(OTHERS["Conv1d"](), padding=-1), "padding", "is too small", (-1,), "integers >= 0"),
    "conv dilation zero in one": (lambda: conv(dilation=(1, 0)), "dilation", "is too small", (1, 0), "integers >= 1"),
    "conv groups zero": (lambda: conv(groups=0), "groups", "does not divide the output channels", 0, "a divisor of 4"),
    "conv groups negative": (lambda: conv(groups=-2), "groups", "does not divide the output channels", -2, "a divisor of 4"),
    "a bias of a column": (lambda: chain(nir.Affine(np.ones((3, 3)), np.ones((3, 1))), given=(3,), result=(3,)), "bias", "does not fit the weight", (3, 1), "(3,), one value an output"),
    "a weight of one number": (lambda: with_field(OTHERS["Linear"](), weight=np.array(2.0)), "weight", "is not a matrix", (), "(..., outputs, inputs)"),
    "v_init of a matrix": (lambda: one("IF", metadata={"v_init": np.ones((3, 1))}), "metadata['v_init']", "does not fit the neurons", (3, 1), "a number or shape (3,)"),
    "v_init infinite in one": (lambda: one("LI", metadata={"v_init": [0, np.inf, 0]}), "metadata['v_init']", "has a value with no meaning", [0, np.inf, 0], "finite numbers"),
    "reset of a neuron that does not fire": (lambda: one("LI", metadata={"reset": "hard"}), "metadata['reset']", "unknown reset", "hard", "zero or subtract"),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_what_a_node_says_itself(name: str) -> None:
    make, *wanted = SAID[name]
    (finding,) = errors(make())
    assert [finding.parameter, finding.message, finding.got, finding.wanted] == wanted
    assert (finding.node, finding.error) == ("n1", ParameterError)


GOOD: dict[str, Made] = {
    "same": lambda: chain(D.conv2d(4, 2, (3, 2), padding="same"), given=(2, 5, 5), result=(4, 5, 5)),
    "same as bytes": lambda: with_field(chain(D.conv2d(4, 2, (3, 2)), given=(2, 5, 5), result=(4, 5, 5)), padding=b"same"),
    "valid with a stride": lambda: chain(D.conv2d(4, 2, (3, 2), padding="valid", stride=2), given=(2, 5, 5), result=(4, 2, 2)),
    "groups as many as channels": lambda: chain(D.conv2d(4, 4, (1, 1), groups=4), given=(4, 2, 2), result=(4, 2, 2)),
    "pairs as arrays of floats": lambda: conv(stride=np.array([1.0, 1.0]), dilation=np.array([1]), groups=np.array([1.0])),
    "pool of one": lambda: chain(nir.SumPool2d(np.array([1, 1]), np.array([1, 1]), np.array([0, 0])), given=(2, 4, 4), result=(2, 4, 4)),
    "a matrix of three dimensions": lambda: chain(nir.Affine(D.weight(2, 4, 3), np.ones((2, 4))), given=(2, 3), result=(2, 4)),
    "v_init of one number": lambda: one("LIF", metadata={"v_init": -0.5}),
    "v_init for each": lambda: one("LIF", metadata={"v_init": [0.1, 0.2, 0.3]}),
    "resets": lambda: chain(D.lif(3, metadata={"reset": "zero"}), D.lif(3, metadata={"reset": b"subtract"}), given=(3,), result=(3,)),
    "reset at the threshold": lambda: one("LIF", v_reset=0.9, v_threshold=0.9),
    "shapes of unsigned numbers": lambda: with_types(out(3), "output", {"output": np.array([3], dtype=np.uint8)}),
    "no metadata": lambda: with_field(one("LIF"), metadata=None),
    "a mark that is no mark": lambda: one("LIF", metadata={"v_reset_assumed": None}),
    "a mark whose reset is known": lambda: one("LIF", metadata={"v_reset_assumed": True, "reset": "zero"}),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_has_a_meaning(name: str) -> None:
    assert hasn.check(GOOD[name](), dt=DT) == []
