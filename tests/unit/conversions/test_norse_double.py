"""Norse on its doubles: every neuron against its equations, its containers, and what is refused."""

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
    DT,
    Lift,
    Parameters,
    SequentialState,
    W,
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

from hasn.conversions import norse  # isort: skip

from_norse = partial(norse.from_norse, verify=False)  # a double computes nothing


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
