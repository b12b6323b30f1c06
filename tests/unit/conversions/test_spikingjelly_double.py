"""SpikingJelly on its doubles: every neuron against its equations, its containers, and what is refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from hasn.errors import UnsupportedError
from tests.unit.conversions.tool_doubles import (
    DT,
    Layer,
    X,
    install,
    kinds,
    linear,
    net,
    nn,
    require,
    spikes_of,
    torch,
)

from hasn.conversions import spikingjelly  # isort: skip

from_spikingjelly = partial(spikingjelly.from_spikingjelly, verify=False)  # a double computes nothing


SAME = ("Linear", "Conv1d", "Conv2d", "AvgPool2d", "Flatten", "Dropout", "Dropout2d", "BatchNorm1d", "BatchNorm2d",
        "MaxPool2d")  # fmt: skip
JELLY_LAYERS = {name: getattr(nn, name) for name in SAME} | {
    "ThresholdDependentBatchNorm1d": nn.BatchNorm1d,
    "ThresholdDependentBatchNorm2d": nn.BatchNorm2d,
}


class Stepwise(nn.Sequential):
    """A container whose forward only its type tells."""

    def forward(self, x: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def neurons(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    folder = "spikingjelly.activation_based"
    made = kinds(f"{folder}.neuron.lif", "IFNode", "LIFNode", "ParametricLIFNode", "CUBALIFNode", "EIFNode")
    layers = {name: kinds(f"{folder}.layer.bn", name, base=base)[name] for name, base in JELLY_LAYERS.items()}
    for name in ("MultiStepContainer", "SeqToANNContainer", "StepModeContainer"):
        own = {"__module__": f"{folder}.layer.container", "forward": lambda self, x: None}
        layers[name] = type(name, (Stepwise,), own)
    functional = {"reset_net": lambda module: None}
    install(monkeypatch, {f"{folder}.layer": layers, f"{folder}.neuron": made, f"{folder}.functional": functional})
    return made | layers


def jelly(kind: type[Layer], **settings: Any) -> Layer:
    given = {"v_threshold": 1.5, "v_reset": 0.0, "decay_input": True, "surrogate_function": object(), "step_mode": "s"}
    return kind(**{**given, **settings})


def leaky(tau: float, v_reset: float = 0.0, whole: bool = False) -> Any:
    return lambda v, x: v - (v - v_reset) / tau + (x if whole else x / tau)


W4 = torch.logit(torch.tensor(0.25, dtype=torch.float64))  # 1 / tau is its sigmoid
JELLY: dict[str, tuple[str, dict[str, Any], Any, Any, float]] = {  # kind, settings, update, reset, start
    "if": ("IFNode", {}, lambda v, x: v + x, lambda v: 0 * v, 0.0),
    "if reset": ("IFNode", {"v_reset": 0.3}, lambda v, x: v + x, lambda v: 0 * v + 0.3, 0.3),
    "if soft": ("IFNode", {"v_reset": None}, lambda v, x: v + x, lambda v: v - 1.5, 0.0),
    "lif": ("LIFNode", {"tau": 4.0, "v_threshold": 0.75}, leaky(4.0), lambda v: 0 * v, 0.0),
    "lif reset": ("LIFNode", {"tau": 4.0, "v_reset": -0.2, "v_threshold": 0.75}, leaky(4.0, -0.2),
                  lambda v: 0 * v - 0.2, -0.2),
    "lif soft": ("LIFNode", {"tau": 4.0, "v_reset": None, "v_threshold": 0.75}, leaky(4.0), lambda v: v - 0.75, 0.0),
    "lif whole input": ("LIFNode", {"tau": 4.0, "decay_input": False}, leaky(4.0, whole=True), lambda v: 0 * v, 0.0),
    "plif": ("ParametricLIFNode", {"w": W4, "v_threshold": 0.75}, leaky(4.0), lambda v: 0 * v, 0.0),
}  # fmt: skip


@pytest.mark.parametrize("name", JELLY)
@pytest.mark.parametrize("mode", ["s", "m"])
def test_spikingjelly(neurons: Any, name: str, mode: str) -> None:
    kind, settings, step, back, start = JELLY[name]
    node = jelly(neurons[kind], **settings, step_mode=mode)
    graph = from_spikingjelly(net(node), X if mode == "m" else X[0], DT)
    threshold = settings.get("v_threshold", 1.5)
    require(graph, spikes_of(step, lambda v: v >= threshold, back, start, X))
    assert node.v_reset == settings.get("v_reset", 0.0)
    assert ("v_init" in graph.nodes["1"].metadata) == (start != 0)
    assert graph.nodes["input"].input_type["input"].tolist() == [2]


@pytest.mark.parametrize("v_reset", [0.0, None])
def test_spikingjelly_with_a_current(neurons: Any, v_reset: float | None) -> None:
    node = jelly(neurons["CUBALIFNode"], c_decay=0.5, v_decay=0.75, v_threshold=4.0, v_reset=v_reset)
    current = [np.zeros((2, 3))]

    def step(v: Any, x: Any) -> Any:
        current[0] = 0.5 * current[0] + x
        return 0.75 * v + current[0]

    graph = from_spikingjelly(net(node), X[0], DT)
    back = (lambda v: v - 4.0) if v_reset is None else (lambda v: 0 * v)
    require(graph, spikes_of(step, lambda v: v >= 4.0, back, 0.0, X))


@pytest.mark.parametrize(
    ("settings", "parameter", "got", "words"),
    [
        ({"c_decay": 1.0, "v_decay": 0.5}, "c_decay", 1.0, "has no time constant"),
        ({"c_decay": 0.5, "v_decay": -0.1}, "v_decay", -0.1, "has no time constant"),
        ({"c_decay": 0.5, "v_decay": 0.5, "surrogate_function": Layer(spiking=False)}, "surrogate_function", None,
         "real numbers"),
    ],
)  # fmt: skip
def test_spikingjelly_refusals(neurons: Any, settings: Any, parameter: str, got: Any, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as error:
        from_spikingjelly(net(jelly(neurons["CUBALIFNode"], **settings)), X[0], DT)
    assert (error.value.node, error.value.parameter, error.value.got) == ("1", parameter, got)


def test_a_decay_of_0_is_taken(neurons: Any) -> None:
    node = jelly(neurons["CUBALIFNode"], c_decay=0.0, v_decay=0.0, v_threshold=1.0)
    graph = from_spikingjelly(net(node), X[0], DT)
    require(graph, spikes_of(lambda v, x: x, lambda v: v >= 1.0, lambda v: 0 * v, 0.0, X))


def in_mode(module: Any, mode: str) -> Any:
    """As SpikingJelly's set_step_mode does."""
    for part in module.modules():
        if type(part).__module__.startswith("spikingjelly"):
            part.step_mode = mode
    return module.eval()


