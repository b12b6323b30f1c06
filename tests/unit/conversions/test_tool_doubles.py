"""Norse, Sinabs and SpikingJelly on their doubles: every neuron against its tool's equations, and what is refused."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions import norse, sinabs, spikingjelly
from hasn.errors import TimeStepError, UnsupportedError
from tests.unit.conversions.tool_doubles import (
    Layer,
    Module,
    Parameters,
    exported,
    install,
    kinds,
    lif,
    net,
    spikes_of,
)

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
DT = 2e-3
X = np.random.default_rng(4).uniform(0, 1.2, (150, 2, 2))


def require(graph: nir.NIRGraph, wanted: np.ndarray[Any, Any]) -> None:
    """The graph's spikes are these, and neither few nor many."""
    got = hasn.compile(graph, "snntorch").run(X).outputs["output"]
    assert 0.03 < wanted.mean() < 0.97
    np.testing.assert_array_equal(got > 0, wanted)
    assert graph.metadata["dt"] == DT


# --- Norse


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Layer]]:
    made = kinds("LIFBoxCell", "LIBoxCell", "LIFCell", "IAFCell")
    folder = "norse.torch.module"

    def to_nir(module: Any, sample: Any, dt: float) -> nir.NIRGraph:
        assert dt == DT
        assert sample is SAMPLE
        cell = module.parts["1"]
        assert (cell.p.v_th, cell.p.tau_mem_inv) == (1.0, 100.0)  # its defaults: it fails on some parameters
        return exported(nir.IF(*(np.array(1.0),) * 3) if type(cell).__name__ == "IAFCell" else lif(tau=5e-5))

    install(monkeypatch, {
        f"{folder}.lif_box": made, f"{folder}.leaky_integrator_box": made, f"{folder}.lif": made, f"{folder}.iaf": made,
        "norse.torch.utils.export_nir": {"to_nir": to_nir},
    })  # fmt: skip
    return made


SAMPLE = X[0]


def reset_value() -> None:
    """Norse's functions are told apart by name."""


def reset_subtract() -> None: ...


def reset_other() -> None: ...


@pytest.mark.parametrize("method", [None, reset_value, reset_subtract])
def test_norse_box(cells: Any, method: Any) -> None:
    given = {} if method is None else {"reset_method": method}
    p = Parameters(v_th=0.6, v_leak=0.1, v_reset=-0.2, tau_mem_inv=125.0, **given)
    module = net(cells["LIFBoxCell"](p=p, dt=DT))
    graph = norse.from_norse(module, SAMPLE, DT, verify=False)
    back = (lambda v: v - 0.6) if method is reset_subtract else (lambda v: np.full_like(v, -0.2))
    require(graph, spikes_of(lambda v, x: v + DT * 125 * (0.1 - v + x), lambda v: v > 0.6, back, 0.1, X))
    assert module.parts["1"].p is p
    repairs = graph.metadata["repairs"]
    assert "node '1' tau: 5e-05 is now 0.008" in repairs
    assert "node '1' metadata['v_init']: 0.1, which NIR leaves open" in repairs


def test_norse_box_without_spikes(cells: Any) -> None:
    p = Parameters(v_leak=0.25, tau_mem_inv=np.array([50.0, 100.0, 200.0]))
    graph = norse.from_norse(net(cells["LIBoxCell"](p=p, dt=DT)), SAMPLE, DT, verify=False)
    assert isinstance(graph.nodes["1"], nir.LI)
    v, wanted = np.full((2, 3), 0.25), []
    for sample in X:
        v = v + DT * p.tau_mem_inv * (0.25 - v + sample @ graph.nodes["0"].weight.T)
        wanted.append(v)
    np.testing.assert_allclose(hasn.compile(graph).run(X).outputs["output"], wanted, rtol=1e-9)


def test_norse_lif_with_a_current(cells: Any) -> None:
    p = Parameters(v_th=1.5, v_leak=0.2, v_reset=-0.1, tau_mem_inv=100.0, tau_syn_inv=150.0)
    graph = norse.from_norse(net(cells["LIFCell"](p=p, dt=DT)), SAMPLE, DT, verify=False)
    current = [np.zeros((2, 3))]

    def step(v: Any, x: Any) -> Any:
        jumped = current[0] + x
        current[0] = jumped - DT * 150 * jumped
        return v + DT * 100 * (0.2 - v + jumped)

    require(graph, spikes_of(step, lambda v: v > 1.5, lambda v: np.full_like(v, -0.1), 0.2, X))


