"""Norse, Sinabs and SpikingJelly on their doubles: every neuron against its tool's equations, and what is refused."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import InputError, TimeStepError, UnsupportedError
from tests.unit.conversions.tool_doubles import (
    Layer,
    Lift,
    Parameters,
    SequentialState,
    W,
    install,
    kinds,
    linear,
    net,
    nn,
    spikes_of,
    torch,
)

from hasn.conversions import norse, sinabs, spikingjelly  # isort: skip

DT = 2e-3
# A double computes nothing that a conversion could be compared with.
from_norse = partial(norse.from_norse, verify=False)
from_sinabs = partial(sinabs.from_sinabs, verify=False)
from_spikingjelly = partial(spikingjelly.from_spikingjelly, verify=False)
X = np.random.default_rng(4).uniform(0, 1.2, (150, 2, 2))


def require(graph: nir.NIRGraph, wanted: np.ndarray[Any, Any]) -> None:
    """The graph's spikes are these, and neither few nor many."""
    got = hasn.compile(graph, "snntorch").run(X).outputs["output"]
    assert 0.03 < wanted.mean() < 0.97
    np.testing.assert_array_equal(got > 0, wanted)
    assert graph.metadata["dt"] == DT


# --- Norse


CELLS = ("LIFBoxCell", "LIBoxCell", "LIFCell", "LICell", "LILinearCell", "LIFRecurrentCell", "LIFRefracCell",
         "LIFRefracRecurrentCell", "IAFCell", "LIF", "LI", "IAF", "LIFRecurrent", "LIFRefracRecurrent", "LSNNCell",
         "RecurrentSequential")  # fmt: skip


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    folder = "norse.torch.module"
    made = kinds(f"{folder}.lif", *CELLS)
    homes = ("lif_box", "leaky_integrator_box", "leaky_integrator", "lif", "lif_refrac", "iaf")
    install(monkeypatch, {
        **{f"{folder}.{home}": made for home in homes},
        f"{folder}.conv": kinds(f"{folder}.conv", "LConv2d", base=nn.Conv3d),
        f"{folder}.lift": {"Lift": Lift},
        f"{folder}.sequential": {"SequentialState": SequentialState},
    })  # fmt: skip
    return made


SAMPLE = torch.as_tensor(X[0])
SEQUENCE = torch.as_tensor(X)


def reset_value() -> None:
    """Norse's functions are told apart by name."""


def reset_subtract() -> None: ...


def reset_other() -> None: ...


@pytest.mark.parametrize("method", [None, reset_value, reset_subtract])
def test_norse_box(cells: Any, method: Any) -> None:
    given = {} if method is None else {"reset_method": method}
    p = Parameters(v_th=0.6, v_leak=0.1, v_reset=-0.2, tau_mem_inv=125.0, **given)
    module = net(cells["LIFBoxCell"](p=p, dt=DT), container=SequentialState)
    graph = from_norse(module, SAMPLE, DT)
    back = (lambda v: v - 0.6) if method is reset_subtract else (lambda v: np.full_like(v, -0.2))
    require(graph, spikes_of(lambda v, x: v + DT * 125 * (0.1 - v + x), lambda v: v > 0.6, back, 0.1, X))
    assert module[1].p is p
    assert graph.nodes["1"].metadata["v_init"].tolist() == [0.1] * 3


def test_norse_box_without_spikes(cells: Any) -> None:
    p = Parameters(v_leak=0.25, tau_mem_inv=np.array([50.0, 100.0, 200.0]))
    graph = from_norse(net(cells["LIBoxCell"](p=p, dt=DT), container=SequentialState), SAMPLE, DT)
    assert isinstance(graph.nodes["1"], nir.LI)
    v, wanted = np.full((2, 3), 0.25), []
    for sample in X:
        v = v + DT * p.tau_mem_inv * (0.25 - v + sample @ graph.nodes["0"].weight.T)
        wanted.append(v)
    np.testing.assert_allclose(hasn.compile(graph).run(X).outputs["output"], wanted, rtol=1e-9)


def current_step(p: Parameters, back: Any = None) -> Any:
    """v of LIFCell; ``back``: what its spikes of the last step send it."""
    current = [np.zeros((2, 3))]

    def step(v: Any, x: Any) -> Any:
        jumped = current[0] + x + (0 if back is None else back())
        current[0] = jumped - DT * p.tau_syn_inv * jumped
        return v + DT * p.tau_mem_inv * (p.v_leak - v + jumped)

    return step


LEAKY = Parameters(v_th=1.5, v_leak=0.2, v_reset=-0.1, tau_mem_inv=100.0, tau_syn_inv=150.0)


