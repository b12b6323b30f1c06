"""Modules with a forward of their own, other containers, batch normalisation; and graphs that are no chain."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import OptionError, UnsupportedError
from tests.graphs import Draw
from tests.unit.conversions.snntorch_nets import DT, Net, by_hand, excited, hidden, neuron_net, rested, snn, torch

from hasn.conversions.snntorch import from_snntorch, to_snntorch  # isort: skip
from torch import nn  # isort: skip


class Tutorial(nn.Module):
    """As snnTorch's tutorials write it, with the states passed in and out."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = excited(6, 15), snn.Leaky(0.9)
        self.fc2, self.lif2 = excited(15, 4), snn.Synaptic(0.8, 0.7)

    def forward(self, x: Any, mem1: Any, syn2: Any, mem2: Any) -> Any:
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, syn2, mem2 = self.lif2(self.fc2(spk1), syn2, mem2)
        return spk2, mem1, syn2, mem2


class Skip(nn.Module):
    """Hidden states; a skip connection, two inputs, two outputs, a layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = excited(6, 8), hidden(snn.Leaky, 0.9)
        self.block = nn.Sequential(excited(8, 8), hidden(snn.Leaky, 0.8, reset_mechanism="zero"))
        self.out = hidden(snn.Leaky, 0.7)

    def forward(self, left: Any, right: Any) -> Any:
        first = self.lif1(self.fc1(left) + self.fc1(right))
        second = self.block(first)
        return self.out(first + second), second


class Readout(nn.Module):
    """A membrane that never resets is what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = excited(6, 8), hidden(snn.Leaky, 0.9)
        self.flat = nn.Flatten()
        self.fc2, self.li = excited(8, 3), snn.Leaky(0.8, reset_mechanism="none")

    def forward(self, x: Any) -> Any:
        _, mem = self.li(self.fc2(torch.flatten(self.lif1(self.fc1(x)), 1)))
        return mem


def drive(*shape: int, seed: int = 3) -> Any:
    return 2 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def made(build: Callable[[], Any]) -> Any:
    torch.manual_seed(11)
    return build().eval()


def test_states_may_be_passed_through_forward() -> None:
    net, x = made(Tutorial), drive(150, 2, 6)
    states: tuple[Any, ...] = (torch.zeros(2, 15), torch.zeros(2, 4), torch.zeros(2, 4))
    wanted = []
    with torch.no_grad():
        for sample in x:
            spk, *states = net(sample, *states)
            wanted.append(spk.numpy() > 0)
    graph = from_snntorch(net, dt=DT)
    assert [name for name, node in graph.nodes.items() if isinstance(node, nir.Input)] == ["x"]
    got = hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0
    assert np.array_equal(got, wanted)
    assert 0.02 < got.mean() < 0.98


def test_skip_connections_several_inputs_and_outputs_and_shared_layers() -> None:
    net, left, right = made(Skip), drive(150, 2, 6), drive(150, 2, 6, seed=4)
    with torch.no_grad():
        wanted = [[value.numpy() > 0 for value in net(a, b)] for a, b in zip(left, right, strict=True)]
    graph = from_snntorch(net, dt=DT)
    outputs = hasn.compile(graph, precision="float32").run({"left": left, "right": right}).outputs
    for i, name in enumerate(("output", "output_1")):
        assert np.array_equal(outputs[name] > 0, [values[i] for values in wanted])
        assert 0.02 < (outputs[name] > 0).mean() < 0.98


def test_a_membrane_without_reset_may_be_the_output() -> None:
    net, x = made(Readout), drive(100, 2, 6)
    with torch.no_grad():
        wanted = torch.stack([net(sample) for sample in x]).numpy()
    graph = from_snntorch(net, dt=DT)
    assert not any(isinstance(node, nir.Threshold) for node in graph.nodes.values())
    got = hasn.compile(graph, precision="float32").run(x).outputs["output"]
    np.testing.assert_allclose(got, wanted, rtol=1e-5)  # float32, 100 steps of a leaky sum
    back = to_snntorch(graph, sequential=True)
    with torch.no_grad():
        np.testing.assert_allclose(torch.stack([back(sample) for sample in x]).numpy(), wanted, rtol=1e-5)


def test_the_states_of_a_module_that_ran_are_not_taken_over() -> None:
    net = Net("leaky-subtract", neuron_net(lambda: hidden(snn.Leaky, 0.9)))
    module, x = net.made(), net.input()
    by_hand(module, x)  # leaves the membranes where they are
    graph = from_snntorch(module, dt=DT)
    got = hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0
    assert np.array_equal(got, by_hand(rested(module), x))


class Keeping(nn.Module):
    """A call between the layers that leaves every value as it is."""

    def __init__(self, does: Callable[[Any], Any]) -> None:
        super().__init__()
        self.fc, self.lif, self.does = excited(6, 8), hidden(snn.Leaky, 0.9), does

    def forward(self, x: Any) -> Any:
        return self.lif(self.does(self.fc(x)))