def test_norse_integrator_starts_at_its_reset(cells: Any) -> None:
    p = Parameters(v_th=2.5, v_reset=0.75)
    graph = norse.from_norse(net(cells["IAFCell"](p=p)), SAMPLE, DT, verify=False)
    require(graph, spikes_of(lambda v, x: v + x, lambda v: v > 2.5, lambda v: np.full_like(v, 0.75), 0.75, X))


def test_norse_refusals(cells: Any) -> None:
    late = net(cells["LIFBoxCell"](p=Parameters(), dt=1e-3))
    with pytest.raises(UnsupportedError, match="the cell steps with another dt") as error:
        norse.from_norse(late, SAMPLE, DT, verify=False)
    assert (error.value.node, error.value.parameter, error.value.got) == ("1", "dt", 1e-3)
    assert (error.value.wanted, error.value.way_out) == ("0.002", "Pass the cell's dt.")
    other = net(cells["LIFBoxCell"](p=Parameters(reset_method=reset_other), dt=DT))
    with pytest.raises(UnsupportedError, match="is neither of Norse's") as error:
        norse.from_norse(other, SAMPLE, DT, verify=False)
    assert (error.value.parameter, error.value.got) == ("reset_method", "reset_other")
    for parameter in ("v_leak", "tau_mem_inv", "tau_syn_inv", "v_th", "v_reset"):
        wrong = net(cells["LIFCell"](p=Parameters(**{parameter: np.ones(2)}), dt=DT))
        with pytest.raises(UnsupportedError, match="is not one value for each neuron") as error:
            norse.from_norse(wrong, SAMPLE, DT, verify=False)
        assert (error.value.node, error.value.parameter, error.value.got) == ("1", parameter, (2,))
        assert error.value.wanted == "a number or shape (3,)"
    with pytest.raises(TimeStepError):
        norse.from_norse(late, SAMPLE, 0.0, verify=False)


# --- Sinabs


class MembraneSubtract:
    def __init__(self, subtract_value: Any = None) -> None:
        self.subtract_value = subtract_value


class MembraneReset:
    def __init__(self, reset_value: float = 0.0) -> None:
        self.reset_value = reset_value


class SingleSpike:
    """Sinabs hands over the class."""


class MultiSpike: ...


SINABS = ("LIF", "LIFSqueeze", "IAF", "IAFSqueeze", "ExpLeak", "ExpLeakSqueeze")


@pytest.fixture
def layers(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Layer]]:
    made = kinds(*SINABS)

    def to_nir(module: Any, sample: Any) -> nir.NIRGraph:
        layer = module.parts["1"]
        if getattr(layer, "train_alphas", False):
            assert layer.tau_mem == 7.0  # what the exporter reads
        assert sample.shape[-1] == 2
        return exported(lif(tau=8.0))

    install(monkeypatch, {"sinabs.layers": made, "sinabs.nir": {"to_nir": to_nir}})
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
    graph = sinabs.from_sinabs(net(sinabs_layer(layers[kind], **settings)), sample, DT, verify=False)
    require(graph, spikes_of(lambda v, x: 0.875 * v + weight * x, lambda v: v >= threshold, back, 0.0, X))
    assert graph.nodes["input"].input_type["input"].tolist() == [2]


def test_sinabs_with_a_current(layers: Any) -> None:
    layer = sinabs_layer(layers["LIF"], alpha_syn_calculated=np.float32(0.5), spike_threshold=np.float32(2.0))
    current = [np.zeros((2, 3))]

    def step(v: Any, x: Any) -> Any:
        current[0] = 0.5 * (current[0] + x)
        return 0.875 * v + current[0]

    graph = sinabs.from_sinabs(net(layer), X.transpose(1, 0, 2), DT, verify=False)
    require(graph, spikes_of(step, lambda v: v >= 2.0, lambda v: v - 2.0, 0.0, X))


