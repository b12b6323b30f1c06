"""How a module of each tool is run for the comparison: on doubles that compute, and on modules by hand."""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.errors import UnsupportedError
from hasn.program.describe import counted
from tests.unit.conversions.tool_doubles import (
    Layer,
    Lift,
    Parameters,
    SequentialState,
    install,
    kinds,
    linear,
    nn,
    torch,
)

from hasn.conversions import norse, sinabs, spikingjelly  # isort: skip
from hasn.conversions.running import at_once, by_steps, given_to  # isort: skip

DT = 1e-3
Pair = namedtuple("Pair", "v i")


def flow(frame: tuple[str, ...], layout: str, **returned: Any) -> Any:
    """As much of a Flow as running looks at."""
    return SimpleNamespace(
        inputs={"input": "x"}, returned=returned, frame=frame, tool=SimpleNamespace(layout=lambda frame: layout)
    )


X = torch.arange(24.0).reshape(4, 3, 2)  # T, batch, shape


def test_by_steps_takes_each_output_from_its_place() -> None:
    """Several tensors of one state are one place, None and lists around them none."""
    given = by_steps(
        flow(("batch",), "steps", first=(0, ("batch",)), last=(2, ("batch",))),
        {"x": X},
        lambda t, now: ([now["x"] + t], [None, Pair(now["x"], now["x"])], {"more": -now["x"]}),
    )
    np.testing.assert_array_equal(given["first"], X + torch.arange(4.0).view(4, 1, 1))
    np.testing.assert_array_equal(given["last"], -X)


TIME, BATCH, FLAT = ("time", "batch"), ("batch", "time"), ("batch*time",)


@pytest.mark.parametrize(
    ("layout", "frame", "back"),
    [
        ("time first", TIME, TIME),
        ("time first", TIME, FLAT),
        ("batch first", BATCH, BATCH),
        ("batch first", BATCH, FLAT),
        ("batch first", FLAT, BATCH),
        ("batch first", FLAT, FLAT),
    ],
)
def test_at_once_lays_values_as_the_frame_has_them(layout: str, frame: tuple[str, ...], back: tuple[str, ...]) -> None:
    seen = []

    def call(now: dict[str, Any]) -> Any:
        seen.append(now["x"])
        whole = X if layout == "time first" else X.transpose(0, 1)
        return 10 * (whole.flatten(0, 1) if len(back) == 1 else whole)

    given = at_once(flow(frame, layout, y=(0, back)), {"x": X}, call)
    np.testing.assert_array_equal(given["y"], 10 * X)
    shapes = {("time", "batch"): (4, 3, 2), ("batch", "time"): (3, 4, 2), ("batch*time",): (12, 2)}
    assert tuple(seen[0].shape) == shapes[frame]
    np.testing.assert_array_equal(seen[0].reshape(-1, 2)[1], X[0, 1] if layout == "time first" else X[1, 0])


def test_inputs_come_in_the_precision_of_the_module() -> None:
    module = nn.Sequential(nn.Linear(2, 2).double())
    assert given_to(module, flow(("batch",), "steps"), {"input": X})["x"].dtype == torch.float64
    assert given_to(nn.Sequential(), flow(("batch",), "steps"), {"input": X})["x"].dtype == torch.float32


# --- Norse


class Box(Layer):
    """LIFBoxCell that computes: tau = 10 ms, v_th = 0.4, v_reset = 0."""

    def forward(self, x: Any, state: Any = None) -> Any:
        v = torch.zeros_like(x) if state is None else state.v
        v = v + 0.1 * (x - v)
        spikes = (v > 0.4).to(x.dtype)
        return spikes, Pair((1 - spikes) * v, 0 * v)


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = "norse.torch.module"
    names = ("LIBoxCell", "LIFCell", "LICell", "LILinearCell", "LIFRecurrentCell", "LIFRefracCell", "IAFCell", "LIF",
             "LIFRefracRecurrentCell", "LI", "IAF", "LIFRecurrent", "LIFRefracRecurrent")  # fmt: skip
    made = kinds(f"{folder}.lif", *names) | kinds(f"{folder}.lif_box", "LIFBoxCell", base=Box)
    homes = ("lif_box", "leaky_integrator_box", "leaky_integrator", "lif", "lif_refrac", "iaf")
    install(monkeypatch, {
        **{f"{folder}.{home}": made for home in homes},
        f"{folder}.conv": kinds(f"{folder}.conv", "LConv2d", base=nn.Conv3d),
        f"{folder}.lift": {"Lift": Lift},
        f"{folder}.sequential": {"SequentialState": SequentialState},
    })  # fmt: skip
    return lambda: made["LIFBoxCell"](p=Parameters(v_th=0.4), dt=DT)


