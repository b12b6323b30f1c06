"""Networks as tutorials write them: a Python loop over time in forward, lists of what each step gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.errors import UnsupportedError
from tests.unit.conversions.snntorch_nets import DT, excited, snn, torch

from hasn.conversions.snntorch import from_snntorch  # isort: skip
from torch import nn  # isort: skip

T, B = 20, 3


class Net(nn.Module):
    """Two layers; ``does(self, x)`` is its forward."""

    def __init__(self, does: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        torch.manual_seed(8)
        self.fc1, self.lif1 = excited(6, 9), snn.Leaky(0.9)
        self.fc2, self.lif2 = excited(9, 4), snn.Synaptic(0.6, 0.8)
        self.fc3 = nn.Linear(9, 9)
        self.steps = T
        self.does = does

    def forward(self, x: Any) -> Any:
        return self.does(self, x)


def step(net: Any, x: Any, states: Any) -> Any:
    mem1, syn2, mem2 = states
    spk1, mem1 = net.lif1(net.fc1(x), mem1)
    spk2, syn2, mem2 = net.lif2(net.fc2(spk1), syn2, mem2)
    return spk2, (mem1, syn2, mem2)


def begun(net: Any) -> Any:
    return net.lif1.init_leaky(), *net.lif2.init_synaptic()


def tutorial(net: Any, x: Any) -> Any:
    """As snnTorch's tutorials have it: the same input at every step, a fixed number of steps."""
    states, spk2_rec, mem2_rec = begun(net), [], []
    for _ in range(net.steps):
        spk2, states = step(net, x, states)
        spk2_rec.append(spk2)
        mem2_rec.append(states[-1])
    return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


def over_size(net: Any, x: Any) -> Any:
    states, rec = begun(net), []
    for t in range(x.size(0)):
        spk, states = step(net, x[t], states)
        rec.append(spk)
    return torch.stack(rec)


def over_shape_of_batch_first(net: Any, x: Any) -> Any:
    batch, steps, _ = x.shape
    states, rec = (torch.zeros(batch, 9), torch.zeros(batch, 4), torch.zeros(batch, 4)), []
    for t in range(steps):
        spk, states = step(net, x[:, t], states)
        rec.append(spk)
    return torch.stack(rec, dim=1)


def iterated(net: Any, x: Any) -> Any:
    states, rec = (net.lif1.reset_mem(), *net.lif2.reset_mem()), []
    for sample in x:
        spk, states = step(net, sample, states)
        rec.append(spk)
    return rec


def fixed_number(net: Any, x: Any) -> Any:
    states, rec = begun(net), []
    for t in range(net.steps):
        spk, states = step(net, x[t, ...], states)
        rec += [spk]
    return {"spikes": torch.stack(rec)}


def permuted(net: Any, x: Any) -> Any:
    x = x.permute(1, 0, 2)
    states, rec = begun(net), []
    for t in range(len(x)):
        spk, states = step(net, x[t], states)
        rec.append(spk)
    return torch.stack(rec)


def weights_first(net: Any, x: Any) -> Any:
    """The first layer on all steps at once, before the loop."""
    currents, states, rec = net.fc1(x), begun(net), []
    for t in range(x.shape[0]):
        spk1, mem1 = net.lif1(currents[t], states[0])
        spk2, syn2, mem2 = net.lif2(net.fc2(spk1), *states[1:])
        states = mem1, syn2, mem2
        rec.append(spk2)
    return torch.stack(rec)


def current_first(net: Any, x: Any) -> Any:
    """The same current at every step, computed once."""
    current, states, rec = net.fc1(x), begun(net), []
    for _ in range(net.steps):
        spk1, mem1 = net.lif1(current, states[0])
        spk2, syn2, mem2 = net.lif2(net.fc2(spk1), *states[1:])
        states = mem1, syn2, mem2
        rec.append(spk2)
    return torch.stack(rec)


def last(net: Any, x: Any) -> Any:
    states = begun(net)
    for t in range(x.size(0)):
        spk, states = step(net, x[t], states)
    return spk


