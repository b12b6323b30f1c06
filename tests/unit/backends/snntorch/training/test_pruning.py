"""Pruned weights stay 0 through training and in the graph, whatever the optimizer would have done with them."""

from __future__ import annotations

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import BatchNorm, ElasticWeights, Pruning, SynapticIntelligence, graph_of
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.backends.snntorch.training.pruning import written
from hasn.errors import FileError, HasnError, OptionError, ShapeError
from tests.unit.backends.snntorch.training.task import DT, lif, net, samples, weights
from tests.unit.backends.snntorch.training.test_during import LOWERING, convolutional
from tests.unit.backends.snntorch.training.test_resume import Killed, kill_at

KEPT = np.random.default_rng(8).random((16, 12)) < 0.6
GIVEN: dict[str, Any] = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2}
#: 18 updates: pruned after 4, 7, 10, 13 and 14.
GRADUAL = Pruning(0.75, begin=4, end=14, every=3)


def share(graph: nir.NIRGraph, name: str) -> float:
    return float((np.asarray(graph.nodes[name].weight) == 0).mean())


def momentum(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9, weight_decay=0.1)


HOW: dict[str, dict[str, Any]] = {
    "adam": {},
    "adamw": {"optimizer": "adamw"},
    "momentum and decay": {"optimizer": momentum},
    "clipped": {"clip": 1e-3},
    "accumulated": {"accumulate": 2},
    "waiting": {"apply_after": 2},
    "bf16": {"amp": "bf16"},
    "fp16": {"amp": "fp16"},
    "recomputed": {"recompute": 4},
    "truncated": {"tbptt": 4},
    "with taus": {"learn": ("tau", "threshold")},
    "float64": {"precision": "float64"},
    "normed": {"during": {"w1": BatchNorm()}},
    "step by step": {"engine": "steps"},
}


@pytest.mark.parametrize("how", HOW)
def test_what_is_masked_stays_0_and_the_others_move(how: str) -> None:
    graph = net()
    result = hasn.train(graph, samples(24), masks={"w1": KEPT}, **{**GIVEN, **HOW[how]})
    found = result.graph.nodes["w1"].weight
    assert np.array_equal(found != 0, KEPT)
    assert (found[KEPT] != graph.nodes["w1"].weight[KEPT]).mean() > 0.9
    assert share(result.graph, "w2") == 0
    assert np.all(graph.nodes["w1"].weight != 0)  # the caller's


