"""Which parameters train, and how fast: what is chosen moves, what is frozen stays, bit for bit."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.errors import GraphError, OptionError
from tests.unit.backends.snntorch.training.task import DT, lif, net, samples, weights

GIVEN: dict[str, Any] = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "precision": "float64"}


def moved(graph: nir.NIRGraph | None = None, **options: Any) -> set[str]:
    """The parameters that a training changed."""
    graph = graph or net()
    after = weights(hasn.train(graph, samples(), **{**GIVEN, **options}).graph)
    return {name for name, value in weights(graph).items() if not np.array_equal(value, after[name])}


W1, W2 = {"w1.weight", "w1.bias"}, {"w2.weight"}


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, W1 | W2),
        ({"freeze": "w1"}, W2),
        ({"freeze": ["w1.bias"]}, {"w1.weight"} | W2),
        ({"freeze": ["*.weight"]}, {"w1.bias"}),
        ({"learn": {"weight": ["w2"]}}, W2),
        ({"learn": {"weight": "w1.bias"}}, {"w1.bias"}),
        ({"learn": {"weight": ["w*"]}, "freeze": ["w2"]}, W1),
        ({"learn": {"weight": ["w2"], "tau": ["hidden"]}}, W2 | {"hidden.tau"}),
        ({"learn": {"weight": [], "tau": "population"}}, {"hidden.tau", "last.tau"}),
        ({"learn": ["weight", "tau"]}, W1 | W2 | {"hidden.tau", "last.tau"}),
        ({"learn": "tau", "freeze": ["last"]}, W1 | W2 | {"hidden.tau"}),
        ({"learn": {"threshold": {"last": "neuron"}}, "freeze": "w?"}, {"last.v_threshold"}),
        ({"learn": {"tau": ["hidden.tau"], "threshold": ["*"]}, "freeze": ["w*", "last.v_threshold"]},
         {"hidden.tau", "hidden.v_threshold"}),
    ],
)  # fmt: skip
def test_what_trains(options: dict[str, Any], wanted: set[str]) -> None:
    assert moved(**options) == wanted


def test_a_share_of_its_own_for_each_node() -> None:
    learn = {"tau": {"hidden": "neuron", "*": "population"}}
    graph = hasn.train(net(), samples(), learn=learn, **GIVEN).graph
    assert len(set(graph.nodes["hidden"].tau)) > 1
    assert len(set(graph.nodes["last"].tau)) == 1
    assert graph.nodes["last"].tau[0] != 5.1e-3


def test_a_frozen_network_trains_as_if_its_weights_were_constants() -> None:
    """The frozen layer's gradient is no part of the norm that ``clip`` bounds."""
    frozen = hasn.train(net(), samples(), freeze="w1", clip=1e-3, optimizer=_sgd, **{**GIVEN, "epochs": 1}).graph
    step = frozen.nodes["w2"].weight - net().nodes["w2"].weight
    assert 0 < np.linalg.norm(step) <= 3 * 1.0 * 1e-3 + 1e-9  # three updates of at most clip times the rate of 1


def _sgd(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=1.0)


def test_rates_by_name() -> None:
    """One step of SGD is rate times gradient, so that the steps' ratio is that of the rates."""
    given = {**GIVEN, "epochs": 1, "batch_size": 48, "optimizer": "sgd", "learn": "tau"}
    one = hasn.train(net(), samples(), **{**given, "learning_rate": 0.1}).graph
    rates = {"w1.bias": 0.4, "w1": 0.2, "*.tau": 0.05}
    other = hasn.train(net(), samples(), **{**given, "learning_rate": rates}).graph
    step = {name: value - weights(net())[name] for name, value in weights(one).items()}
    changed = {name: value - weights(net())[name] for name, value in weights(other).items()}
    for name, ratio in {"w1.weight": 2.0, "w1.bias": 4.0, "w2.weight": 0.01}.items():  # 1e-3 where none is named
        assert np.abs(step[name]).max() > 0
        assert np.allclose(changed[name], ratio * step[name], rtol=1e-9, atol=1e-15), name
    ratio = changed["hidden.tau"] / step["hidden.tau"]  # tau is dt / sigmoid(w): linear in small steps of w alone
    assert np.allclose(ratio, 0.5, atol=0.01)