#: forward -> (the input from (T, batch, 6), what it returns as (T, batch, 4); None: the last step's)
SEQUENCE = lambda x: x  # noqa: E731
FORMS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tutorial": (tutorial, lambda x: x[0], lambda given: given[0]),
    "size": (over_size, SEQUENCE, SEQUENCE),
    "batch first": (over_shape_of_batch_first, lambda x: x.transpose(0, 1), lambda given: given.transpose(0, 1)),
    "iterated": (iterated, SEQUENCE, torch.stack),
    "fixed number": (fixed_number, SEQUENCE, lambda given: given["spikes"]),
    "permuted": (permuted, lambda x: x.transpose(0, 1), SEQUENCE),
    "weights first": (weights_first, SEQUENCE, SEQUENCE),
    "current first": (current_first, lambda x: x[0], SEQUENCE),
    "last": (last, SEQUENCE, SEQUENCE),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_loop_is_taken_as_its_step(name: str) -> None:
    does, laid, steps_of = FORMS[name]
    net = Net(does).eval()
    graph = from_snntorch(net, dt=DT)
    assert set(graph.nodes) == {"x", "fc1", "lif1", "fc2", "lif2", "output"}
    assert set(graph.edges) == {("x", "fc1"), ("fc1", "lif1"), ("lif1", "fc2"), ("fc2", "lif2"), ("lif2", "output")}
    x = 2 * torch.rand(T, B, 6, generator=torch.Generator().manual_seed(4))
    if name in ("tutorial", "current first"):
        x = x[:1].expand(T, B, 6)
    with torch.no_grad():
        wanted = steps_of(net(laid(x))).numpy() > 0
    got = hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0
    assert 0.02 < got.mean() < 0.98
    assert np.array_equal(got[-1] if name == "last" else got, wanted)


BATCH = 7  # written down in a forward
VIEWS: dict[str, Callable[[Any, Any], Any]] = {
    "batch of the input": lambda x, spk: spk.view(x.size(1), -1),
    "own size": lambda x, spk: spk.view(spk.size(0), -1),
    "own shape": lambda x, spk: spk.reshape(spk.shape[0], -1),
    "a tuple": lambda x, spk: spk.reshape((spk.shape[0], -1)),
    "flatten": lambda x, spk: spk.flatten(1),
    "a number": lambda x, spk: spk.view(BATCH, -1),
}