@pytest.mark.parametrize("how", HOW)
def test_gradual_pruning_comes_to_its_share(how: str) -> None:
    options = {**GIVEN, "epochs": 6, **HOW[how]}
    late = 2 if how in ("accumulated",) else 1  # 9 updates then
    pruning = Pruning(0.75, begin=2, end=14 // late, every=3)
    found = hasn.train(net(), samples(24), pruning=pruning, **options).graph
    assert (share(found, "w1"), share(found, "w2")) == (0.75, 0.75)


def test_a_masked_network_trains_as_one_without_these_connections() -> None:
    """Three inputs more, masked, and none of them: the same losses, with the gradient's norm in them."""
    inputs, labels = samples(24)
    small, large = net(), net()
    full = np.concatenate([small.nodes["w1"].weight, np.full((16, 3), 0.7)], 1)
    large.nodes["w1"] = nir.Affine(full, small.nodes["w1"].bias)
    large.nodes["in"] = nir.Input(np.array([15]))
    kept = np.ones((16, 15))
    kept[:, 12:] = 0
    more = np.concatenate([inputs, np.ones((*inputs.shape[:2], 3), np.float32)], 2)
    given: dict[str, Any] = {**GIVEN, "clip": 0.05, "precision": "float64", "optimizer": "adamw"}
    one = hasn.train(small, (inputs, labels), **given)
    other = hasn.train(
        nir.NIRGraph(large.nodes, large.edges, metadata={"dt": DT}), (more, labels), masks={"w1": kept}, **given
    )
    assert other.losses == pytest.approx(one.losses, rel=1e-12)
    assert one.losses[-1] < one.losses[0]
    assert np.allclose(other.graph.nodes["w1"].weight[:, :12], one.graph.nodes["w1"].weight, rtol=1e-9, atol=0)


def test_what_consolidates_does_not_bring_it_back() -> None:
    """Neither what the path of a task says, nor the pull towards a network that is dense."""
    synaptic = SynapticIntelligence(0.5)
    first = hasn.train(net(), samples(24), masks={"w1": KEPT}, regularisers=[synaptic], **GIVEN).graph
    assert np.all(synaptic.path["nodes.w1.weight"][~KEPT] == 0)
    assert np.any(synaptic.path["nodes.w1.weight"])
    second = hasn.train(first, samples(24, 2), regularisers=[synaptic], **GIVEN).graph
    elastic = ElasticWeights.of(net(), samples(24), strength=1000.0, samples=4)
    third = hasn.train(net(), samples(24), masks={"w1": KEPT}, regularisers=[elastic], **GIVEN).graph
    for graph in (second, third):
        assert np.array_equal(graph.nodes["w1"].weight != 0, KEPT)


def test_zeros_stay_zeros() -> None:
    graph = net()
    graph.nodes["w1"].weight[~KEPT] = 0
    free = hasn.train(graph, samples(24), **GIVEN).graph
    assert share(free, "w1") < 0.01
    held = hasn.train(graph, samples(24), masks="zeros", **GIVEN).graph
    assert np.array_equal(held.nodes["w1"].weight != 0, KEPT)
    assert "pruned" not in held.nodes["w2"].metadata
    with pytest.raises(OptionError, match="masks: no weight is 0"):
        hasn.train(net(), samples(24), masks="zeros", **GIVEN)


def test_a_pruned_graph_stays_pruned_when_it_is_saved_and_trained_again(tmp_path: Path) -> None:
    first = hasn.train(net(), samples(24), masks={"w1.weight": torch.tensor(KEPT)}, **GIVEN).graph
    hasn.save(first, tmp_path / "pruned.nir")
    loaded = hasn.load(tmp_path / "pruned.nir")
    again = hasn.train(loaded, samples(24, 2), **GIVEN).graph
    assert np.array_equal(again.nodes["w1"].weight != 0, KEPT)
    assert not np.array_equal(again.nodes["w1"].weight, first.nodes["w1"].weight)
    back = hasn.train(
        loaded, samples(24, 2), masks={"w1": np.ones(KEPT.shape)}, **GIVEN
    ).graph  # the mask of the call wins
    assert share(back, "w1") < 0.01
    more = hasn.train(loaded, samples(24), pruning=Pruning(0.8, end=9, every=5, nodes="w1"), **GIVEN).graph
    assert share(more, "w1") == pytest.approx(0.8, abs=0.5 / 192)
    assert np.all(more.nodes["w1"].weight[~KEPT] == 0)
    less = hasn.train(loaded, samples(24), pruning=Pruning(0.1, end=5, nodes="w1"), **GIVEN).graph
    assert np.array_equal(less.nodes["w1"].weight != 0, KEPT)  # nothing is taken back


def test_the_share_follows_zhu_and_gupta() -> None:
    """Figures by hand: s_f (1 - (1 - x)^3) for x = 0, 1/4, 1/2, 1, and with a share to begin with."""
    pruning = Pruning(0.8, begin=100, end=500, every=100)
    assert [pruning.share(t) for t in (100, 200, 300, 500)] == pytest.approx([0, 0.4625, 0.7, 0.8])
    assert Pruning(0.8, end=4, initial=0.4).share(2) == pytest.approx(0.75)
    assert [t for t in range(700) if pruning.is_due(t)] == [100, 200, 300, 400, 500]
    assert [t for t in range(700) if Pruning(0.8, begin=3, end=11, every=3).is_due(t)] == [3, 6, 9, 11]


def test_the_weights_of_the_least_magnitude_go_at_their_updates() -> None:
    """A learning rate that moves nothing: what is pruned can be read from the weights."""
    shares: dict[int, float] = {}
    network: list[Any] = []

    def seen(step: Any) -> None:
        shares[step.step] = float((network[0].weights["w1.weight"] == 0).float().mean())

    from hasn.backends.snntorch.training import loop

    def kept(self: Any, *given: Any, **more: Any) -> None:
        made(self, *given, **more)
        network.append(self.network)

    made = loop.Trainer.__init__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, "__init__", kept)
        result = hasn.train(
            net(),
            samples(24),
            epochs=6,
            batch_size=8,
            pruning=GRADUAL,
            learning_rate=1e-12,
            progress=seen,
            precision="float64",
        )
    wanted = {3: 0.0, 4: 0.0, 6: 0.0, 7: 0.492750, 9: 0.492750, 10: 0.702, 13: 0.74925, 14: 0.75, 18: 0.75}
    assert {t: shares[t] for t in wanted} == pytest.approx(wanted, abs=0.5 / 192)
    for name in ("w1", "w2"):
        before, after = np.abs(net().nodes[name].weight), result.graph.nodes[name].weight
        assert before[after == 0].max() < before[after != 0].min()
        assert (after == 0).mean() == 0.75


