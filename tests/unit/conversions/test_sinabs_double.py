"""Sinabs on its doubles: every neuron against its equations, its containers, and what is refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import nir
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

from hasn.conversions import sinabs  # isort: skip

from_sinabs = partial(sinabs.from_sinabs, verify=False)  # a double computes nothing


class MembraneSubtract:
    def __init__(self, subtract_value: Any = None) -> None:
        self.subtract_value = subtract_value


class MembraneReset:
    def __init__(self, reset_value: float = 0.0) -> None:
        self.reset_value = reset_value


class SingleSpike:
    """Sinabs hands over the class."""


class MultiSpike: ...


SINABS = ("LIF", "IAF", "ExpLeak", "LIFRecurrent", "IAFRecurrent", "ALIF")
SQUEEZED = ("LIFSqueeze", "IAFSqueeze", "ExpLeakSqueeze")


class SqueezeMixin: ...


class Wrapper(nn.Module):
    """Sinabs' Repeat, and others that only their type tells."""

    def __init__(self, module: Any = None) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    home = "sinabs.layers.lif"
    made = kinds(home, *SINABS) | kinds(home, *SQUEEZED, base=(Layer, SqueezeMixin))
    made |= kinds(home, "FlattenTime", "SumPool2d", base=nn.Flatten)
    for name in ("Repeat", "UnflattenTime", "Merge"):
        own = {"__module__": home, "forward": lambda self, *x: None}
        made[name] = type(name, (Wrapper,), own)
    install(monkeypatch, {"sinabs.layers": {**made, "StatefulLayer": Layer, "SqueezeMixin": SqueezeMixin}})
    return made


def sinabs_layer(kind: type[Layer], **settings: Any) -> Layer:
    given = {"min_v_mem": None, "alpha_mem_calculated": np.float32(0.875), "alpha_syn_calculated": None,
             "norm_input": False, "spike_fn": SingleSpike, "spike_threshold": np.float32(1.5),
             "reset_fn": MembraneSubtract()}  # fmt: skip
    return kind(**{**given, **settings})


SINABS_CASES: dict[str, tuple[dict[str, Any], float, Any, float]] = {  # settings, weight of an input, reset, threshold
    "subtract": ({}, 1.0, lambda v: v - 1.5, 1.5),
    "subtract more": ({"reset_fn": MembraneSubtract(np.float32(1.75))}, 1.0, lambda v: v - 1.75, 1.5),
    "zero": ({"reset_fn": MembraneReset()}, 1.0, lambda v: 0 * v, 1.5),
    "normed": ({"norm_input": True, "spike_threshold": np.float32(0.5)}, 0.125, lambda v: v - 0.5, 0.5),
    "instance": ({"spike_fn": SingleSpike()}, 1.0, lambda v: v - 1.5, 1.5),
}


@pytest.mark.parametrize("name", SINABS_CASES)
@pytest.mark.parametrize("kind", ["LIF", "LIFSqueeze"])
def test_sinabs(layers: Any, kind: str, name: str) -> None:
    settings, weight, back, threshold = SINABS_CASES[name]
    sample = X[:, 0] if kind == "LIFSqueeze" else X.transpose(1, 0, 2)
    graph = from_sinabs(net(sinabs_layer(layers[kind], **settings)), sample, DT)
    require(graph, spikes_of(lambda v, x: 0.875 * v + weight * x, lambda v: v >= threshold, back, 0.0, X))
    assert graph.nodes["input"].input_type["input"].tolist() == [2]


def test_sinabs_with_a_current(layers: Any) -> None:
    layer = sinabs_layer(layers["LIF"], alpha_syn_calculated=np.float32(0.5), spike_threshold=np.float32(2.0))
    current = [np.zeros((2, 3))]

    def step(v: Any, x: Any) -> Any:
        current[0] = 0.5 * (current[0] + x)
        return 0.875 * v + current[0]

    graph = from_sinabs(net(layer), X.transpose(1, 0, 2), DT)
    require(graph, spikes_of(step, lambda v: v >= 2.0, lambda v: v - 2.0, 0.0, X))