def test_sinabs_without_leak_or_spikes(layers: Any) -> None:
    layer = sinabs_layer(layers["IAF"], alpha_mem_calculated=np.float32(1.0), spike_threshold=np.float32(3.0))
    graph = sinabs.from_sinabs(net(layer), X.transpose(1, 0, 2), DT, verify=False)
    require(graph, spikes_of(lambda v, x: v + x, lambda v: v >= 3.0, lambda v: v - 3.0, 0.0, X))
    assert "node '1': LIF is now IF" in graph.metadata["repairs"]
    smooth = sinabs.from_sinabs(
        net(sinabs_layer(layers["ExpLeak"], spike_fn=None)), X.transpose(1, 0, 2), DT, verify=False
    )
    assert isinstance(smooth.nodes["1"], nir.LI)


def test_sinabs_trained_decays_are_what_the_exporter_gets(layers: Any) -> None:
    trained = sinabs_layer(layers["LIF"], train_alphas=True, tau_mem=None, tau_mem_calculated=torch.tensor(7.0))
    sinabs.from_sinabs(net(trained), X.transpose(1, 0, 2), DT, verify=False)
    assert trained.tau_mem is None


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
        sinabs.from_sinabs(net(sinabs_layer(layers["LIF"], **settings)), X.transpose(1, 0, 2), DT, verify=False)
    assert (error.value.node, error.value.parameter) == ("1", parameter)
    assert error.value.got == got


# --- SpikingJelly


@pytest.fixture
def neurons(monkeypatch: pytest.MonkeyPatch) -> dict[str, type[Layer]]:
    made = kinds("IFNode", "LIFNode", "ParametricLIFNode", "CUBALIFNode")

    def export_to_nir(module: Any, sample: Any, dt: float) -> nir.NIRGraph:
        assert dt == DT
        assert module.parts["1"].v_reset is not None, "a soft reset is refused"
        return exported(lif(), prefix="_")

    folder = "spikingjelly.activation_based"
    install(monkeypatch, {f"{folder}.nir_exchange": {"export_to_nir": export_to_nir}, f"{folder}.neuron": made})
    return made


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
    graph = spikingjelly.from_spikingjelly(net(node), X if mode == "m" else X[0], DT, verify=False)
    threshold = settings.get("v_threshold", 1.5)
    require(graph, spikes_of(step, lambda v: v >= threshold, back, start, X))
    assert node.v_reset == settings.get("v_reset", 0.0)
    assert ("v_init" in graph.nodes["_1"].metadata) == (start != 0)
    assert graph.nodes["input"].input_type["input"].tolist() == [2]


@pytest.mark.parametrize("v_reset", [0.0, None])
def test_spikingjelly_with_a_current(neurons: Any, v_reset: float | None) -> None:
    node = jelly(neurons["CUBALIFNode"], c_decay=0.5, v_decay=0.75, v_threshold=4.0, v_reset=v_reset)
    current = [np.zeros((2, 3))]

    def step(v: Any, x: Any) -> Any:
        current[0] = 0.5 * current[0] + x
        return 0.75 * v + current[0]

    graph = spikingjelly.from_spikingjelly(net(node), X[0], DT, verify=False)
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
        spikingjelly.from_spikingjelly(net(jelly(neurons["CUBALIFNode"], **settings)), X[0], DT, verify=False)
    assert (error.value.node, error.value.parameter, error.value.got) == ("1", parameter, got)


def test_names_of_calls() -> None:
    assert [spikingjelly._node_name(path) for path in ("1", "block.0.lif", "fc", "0.1")] == [
        "_1", "block_0_lif", "fc", "_0_1"]  # fmt: skip


def test_a_decay_of_0_is_taken(neurons: Any) -> None:
    node = jelly(neurons["CUBALIFNode"], c_decay=0.0, v_decay=0.0, v_threshold=1.0)
    graph = spikingjelly.from_spikingjelly(Module(**{"0": net(node).parts["0"], "1": node}), X[0], DT, verify=False)
    require(graph, spikes_of(lambda v, x: x, lambda v: v >= 1.0, lambda v: 0 * v, 0.0, X))