def test_equal_magnitudes_go_in_order_and_the_share_is_exact() -> None:
    graph = net()
    graph.nodes["w2"] = nir.Linear(np.where(np.arange(48).reshape(3, 16) % 2, 0.5, -0.5))
    network = TrainedNetwork(
        graph, {}, None, LOWERING, "float32", {}, pruning=Pruning(0.3, initial=0.3, end=9, nodes="w2")
    )
    found = network.to_graph().nodes["w2"].weight.ravel()
    assert np.flatnonzero(found == 0).tolist() == list(range(14))  # of 48: 14.4


def test_nodes_that_are_named_or_frozen() -> None:
    options = {**GIVEN, "epochs": 6}
    found = hasn.train(net(), samples(24), pruning=Pruning(0.5, end=9, every=4, nodes=["w2*"]), **options).graph
    assert (share(found, "w1"), share(found, "w2")) == (0.0, 0.5)
    found = hasn.train(net(), samples(24), pruning=Pruning(0.5, end=9, every=4), freeze="w1", **options).graph
    assert (share(found, "w1"), share(found, "w2")) == (0.0, 0.5)
    assert np.array_equal(found.nodes["w1"].weight, net().nodes["w1"].weight.astype(np.float32))
    masked = hasn.train(net(), samples(24), masks={"w1": KEPT}, freeze="w1", **options).graph
    assert np.array_equal(masked.nodes["w1"].weight, np.where(KEPT, net().nodes["w1"].weight, 0).astype(np.float32))
    with pytest.raises(OptionError, match=r"pruning: pruning chooses weights that do not train; got w1.weight.*freeze"):
        hasn.train(net(), samples(24), pruning=Pruning(0.5, end=9, nodes="w*"), freeze="w1", **options)


def test_a_convolution_with_batch_normalisation() -> None:
    graph = convolutional()
    inputs, labels = samples(24)
    shaped = inputs.reshape(10, 24, 1, 4, 3)
    kept = np.arange(18).reshape(2, 1, 3, 3) % 3 > 0
    pruning = Pruning(0.5, end=8, every=2, nodes="w")
    result = hasn.train(
        graph, (shaped, labels), masks={"conv": kept}, pruning=pruning, during={"conv": BatchNorm()}, **GIVEN
    )
    assert np.array_equal(result.graph.nodes["conv"].weight != 0, kept)
    assert share(result.graph, "w") == 0.5


def nested() -> nir.NIRGraph:
    inner = {
        "in": nir.Input(np.array([12])),
        "w": nir.Linear(net().nodes["w1"].weight),
        "n": lif(16),
        "out": nir.Output(np.array([16])),
    }
    nodes = {
        "in": nir.Input(np.array([12])),
        "block": nir.NIRGraph(inner, list(pairwise(inner))),
        "w2": net().nodes["w2"],
        "last": lif(3),
        "out": nir.Output(np.array([3])),
    }
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})


