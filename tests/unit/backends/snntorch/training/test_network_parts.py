"""What a training is made of, each by itself: the network, its learned parameters, and its score."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import RateTarget, SynapticCost, rate
from hasn.backends.snntorch.training.batches import Batch
from hasn.backends.snntorch.training.fits import loss_of
from hasn.backends.snntorch.training.learnable import Learnable
from hasn.backends.snntorch.training.network import Activity, TrainedNetwork, shapes_of
from hasn.backends.snntorch.training.score import Scorer
from hasn.errors import OptionError
from hasn.ir.lower import lower
from tests.unit.backends.snntorch.training.task import CLASSES, DT, HIDDEN, INPUTS, lif, net, readout, samples
from tests.unit.backends.snntorch.training.test_option_values import options

LOWERING = {"dt": None, "method": "euler", "reset": "zero", "timing": "synchronous"}


def made(graph: nir.NIRGraph, learn: Any = (), **changed: Any) -> TrainedNetwork:
    given = {"recompute": None, "precision": "float64", "options": {}, "lowering": LOWERING, **changed}
    return TrainedNetwork(graph, dict(learn), **given)


def conv_net() -> nir.NIRGraph:
    """Two channels of 4 by 4, a convolution with a border, a delay, and weights in a nested graph's way."""
    rng = np.random.default_rng(0)
    nodes = {
        "in": nir.Input(np.array([1, 4, 4])),
        "c": nir.Conv2d((4, 4), rng.normal(1, 0.1, (2, 1, 3, 3)), 1, 1, 1, 1, np.zeros(2)),
        "one": nir.LIF(*(np.full((2, 4, 4), v) for v in (5e-3, 5.0, 0.0, 0.5, 0.0))),
        "late": nir.Delay(np.full((2, 4, 4), 2 * DT)),
        "flat": nir.Flatten({"input": np.array([2, 4, 4])}, 0),
        "w": nir.Linear(np.where(rng.random((CLASSES, 32)) < 0.5, 0, 0.3)),
        "out": nir.Output(np.array([CLASSES])),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})


# --- the network


def test_the_fan_out_is_counted_by_hand() -> None:
    """A spike reaches the non-zeros of the weights behind it, also through a delay; one that is only shown, none."""
    network = made(net())
    assert set(network.fan_out) == {"hidden", "last"}
    assert network.fan_out["hidden"].tolist() == [CLASSES] * HIDDEN
    assert network.fan_out["last"].tolist() == [0] * CLASSES
    sparse = conv_net()
    fan_out = made(sparse).fan_out["one"]
    assert fan_out.dtype == torch.float64
    np.testing.assert_array_equal(fan_out.numpy().reshape(32), (sparse.nodes["w"].weight != 0).sum(axis=0))
    twice = net()
    twice.edges = [*twice.edges, ("hidden", "back"), ("back", "hidden")]
    twice.nodes["back"] = nir.Linear(np.eye(HIDDEN))
    assert made(twice).fan_out["hidden"].tolist() == [CLASSES + 1] * HIDDEN


def test_whose_parameters_they_are() -> None:
    network = made(net(), {"tau": "neuron", "threshold": "population"})
    weights = {"w1": 2, "w2": 1}
    assert len(network.weights) == 3
    assert set(network.parameters) >= {"hidden.tau", "last.tau", "hidden.v_threshold", "last.v_threshold"}
    owners = list(network.owners.values())
    assert list(network.owners) == list(network.parameters)
    assert {name: owners.count(name) for name in weights} == weights
    assert {name: owners.count(name) for name in ("hidden", "last")} == {"hidden": 2, "last": 2}
    shapes = {name: tuple(network.parameters[name].shape) for name, owner in network.owners.items() if owner == "w1"}
    assert sorted(shapes.values()) == [(HIDDEN,), (HIDDEN, INPUTS)]
    assert network.parameters["hidden.tau"].shape == (HIDDEN,)
    assert network.parameters["hidden.v_threshold"].shape == ()


def test_what_a_network_does_with_a_batch() -> None:
    """Outputs, counts of all that spikes, and steps; one tensor of one Output, names of several."""
    x = torch.as_tensor(samples(5)[0])
    recording = hasn.compile(net()).run(samples(5)[0])
    for recompute in (None, 4):
        activity = made(net(), recompute=recompute).forward({"in": x})
        assert activity.steps == 10
        np.testing.assert_array_equal(activity.outputs.detach().numpy(), recording.output)
        for name in ("hidden", "last"):
            np.testing.assert_array_equal(activity.counts[name].detach().numpy(), recording.spikes[name].sum(axis=0))
        several = net()
        several.nodes["also"] = nir.Output(np.array([HIDDEN]))
        several.edges = [*several.edges, ("hidden", "also")]
        shown = made(several, recompute=recompute).forward({"in": x}).outputs
        assert set(shown) == {"out", "also"}
        np.testing.assert_array_equal(shown["also"].detach().numpy(), recording.spikes["hidden"])
        np.testing.assert_array_equal(shown["out"].detach().numpy(), recording.output)