@pytest.mark.parametrize("form", ["cell", "layer", "lifted", "lifted whole", "nested"])
def test_norse_lif_with_a_current(cells: Any, form: str) -> None:
    cell, layer = (cells[kind](p=LEAKY, dt=DT) for kind in ("LIFCell", "LIF"))
    module, sample = {
        "cell": lambda: (SequentialState(linear(), cell), SAMPLE),
        "layer": lambda: (SequentialState(linear(), layer), SEQUENCE),
        "lifted": lambda: (nn.Sequential(Lift(linear()), Lift(cell)), SEQUENCE),
        "lifted whole": lambda: (Lift(SequentialState(linear(), cell)), SEQUENCE),
        "nested": lambda: (SequentialState(SequentialState(nn.Identity(), linear()), nn.Dropout(), cell), SAMPLE),
    }[form]()
    graph = from_norse(module.eval(), sample, DT)
    require(graph, spikes_of(current_step(LEAKY), lambda v: v > 1.5, lambda v: np.full_like(v, -0.1), 0.2, X))
    names = {"lifted": {"0.lifted_module", "1.lifted_module"}, "nested": {"0.1", "2"},
             "lifted whole": {"lifted_module.0", "lifted_module.1"}}.get(form, {"0", "1"})  # fmt: skip
    assert set(graph.nodes) == names | {"input", "output"}


@pytest.mark.parametrize("kind", ["LICell", "LI", "LILinearCell"])
def test_norse_current_without_spikes(cells: Any, kind: str) -> None:
    cell = cells[kind](p=LEAKY, dt=DT)
    if kind == "LILinearCell":
        cell.input_weights = nn.Parameter(torch.as_tensor(W))
    module = SequentialState(*([] if kind == "LILinearCell" else [linear()]), cell).eval()
    graph = from_norse(module, SEQUENCE if kind == "LI" else SAMPLE, DT)
    step, v, wanted = current_step(LEAKY), np.full((2, 3), 0.2), []
    for sample in X:
        v = step(v, sample @ W.T)
        wanted.append(v)
    np.testing.assert_allclose(hasn.compile(graph).run(X).outputs["output"], wanted, rtol=1e-9)


@pytest.mark.parametrize("kind", ["LIFRecurrentCell", "LIFRecurrent"])
def test_norse_recurrent_weights_carry_the_spikes_of_the_last_step(cells: Any, kind: str) -> None:
    back = np.array([[0.0, -0.5, 0.25], [0.75, 0.0, -0.25], [-1.0, 0.5, 0.0]])
    cell = cells[kind](p=LEAKY, dt=DT, input_weights=torch.as_tensor(W), recurrent_weights=torch.as_tensor(back))
    graph = from_norse(SequentialState(cell).eval(), SEQUENCE if kind == "LIFRecurrent" else SAMPLE, DT)
    last = [np.zeros((2, 3))]

    def fires(v: Any) -> Any:
        last[0] = v > 1.5
        return last[0]

    step = current_step(LEAKY, lambda: last[0] @ back.T)
    wanted = spikes_of(step, fires, lambda v: np.full_like(v, -0.1), 0.2, X)
    require(graph, wanted)
    without = spikes_of(current_step(LEAKY), lambda v: v > 1.5, lambda v: np.full_like(v, -0.1), 0.2, X)
    assert np.sum(wanted != without) > 20, "the recurrent weights change nothing"


@pytest.mark.parametrize(("rho", "steps"), [(3.0, 3), (2.5, 3), (0.0, 0)])
def test_norse_refractory_steps(cells: Any, rho: float, steps: int) -> None:
    p = SimpleNamespace(lif=LEAKY, rho_reset=torch.tensor(rho))
    graph = from_norse(SequentialState(linear(), cells["LIFRefracCell"](p=p, dt=DT)).eval(), SAMPLE, DT)
    step, v, rest, wanted = current_step(LEAKY), np.full((2, 3), 0.2), np.zeros((2, 3)), []
    for sample in X:  # v stands still, the current goes on
        moved = step(v, sample @ W.T)
        v = np.where(rest > 0, v, moved)
        spikes = (v > 1.5) & (rest <= 0)
        rest = np.where(spikes, steps, np.maximum(rest - 1, 0))
        v = np.where(spikes, -0.1, v)
        wanted.append(spikes)
    require(graph, np.array(wanted))


def test_norse_integrator_starts_at_its_reset(cells: Any) -> None:
    p = Parameters(v_th=2.5, v_reset=0.75)
    graph = from_norse(net(cells["IAFCell"](p=p), container=SequentialState), SAMPLE, DT)
    require(graph, spikes_of(lambda v, x: v + x, lambda v: v > 2.5, lambda v: np.full_like(v, 0.75), 0.75, X))