def test_a_graph_within_a_graph() -> None:
    result = hasn.train(nested(), samples(24), masks={"block.w": KEPT}, **GIVEN).graph
    node = result.nodes["block"].nodes["w"]
    assert np.array_equal(node.weight != 0, KEPT)
    assert node.metadata["pruned"]


@pytest.mark.parametrize("step", [5, 11, 15])
def test_it_resumes_bit_for_bit(step: int, tmp_path: Path) -> None:
    options: dict[str, Any] = {**GIVEN, "epochs": 6, "masks": {"w1": KEPT}, "pruning": GRADUAL, "optimizer": "adamw"}
    whole = hasn.train(net(), samples(24), **options)
    path = tmp_path / "at.pt"
    with pytest.raises(Killed):
        hasn.train(net(), samples(24), **options, checkpoint=path, checkpoint_every=2, progress=kill_at(step))
    half = graph_of(path)
    assert np.all(half.nodes["w1"].weight[~KEPT] == 0)
    again = hasn.train(half, samples(24), epochs=1)  # which holds to it
    assert np.array_equal(again.graph.nodes["w1"].weight == 0, half.nodes["w1"].weight == 0)
    resumed = hasn.train(net(seed=3), samples(24), **options, checkpoint=path, resume=True)
    assert resumed.losses == whole.losses
    for name, value in weights(whole.graph).items():
        assert np.array_equal(weights(resumed.graph)[name], value), name
    assert share(resumed.graph, "w2") == 0.75
    for changed in ({"pruning": Pruning(0.7, begin=4, end=14, every=3)}, {"masks": {"w1": ~KEPT}}, {"masks": None}):
        with pytest.raises(
            OptionError, match=f"{next(iter(changed))}: the checkpoint is of a training with another value"
        ):
            hasn.train(net(), samples(24), **{**options, **changed}, checkpoint=path, resume=True)


def test_masks_of_a_checkpoint_that_do_not_fit(tmp_path: Path) -> None:
    from hasn.backends.snntorch.training.checkpoint import bytes_of, read_checkpoint, write_checkpoint

    options: dict[str, Any] = {"epochs": 1, "masks": {"w1": KEPT}, "checkpoint": tmp_path / "at.pt"}
    hasn.train(net(), samples(24), **options)
    state = read_checkpoint(bytes_of(options["checkpoint"]) or b"", options["checkpoint"])
    assert np.array_equal(state["moving"]["masks"]["w1.weight"], ~KEPT)
    for masks in (
        {},
        {"w1.weight": torch.zeros(3, dtype=torch.bool)},
        {"w1.weight": torch.zeros(16, 12)},
        {"w9": torch.zeros(1)},
    ):
        state.pop("format", None)
        write_checkpoint(options["checkpoint"], {**state, "moving": {**state["moving"], "masks": masks}})
        with pytest.raises(FileError, match=r"moving\.masks"):
            hasn.train(net(), samples(24), **options, resume=True)
        if masks:
            with pytest.raises(FileError, match="masks"):
                graph_of(options["checkpoint"])


def test_the_best_epoch_is_one_that_is_pruned(tmp_path: Path) -> None:
    """Also where the dense epochs before had a smaller loss; and patience begins then."""
    options: dict[str, Any] = {**GIVEN, "epochs": 6, "keep_best": True, "validation": samples(24, 4)}
    pruning = Pruning(0.9, begin=12, end=13)
    result = hasn.train(net(), samples(24), pruning=pruning, **options)
    found = [epoch.validation_loss for epoch in result.history]
    assert min(found[:4]) < min(found[4:])
    assert share(result.graph, "w1") == pytest.approx(0.9, abs=0.5 / 192)
    inputs, labels = samples(24, 4)
    counts = hasn.compile(result.graph, "snntorch").run(inputs).outputs["out"].sum(0)
    loss = float(torch.nn.functional.cross_entropy(torch.tensor(counts), torch.tensor(labels)))
    assert loss == pytest.approx(min(found[4:]), rel=1e-5)
    worse = {**options, "learning_rate": 1e-12, "precision": "float64", "epochs": 9}
    stopped = hasn.train(net(), samples(24), pruning=pruning, patience=1, **worse)
    assert len(stopped.history) == 6  # the fifth is the first that is judged, and the sixth no better