def test_inputs_and_their_shapes() -> None:
    graph = conv_net()
    graph.nodes["also"] = nir.Input(np.array([5]))
    graph.nodes["w3"] = nir.Linear(np.ones((CLASSES, 5)))
    graph.edges = [*graph.edges, ("also", "w3"), ("w3", "out")]
    assert shapes_of(lower(graph)) == {"in": (1, 4, 4), "also": (5,)}


def test_a_graph_with_nothing_to_train() -> None:
    nodes = {"in": nir.Input(np.array([3])), "n": lif(3), "out": nir.Output(np.array([3]))}
    graph = nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})
    with pytest.raises(OptionError, match="nothing to train") as caught:
        made(graph)
    assert (caught.value.parameter, caught.value.way_out) == ("graph", "Pass learn=('tau',).")
    assert set(made(graph, {"tau": "population"}).parameters) == {"n.tau"}


def test_options_of_the_backend() -> None:
    made(net(), options={"surrogate": "sigmoid"})
    with pytest.raises(OptionError) as caught:
        made(net(), options={"surrogate": "sigmoid", "colour": 1})
    assert caught.value.parameter == "colour"
    assert "surrogate" in str(caught.value.wanted)


# --- learned parameters


def cuba(**changed: Any) -> nir.CubaLIF:
    values = {"tau_syn": 3.1e-3, "tau_mem": 5.3e-3, "r": 4.0, "v_leak": 0.05, "v_threshold": 0.9, "v_reset": -0.1}
    values |= {"w_in": 2.0, **changed}
    return nir.CubaLIF(**{name: np.zeros(HIDDEN) + value for name, value in values.items()})


def learnable(graph: nir.NIRGraph, learn: dict[str, str], method: str = "euler") -> Learnable:
    network = made(graph, learn, lowering={**LOWERING, "method": method})
    return network.learnable


@pytest.mark.parametrize("method", ["euler", "exact"])
@pytest.mark.parametrize("share", ["population", "neuron"])
def test_a_learned_value_begins_as_it_was(method: str, share: str) -> None:
    """In the node's own unit and shape, to rounding of the bounding function; and means what the docs say of raw."""
    graph = net(hidden=cuba(v_reset=np.linspace(-0.2, 0.1, HIDDEN)))
    found = learnable(graph, {"tau": share, "threshold": share}, method)
    assert set(found.parameters) == {
        "hidden.tau_syn", "hidden.tau_mem", "last.tau", "hidden.v_threshold", "last.v_threshold",
    }  # fmt: skip
    for part in found.parts:
        wanted = np.asarray(getattr(graph.nodes[part.node], part.parameter), dtype=np.float64)
        assert part.raw.dtype == torch.float64
        assert part.raw.requires_grad
        assert part.raw.shape == (() if share == "population" else wanted.shape)
        np.testing.assert_allclose(part.value().detach().numpy(), wanted, rtol=1e-13)
        raw = part.raw.detach().numpy()
        sigmoid, softplus = 1 / (1 + np.exp(-raw)), np.log1p(np.exp(raw))
        if "tau" in part.parameter:
            meant = DT / (sigmoid if method == "euler" else softplus)
        else:  # one threshold stays above the highest of the reset values
            reset = np.asarray(graph.nodes[part.node].v_reset)
            meant = (reset if share == "neuron" else reset.max()) + softplus
        np.testing.assert_allclose(part.value().detach().numpy(), np.broadcast_to(meant, wanted.shape), rtol=1e-12)


