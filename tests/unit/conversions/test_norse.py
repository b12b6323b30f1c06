"""Norse networks by their modules: its own simulation and hasn's give the same spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import UnsupportedError
from tests.unit.conversions.foreign_runs import drive, excite, require_same_spikes

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
norse = pytest.importorskip("norse.torch", reason="Norse is not installed: pip install 'hasn[norse]'")
from norse.torch.functional.iaf import IAFParameters  # noqa: E402
from norse.torch.functional.lif import LIFParameters  # noqa: E402
from norse.torch.functional.lif_box import LIFBoxParameters  # noqa: E402
from norse.torch.functional.lif_refrac import LIFRefracParameters  # noqa: E402
from norse.torch.functional.reset import reset_subtract  # noqa: E402
from torch import nn  # noqa: E402

from hasn.conversions.norse import from_norse  # noqa: E402

DT = 1e-3
T = torch.tensor
EACH = {"tau_mem_inv": torch.linspace(80, 300, 7), "v_th": T(0.3)}
QUICK = {"v_th": T(0.6), "v_reset": T(-0.1), "v_leak": T(0.0)}
BOX = {"tau_mem_inv": T(1 / 8e-3), "v_th": T(0.5)}

CELLS: dict[str, tuple[Callable[[], Any], float]] = {  # cell, scale of the input
    "box": (lambda: norse.LIFBoxCell(LIFBoxParameters(**BOX)), 4.0),
    "box reset": (lambda: norse.LIFBoxCell(LIFBoxParameters(**BOX, v_reset=T(-0.3), v_leak=T(0.1))), 4.0),
    "box subtract": (lambda: norse.LIFBoxCell(LIFBoxParameters(**BOX, reset_method=reset_subtract)), 8.0),
    "box per neuron": (
        lambda: norse.LIFBoxCell(LIFBoxParameters(**EACH)),
        6.0,
    ),
    "lif": (lambda: norse.LIFCell(LIFParameters(v_th=T(0.6), v_reset=T(-0.1))), 2.0),
    "refractory": (lambda: norse.LIFRefracCell(LIFRefracParameters(LIFParameters(**QUICK), rho_reset=T(3.0))), 3.0),
    "recurrent": (lambda: norse.LIFRecurrentCell(7, 7, LIFParameters(**QUICK)), 2.0),
    "refractory recurrent": (
        lambda: norse.LIFRefracRecurrentCell(7, 7, LIFRefracParameters(LIFParameters(**QUICK), rho_reset=T(2.0))),
        3.0,
    ),
    "iaf": (lambda: norse.IAFCell(IAFParameters(v_th=T(2.5), v_reset=T(0.25))), 2.0),
}


def net_of(cell: Callable[[], Any]) -> Any:
    torch.manual_seed(2)
    return excite(norse.SequentialState(nn.Linear(6, 7), cell(), nn.Linear(7, 7, bias=False), cell())).eval()


def steps_of(net: Any, x: Any) -> Any:
    """What Norse gives, step by step."""
    state, found = None, []
    with torch.no_grad():
        for sample in torch.as_tensor(x):
            given, state = net(sample, state)
            found.append(given.numpy())
    return np.array(found)


@pytest.mark.parametrize("name", CELLS)
def test_same_spikes(name: str) -> None:
    cell, high = CELLS[name]
    net, x = net_of(cell), drive(120, 3, 6, high=high)
    graph = from_norse(net, torch.as_tensor(x[0]), DT)
    require_same_spikes(graph, x, steps_of(net, x) > 0)


LAYERS: dict[str, tuple[Callable[[], Any], float]] = {  # neurons over a sequence, scale of the input
    "lif": (lambda: norse.LIF(LIFParameters(**QUICK)), 2.0),
    "recurrent": (lambda: norse.LIFRecurrent(7, 7, LIFParameters(**QUICK)), 2.0),
    "refractory recurrent": (
        lambda: norse.LIFRefracRecurrent(7, 7, LIFRefracParameters(LIFParameters(**QUICK), T(2.0))),
        3.0,
    ),
    "iaf": (lambda: norse.IAF(IAFParameters(v_th=T(2.5), v_reset=T(0.25))), 2.0),
    "lifted": (lambda: norse.Lift(norse.LIFCell(LIFParameters(**QUICK))), 2.0),
    "lifted box": (lambda: norse.Lift(norse.LIFBoxCell(LIFBoxParameters(**BOX))), 4.0),
}


@pytest.mark.parametrize("name", LAYERS)
def test_same_spikes_over_sequences(name: str) -> None:
    layer, high = LAYERS[name]
    torch.manual_seed(2)
    x = drive(120, 3, 6, high=high)
    first, second = nn.Linear(6, 7), norse.Lift(nn.Linear(7, 7, bias=False))
    if name.startswith("lifted"):  # a lifted cell gives its state too, which SequentialState does not take out
        net = excite(norse.Lift(norse.SequentialState(first, layer().lifted_module, nn.Linear(7, 7, bias=False))))
        net = norse.Lift(norse.SequentialState(net.lifted_module, layer().lifted_module)).eval()
    else:
        net = excite(norse.SequentialState(first, layer(), nn.Dropout(), second, layer())).eval()
    with torch.no_grad():
        wanted = net(torch.as_tensor(x))[0].numpy() > 0
    require_same_spikes(from_norse(net, torch.as_tensor(x), DT), x, wanted)


@pytest.mark.parametrize("over", ["steps", "sequences"])
def test_a_convolutional_net(over: str) -> None:
    """Convolution without a bias, batch normalisation, pooling, Dropout and Identity in evaluation, a readout."""
    torch.manual_seed(7)
    parts = [
        nn.Conv2d(2, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        norse.LIFBoxCell(LIFBoxParameters(**BOX)),
        nn.AvgPool2d(2),
        nn.Dropout(),
        nn.Identity(),
        nn.Flatten(),
        nn.Linear(27, 5),
        nn.BatchNorm1d(5),
        norse.LIFCell(LIFParameters(**QUICK)),
    ]
    with torch.no_grad():
        for norm in (parts[1], parts[8]):
            norm.running_mean.uniform_(-0.2, 0.2)
            norm.running_var.uniform_(0.05, 0.2)
            norm.bias.uniform_(0.2, 0.6)
    whole = norse.SequentialState(*parts).eval()
    x = drive(120, 2, 2, 6, 6)
    wanted = steps_of(whole, x) > 0
    if over == "steps":
        graph = from_norse(whole, torch.as_tensor(x[0]), DT)
        assert {"1", "4", "5", "8"}.isdisjoint(graph.nodes)
    else:
        lifted = norse.Lift(norse.SequentialState(norse.SequentialState(*parts[:3]), *parts[3:])).eval()
        graph = from_norse(lifted, torch.as_tensor(x), DT)
        assert "lifted_module.0.0" in graph.nodes
    require_same_spikes(graph, x, wanted)


@pytest.mark.parametrize("kind", ["LICell", "LIBoxCell", "LILinearCell", "LI"])
def test_a_readout_gives_the_same_voltages(kind: str) -> None:
    torch.manual_seed(3)
    p = norse.LIBoxParameters(v_leak=T(0.2)) if kind == "LIBoxCell" else norse.LIParameters(v_leak=T(0.2))
    cell = norse.LILinearCell(6, 7, p) if kind == "LILinearCell" else getattr(norse, kind)(p)
    net = norse.SequentialState(*([] if kind == "LILinearCell" else [nn.Linear(6, 7)]), cell).eval()
    x = drive(100, 3, 6)
    with torch.no_grad():
        wanted = net(torch.as_tensor(x))[0].numpy() if kind == "LI" else steps_of(net, x)
    graph = from_norse(net, torch.as_tensor(x if kind == "LI" else x[0]), DT)
    assert np.ptp(wanted) > 0.3
    np.testing.assert_allclose(
        hasn.compile(graph).run(x).outputs["output"], wanted, atol=2e-6
    )  # float32 over 100 steps


def test_lconv2d_is_a_convolution_of_each_step() -> None:
    torch.manual_seed(3)
    net = norse.SequentialState(norse.LConv2d(2, 3, 3, stride=2, padding=1), norse.LIF(LIFParameters(**QUICK))).eval()
    x = drive(60, 2, 2, 6, 6, high=3.0)
    with torch.no_grad():
        wanted = net(torch.as_tensor(x))[0].numpy() > 0
    require_same_spikes(from_norse(net, torch.as_tensor(x), DT), x, wanted)


class Passing(nn.Module):
    """A forward of one's own, with the states passed in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.block = norse.SequentialState(nn.Linear(6, 7), norse.LIFCell(LIFParameters(**QUICK)))
        self.fc, self.lif = nn.Linear(7, 7), norse.LIFCell(LIFParameters(**QUICK))

    def forward(self, x: Any, state: Any = None) -> Any:
        state = (None, None) if state is None else state
        x, first = self.block(x, state[0])
        x, second = self.lif(self.fc(x), state[1])
        return x, (first, second)