@pytest.mark.parametrize("name", VIEWS)
def test_a_convolutional_loop_with_view_and_device(name: str) -> None:
    class Conv(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(2)
            self.conv, self.pool, self.lif1 = nn.Conv2d(1, 3, 3), nn.AvgPool2d(2), snn.Leaky(0.8, threshold=0.1)
            self.fc, self.lif2 = nn.Linear(12, 5), snn.Leaky(0.9, threshold=0.2)

        def forward(self, x: Any) -> Any:
            mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
            out = []
            for t in range(x.size(0)):
                spk1, mem1 = self.lif1(self.pool(self.conv(x[t].to(x.device))), mem1)
                spk2, mem2 = self.lif2(self.fc(VIEWS[name](x, spk1)), mem2)
                out.append((spk2, mem2)[0])
            return torch.stack(out)

    net = Conv().eval()
    graph = from_snntorch(net, input_shape=(1, 6, 6), dt=DT)
    x = 2 * torch.rand(T, BATCH, 1, 6, 6, generator=torch.Generator().manual_seed(4))
    with torch.no_grad():
        wanted = net(x).numpy() > 0
    assert 0.02 < wanted.mean() < 0.98
    assert np.array_equal(hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0, wanted)


def forgetful(net: Any, x: Any) -> Any:
    """The states are made anew at every step."""
    rec = []
    for t in range(x.size(0)):
        spk, _ = step(net, x[t], begun(net))
        rec.append(spk)
    return torch.stack(rec)


def backwards(net: Any, x: Any) -> Any:
    states, rec = begun(net), []
    for t in reversed(range(x.size(0))):
        spk, states = step(net, x[t], states)
        rec.append(spk)
    return torch.stack(rec)


def other_way_round(net: Any, x: Any) -> Any:
    """The steps are right, and lie the wrong way round in what is returned."""
    states, rec = begun(net), []
    for t in range(x.size(0)):
        spk, states = step(net, x[t], states)
        rec.insert(0, spk)
    return torch.stack(rec)


def again(net: Any, x: Any) -> Any:
    """The same layer and neuron twice in a row: no loop, though it looks like one of two turns."""
    spk, mem = net.lif1(net.fc3(x), net.lif1.init_leaky())
    return net.lif1(net.fc3(spk), mem)[0]


def second_half(net: Any, x: Any) -> Any:
    """From its tenth step on it is another network."""
    states, rec = begun(net), []
    for t in range(x.size(0)):
        spk1, mem1 = net.lif1(net.fc1(x[t]) + (net.fc1(x[t - 1]) if t > 9 else 0 * net.fc1(x[t])), states[0])
        spk2, syn2, mem2 = net.lif2(net.fc2(spk1), *states[1:])
        states = mem1, syn2, mem2
        rec.append(spk2)
    return torch.stack(rec)


def counted(net: Any, x: Any) -> Any:
    return tutorial(net, x)[0].sum(0)


def unequal(net: Any, x: Any) -> Any:
    states, rec = begun(net), []
    for t in range(x.size(0)):
        spk1, mem1 = net.lif1(net.fc1(x[t]), states[0])
        states = mem1, *states[1:]
        rec.append(spk1)
    spk, _, _ = net.lif2(net.fc2(spk1), *states[1:])
    return torch.stack(rec), spk


def until(net: Any, x: Any) -> Any:
    states, rec = begun(net), []
    while len(rec) < 5 or rec[-1].sum() > 0:
        spk, states = step(net, x, states)
        rec.append(spk)
    return torch.stack(rec)


def shared(net: Any, x: Any) -> Any:
    """One neuron behind two layers: no loop."""
    spk, mem = net.lif1(net.fc1(x), net.lif1.init_leaky())
    return net.lif1(net.fc3(spk), mem)[0]


WRONG: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "forgetful": (forgetful, "are not those of the converted node"),
    "backwards": (backwards, "are not those of the converted node"),
    "other way round": (other_way_round, "first step needs later steps too"),
    "again": (again, "'fc3' verify"),
    "counted": (counted, r"\.sum|sum over all steps"),
    "unequal": (unequal, "not called equally often"),
    "until": (until, "cannot follow"),
    "shared": (shared, "'lif1' forward: the neuron is called more than once"),
    "second half": (second_half, "is no NIR node|not those of the converted node|takes no signal"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_loop_that_is_no_step_repeated_is_refused(name: str) -> None:
    does, words = WRONG[name]
    with pytest.raises(UnsupportedError, match=words) as error:
        from_snntorch(Net(does).eval(), input_shape=(9,) if name == "again" else (6,), dt=DT)
    if name in ("counted", "unequal", "until"):
        assert "class Step(nn.Module)" in str(error.value)


def test_the_form_that_the_refusal_shows_converts() -> None:
    class Step(nn.Module):
        def __init__(self, net: Any) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Any, mem1: Any, syn2: Any, mem2: Any) -> Any:
            spk1, mem1 = self.net.lif1(self.net.fc1(x), mem1)
            spk2, syn2, mem2 = self.net.lif2(self.net.fc2(spk1), syn2, mem2)
            return spk2, mem1, syn2, mem2

    net = Net(tutorial).eval()
    step_graph, loop_graph = from_snntorch(Step(net), dt=DT), from_snntorch(net, dt=DT)
    x = 2 * torch.rand(T, B, 6, generator=torch.Generator().manual_seed(4))
    one, other = (hasn.compile(graph).run(x).outputs["output"] for graph in (step_graph, loop_graph))
    np.testing.assert_array_equal(one, other)
    assert 0.02 < one.mean() < 0.98


def test_a_loop_is_not_taken_unproved() -> None:
    with pytest.raises(UnsupportedError, match="only a run proves") as error:
        from_snntorch(Net(tutorial), dt=DT, verify=False)
    assert error.value.parameter == "verify"
