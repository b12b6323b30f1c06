"""Sinabs networks by their modules: its own simulation and hasn's give the same spikes."""

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
    net, x = net_of(layer), drive(120, 3, 6, high=high)
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


def normed(*norms: Any) -> None:
    """Give each a mean and a variance that are not 0 and 1."""
    with torch.no_grad():
        for norm in norms:
            norm.running_mean.uniform_(-0.2, 0.2)
            norm.running_var.uniform_(0.05, 0.2)
            norm.bias.uniform_(0.2, 0.6)


@pytest.mark.parametrize("form", ["squeeze", "repeat", "flatten"])
def test_batch_normalisation_dropout_and_both_ways_of_time(form: str) -> None:
    torch.manual_seed(8)
    x = drive(100, 2, 2, 6, 6)
    squeeze = form == "squeeze"
    own = {"batch_size": 2, **ONE} if squeeze else dict(ONE)
    conv, norm, fc, last = nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Linear(12, 5), nn.BatchNorm1d(5)
    neurons = [getattr(layers, f"{kind}Squeeze" if squeeze else kind)(**own, **tau)
               for kind, tau in (("IAF", {}), ("LIF", {"tau_mem": 6.0, "norm_input": False}))]  # fmt: skip
    normed(norm, last)
    pool = layers.SumPool2d(2)
    if squeeze:
        net = nn.Sequential(conv, norm, neurons[0], nn.Dropout(), pool, nn.Flatten(), fc, last, neurons[1]).eval()
    elif form == "repeat":
        front, back = layers.Repeat(nn.Sequential(conv, norm)), layers.Repeat(nn.Sequential(pool, nn.Flatten()))
        net = nn.Sequential(front, neurons[0], nn.Identity(), back, layers.Repeat(nn.Sequential(fc, last)), neurons[1])
    else:
        net = nn.Sequential(
            layers.FlattenTime(), conv, norm, layers.UnflattenTime(2), neurons[0], layers.FlattenTime(), pool,
            nn.Flatten(), fc, last, layers.UnflattenTime(2), neurons[1],
        )  # fmt: skip
    given = torch.as_tensor(x).transpose(0, 1)
    given = given.flatten(0, 1) if squeeze else given
    graph = from_sinabs(net.eval(), given, DT)
    with torch.no_grad():
        wanted = net(given).reshape(2, 100, 5).transpose(0, 1).numpy() > 0
    require_same_spikes(graph, x, wanted)


@pytest.mark.parametrize("kind", ["LIFRecurrent", "IAFRecurrent"])
def test_recurrent_layers(kind: str) -> None:
    torch.manual_seed(5)
    tau = {"tau_mem": 8.0, "norm_input": False} if kind == "LIFRecurrent" else {}
    layer = getattr(layers, kind)(rec_connect=nn.Linear(7, 7), spike_threshold=torch.tensor(1.5), **tau, **ONE)
    net = nn.Sequential(nn.Linear(6, 7), layer).eval()
    x = drive(120, 3, 6, high=4.0)
    graph = from_sinabs(net, torch.as_tensor(x).transpose(0, 1), DT)
    with torch.no_grad():
        wanted = net(torch.as_tensor(x).transpose(0, 1)).transpose(0, 1).numpy() > 0
    require_same_spikes(graph, x, wanted)


def test_a_recurrent_layer_of_images() -> None:
    torch.manual_seed(5)
    layer = layers.IAFRecurrent(rec_connect=nn.Conv2d(2, 2, 3, padding=1), spike_threshold=torch.tensor(2.0), **ONE)
    net = nn.Sequential(layers.Repeat(nn.Conv2d(1, 2, 3)), layer).eval()
    x = drive(60, 2, 1, 6, 6, high=3.0)
    graph = from_sinabs(net, torch.as_tensor(x).transpose(0, 1), DT)
    with torch.no_grad():
        wanted = net(torch.as_tensor(x).transpose(0, 1)).transpose(0, 1).numpy() > 0
    require_same_spikes(graph, x, wanted)


def test_merged_branches_are_edges_into_one_node() -> None:
    class Merged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right, self.merge = nn.Linear(6, 4), nn.Linear(6, 4), layers.Merge()
            self.lif = layers.LIF(tau_mem=8.0, **WHOLE)

        def forward(self, x: Any) -> Any:
            return self.lif(self.merge(self.left(x), self.right(x)))

    graph = from_sinabs(Merged().eval(), torch.rand(2, 9, 6), DT)
    assert {("left", "lif"), ("right", "lif")} < set(graph.edges)


REFUSED = {
    "multi": (r"'1' spike_fn: .*got MultiSpike", lambda: layers.LIF(tau_mem=8.0, spike_fn=MultiSpike)),
    "max": ("'1' spike_fn", lambda: layers.LIF(tau_mem=8.0, spike_fn=MaxSpike(1))),
    "bound": ("'1' min_v_mem", lambda: layers.IAF(min_v_mem=-1.0, **ONE)),
    "reset": ("'1' reset_fn: Sinabs adds", lambda: layers.LIF(tau_mem=8.0, reset_fn=MembraneReset(0.5), **ONE)),
    "recurrent": (
        "'1' rec_connect: recurrent weights that do not fit",
        lambda: layers.LIFRecurrent(tau_mem=8.0, rec_connect=nn.Linear(7, 6), **ONE),
    ),
    "adaptive": (r"'1': ALIF cannot be said.*train with LIF", lambda: layers.ALIF(tau_mem=8.0, tau_adapt=8.0)),
    "pool": (r"'1': SpikingMaxPooling2dLayer cannot.*SumPool2d", lambda: layers.SpikingMaxPooling2dLayer(2)),
    "squeezed": ("'1': IAFSqueeze gets another tensor", lambda: layers.IAFSqueeze(batch_size=2, **ONE)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    words, layer = REFUSED[name]
    behind = [layers.LIF(tau_mem=8.0, **ONE)] if name == "squeezed" else [nn.Linear(6, 7)]
    with pytest.raises(UnsupportedError, match=words):
        from_sinabs(nn.Sequential(*behind, layer()).eval(), torch.rand(2, 9, 6), DT)