def test_learned_delays_and_threshold_nodes() -> None:
    """Delays in steps of 1/100 of raw, rounded; the threshold of a node without a reset is what it is."""
    graph = net(last=nir.Threshold(np.array([0.5, -1.0, 2.0])))
    graph.nodes["late"] = nir.Delay(np.arange(HIDDEN) % 4 * DT)
    graph.edges = [edge for edge in graph.edges if edge != ("hidden", "w2")] + [("hidden", "late"), ("late", "w2")]
    found = learnable(graph, {"delay": "neuron", "threshold": "neuron"})
    late, threshold = found.parameters["late.delay"], found.parameters["last.threshold"]
    np.testing.assert_allclose(late.detach().numpy() * 100, np.arange(HIDDEN) % 4, atol=1e-12)
    assert threshold.tolist() == [0.5, -1.0, 2.0]
    with torch.no_grad():
        late += 0.014  # 1.4 steps more
        threshold -= 5.0
    nodes = {name: SimpleNamespace() for name in ("late", "last", "hidden")}
    found.write(nodes)  # type: ignore[arg-type]
    np.testing.assert_allclose(nodes["late"].delay / DT, np.arange(HIDDEN) % 4 + 1, atol=1e-9)
    assert nodes["last"].threshold.tolist() == [-4.5, -6.0, -3.0]


@pytest.mark.parametrize(
    ("hidden", "learn", "method", "parameter", "wanted"),
    [
        (lif(HIDDEN, tau=DT), "tau", "euler", "tau", f"above dt = {DT}"),
        (lif(HIDDEN, v_threshold=0.2, v_reset=0.2), "threshold", "euler", "v_threshold", "above v_reset"),
        (cuba(v_threshold=0.3, v_reset=np.linspace(0, 0.3, HIDDEN)), "threshold", "exact", "v_threshold",
         "above v_reset"),
    ],
)  # fmt: skip
def test_values_on_their_limit(hidden: Any, learn: str, method: str, parameter: str, wanted: str) -> None:
    with pytest.raises(OptionError, match="lies on its limit and cannot be learned") as caught:
        learnable(net(hidden=hidden), {learn: {"hidden": "population"}}, method)
    assert (caught.value.node, caught.value.parameter, caught.value.wanted) == ("hidden", parameter, wanted)


def test_values_that_differ_have_one_each() -> None:
    graph = net(hidden=cuba(tau_mem=np.linspace(3e-3, 9e-3, HIDDEN)))
    with pytest.raises(OptionError, match="the values differ within the population") as caught:
        learnable(graph, {"tau": "population"})
    error = caught.value
    assert (error.node, error.parameter, error.got) == ("hidden", "tau_mem", "learn='population'")
    assert error.way_out == "Pass learn={'tau': 'neuron'}."
    with pytest.raises(OptionError, match="the graph has no delay") as caught:
        learnable(graph, {"delay": "population"})
    assert (caught.value.parameter, caught.value.got) == ("learn", "'delay'")


def test_gradients_of_learned_values_reach_the_raw_ones_alone() -> None:
    """A population's one value gets the sum of its neurons' gradients."""
    sums = {}
    for share in ("population", "neuron"):
        network = made(net(last=readout(3)), {"tau": share})
        network.forward({"in": torch.as_tensor(samples(6)[0])}).outputs.sum().backward()
        sums[share] = {name: float(raw.grad.sum()) for name, raw in network.learnable.parameters.items()
                       if raw.grad is not None}  # fmt: skip
    assert set(sums["neuron"]) == {"hidden.tau", "last.tau"}
    assert sums["population"] == pytest.approx(sums["neuron"], rel=1e-9)


# --- the score


def scorer(graph: nir.NIRGraph, loss: Any = "rate", **changed: Any) -> Scorer:
    network = made(graph)
    return Scorer(network, loss_of(loss, network.program), options(**changed))


def batch(count: int = 6, whole: int = 0) -> Batch:
    inputs, labels = samples(count)
    return Batch({"in": torch.as_tensor(inputs)}, torch.as_tensor(labels), whole or count)


def test_a_share_of_the_loss_and_the_figures() -> None:
    """Loss, accuracy and rates of the populations, each times the share; regularisers only where they are wanted."""
    recording = hasn.compile(net()).run(samples(6)[0])
    counts = recording.output.sum(axis=0)
    labels = samples(6)[1]
    plain = np.mean(np.log(np.exp(counts).sum(axis=1)) - counts[np.arange(6), labels])
    judge = scorer(net(), regularisers=(lambda activity: activity.counts["hidden"].sum(),))
    assert judge.populations == ("hidden", "last")
    spikes = float(recording.spikes["hidden"].sum())
    for share in (1.0, 0.25):
        for regularised in (True, False):
            loss, row = judge(batch(), share, regularised)
            wanted = (plain + spikes * regularised) * share
            assert float(loss.detach()) == pytest.approx(wanted)
            accuracy = np.mean(counts.argmax(axis=1) == labels) * share
            rates = [recording.spikes[name].mean() * share for name in judge.populations]
            assert row.tolist() == pytest.approx([wanted, accuracy, *rates])
    assert float(judge(batch(), 1.0)[0].detach()) == pytest.approx(plain + spikes)
    assert judge.sum([torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]) == [4, 6]
    assert judge.sum([]) == [0, 0, 0, 0]