def test_a_forward_of_ones_own() -> None:
    torch.manual_seed(2)
    net, x = excite(Passing()).eval(), drive(120, 3, 6)
    require_same_spikes(from_norse(net, torch.as_tensor(x[0]), DT), x, steps_of(net, x) > 0)


@pytest.mark.parametrize(
    ("build", "sample", "nodes"),
    [
        (lambda: norse.LIFCell(), torch.rand(2, 6), {"0"}),
        (lambda: norse.LIF(), torch.rand(5, 2, 6), {"0"}),
        (lambda: norse.Lift(norse.LIFCell()), torch.rand(5, 2, 6), {"lifted_module"}),
        (lambda: nn.Linear(6, 3), torch.rand(2, 6), {"0"}),
    ],
)
def test_a_module_by_itself(build: Any, sample: Any, nodes: set[str]) -> None:
    graph = from_norse(build(), sample, DT)
    assert set(graph.nodes) == nodes | {"input", "output"}
    assert "verified" in graph.metadata


REFUSED = {
    "stateless": (lambda: nn.Sequential(nn.Linear(6, 7), norse.LIFCell()), DT, "every step starts at rest.*Sequential"),
    "encoder": (lambda: norse.SequentialState(norse.PoissonEncoder(5), norse.LIF()), DT, "'0': PoissonEncoder cannot"),
    "several": (
        lambda: norse.SequentialState(nn.Linear(6, 7), nn.ReLU(), norse.LSNNCell(), nn.Softmax(1)),
        DT,
        r"'1': ReLU cannot be said.* Refused as well:\n  '2': LSNNCell cannot be said.*\n  '3': Softmax cannot be said",
    ),
    "dt": (lambda: net_of(CELLS["box"][0]), 1e-4, r"'1' dt: the cell steps with another dt; got 0.001"),
    "max": (lambda: norse.SequentialState(nn.Linear(6, 8), nn.MaxPool1d(2)), DT, "'1': MaxPool1d cannot be said"),
    "lsnn": (lambda: norse.SequentialState(nn.Linear(6, 7), norse.LSNNCell()), DT, "'1': LSNNCell cannot.*adapts"),
    "exp": (lambda: norse.SequentialState(norse.LIFExCell()), DT, "'0': LIFExCell cannot.*exponentially"),
    "loop": (lambda: norse.RecurrentSequential(nn.Linear(6, 6), norse.LIFCell()), DT, "adds its last output"),
    "dropout": (lambda: norse.SequentialState(nn.Dropout(), norse.LIFCell()).train(), DT, "'0' training"),
    "unlifted": (lambda: norse.SequentialState(norse.LIFCell(), norse.LIF()), DT, "'1': LIF gets another tensor"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name: str) -> None:
    build, dt, words = REFUSED[name]
    with pytest.raises(UnsupportedError, match=words):
        from_norse(build(), torch.rand(2, 6), dt)