class Own(nn.Module):
    """Two states, passed in and out one by one."""

    def __init__(self, first: Any, second: Any) -> None:
        super().__init__()
        self.fc, self.first, self.second = linear(), first, second

    def forward(self, x: Any, one: Any, two: Any) -> Any:
        x, one = self.first(self.fc(x), one)
        x, two = self.second(x, two)
        return x, one, two


NORSE = {
    "cells": lambda cell: (SequentialState(linear(), cell(), cell()), False),
    "nested": lambda cell: (SequentialState(SequentialState(linear(), cell()), nn.Identity(), cell()), False),
    "alone": lambda cell: (cell(), False),
    "own": lambda cell: (Own(cell(), cell()), False),
    "lifted": lambda cell: (Lift(SequentialState(linear(), cell())), True),
    "without neurons": lambda cell: (nn.Sequential(linear(), nn.Identity()), False),
}


@pytest.mark.parametrize("name", NORSE)
def test_norse_networks_are_run_with_their_states(cell: Any, name: str) -> None:
    module, over = NORSE[name](cell)
    sample = torch.zeros(5, 2, 2) if over else torch.zeros(2, 2)
    said = norse.from_norse(module.eval(), sample, DT).metadata["verified"]
    populations = sum(isinstance(part, Box) for part in module.modules())
    assert f"agree in {counted(populations, 'population')} (" in said
    assert name == "without neurons" or int(said.split("(")[1].split()[0]) > 20


def test_norse_cells_whose_states_are_lost_are_refused(cell: Any) -> None:
    with pytest.raises(UnsupportedError, match="every step starts at rest") as error:
        norse.from_norse(nn.Sequential(linear(), cell()).eval(), torch.zeros(2, 2), DT)
    assert error.value.parameter == "forward"
    assert "SequentialState" in str(error.value.way_out)


def test_a_norse_cell_that_computes_otherwise_is_found(cell: Any) -> None:
    module = SequentialState(linear(), cell(), cell()).eval()
    module[2].p.tau_mem_inv = 110.0
    with pytest.raises(UnsupportedError, match="its values in Norse") as error:
        norse.from_norse(module, torch.zeros(2, 2), DT)
    assert error.value.node == "2"


# --- SpikingJelly


class Integrator(Layer):
    """IFNode that computes, in both step modes."""

    v: Any = 0.0

    def forward(self, x: Any) -> Any:
        return torch.stack([self._step(now) for now in x]) if self.step_mode == "m" else self._step(x)

    def _step(self, x: Any) -> Any:
        self.v = self.v + x
        spikes = (self.v >= self.v_threshold).to(x.dtype)
        self.v = (1 - spikes) * self.v
        return spikes