def test_sinabs_without_leak_or_spikes(layers: Any) -> None:
    layer = sinabs_layer(layers["IAF"], alpha_mem_calculated=np.float32(1.0), spike_threshold=np.float32(3.0))
    graph = from_sinabs(net(layer), X.transpose(1, 0, 2), DT)
    require(graph, spikes_of(lambda v, x: v + x, lambda v: v >= 3.0, lambda v: v - 3.0, 0.0, X))
    assert isinstance(graph.nodes["1"], nir.IF)
    smooth = from_sinabs(net(sinabs_layer(layers["ExpLeak"], spike_fn=None)), X.transpose(1, 0, 2), DT)
    assert isinstance(smooth.nodes["1"], nir.LI)


def test_sinabs_recurrence_is_0_at_the_first_step_bias_included(layers: Any) -> None:
    back = nn.Linear(3, 3).double()
    with torch.no_grad():
        back.weight.copy_(torch.tensor([[0.0, -0.5, 0.25], [0.75, 0.0, -0.25], [-0.5, 0.5, 0.0]]))
        back.bias.copy_(torch.tensor([0.25, -0.25, 0.5]))
    layer = sinabs_layer(layers["LIFRecurrent"], spike_threshold=np.float32(2.5), rec_connect=back)
    graph = from_sinabs(net(layer), X.transpose(1, 0, 2), DT)
    sent = [np.zeros((2, 3))]

    def fires(v: Any) -> Any:
        sent[0] = (v >= 2.5) @ back.weight.detach().numpy().T + back.bias.detach().numpy()
        return v >= 2.5

    require(graph, spikes_of(lambda v, x: 0.875 * v + x + sent[0], fires, lambda v: v - 2.5, 0.0, X))
    wrong = sinabs_layer(layers["LIFRecurrent"], rec_connect=nn.Linear(4, 3))
    with pytest.raises(UnsupportedError, match="recurrent weights that do not fit") as error:
        from_sinabs(net(wrong), X.transpose(1, 0, 2), DT)
    assert (error.value.node, error.value.parameter) == ("1", "rec_connect")


def test_sinabs_wrappers_change_which_dimensions_come_first(layers: Any) -> None:
    lif, squeezed = (lambda kind: sinabs_layer(layers[kind]))("LIF"), sinabs_layer(layers["LIFSqueeze"])
    sequence = torch.zeros(2, 5, 2)
    mixed = nn.Sequential(layers["Repeat"](linear()), lif, layers["FlattenTime"](), squeezed).eval()
    graph = from_sinabs(mixed, sequence, DT)
    assert graph.edges == [("input", "0.module"), ("0.module", "1"), ("1", "3"), ("3", "output")]
    back = nn.Sequential(linear(), squeezed, layers["UnflattenTime"](), lif).eval()
    assert from_sinabs(back, torch.zeros(10, 2), DT).nodes["input"].input_type["input"].tolist() == [2]
    for module, node in ((nn.Sequential(linear(), squeezed, lif), "2"), (nn.Sequential(linear(), lif, squeezed), "2")):
        sample = sequence if module[1] is lif else torch.zeros(10, 2)
        with pytest.raises(UnsupportedError, match=r"gets another tensor than it takes.*Repeat") as error:
            from_sinabs(module.eval(), sample, DT)
        assert error.value.node == node
    with pytest.raises(UnsupportedError, match=r"ALIF cannot be said in NIR.*adapts") as error:
        from_sinabs(net(sinabs_layer(layers["ALIF"])), sequence, DT)
    assert error.value.node == "1"


@pytest.mark.parametrize(
    ("settings", "parameter", "got", "words"),
    [
        ({"min_v_mem": -1.0}, "min_v_mem", -1.0, "no lower bound"),
        ({"spike_fn": MultiSpike}, "spike_fn", "MultiSpike", "several times in one step"),
        ({"reset_fn": MembraneReset(0.5)}, "reset_fn", "MembraneReset(0.5)", "whether it spiked or not"),
        ({"reset_fn": object()}, "reset_fn", "object", "is no reset of Sinabs'"),
        ({"alpha_mem_calculated": np.array([0.5, 1.0, 1.0])}, "tau_mem", "2 of 3 at 1", "some neurons"),
        ({"alpha_syn_calculated": np.array([0.5, 1.0, 0.5])}, "tau_syn", "1 of 3 at 1", "some neurons"),
    ],
)
def test_sinabs_refusals(layers: Any, settings: dict[str, Any], parameter: str, got: Any, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as error:
        from_sinabs(net(sinabs_layer(layers["LIF"], **settings)), X.transpose(1, 0, 2), DT)
    assert (error.value.node, error.value.parameter) == ("1", parameter)
    assert error.value.got == (got or settings[parameter])
