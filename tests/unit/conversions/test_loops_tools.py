"""Loops over time around Norse's cells and SpikingJelly's single-step neurons come in as their step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import InputError, UnsupportedError
from tests.unit.conversions.foreign_runs import excite

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
from torch import nn  # noqa: E402

DT, T, B = 1e-3, 30, 3


def require_the_step(net: Any, graph: Any, laid: Any, steps_of: Callable[[Any], Any], x: Any) -> None:
    with torch.no_grad():
        wanted = steps_of(net(laid)).numpy() > 0
    got = hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0
    assert 0.02 < wanted.mean() < 0.98
    assert np.array_equal(got, wanted)


def drawn(*shape: int) -> Any:
    return 3 * torch.rand(T, B, *shape, generator=torch.Generator().manual_seed(4))


def norse_net(lies: str) -> Any:
    norse = pytest.importorskip("norse.torch", reason="Norse is not installed: pip install 'hasn[norse]'")
    p = norse.LIFParameters(v_th=torch.tensor(0.4))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lif1 = nn.Conv2d(1, 2, 3), norse.LIFCell(p)
            self.rec, self.lif2 = norse.LIFRecurrentCell(8, 5, p), norse.LIFCell(p)

        def forward(self, x: Any) -> Any:
            s1 = s2 = s3 = None
            spikes = []
            for t in range(x.shape[1 if lies == "batch first" else 0]):
                sample = x[:, t] if lies == "batch first" else x[t]
                z, s1 = self.lif1(self.conv(sample), s1)
                z, s2 = self.rec(z.view(z.shape[0], -1), s2)
                z, s3 = self.lif2(z, s3)
                spikes.append(z)
            return torch.stack(spikes)

    torch.manual_seed(2)
    return excite(Net()).eval()


@pytest.mark.parametrize("lies", ["time first", "batch first"])
def test_norse(lies: str) -> None:
    from hasn.conversions.norse import from_norse

    net, x = norse_net(lies), drawn(1, 4, 4)
    laid = x if lies == "time first" else x.transpose(0, 1)
    graph = from_norse(net, laid, DT)
    assert {"conv", "lif1", "rec.input_weights", "rec.recurrent_weights", "rec", "lif2"} < set(graph.nodes)
    assert graph.nodes["input"].input_type["input"].tolist() == [1, 4, 4]
    require_the_step(net, graph, laid, lambda given: given, x)


def jelly() -> Any:
    pytest.importorskip("spikingjelly", reason="SpikingJelly is not installed: pip install 'hasn[spikingjelly]'")
    from spikingjelly.activation_based import functional, layer, neuron

    return functional, layer, neuron


#: forward -> whether the input is the same at every step
JELLY: dict[str, tuple[Callable[[Any, Any], Any], bool]] = {
    "stack": (lambda net, x: torch.stack([net.body(x[t]) for t in range(x.shape[0])]), False),
    "cat": (lambda net, x: torch.cat([net.body(one).unsqueeze(0) for one in x], 0), False),
    "cat last": (lambda net, x: torch.cat([net.body(one).unsqueeze(-1) for one in x], dim=-1), False),
    "same image": (lambda net, x: torch.stack([net.body(x) for _ in range(T)]), True),
    "list": (lambda net, x: [net.body(one) for one in x], False),
}


@pytest.mark.parametrize("name", JELLY)
def test_spikingjelly(name: str) -> None:
    functional, layer, neuron = jelly()
    from hasn.conversions.spikingjelly import from_spikingjelly

    does, constant = JELLY[name]

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(layer.Conv2d(1, 2, 3), layer.BatchNorm2d(2), neuron.IFNode(), layer.Flatten(),
                                      layer.Linear(8, 5), neuron.LIFNode(tau=2.0, v_threshold=0.5))  # fmt: skip

        def forward(self, x: Any) -> Any:
            return does(self, x)

    torch.manual_seed(2)
    net, x = excite(Net()).eval(), drawn(1, 4, 4)
    x = x[:1].expand_as(x) if constant else x
    laid = x[0] if constant else x
    graph = from_spikingjelly(net, laid, DT)
    functional.reset_net(net)
    whole = {"list": torch.stack, "cat last": lambda given: given.movedim(-1, 0)}.get(name, lambda given: given)
    require_the_step(net, graph, laid, whole, x)


def test_an_average_over_the_loop_is_refused_with_the_form() -> None:
    _, layer, neuron = jelly()
    from hasn.conversions.spikingjelly import from_spikingjelly

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(layer.Linear(6, 5), neuron.IFNode())

        def forward(self, x: Any) -> Any:
            total = 0
            for _ in range(4):
                total = total + self.body(x)
            return total / 4

    with pytest.raises(UnsupportedError, match="over all steps") as error:
        from_spikingjelly(Net(), torch.rand(2, 6), DT)
    assert "sum or average what hasn gives" in str(error.value)
    assert "spk1 = self.net.lif1(self.net.fc1(x))\n" in str(error.value)


def test_a_sample_without_steps_is_refused() -> None:
    from_norse = pytest.importorskip("hasn.conversions.norse").from_norse
    with pytest.raises(InputError, match=r"takes \(time, batch, \*shape\).*loops over time"):
        from_norse(norse_net("time first"), torch.rand(6, 6), DT)


def test_a_loop_over_sinabs_layers_is_refused() -> None:
    layers = pytest.importorskip("sinabs.layers", reason="Sinabs is not installed: pip install --no-deps sinabs")
    from sinabs.activation import SingleSpike

    from hasn.conversions.sinabs import from_sinabs

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.lif = nn.Linear(6, 4), layers.LIF(tau_mem=8.0, spike_fn=SingleSpike)

        def forward(self, x: Any) -> Any:
            return torch.stack([self.lif(self.fc(x[:, t : t + 1])) for t in range(x.shape[1])], 1)

    with pytest.raises(UnsupportedError, match=r"loops over neurons that take whole sequences.*without the loop"):
        from_sinabs(Net(), torch.rand(2, 9, 6), DT)
