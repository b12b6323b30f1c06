"""BatchNorm and Dropout during training: torch's statistics, and a graph that is the network in evaluation."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import nir
import numpy as np
import pytest
import torch
from torch import nn

import hasn
from hasn.backends.snntorch.training import BatchNorm, Dropout, SynapticIntelligence
from hasn.backends.snntorch.training.during import written
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.errors import InputError, OptionError
from tests.unit.backends.snntorch.training.membrane_nets import recurrent
from tests.unit.backends.snntorch.training.task import DT, lif, net, readout, samples, weights

LOWERING = {"dt": None, "method": None, "reset": None, "timing": None}
X = torch.tensor(samples(9)[0], dtype=torch.float64)
GIVEN: dict[str, Any] = {"epochs": 3, "batch_size": 16, "learning_rate": 1e-2, "precision": "float64"}


def made(graph: nir.NIRGraph, during: Any, **options: Any) -> TrainedNetwork:
    return TrainedNetwork(graph, {}, None, LOWERING, "float64", options, (), written(during))


def straight() -> nir.NIRGraph:
    """Weights, and a readout that keeps nothing: what it shows is what the weights give."""
    nodes = {
        "in": nir.Input(np.array([12])),
        "w": nir.Affine(np.random.default_rng(1).normal(size=(5, 12)), 1 + np.arange(5.0)),
        "out": nir.Output(np.array([5])),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})


@pytest.mark.parametrize("over", ["time", "step"])
def test_the_statistics_are_torchs(over: Any) -> None:
    """Over time: torch's module on all steps at once. Over a step: torch's module at every step of a loop."""
    network = made(straight(), {"w": BatchNorm(over, scale=1.5, momentum=0.3, eps=1e-3)})
    norm = nn.BatchNorm1d(5, eps=1e-3, momentum=0.3).double()
    norm.weight.data.fill_(1.5)
    weight, bias = (torch.tensor(value) for value in (straight().nodes["w"].weight, straight().nodes["w"].bias))
    for _ in range(2):
        x = (X @ weight.T + bias).flatten(0, 1) if over == "time" else None
        wanted = norm(x).unflatten(0, X.shape[:2]) if over == "time" else torch.stack(
            [norm(now @ weight.T + bias) for now in X]
        )  # fmt: skip
        found = network.forward({"in": X}).outputs
        assert torch.allclose(found, wanted, rtol=1e-12, atol=1e-12)
    assert torch.allclose(network.during.buffers["w.norm.mean"], norm.running_mean, rtol=1e-12)
    assert torch.allclose(network.during.buffers["w.norm.var"], norm.running_var, rtol=1e-12)
    norm.eval()
    before = norm.running_mean.clone()
    with torch.no_grad():
        now = network.forward({"in": X}).outputs
    assert torch.allclose(now, norm((X @ weight.T + bias).flatten(0, 1)).unflatten(0, X.shape[:2]), atol=1e-12)
    assert torch.equal(network.during.buffers["w.norm.mean"], before)
    folded = hasn.compile(network.to_graph(), "snntorch", precision="float64").module(X)
    assert torch.allclose(folded, now, rtol=1e-12, atol=1e-12)


def convolutional() -> nir.NIRGraph:
    rng = np.random.default_rng(3)
    nodes = {
        "in": nir.Input(np.array([1, 4, 3])),
        "conv": nir.Conv2d((4, 3), rng.normal(0.3, 0.4, (2, 1, 3, 3)), 1, (1, 1), 1, 1, rng.normal(size=2)),
        "n": nir.LIF(*(np.full((2, 4, 3), value) for value in (5.1e-3, 5.0, 0.0, 0.5, 0.0))),
        "flat": nir.Flatten({"input": np.array([2, 4, 3])}, 0, -1),
        "w": nir.Linear(rng.normal(0.1, 0.3, (3, 24))),
        "last": lif(3),
        "out": nir.Output(np.array([3])),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})


CASES: dict[str, Any] = {
    "affine": (net, {"w1": BatchNorm()}),
    "linear, which becomes affine": (net, {"w2": [BatchNorm("step", scale=0.8)]}),
    "both, and dropout": (net, {"w1": [BatchNorm(), Dropout(0.3)], "w2": [Dropout(0.2, before=True), BatchNorm()]}),
    "a convolution": (convolutional, {"conv": [BatchNorm(scale=1.2)], "w": BatchNorm("step")}),
    "a cycle": (recurrent, {"back": BatchNorm("step"), "w": [BatchNorm()]}),
}


@pytest.mark.parametrize("case", CASES)
def test_the_graph_that_comes_back_spikes_as_the_network_does_in_evaluation(case: str) -> None:
    graph, during = CASES[case]
    inputs, labels = samples(48)
    shaped = inputs.reshape(10, 48, 1, 4, 3) if case == "a convolution" else inputs
    result = hasn.train(graph(), (shaped, labels), during=during, validation=(shaped, labels), **GIVEN)
    changed = [name for name, w in weights(graph()).items() if not np.array_equal(w, weights(result.graph).get(name))]
    assert changed
    found = next(iter(hasn.compile(result.graph, "snntorch", precision="float64").run(shaped).outputs.values()))
    assert 0 < found.mean() < 1
    if found.shape[-1] == 3:
        counts = torch.tensor(found.sum(0), dtype=torch.float64)
        loss = float(nn.functional.cross_entropy(counts, torch.tensor(labels)))
        assert result.history[-1].validation_loss == pytest.approx(loss, rel=1e-9)
        accuracy = float((found.sum(0).argmax(1) == labels).mean())
        assert result.history[-1].validation_accuracy == pytest.approx(accuracy)
    network = made(graph(), during)
    with torch.no_grad():
        for name, value in network.during.buffers.items():
            value.uniform_(0.5, 1.5, generator=torch.Generator().manual_seed(len(name)))
        for name, value in network.during.parameters.items():
            value.uniform_(0.3, 1.2, generator=torch.Generator().manual_seed(len(name)))
        x = torch.tensor(shaped, dtype=torch.float64)
        spikes = network.forward({"in": x}).outputs
    again = hasn.compile(network.to_graph(), "snntorch", precision="float64").module(x)
    assert 0 < float(spikes.mean()) < 1
    assert torch.equal(again.detach(), spikes)


def test_dropout_drops_in_training_alone() -> None:
    for part, per_step in ((Dropout(0.4), True), (Dropout(0.4, per="sequence"), False)):
        network = made(straight(), {"w": part})
        plain = made(straight(), {}).forward({"in": X}).outputs
        found = network.forward({"in": X}).outputs
        kept = found != 0
        assert torch.allclose(found[kept], plain[kept] / 0.6, rtol=1e-12)
        assert float((~kept).double().mean()) == pytest.approx(0.4, abs=0.12)  # 450 draws, or 45
        assert torch.equal(kept, kept[:1].expand_as(kept)) is not per_step
        with torch.no_grad():
            assert torch.equal(network.forward({"in": X}).outputs, plain.detach())
    before = made(straight(), {"w": Dropout(0.999, before=True)}).forward({"in": X}).outputs
    assert torch.equal(before.flatten(0, 1)[0], 1 + torch.arange(5.0, dtype=torch.float64))  # the bias alone is left


def test_dropout_draws_anew_at_every_update_in_every_worker_and_for_every_seed() -> None:
    """And the same again for the same three, whatever torch's own generator has drawn."""
    network, found = made(straight(), {"w": Dropout(0.5)}), []
    for seed, update, worker in [(0, 1, 0), (0, 2, 0), (0, 1, 1), (1, 1, 0), (0, 1, 0)]:
        network.during.seed = seed
        network.during.draw_anew(update, worker)
        torch.manual_seed(len(found))
        found.append(network.forward({"in": X}).outputs != 0)
    assert torch.equal(found[0], found[-1])
    for one, other in combinations(found[:-1], 2):  # 450 draws each, of which independent ones share half
        assert float((one == other).double().mean()) == pytest.approx(0.5, abs=0.12)