def test_norse_refusals(cells: Any) -> None:
    def alone(name: str, **settings: Any) -> Any:
        return SequentialState(linear(), cells[name](**{"dt": DT, **settings})).eval()

    late = alone("LIFBoxCell", p=Parameters(), dt=1e-3)
    with pytest.raises(UnsupportedError, match="the cell steps with another dt") as error:
        from_norse(late, SAMPLE, DT)
    assert (error.value.node, error.value.parameter, error.value.got) == ("1", "dt", 1e-3)
    assert (error.value.wanted, error.value.way_out) == ("0.002", "Pass the cell's dt.")
    with pytest.raises(UnsupportedError, match="is neither of Norse's") as error:
        from_norse(alone("LIFBoxCell", p=Parameters(reset_method=reset_other)), SAMPLE, DT)
    assert (error.value.parameter, error.value.got) == ("reset_method", "reset_other")
    for parameter in ("v_leak", "tau_mem_inv", "tau_syn_inv", "v_th", "v_reset"):
        with pytest.raises(UnsupportedError, match="is not one value for each neuron") as error:
            from_norse(alone("LIFCell", p=Parameters(**{parameter: np.ones(2)})), SAMPLE, DT)
        assert (error.value.node, error.value.parameter, error.value.got) == ("1", parameter, (2,))
        assert error.value.wanted == "a number or shape (3,)"
    for parameter in ("tau_mem_inv", "tau_syn_inv"):
        with pytest.raises(UnsupportedError, match="has no time constant") as error:
            from_norse(alone("LIFCell", p=Parameters(**{parameter: np.array([1.0, 0.0, 2.0])})), SAMPLE, DT)
        assert (error.value.node, error.value.parameter, error.value.got) == ("1", parameter, 0.0)
    narrow = cells["LIFRecurrentCell"](p=LEAKY, dt=DT, input_weights=torch.ones(3, 5))
    with pytest.raises(UnsupportedError, match="does not fit what arrives") as error:
        from_norse(SequentialState(linear(), narrow).eval(), SAMPLE, DT)
    assert (error.value.node, error.value.parameter, error.value.got) == ("1", "input_size", (3,))
    with pytest.raises(TimeStepError):
        from_norse(late, SAMPLE, 0.0)


@pytest.mark.parametrize(
    ("build", "sample", "node", "words"),
    [
        (lambda c: SequentialState(linear(), c["LSNNCell"]()), SAMPLE, "1", "LSNNCell cannot be said.*adapts"),
        (lambda c: SequentialState(c["RecurrentSequential"]()), SAMPLE, "0", "adds its last output to its input"),
        (lambda c: SequentialState(linear(), type("Mine", (c["LIFCell"],), {})(p=LEAKY, dt=DT)), SAMPLE, "1",
         "a subclass of LIFCell may compute anything"),
        (lambda c: SequentialState(linear(), c["LIF"](p=LEAKY, dt=DT), c["LIFCell"](p=LEAKY, dt=DT)), SEQUENCE, "2",
         r"got \(time, batch, \*shape\); wanted \(batch, \*shape\).*Lift"),
        (lambda c: SequentialState(linear(), c["LIFCell"](p=LEAKY, dt=DT), c["LIF"](p=LEAKY, dt=DT)), SAMPLE, "2",
         r"got \(batch, \*shape\); wanted \(time, batch, \*shape\)"),
        (lambda c: SequentialState(Lift(linear()), Lift(c["LIF"](p=LEAKY, dt=DT))), SEQUENCE, "1.lifted_module",
         r"got \(batch, \*shape\)"),
        (lambda c: SequentialState(linear(), c["LIFCell"](p=LEAKY, dt=DT), Lift(linear(np.eye(3)))), SAMPLE, "2",
         r"gets another tensor than it takes; got \(batch"),
        (lambda c: nn.Sequential(Lift(linear()), nn.Flatten(1)), SEQUENCE, "1", "merge time and batch"),
    ],
)  # fmt: skip
def test_norse_modules_that_do_not_fit(cells: Any, build: Any, sample: Any, node: str, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words) as error:
        from_norse(build(cells).eval(), sample, DT)
    assert error.value.node == node


def test_a_norse_sample_of_one_step_for_a_network_of_sequences(cells: Any) -> None:
    module = SequentialState(linear(), cells["LIF"](p=LEAKY, dt=DT)).eval()
    with pytest.raises(InputError, match=r"sample: .*got \(2, 2\)") as error:
        from_norse(module, SAMPLE, DT)
    assert "'1' (LIF) takes that" in str(error.value.way_out)
    with pytest.raises(InputError, match="got NoneType"):
        from_norse(module, None, DT)


class Passing(nn.Module):
    """A forward of the user's, with states passed in and out."""

    def __init__(self, cells: Any) -> None:
        super().__init__()
        self.fc, self.lif, self.out = linear(), cells["LIFCell"](p=LEAKY, dt=DT), cells["LIFCell"](p=LEAKY, dt=DT)

    def forward(self, x: Any, state: Any = None) -> Any:
        state = (None, None) if state is None else state
        x, first = self.lif(self.fc(x), state[0])
        x, second = self.out(x, state[1])
        return x, (first, second)


def test_norse_states_may_be_passed_in_a_forward_of_ones_own(cells: Any) -> None:
    graph = from_norse(Passing(cells).eval(), SAMPLE, DT)
    assert graph.edges == [("input", "fc"), ("fc", "lif"), ("lif", "out"), ("out", "output")]


def test_all_hidden_layers_are_outputs_where_norse_returns_them(cells: Any) -> None:
    cell = cells["LIFCell"](p=LEAKY, dt=DT)
    graph = from_norse(SequentialState(linear(), cell, return_hidden=True).eval(), SAMPLE, DT)
    assert {("0", "output"), ("1", "output_1")} < set(graph.edges)


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


# --- SpikingJelly


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
    install(monkeypatch, {f"{folder}.layer": layers, f"{folder}.neuron": made})
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