KEEPING: dict[str, Callable[[Any], Any]] = {
    "detach": lambda x: x.detach(),
    "clone": lambda x: x.clone(),
    "contiguous": lambda x: x.contiguous(),
    "float": lambda x: x.float(),
    "double": lambda x: x.double(),
}


@pytest.mark.parametrize("name", KEEPING)
def test_calls_that_keep_all_values_add_nothing(name: str) -> None:
    graph = from_snntorch(made(lambda: Keeping(KEEPING[name])), dt=DT)
    assert set(graph.edges) == {("x", "fc"), ("fc", "lif"), ("lif", "output")}


@pytest.mark.parametrize(
    "layer",
    [nn.Identity(), nn.Dropout(), nn.Dropout1d(), nn.Dropout2d(), nn.Dropout3d(), nn.AlphaDropout(),
     nn.FeatureAlphaDropout()],
    ids=lambda layer: type(layer).__name__,
)  # fmt: skip
def test_layers_that_do_nothing_in_evaluation_add_nothing(layer: Any) -> None:
    graph = from_snntorch(made(lambda: nn.Sequential(excited(6, 8), layer, hidden(snn.Leaky, 0.9))), dt=DT)
    assert set(graph.nodes) == {"input", "0", "2", "output"}
    if not isinstance(layer, nn.Identity):
        net = nn.Sequential(excited(6, 8), layer.train(), hidden(snn.Leaky, 0.9))
        with pytest.raises(UnsupportedError, match="draws at random") as error:
            from_snntorch(net, dt=DT)
        assert (error.value.node, error.value.parameter, error.value.got) == ("1", "training", True)


ADDING: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "torch.add": lambda a, b: torch.add(a, b),
    "add": lambda a, b: a.add(b),
    "add_": lambda a, b: a.add_(b),
}


@pytest.mark.parametrize("name", ADDING)
def test_sums_are_edges(name: str) -> None:
    class Two(Keeping):
        def forward(self, x: Any) -> Any:
            return self.lif(ADDING[name](self.fc(x), self.fc2(x)))

    net = made(lambda: Two(lambda x: x))
    net.fc2 = excited(6, 8)
    assert {("fc", "lif"), ("fc2", "lif")} < set(from_snntorch(net, dt=DT).edges)


FLAT: dict[str, tuple[Callable[[Any], Any], tuple[int, int]]] = {  # a call, NIR's start_dim and end_dim
    "torch": (lambda x: torch.flatten(x, 1), (0, 2)),
    "words": (lambda x: torch.flatten(x, start_dim=1, end_dim=-1), (0, 2)),
    "some": (lambda x: x.flatten(2, 3), (1, 2)),
    "first": (lambda x: x.flatten(1, end_dim=2), (0, 1)),
    "from behind": (lambda x: x.flatten(-2), (1, 2)),
}


@pytest.mark.parametrize("name", FLAT)
def test_flatten_counts_without_the_batch(name: str) -> None:
    does, dims = FLAT[name]
    net = made(lambda: Keeping(does))
    net.fc = nn.Identity()
    graph = from_snntorch(net, input_shape=(2, 3, 4), dt=DT)
    (node,) = [node for node in graph.nodes.values() if isinstance(node, nir.Flatten)]
    assert (int(node.start_dim), int(node.end_dim)) == dims
    wanted = tuple(does(torch.zeros(1, 2, 3, 4)).shape[1:])
    assert tuple(graph.nodes["output"].output_type["output"].tolist()) == wanted


@pytest.mark.parametrize("kind", ["matrix", "convolution"])
@pytest.mark.parametrize("bias", [False, True])
def test_recurrent_weights_with_and_without_a_bias(kind: str, bias: bool) -> None:
    def build() -> Any:
        if kind == "matrix":
            neuron = hidden(snn.RLeaky, 0.8, linear_features=6)
            neuron.recurrent = nn.Linear(6, 6, bias=bias)
        else:
            neuron = hidden(snn.RLeaky, 0.8, conv2d_channels=2, kernel_size=3)
            neuron.recurrent = nn.Conv2d(2, 2, 3, padding=1, bias=bias)
        return nn.Sequential(nn.Identity(), neuron)

    shape = (6,) if kind == "matrix" else (2, 4, 3)
    net, x = made(build), drive(80, 2, *shape)
    graph = from_snntorch(net, input_shape=shape, dt=DT)
    assert ("1.recurrent_bias" in graph.nodes) == bias
    wanted = by_hand(net, x)
    assert np.array_equal(hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0, wanted)
    assert 0.02 < wanted.mean() < 0.98