def test_dropout_leaves_the_order_of_the_samples_and_its_seed_is_the_trainings() -> None:
    given: dict[str, Any] = {"epochs": 2, "batch_size": 8}
    plain = hasn.train(net(), samples(24), **given).losses
    assert hasn.train(net(), samples(24), **given, during={"w1": Dropout(0.0)}).losses == plain
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(found))
        dropped = hasn.train(net(), samples(24), **given, during={"w1": Dropout(0.3)}, shuffle=False, seed=seed)
        found.append(dropped.losses)
    assert found[0] == found[1] != found[2]
    one = hasn.train(
        net(), samples(8), **{**given, "learning_rate": 1e-12, "precision": "float64"}, during={"w1": Dropout(0.3)}
    )
    assert one.losses[0] != one.losses[1]  # the same batch and weights: other draws


def test_it_resumes_and_gives_back_the_best(tmp_path: Any) -> None:
    given = {**GIVEN, "during": {"w1": BatchNorm()}, "validation": samples(16, 4)}
    whole = hasn.train(net(), samples(), **given)
    path = tmp_path / "run.pt"
    hasn.train(net(), samples(), **{**given, "epochs": 1}, checkpoint=path)
    again = hasn.train(net(), samples(), **given, checkpoint=path, resume=True)
    assert again.losses == whole.losses
    assert np.array_equal(again.graph.nodes["w1"].weight, whole.graph.nodes["w1"].weight)
    best = hasn.train(net(), samples(), **{**given, "epochs": 6, "learning_rate": 0.2}, keep_best=True)
    place = int(np.argmin([epoch.validation_loss for epoch in best.history]))
    inputs, labels = samples(16, 4)
    found = hasn.compile(best.graph, "snntorch", precision="float64").run(inputs).outputs["out"].sum(0)
    loss = float(nn.functional.cross_entropy(torch.tensor(found, dtype=torch.float64), torch.tensor(labels)))
    assert best.history[place].validation_loss == pytest.approx(loss, rel=1e-9)
    with pytest.raises(OptionError, match="during"):
        hasn.train(net(), samples(), **{**given, "during": {}}, checkpoint=path, resume=True)