def test_an_optimizer_function_gets_the_names() -> None:
    seen: list[Any] = []

    def made(groups: list[dict[str, Any]]) -> Any:
        seen.extend(groups)
        some = {name: p for group in groups for name, p in zip(group["param_names"], group["params"], strict=True)}
        return torch.optim.SGD([some["w2.weight"]], lr=0.1)

    assert moved(optimizer=made, learn={"tau": ["hidden"]}) - {"hidden.tau"} == {"w2.weight"}
    assert [group["param_names"] for group in seen] == [
        ["w1.weight", "w1.bias", "w2.weight"],
        ["hidden.tau"],
    ]
    seen.clear()
    moved(optimizer=made, learning_rate={"w1": 0.5})
    assert [(group["param_names"], group["lr"]) for group in seen] == [
        (["w1.weight", "w1.bias"], 0.5), (["w2.weight"], 1e-3)
    ]  # fmt: skip
    assert tuple(seen[1]["params"][0].shape) == (3, 16)


def test_the_groups_survive_a_checkpoint(tmp_path: Any) -> None:
    given = {**GIVEN, "learning_rate": {"w1": 0.05}, "freeze": "w1.bias", "optimizer": "adam"}
    whole = hasn.train(net(), samples(), **given)
    path = tmp_path / "run.pt"
    hasn.train(net(), samples(), **{**given, "epochs": 1}, checkpoint=path)
    again = hasn.train(net(), samples(), **given, checkpoint=path, resume=True)
    assert again.losses == whole.losses
    other = net()
    other.nodes["w1"].bias = other.nodes["w1"].bias + 1  # which this training keeps
    with pytest.raises(GraphError, match="another graph"):
        hasn.train(other, samples(), **given, checkpoint=path, resume=True)


# --- a beta of 0 is a tau of dt, which no sigmoid reaches


def with_memoryless() -> nir.NIRGraph:
    graph = net()
    graph.nodes["last"] = lif(3, tau=DT, r=1.0)
    return graph


def test_a_node_without_memory_does_not_forbid_the_rest() -> None:
    with pytest.warns(RuntimeWarning, match="'last' tau: lies on its limit and cannot be learned"):
        assert moved(with_memoryless(), learn="tau") == W1 | W2 | {"hidden.tau"}
    with pytest.raises(OptionError, match="'last' tau: lies on its limit"):
        moved(with_memoryless(), learn={"tau": ["hidden", "last"]})
    assert moved(with_memoryless(), learn={"tau": ["hidden"]}) == W1 | W2 | {"hidden.tau"}


def test_a_neuron_without_memory_does_not_forbid_its_neighbours() -> None:
    tau = np.full(16, 5.1e-3)
    tau[[2, 5]] = DT
    graph = hasn.train(net(hidden=lif(16, tau=tau)), samples(), learn={"tau": "neuron"}, **GIVEN).graph
    after = graph.nodes["hidden"].tau
    assert np.array_equal(after == tau, tau == DT)
    assert np.all(np.isfinite(after))


def test_a_graph_of_neurons_without_memory_has_no_tau_to_learn() -> None:
    names = {"in": nir.Input(np.array([12])), "n": lif(12, tau=DT, r=1.0), "out": nir.Output(np.array([12]))}
    graph = nir.NIRGraph(names, list(pairwise(names)), metadata={"dt": DT})
    with pytest.raises(OptionError, match="lies on its limit"):
        hasn.train(graph, samples(), epochs=1, learn="tau")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"freeze": ["nowhere"]}, "no such parameter trains; got 'nowhere'; wanted w1.weight, w1.bias, w2.weight"),
        ({"freeze": ["hidden"]}, "freeze: no such parameter trains; got 'hidden'"),
        ({"freeze": None}, "freeze: no names; got None"),
        ({"learn": None}, "learn: no names; got None"),
        ({"freeze": [3]}, "freeze: no name of a node; got 3"),
        ({"freeze": "w*"}, "nothing to train. Freeze less"),
        ({"learn": {"weight": ["hidden"]}}, "learn: no such parameter trains; got 'hidden'"),
        ({"learn": {"tau": ["w1"]}}, "learn: no such parameter trains; got 'w1'; wanted hidden.tau, last.tau"),
        ({"learn": {"weight": "population"}}, "learn: no choice of weights; got 'population'"),
        ({"learn": {"tau": {"hidden": "each"}}}, "learn: no such learn; got 'each'; wanted population, neuron"),
        ({"learn": {"beta": "neuron"}}, "learn: no such learn; got 'beta'; wanted weight, tau, threshold, delay"),
        ({"learning_rate": {"w9": 1e-3}}, "learning_rate: no such parameter trains; got 'w9'"),
        ({"learning_rate": {"w1": 0.0}}, "learning_rate: no such value; got 0.0"),
        ({"learning_rate": {"w1": 1e-3}, "freeze": "w1"}, "learning_rate: no such parameter trains; got 'w1'"),
    ],
)  # fmt: skip
def test_what_means_nothing(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words.replace("*", r"\*")):
        moved(**options)