@pytest.fixture
def node(monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = "spikingjelly.activation_based"
    names = ("LIFNode", "ParametricLIFNode", "CUBALIFNode")
    made = kinds(f"{folder}.neuron.lif", *names) | kinds(f"{folder}.neuron.integrate", "IFNode", base=Integrator)
    same = ("Linear", "Conv1d", "Conv2d", "AvgPool2d", "Flatten", "Dropout", "Dropout2d", "BatchNorm1d", "BatchNorm2d")
    layers = {name: kinds(f"{folder}.layer.bn", name, base=getattr(nn, name))[name] for name in same}
    layers |= {f"ThresholdDependent{name}": type(f"T{name}", (getattr(nn, name),), {}) for name in same[-2:]}
    for name in ("MultiStepContainer", "SeqToANNContainer", "StepModeContainer"):
        layers[name] = type(name, (nn.Sequential,), {"forward": lambda self, x: None})

    def reset_net(net: Any) -> None:
        for part in net.modules():
            if isinstance(part, Integrator):
                part.v = 0.0

    install(monkeypatch, {f"{folder}.layer": layers, f"{folder}.neuron": made,
                          f"{folder}.functional": {"reset_net": reset_net}})  # fmt: skip
    settings = {"v_threshold": 1.5, "v_reset": 0.0, "surrogate_function": None}
    return lambda mode: made["IFNode"](**settings, step_mode=mode)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_spikingjelly_networks_are_run_from_rest(node: Any, mode: str) -> None:
    module = nn.Sequential(linear(), node(mode), nn.Identity(), node(mode)).eval()
    sample = torch.full((5, 2, 2), 0.9, dtype=torch.float64)
    module(sample if mode == "m" else sample[0])  # leaves a state
    assert torch.as_tensor(module[1].v).any()
    said = spikingjelly.from_spikingjelly(module, sample if mode == "m" else sample[0], DT).metadata["verified"]
    assert "agree in 2 populations" in said
    module[3].v_reset = 0.25  # the double resets to 0
    with pytest.raises(UnsupportedError, match="its values in SpikingJelly") as error:
        spikingjelly.from_spikingjelly(module, sample if mode == "m" else sample[0], DT)
    assert error.value.node == "3"


# --- Sinabs


class SqueezeMixin: ...


class SingleSpike: ...


class MembraneSubtract:
    subtract_value = None


class Leaky(Layer):
    """LIF that computes over (batch, time, ...): keeps 7/8 of its membrane."""

    v: Any = 0.0

    def reset_states(self) -> None:
        self.v = 0.0

    def forward(self, x: Any) -> Any:
        found = []
        for now in x.unbind(1):
            self.v = 0.875 * self.v + now
            spikes = (self.v >= 1.5).to(x.dtype)
            self.v = self.v - 1.5 * spikes
            found.append(spikes)
        return torch.stack(found, 1)


class LeakySqueeze(Leaky):
    def forward(self, x: Any) -> Any:
        return super().forward(x.reshape(self.batch_size, self.num_timesteps, *x.shape[1:])).flatten(0, 1)


class FlattenTime(nn.Flatten):
    """Time and batch in one."""

    def forward(self, x: Any) -> Any:
        return x.flatten(0, 1)


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> Any:
    home = "sinabs.layers.lif"
    names = ("IAF", "IAFSqueeze", "ExpLeak", "ExpLeakSqueeze", "LIFRecurrent", "IAFRecurrent")
    made = kinds(home, *names) | kinds(home, "LIF", base=Leaky)
    made |= kinds(home, "LIFSqueeze", base=(LeakySqueeze, SqueezeMixin)) | kinds(home, "SumPool2d", base=nn.Flatten)
    made |= {name: type(name, (nn.Module,), {"forward": lambda self, *x: None}) for name in
             ("Repeat", "UnflattenTime", "Merge")} | {"FlattenTime": FlattenTime}  # fmt: skip
    install(monkeypatch, {"sinabs.layers": {**made, "StatefulLayer": Layer, "SqueezeMixin": SqueezeMixin}})
    settings = {"min_v_mem": None, "alpha_mem_calculated": np.float32(0.875), "alpha_syn_calculated": None,
                "norm_input": False, "spike_fn": SingleSpike, "spike_threshold": np.float32(1.5),
                "reset_fn": MembraneSubtract(), "batch_size": 7, "num_timesteps": 3}  # fmt: skip
    return {name: (lambda kind=kind: kind(**settings)) for name, kind in made.items() if name.startswith("LIF")}


@pytest.mark.parametrize("form", ["sequence", "squeeze", "flattened"])
def test_sinabs_networks_are_run_in_their_form(layers: Any, form: str) -> None:
    module = {
        "sequence": lambda: nn.Sequential(linear(), layers["LIF"](), layers["LIF"]()),
        "squeeze": lambda: nn.Sequential(linear(), layers["LIFSqueeze"](), layers["LIFSqueeze"]()),
        "flattened": lambda: nn.Sequential(linear(), layers["LIF"](), FlattenTime(), layers["LIFSqueeze"]()),
    }[form]().eval()
    module[1].v = torch.ones(3)  # what a run has left
    sample = torch.zeros(21, 2) if form == "squeeze" else torch.zeros(7, 3, 2)
    said = sinabs.from_sinabs(module, sample, DT).metadata["verified"]
    assert "agree in 2 populations" in said
    assert (module[1].batch_size, module[1].num_timesteps) == (7, 3)
    last = module[-1]
    last.alpha_mem_calculated = np.float32(0.75)  # the double keeps 0.875
    with pytest.raises(UnsupportedError, match="its values in Sinabs") as error:
        sinabs.from_sinabs(module, sample, DT)
    assert error.value.node == str(len(module) - 1)