def test_a_readout_and_freezing_go_with_it() -> None:
    graph = net(last=readout(3))
    result = hasn.train(graph, samples(), loss="membrane", during={"w2": BatchNorm()}, freeze="w1", **GIVEN)
    assert np.array_equal(result.graph.nodes["w1"].weight, graph.nodes["w1"].weight)
    assert isinstance(result.graph.nodes["w2"], nir.Affine)
    assert result.history[-1].loss < result.history[0].loss


def test_its_parameters_have_names() -> None:
    """They freeze by their own, and have the rate of their node."""
    seen: list[Any] = []

    def optimizer(groups: Any) -> Any:
        seen.append({name: group["lr"] for group in groups for name in group["param_names"]})
        return torch.optim.Adam(groups)

    steps = {"w1": BatchNorm(scale=0.7), "w2": BatchNorm("step")}
    network = made(net(), steps)
    assert {name for name in network.parameters if "norm.weight" in name} == {"w1.norm.weight", "w2.norm.weight"}
    given = {**GIVEN, "during": {"w1": BatchNorm(scale=0.7, momentum=1.0, eps=1e-12)}, "batch_size": 48}
    held = hasn.train(net(), samples(), **given, freeze="w1.norm.*").graph
    free = hasn.train(net(), samples(), **{**given, "learning_rate": {"w1": 0.2}}, optimizer=optimizer).graph
    of_w1 = dict.fromkeys(["w1.weight", "w1.bias", "w1.norm.weight", "w1.norm.bias"], 0.2)
    assert seen == [{**of_w1, "w2.weight": 1e-3}]
    inputs = samples()[0].astype(np.float64)
    for graph, kept in ((held, True), (free, False)):
        y = (inputs @ graph.nodes["w1"].weight.T + graph.nodes["w1"].bias).reshape(-1, 16)
        assert np.allclose(y.std(0), 0.7, atol=0.05) is kept  # its weights have moved once since the statistics
        assert np.allclose(y.mean(0), 0.0, atol=0.05) is kept


@pytest.mark.parametrize("over", ["time", "step"])
def test_one_value_has_no_variance(over: Any) -> None:
    given = {**GIVEN, "during": {"w1": BatchNorm(over)}, "batch_size": 5}
    inputs, labels = samples(11, steps=1)
    with pytest.raises(InputError, match="no variance of one value a channel; got 1 sample in a batch"):
        hasn.train(net(), (inputs, labels), **given)
    assert hasn.train(net(), (inputs[:, :10], labels[:10]), **given).steps == 6


@pytest.mark.parametrize(
    ("during", "more", "words"),
    [
        ({"hidden": BatchNorm()}, {}, "no connection to stand at; got 'hidden'; wanted w1, w2"),
        ({"w1": "BatchNorm"}, {}, "nothing that trains"),
        ("w1", {}, "no connection named; got str"),
        ({"w1": [BatchNorm(), BatchNorm()]}, {}, "one BatchNorm a connection"),
        ({"w1": [Dropout(0.1), BatchNorm()]}, {}, "a BatchNorm of what was dropped"),
        ({"w1": BatchNorm()}, {"engine": "steps"}, "Pass BatchNorm.over='step'"),
        ({"w1": Dropout(0.1)}, {"recompute": 3}, "got during and recompute"),
        ({"w1": BatchNorm()}, {"tbptt": 3}, "got during and tbptt"),
        ({"w1": BatchNorm()}, {"freeze": "w1.bias"}, "'w1' during: what does not train stays .* w1.bias not trained"),
        ({"w1": BatchNorm("step")}, {"learn": {"weight": ["w2"]}}, "w1.weight and w1.bias not trained"),
        ({"w1": BatchNorm()}, {"regularisers": [SynapticIntelligence()]}, "a BatchNorm and SynapticIntelligence"),
    ],
)
def test_what_does_not_fit(during: Any, more: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        hasn.train(net(), samples(), epochs=1, during=during, **more)
    with pytest.raises(OptionError, match="over='time' and a cycle"):
        hasn.train(recurrent(), samples(), epochs=1, during={"back": BatchNorm()})


@pytest.mark.parametrize(
    ("kind", "options", "name"),
    [
        (BatchNorm, {"over": "batch"}, "over"), (BatchNorm, {"scale": 0.0}, "scale"), (BatchNorm, {"eps": -1}, "eps"),
        (BatchNorm, {"momentum": 1.5}, "momentum"), (Dropout, {"p": 1.0}, "p"),
        (Dropout, {"p": 0.1, "per": "x"}, "per"), (Dropout, {"p": "half"}, "p"), (Dropout, {"p": False}, "p"),
        (BatchNorm, {"scale": "1"}, "scale"), (BatchNorm, {"eps": float("inf")}, "eps"),
        (BatchNorm, {"momentum": True}, "momentum"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing(kind: Any, options: dict[str, Any], name: str) -> None:
    with pytest.raises(OptionError, match=f"{name}: no such {kind.__name__}"):
        kind(**options)