@pytest.mark.parametrize("norm", ["linear", "conv"])
def test_batch_normalisation_is_folded_into_the_weights_before_it(norm: str) -> None:
    if norm == "linear":
        layers, shape = [excited(6, 9), nn.BatchNorm1d(9)], (6,)
    else:
        layers, shape = [nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3, affine=False)], (2, 5, 5)
    net = made(lambda: nn.Sequential(*layers, hidden(snn.Leaky, 0.9, threshold=0.7)))
    net[1].train()
    with torch.no_grad():
        net[1](net[0](drive(64, *shape)))  # gives it a mean and a variance that are not 0 and 1
        if norm == "linear":
            net[1].weight.uniform_(0.5, 1.5)
            net[1].bias.uniform_(-0.2, 0.4)
    x = drive(120, 2, *shape)
    with pytest.raises(UnsupportedError, match=r"node '1' training"):
        from_snntorch(net, input_shape=shape, dt=DT)
    net.eval()
    got = hasn.compile(from_snntorch(net, input_shape=shape, dt=DT), precision="float32").run(x).outputs["output"] > 0
    assert np.array_equal(got, by_hand(net, x))
    assert 0.02 < got.mean() < 0.98


def test_a_sum_pool_is_an_average_that_divides_by_one() -> None:
    net = made(lambda: nn.Sequential(nn.AvgPool2d((3, 2), (2, 2), 1, divisor_override=1), hidden(snn.Leaky, 0.5, 6.0)))
    graph, x = from_snntorch(net, input_shape=(2, 6, 5), dt=DT), drive(80, 2, 2, 6, 5)
    assert isinstance(graph.nodes["0"], nir.SumPool2d)
    wanted = by_hand(net, x)
    assert np.array_equal(hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0, wanted)
    assert np.array_equal(by_hand(to_snntorch(graph, sequential=True), x), wanted)
    assert 0.02 < wanted.mean() < 0.98


def chain(*middle: nir.NIRNode, inputs: int, outputs: int) -> nir.NIRGraph:
    nodes = {"input": nir.Input(np.array([inputs])), **{f"n{i}": node for i, node in enumerate(middle)}}
    nodes["output"] = nir.Output(np.array([outputs]))
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata={"dt": DT})


FOREIGN = {  # graphs that no snnTorch module made: R, v_leak, v_reset of their own
    "LIF": ("LIF", {}, False),
    "LIF with R": ("LIF", {"v_leak": np.zeros(7), "v_reset": np.zeros(7)}, True),
    "IF": ("IF", {"v_reset": np.zeros(7)}, True),
    "IF with v_reset": ("IF", {}, False),
    "CubaLIF": ("CubaLIF", {"v_leak": np.zeros(7), "v_reset": np.zeros(7)}, True),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_graph_of_another_tool_becomes_a_module_with_its_spikes(name: str) -> None:
    kind, fixed, sequential = FOREIGN[name]
    draw = Draw(5)
    graph = chain(draw.affine(7, 6), draw.neuron(kind, (7,), **fixed), inputs=6, outputs=7)
    x = (drive(200, 2, 6) > 1).float()
    wanted = hasn.compile(graph, precision="float32").run(x).outputs["output"] > 0
    assert 0.005 < wanted.mean() < 0.98
    module = to_snntorch(graph)
    assert isinstance(module, nn.Sequential) == sequential
    with torch.no_grad():
        got = by_hand(module, x) if sequential else module(x).numpy() > 0
    assert np.array_equal(got, wanted)
    if not sequential:
        with pytest.raises(UnsupportedError, match="Leave sequential out"):
            to_snntorch(graph, sequential=True)


def test_the_plain_subtract_reset_is_not_taken_for_snntorchs() -> None:
    draw = Draw(5)
    node = draw.neuron("LIF", (7,), v_leak=np.zeros(7), v_reset=np.zeros(7))
    graph = chain(draw.affine(7, 6), node, inputs=6, outputs=7)
    with pytest.raises(UnsupportedError, match="no such reset"):
        to_snntorch(graph, reset="subtract", sequential=True)
    assert not isinstance(to_snntorch(graph, reset="subtract"), nn.Sequential)


def test_options_are_checked() -> None:
    net = made(neuron_net(lambda: hidden(snn.Leaky, 0.9)))
    with pytest.raises(OptionError, match="float16"):
        to_snntorch(from_snntorch(net, dt=DT), dtype=torch.float16)
    with pytest.raises(OptionError, match="torch module"):
        from_snntorch("net", dt=DT)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"no such input; got y"):
        from_snntorch(net, input_shape={"input": (6,), "y": (3,)}, dt=DT)
    with pytest.raises(OptionError, match="input_shape"):
        from_snntorch(nn.Sequential(nn.Conv2d(1, 2, 3), hidden(snn.Leaky, 0.9)), dt=DT)
    last = to_snntorch(from_snntorch(net, dt=DT), output=True)
    assert len(last(torch.ones(1, 6))) == 2
