"""What a forward calls beside modules: all that is refused at once, each function with its way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import UnsupportedError
from tests.unit.conversions.snntorch_nets import DT, excited, hidden, snn, torch

from hasn.conversions.snntorch import from_snntorch  # isort: skip
from torch import nn  # isort: skip
from torch.nn import functional  # isort: skip


class Calls(nn.Module):
    """A Linear and a neuron; ``does(self, x)`` is its forward."""

    def __init__(self, does: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.fc, self.lif, self.does = excited(4, 4), hidden(snn.Leaky, 0.9), does

    def forward(self, x: Any) -> Any:
        return self.does(self, x)


def test_modules_functions_and_settings_are_refused_together() -> None:
    """What stands behind a refused call is still looked at, with the shape that the call gives."""
    net = Calls(
        lambda net, x: net.last(functional.relu(net.fc9(net.lif(functional.avg_pool2d(net.conv(x), 2)).flatten(1))))
    )
    net.conv, net.fc9 = nn.Conv2d(1, 1, 3), nn.Linear(4, 2)
    net.last = hidden(snn.Leaky, 0.9, graded_spikes_factor=2.0, output=True)
    with pytest.raises(UnsupportedError) as error:
        from_snntorch(net.eval(), input_shape=(1, 6, 6), dt=DT)
    text = str(error.value)
    first, others = text.split(" Refused as well:\n  ")
    assert "avg_pool2d is no NIR node" in first
    assert "torch.nn.AvgPool2d" in first
    relu, graded = others.split("\n  ")
    assert relu.startswith("'(the module)' forward: relu is no NIR node. Analog activations")
    assert graded.startswith("'last' graded_spikes_factor: ")


def test_what_a_misfit_leads_to_is_not_refused_as_well() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(5, 2), nn.Linear(3, 2), hidden(snn.Leaky, 0.9)).eval()
    with pytest.raises(UnsupportedError, match="'1' in_features: does not fit") as error:
        from_snntorch(net, dt=DT)
    assert "Refused as well" not in str(error.value)


#: what a forward calls -> the way out
CALLED: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "avg_pool2d": (lambda net, x: functional.avg_pool2d(net.lif(x), 2), "Use the module torch.nn.AvgPool2d"),
    "max_pool2d": (lambda net, x: functional.max_pool2d(net.lif(x), 2), "NIR has no maximum; train with AvgPool2d"),
    "linear": (lambda net, x: functional.linear(net.lif(x), torch.rand(2, 4)), "Use the module torch.nn.Linear"),
    "conv2d": (lambda net, x: functional.conv2d(net.lif(x), torch.rand(1, 1, 3, 3)), "the module torch.nn.Conv2d"),
    "dropout": (lambda net, x: functional.dropout(net.lif(x), 0.5), "training=self.training"),
    "relu": (lambda net, x: torch.relu(net.lif(x)), "Analog activations are no spikes"),
    "factor": (lambda net, x: net.lif(x) * 0.5, "Put the factor into the weights"),
    "quotient": (lambda net, x: net.lif(x) / 2, "Put the factor into the weights"),
    "difference": (lambda net, x: net.lif(x) - x, "Put the sign into the weights, and add"),
    "mean over steps": (lambda net, x: net.lif(x).mean(0), "sums the steps"),
    "repeated": (lambda net, x: net.lif(x.unsqueeze(0)), "repeats or sums the steps"),
}


@pytest.mark.parametrize("name", CALLED)
def test_the_way_out_of_a_function(name: str) -> None:
    does, words = CALLED[name]
    with pytest.raises(UnsupportedError, match="is no NIR node") as error:
        from_snntorch(Calls(does).eval(), input_shape=(1, 6, 6), dt=DT)
    assert words in str(error.value.way_out)


def test_a_dropout_function_in_evaluation_is_nothing() -> None:
    net = Calls(lambda net, x: net.lif(functional.dropout(net.fc(x), 0.5, net.training))).eval()
    assert set(from_snntorch(net, dt=DT).nodes) == {"x", "fc", "lif", "output"}
    with pytest.raises(UnsupportedError, match="dropout is no NIR node"):
        from_snntorch(net.train(), dt=DT)


#: a neuron's 2x2x2 spikes -> the 8 values of a Linear
FLAT: dict[str, Callable[[Any], Any]] = {
    "all of it": lambda spk: spk.view(-1, 8),
    "size and all of it": lambda spk: spk.reshape(spk.size(0), 8),
    "size and rest": lambda spk: spk.view(spk.shape[0], -1),
    "function": lambda spk: torch.flatten(spk, 1),
    "method": lambda spk: spk.flatten(start_dim=1),
}


@pytest.mark.parametrize("name", FLAT)
def test_a_view_of_all_values_is_a_flatten(name: str) -> None:
    net = Calls(lambda net, x: net.last(net.fc8(FLAT[name](net.lif(net.conv(x))))))
    torch.manual_seed(3)
    net.conv, net.fc8, net.last = nn.Conv2d(1, 2, 3), excited(8, 3), hidden(snn.Leaky, 0.8, threshold=0.3)
    graph = from_snntorch(net.eval(), input_shape=(1, 4, 4), dt=DT)
    x = 4 * torch.rand(30, 2, 1, 4, 4, generator=torch.Generator().manual_seed(4))
    net.lif.reset_mem()
    net.last.reset_mem()
    with torch.no_grad():
        wanted = np.array([net(sample).numpy() > 0 for sample in x])
    assert 0.02 < wanted.mean() < 0.98
    assert np.array_equal(hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0, wanted)


OTHER_VIEWS: dict[str, Callable[[Any], Any]] = {
    "less": lambda spk: spk.view(-1, 4),
    "rows": lambda spk: spk.view(spk.size(0), 2, 4),
    "all at once": lambda spk: spk.view(-1),
    "samples": lambda spk: spk.view(8, -1, 1),
}


@pytest.mark.parametrize("name", OTHER_VIEWS)
def test_another_view_is_refused(name: str) -> None:
    net = Calls(lambda net, x: OTHER_VIEWS[name](net.lif(net.conv(x))))
    net.conv = nn.Conv2d(1, 2, 3)
    with pytest.raises(UnsupportedError, match=r"\.view\(\) is no NIR node.*wanted \(batch, -1\)"):
        from_snntorch(net.eval(), input_shape=(1, 4, 4), dt=DT)


def test_what_is_called_twice_is_refused_once() -> None:
    net = Calls(lambda net, x: net.lif(net.pool(net.conv(net.pool(x)))))
    net.conv, net.pool = nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)
    with pytest.raises(UnsupportedError, match="'pool': MaxPool2d cannot be said") as error:
        from_snntorch(net.eval(), input_shape=(1, 12, 12), dt=DT)
    assert "Refused as well" not in str(error.value)