def test_training_that_ends_before_its_pruning_says_so() -> None:
    with pytest.warns(RuntimeWarning, match="pruning ends after update 19, and training after about 18"):
        hasn.train(net(), samples(24), epochs=6, batch_size=8, pruning=Pruning(0.5, end=19))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hasn.train(net(), samples(24), epochs=6, batch_size=8, pruning=Pruning(0.5, end=18), learning_rate=1e-2)


@pytest.mark.parametrize(
    ("masks", "kind", "words"),
    [
        ({"w9": KEPT}, OptionError, "masks: no connection to prune; got 'w9'; wanted w1, w2"),
        ({"hidden": KEPT}, OptionError, "no connection to prune; got 'hidden'"),
        ({"w1.bias": np.ones(16)}, OptionError, "no connection to prune; got 'w1.bias'"),
        ({"w1": KEPT.T}, ShapeError, r"node 'w1' masks: the mask has another shape.*got \(12, 16\); wanted \(16, 12\)"),
        ({"w1": KEPT[0]}, ShapeError, r"got \(12,\)"),
        ({"w1": KEPT * 0.5}, OptionError, "node 'w1' masks: no mask; got 0.5; wanted 1 where a weight is kept"),
        ({"w1": KEPT * 2 - 1}, OptionError, "got -1"),
        ({"w1": "zeros"}, OptionError, "no mask"),
        ("ones", OptionError, "masks: no masks; got 'ones'"),
        (KEPT, OptionError, "masks: no masks"),
    ],
)
def test_masks_that_mean_nothing(masks: Any, kind: type[HasnError], words: str) -> None:
    with pytest.raises(kind, match=words):
        hasn.train(net(), samples(24), masks=masks, **GIVEN)


def test_a_mask_in_any_form_is_the_same() -> None:
    for mask in (KEPT, KEPT.tolist(), KEPT * 1.0, KEPT.astype(np.uint8), torch.tensor(KEPT * 1.0)):
        assert np.array_equal(written({"w1": mask})["w1"], KEPT)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"final": 0.0}, "final"), ({"final": 1.0}, "final"), ({"final": 1.2}, "final"), ({"final": -0.1}, "final"),
        ({"final": True}, "final"), ({"final": float("nan")}, "final"), ({"initial": -0.1}, "initial"),
        ({"initial": 0.6}, "initial"), ({"begin": -1}, "begin"), ({"begin": 1.0}, "begin"), ({"begin": 9}, "end"),
        ({"end": 0}, "end"), ({"end": 9.0}, "end"), ({"every": 0}, "every"), ({"every": 1.5}, "every"),
    ],
)  # fmt: skip
def test_prunings_that_mean_nothing(options: dict[str, Any], name: str) -> None:
    given: dict[str, Any] = {"final": 0.5, "end": 9, **options}
    with pytest.raises(OptionError, match=f"{name}: no such Pruning"):
        Pruning(**given)


def test_nodes_that_mean_nothing() -> None:
    with pytest.raises(OptionError, match=r"pruning: no such parameter trains; got 'w9'; wanted w1.weight, w2.weight"):
        hasn.train(net(), samples(24), pruning=Pruning(0.5, end=9, nodes="w9"), **GIVEN)
    with pytest.raises(OptionError, match="pruning: no name of a node"):
        Pruning(0.5, end=9, nodes=[3])  # type: ignore[list-item]
    with pytest.raises(OptionError, match=r"pruning: no pruning; got 0.9; wanted hasn.training.Pruning"):
        hasn.train(net(), samples(24), pruning=0.9, **GIVEN)  # type: ignore[arg-type]
