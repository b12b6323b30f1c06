"""Sinabs networks by way of Sinabs' exporter: its own simulation and hasn's give the same spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hasn.errors import UnsupportedError
from tests.unit.conversions.foreign_runs import drive, excite, require_same_spikes

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
layers = pytest.importorskip("sinabs.layers", reason="Sinabs is not installed: pip install --no-deps sinabs")
from sinabs.activation import MaxSpike, MembraneReset, MembraneSubtract, MultiSpike, SingleSpike  # noqa: E402
from torch import nn  # noqa: E402

from hasn.conversions.sinabs import from_sinabs  # noqa: E402

DT = 1e-3
ONE = {"spike_fn": SingleSpike}
WHOLE = {"norm_input": False, "spike_threshold": torch.tensor(2.0), **ONE}

LAYERS: dict[str, tuple[Callable[[], Any], float]] = {  # layer, scale of the input
    "lif": (lambda: layers.LIF(tau_mem=8.0, spike_threshold=torch.tensor(0.4), **ONE), 3.0),
    "lif strong": (lambda: layers.LIF(tau_mem=8.0, **WHOLE), 2.0),
    "lif zero": (lambda: layers.LIF(tau_mem=8.0, reset_fn=MembraneReset(), norm_input=False, **ONE), 2.0),
    "lif current": (lambda: layers.LIF(tau_mem=8.0, tau_syn=3.0, spike_threshold=torch.tensor(0.7), **ONE), 3.0),
    "lif more": (lambda: layers.LIF(tau_mem=8.0, reset_fn=MembraneSubtract(2.5), **WHOLE), 2.0),
    "lif alphas": (lambda: layers.LIF(tau_mem=8.0, train_alphas=True, **WHOLE), 2.0),
    "iaf": (lambda: layers.IAF(spike_threshold=torch.tensor(1.3), **ONE), 2.0),
    "iaf current": (lambda: layers.IAF(spike_threshold=torch.tensor(6.0), tau_syn=2.0, **ONE), 2.0),
}


def net_of(layer: Callable[[], Any]) -> Any:
    torch.manual_seed(4)
    return excite(nn.Sequential(nn.Linear(6, 7), layer(), nn.Linear(7, 5, bias=False), layer())).eval()


@pytest.mark.parametrize("name", LAYERS)
def test_same_spikes(name: str) -> None:
    layer, high = LAYERS[name]
    net, x = net_of(layer), drive(200, 3, 6, high=high)
    graph = from_sinabs(net, torch.as_tensor(x).transpose(0, 1), DT)
    with torch.no_grad():
        wanted = net(torch.as_tensor(x).transpose(0, 1)).transpose(0, 1).numpy() > 0
    require_same_spikes(graph, x, wanted)


def test_a_squeezed_convolutional_net_with_integer_weights_that_meet_their_threshold() -> None:
    """v >= threshold: with whole numbers the membrane meets it all the time."""
    one = {"batch_size": 2, "spike_fn": SingleSpike}
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False),
        layers.IAFSqueeze(spike_threshold=torch.tensor(3.0), **one),
        layers.SumPool2d(2),
        nn.Flatten(),
        nn.Linear(8, 4, bias=False),
        layers.IAFSqueeze(spike_threshold=torch.tensor(4.0), **one),
    )
    generator = torch.Generator().manual_seed(8)
    with torch.no_grad():
        net[0].weight.copy_(torch.randint(-1, 3, net[0].weight.shape, generator=generator).float())
        net[4].weight.copy_(torch.randint(-1, 3, net[4].weight.shape, generator=generator).float())
    x = (drive(60, 2, 1, 6, 6) > 1.4).astype(np.float32)
    squeezed = torch.as_tensor(x).transpose(0, 1).reshape(-1, 1, 6, 6)
    graph = from_sinabs(net, squeezed, DT)
    with torch.no_grad():
        wanted = net(squeezed).reshape(2, 60, 4).transpose(0, 1).numpy() > 0
    require_same_spikes(graph, x, wanted)


def test_says_what_the_export_had_otherwise() -> None:
    repairs = from_sinabs(net_of(LAYERS["iaf"][0]), torch.rand(2, 9, 6), DT).metadata["repairs"]
    assert "node '1' r: 1 is now 1000" in repairs
    assert "metadata['reset']: subtract" in repairs
    repairs = from_sinabs(net_of(LAYERS["lif"][0]), torch.rand(2, 9, 6), DT).metadata["repairs"]
    assert "node '1' tau: 8 is now 0.0085" in repairs  # steps, not seconds; and an Euler step's


REFUSED = {
    "multi": ("'1' spike_fn: .*got MultiSpike", lambda: layers.LIF(tau_mem=8.0, spike_fn=MultiSpike)),
    "max": ("'1' spike_fn", lambda: layers.LIF(tau_mem=8.0, spike_fn=MaxSpike(1))),
    "bound": ("'1' min_v_mem", lambda: layers.IAF(min_v_mem=-1.0, **ONE)),
    "reset": ("'1' reset_fn: Sinabs adds", lambda: layers.LIF(tau_mem=8.0, reset_fn=MembraneReset(0.5), **ONE)),
    "recurrent": (
        "exporter fails|LIFRecurrent",
        lambda: layers.LIFRecurrent(tau_mem=8.0, rec_connect=nn.Linear(7, 7), **ONE),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    words, layer = REFUSED[name]
    with pytest.raises(UnsupportedError, match=words):
        from_sinabs(nn.Sequential(nn.Linear(6, 7), layer()), torch.rand(2, 9, 6), DT)