def test_the_accuracy_is_not_there_where_labels_are_no_classes() -> None:
    inputs = {"in": torch.as_tensor(samples(4)[0])}
    targets = torch.zeros((4, 3))
    assert np.isnan(float(scorer(net(), "count")(Batch(inputs, targets, 4), 1.0)[1][1]))
    assert not np.isnan(float(scorer(net(), "count")(Batch(inputs, torch.zeros(4, dtype=torch.int64), 4), 1.0)[1][1]))
    several = hasn.training.Loss(
        "several", lambda o, y: (o.sum(0) - y).square().mean(), lambda o: o.sum(0), classes=False
    )
    assert np.isnan(float(scorer(net(), several)(Batch(inputs, targets.long(), 4), 1.0)[1][1]))
    mine = hasn.training.Loss("mine", rate().value, None)
    assert np.isnan(float(scorer(net(), mine)(Batch(inputs, torch.zeros(4, dtype=torch.int64), 4), 1.0)[1][1]))


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (lambda o, y: o.sum(0), "shape (6, 3)"), (lambda o, y: 1.0, "float"), (lambda o, y: torch.tensor(1.0), None),
        (lambda o, y: o.sum((0, 1, 2), keepdim=True), ""),
    ],
)  # fmt: skip
def test_a_loss_is_one_number_of_the_parameters(value: Any, got: str | None) -> None:
    judge = scorer(net(), value)
    if got == "":
        assert judge(batch(), 1.0)[0].shape == ()
        return
    with pytest.raises(OptionError) as caught:
        judge(batch(), 1.0)
    assert (caught.value.parameter, caught.value.got) == ("loss", got or judge.loss.name)
    if got is None:
        with torch.no_grad():  # as in validation
            assert float(judge(batch(), 1.0)[0]) == 1.0


def test_regularisers_name_populations_that_are_there() -> None:
    scorer(net(), regularisers=(RateTarget({"hidden": 0.1, "last": 0.2}), RateTarget(0.1)))
    with pytest.raises(OptionError) as caught:
        scorer(net(), regularisers=(RateTarget(0.1), RateTarget({"hidden": 0.1, "w1": 0.2})))
    error = caught.value
    assert (error.parameter, error.got, error.wanted) == ("regularisers", "'w1'", "hidden, last")
    with pytest.raises(OptionError) as caught:
        RateTarget({"w1": 0.2}).check(())
    assert caught.value.wanted == "a graph with spiking neurons"


def test_regularisers_by_hand() -> None:
    """Two populations of 2 and 1 neurons, 2 samples, 10 steps."""
    counts = {"a": torch.tensor([[4.0, 2.0], [0.0, 2.0]]), "b": torch.tensor([[5.0], [10.0]])}
    activity = Activity(None, counts, 10, {"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([2.0])}, torch.zeros(()))
    a, b = [0.3, 0.1], [0.5, 1.0]  # spikes a neuron and step, of the two samples
    term = sum((r - 0.2) ** 2 for r in a) / 2 + sum((r - 0.2) ** 2 for r in b) / 2
    assert float(RateTarget(0.2)(activity)) == pytest.approx(term)
    assert float(RateTarget(0.2, 3.0)(activity)) == pytest.approx(3 * term)
    assert float(RateTarget({"b": 0.4})(activity)) == pytest.approx(((0.1) ** 2 + 0.6**2) / 2)
    counts["a"].requires_grad_()
    (gradient,) = torch.autograd.grad(RateTarget({"a": 0.2}, 3.0)(activity), counts["a"])
    slopes = [3 * 2 * (r - 0.2) / 2 / (10 * 2) for r in a]  # of (r - 0.2)^2 / 2, with r the sum over T |p| = 20
    np.testing.assert_allclose(gradient.numpy(), np.repeat(slopes, 2).reshape(2, 2), rtol=1e-6)
    (gradient,) = torch.autograd.grad(SynapticCost(0.5)(activity), counts["a"])
    assert gradient.tolist() == [[0.5 * 3 / 2, 0.5 * 1 / 2]] * 2
    operations = [4 * 3 + 2 * 1 + 5 * 2, 0 * 3 + 2 * 1 + 10 * 2]
    assert float(SynapticCost(0.5)(activity).detach()) == pytest.approx(0.5 * sum(operations) / 2)
