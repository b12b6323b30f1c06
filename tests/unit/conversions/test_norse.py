"""Norse networks by way of Norse's exporter: its own simulation and hasn's give the same spikes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hasn.errors import UnsupportedError
from tests.unit.conversions.foreign_runs import drive, excite, require_same_spikes

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
norse = pytest.importorskip("norse.torch", reason="Norse is not installed: pip install 'hasn[norse]'")
from norse.torch.functional.iaf import IAFParameters  # noqa: E402
from norse.torch.functional.lif import LIFParameters  # noqa: E402
from norse.torch.functional.lif_box import LIFBoxParameters  # noqa: E402
from norse.torch.functional.reset import reset_subtract  # noqa: E402
from torch import nn  # noqa: E402

from hasn.conversions.norse import from_norse  # noqa: E402

DT = 1e-3
T = torch.tensor
EACH = {"tau_mem_inv": torch.linspace(80, 300, 7), "v_th": T(0.3)}
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
    "iaf": (lambda: norse.IAFCell(IAFParameters(v_th=T(2.5), v_reset=T(0.25))), 2.0),
}


def net_of(cell: Callable[[], Any]) -> Any:
    torch.manual_seed(2)
    return excite(norse.SequentialState(nn.Linear(6, 7), cell(), nn.Linear(7, 7, bias=False), cell())).eval()


@pytest.mark.parametrize("name", CELLS)
def test_same_spikes(name: str) -> None:
    cell, high = CELLS[name]
    net, x = net_of(cell), drive(200, 3, 6, high=high)
    state, wanted = None, []
    with torch.no_grad():
        for sample in torch.as_tensor(x):
            spikes, state = net(sample, state)
            wanted.append(spikes.numpy() > 0)
    graph = from_norse(net, torch.as_tensor(x[0]), DT)
    require_same_spikes(graph, x, np.array(wanted))


def test_says_what_the_export_had_otherwise() -> None:
    graph = from_norse(net_of(CELLS["lif"][0]), torch.rand(2, 6), DT)
    repairs = graph.metadata["repairs"]
    assert "node '1' tau_mem: 1e-05 is now 0.01" in repairs  # one factor dt too many
    assert "node '1' w_in: 1 is now 5" in repairs
    assert "node '1' v_reset: 0 is now -0.1" in repairs


def test_refusals() -> None:
    with pytest.raises(UnsupportedError, match=r"'1' dt: the cell steps with another dt; got 0.001"):
        from_norse(net_of(CELLS["box"][0]), torch.rand(2, 6), 1e-4)
    recurrent = norse.SequentialState(nn.Linear(6, 7), norse.LIFRecurrentCell(7, 7))
    with pytest.raises(UnsupportedError):
        from_norse(recurrent, torch.rand(2, 6), DT)
    pooled = norse.SequentialState(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), norse.LIFBoxCell())
    with pytest.raises(UnsupportedError, match="MaxPool2d"):
        from_norse(pooled, torch.rand(1, 1, 6, 6), DT)