@pytest.mark.parametrize("mode", ["s", "m"])
def test_spikingjelly_layers_in_both_step_modes(neurons: Any, mode: str) -> None:
    """Layers of SpikingJelly's count one step's dimensions in both modes."""
    made = nn.Sequential(
        neurons["Conv2d"](1, 2, 3), neurons["BatchNorm2d"](2), jelly(neurons["IFNode"]), neurons["AvgPool2d"](2),
        neurons["Dropout"](0.5), neurons["Flatten"](), neurons["Linear"](8, 3), neurons["BatchNorm1d"](3),
        jelly(neurons["IFNode"]),
    )  # fmt: skip
    sample = torch.zeros(2, 1, 6, 6)
    graph = from_spikingjelly(in_mode(made, mode), sample[None] if mode == "m" else sample, DT)
    assert set(graph.nodes) == {"input", "0", "2", "3", "5", "6", "8", "output"}
    assert graph.nodes["5"].output_type["output"].tolist() == [8]
    with pytest.raises(UnsupportedError, match=r"is read as \(") as error:
        from_spikingjelly(made, sample if mode == "m" else sample[None], DT)
    assert error.value.node == "0"
    assert "set_step_mode" in str(error.value.way_out)


def test_spikingjelly_containers(neurons: Any) -> None:
    node = lambda mode: jelly(neurons["IFNode"], step_mode=mode)  # noqa: E731
    parts = [
        neurons["SeqToANNContainer"](nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)),
        node("m"),
        neurons["MultiStepContainer"](nn.Flatten(), nn.Linear(32, 3), node("s")),
    ]
    sample = torch.zeros(4, 2, 1, 6, 6)
    graph = from_spikingjelly(nn.Sequential(*parts).eval(), sample, DT)
    assert set(graph.nodes) == {"input", "0.0", "1", "2.0", "2.1", "2.2", "output"}
    whole = neurons["MultiStepContainer"](linear(), node("s")).eval()  # the root itself loops over time
    assert set(from_spikingjelly(whole, torch.as_tensor(X), DT).nodes) == {
        "input",
        "0",
        "1",
        "output",
    }
    mixed = neurons["SeqToANNContainer"](linear(), node("s")).eval()  # time would be a part of the batch
    with pytest.raises(UnsupportedError, match=r"got \(batch\*time, \*shape\); wanted \(batch, \*shape\)") as error:
        from_spikingjelly(mixed, torch.as_tensor(X), DT)
    assert error.value.node == "1"
    for mode, stateful, given in (("s", True, X[0]), ("m", True, X)):
        by_mode = neurons["StepModeContainer"](linear(), node("s")).eval()
        by_mode.step_mode, by_mode.stateful = mode, stateful
        assert set(from_spikingjelly(by_mode, given, DT).nodes) == {
            "input",
            "0",
            "1",
            "output",
        }
    by_mode.stateful = False
    with pytest.raises(UnsupportedError, match=r"got \(batch\*time"):
        from_spikingjelly(by_mode, X, DT)


STEP, STEPS, IMAGE = torch.zeros(4, 2), torch.zeros(5, 4, 2), torch.zeros(4, 1, 6, 6)


@pytest.mark.parametrize(
    ("build", "sample", "node", "words"),
    [
        (lambda n: (linear(), jelly(n["EIFNode"])), STEP, "1", "EIFNode cannot be said in NIR.*wanted one of IFNode"),
        (lambda n: (n["Conv2d"](1, 1, 1), n["MaxPool2d"](2)), IMAGE, "1", "MaxPool2d cannot.*train with AvgPool2d"),
        (lambda n: (linear(), jelly(type("Mine", (n["IFNode"],), {}))), STEP, "1", "a subclass of IFNode may"),
        (lambda n: (linear(), jelly(n["IFNode"]), jelly(n["IFNode"], step_mode="m")), STEP, "2", "set_step_mode"),
        (lambda n: (linear(), jelly(n["IFNode"], step_mode="m"), jelly(n["IFNode"])), STEPS, "2", "set_step_mode"),
        (lambda n: (linear(), n["BatchNorm1d"](4)), STEP, "1", "num_features: does not fit what arrives"),
        (lambda n: (n["BatchNorm1d"](2), linear()), STEP, "0", "behind Input cannot be folded"),
    ],
)
def test_spikingjelly_modules_that_do_not_fit(neurons: Any, build: Any, sample: Any, node: str, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as error:
        from_spikingjelly(nn.Sequential(*build(neurons)).eval(), sample, DT)
    assert error.value.node == node
