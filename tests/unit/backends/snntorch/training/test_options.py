"""Every option of an update acts, and acts as it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import RateTarget, Step, SynapticCost
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.errors import OptionError
from tests.unit.backends.snntorch.training.task import DT, HIDDEN, net, readout, samples, weights


def sgd(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=0.1)


def distance(a: Any, b: Any) -> float:
    """Largest difference of two graphs' parameters."""
    first, second = weights(a), weights(b)
    return max(float(np.abs(first[key].astype(np.float64) - second[key]).max()) for key in first)


def test_two_halves_make_the_full_batch() -> None:
    """To 1e-6: float32 sums of 24 samples in another order, weights of order 1."""
    data = samples(24)
    full = hasn.train(net(), data, epochs=1, batch_size=24, optimizer=sgd)
    halves = hasn.train(net(), data, epochs=1, batch_size=12, accumulate=2, optimizer=sgd)
    assert (full.steps, halves.steps) == (1, 1)
    assert distance(full.graph, net()) > 1e-2
    assert distance(full.graph, halves.graph) < 1e-6
    assert halves.losses == pytest.approx(full.losses, rel=1e-6)


def test_uneven_parts_are_weighted_by_their_samples() -> None:
    data = samples(20)
    full = hasn.train(net(), data, epochs=1, batch_size=20, optimizer=sgd)
    parts = hasn.train(net(), data, epochs=1, batch_size=12, accumulate=2, optimizer=sgd)
    assert distance(full.graph, parts.graph) < 1e-6


def test_clipping_bounds_the_step() -> None:
    """SGD of rate 0.1 moves the weights by 0.1 times the gradient's norm: 0.1 * 0.01 under clip=0.01."""

    def moved(**options: Any) -> float:
        result = hasn.train(net(), samples(24), epochs=1, batch_size=24, optimizer=sgd, **options)
        before, after = weights(net()), weights(result.graph)
        return float(np.sqrt(sum(((after[key] - before[key]) ** 2).sum() for key in before)))

    assert moved() > 0.05
    assert moved(clip=0.01) == pytest.approx(1e-3, rel=1e-3)
    assert moved(clip=1e6) == moved()


@pytest.mark.parametrize("engine", ["steps", "fused"])
@pytest.mark.parametrize("every", [1, 3, 100])
def test_recomputing_changes_no_gradient(engine: str, every: int) -> None:
    """Equal to rounding: a weight's gradient is added up chunk by chunk."""
    options: dict[str, Any] = {"epochs": 1, "batch_size": 24, "optimizer": sgd, "engine": engine}
    whole = hasn.train(net(), samples(24), **options)
    chunks = hasn.train(net(), samples(24), recompute=every, **options)
    assert chunks.losses == pytest.approx(whole.losses, rel=1e-6)
    assert distance(whole.graph, chunks.graph) < 1e-6


@pytest.mark.parametrize("engine", ["steps", "fused"])
def test_recomputing_keeps_less(engine: str) -> None:
    """Bytes that autograd keeps from forwards to backwards; 10 chunks of 10 steps keep less than half of 100."""
    lowering = {"dt": DT, "method": "euler", "reset": "zero", "timing": "synchronous"}
    kept = {}
    for every in (None, 10):
        network = TrainedNetwork(net(), {}, every, lowering, "float32", {"engine": engine})
        held: dict[int, int] = {}

        def pack(tensor: torch.Tensor, held: dict[int, int] = held) -> torch.Tensor:
            held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        inputs = {"in": torch.as_tensor(samples(64, steps=100)[0])}
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = network.forward(inputs).outputs.sum()
        held.pop(inputs["in"].data_ptr(), None)
        kept[every] = sum(held.values())
        loss.backward()
    assert kept[10] < 0.5 * kept[None]


def test_recomputing_works_with_delays_feedback_and_what_is_learned() -> None:
    import nir

    graph = net()
    graph.nodes["late"] = nir.Delay(np.full(HIDDEN, 3 * DT))
    graph.nodes["back"] = nir.Linear(np.random.default_rng(4).normal(0, 0.2, (HIDDEN, HIDDEN)))
    graph.edges = [*graph.edges, ("hidden", "late"), ("late", "back"), ("back", "hidden")]
    options: dict[str, Any] = {"epochs": 1, "batch_size": 24, "optimizer": sgd, "learn": ("tau", "threshold")}
    whole = hasn.train(graph, samples(24), **options)
    chunks = hasn.train(graph, samples(24), recompute=4, **options)
    assert chunks.losses == pytest.approx(whole.losses, rel=1e-6)
    assert distance(whole.graph, chunks.graph) < 1e-6
    assert distance(whole.graph, graph) > 1e-3


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_autocast_trains_and_its_products_are_in_half_precision(amp: str) -> None:
    plain = hasn.train(net(), samples(96), epochs=8, batch_size=16, learning_rate=1e-2)
    half = hasn.train(net(), samples(96), epochs=8, batch_size=16, learning_rate=1e-2, amp=amp)
    assert half.losses != plain.losses
    assert half.losses[0] == pytest.approx(plain.losses[0], rel=0.2)  # it changes spikes
    assert half.history[-1].accuracy is not None
    assert half.history[-1].accuracy > 0.9
    assert weights(half.graph)["w1.weight"].dtype == np.float32


def test_the_scaler_leaves_out_an_update_that_overflows() -> None:
    """A loss of 1e36 times a scale of 65536 is infinite in its gradients: the weights stay, the training goes on."""

    def steep(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(outputs.sum(0).float(), labels) * 1e36

    result = hasn.train(net(), samples(24), epochs=1, batch_size=24, loss=steep, amp="fp16")
    assert result.stopped == "the last epoch is done"
    assert distance(result.graph, net()) < 1e-7  # but for float32


def test_a_rate_target_is_reached() -> None:
    """Without it the rate ends at 0.2 to 0.25."""
    term = RateTarget({"hidden": 0.4}, weight=100.0)
    result = hasn.train(net(), samples(96), epochs=40, regularisers=[term], learning_rate=1e-2, batch_size=16)
    assert result.history[-1].rates["hidden"] == pytest.approx(0.4, abs=0.06)


def test_the_rate_target_is_its_equation() -> None:
    lowering = {"dt": DT, "method": "euler", "reset": "zero", "timing": "synchronous"}
    network = TrainedNetwork(net(), {}, None, lowering, "float64", {})
    activity = network.forward({"in": torch.as_tensor(samples(8)[0])})
    run = hasn.compile(net()).run(samples(8)[0])
    rates = {name: spikes.mean(axis=(0, 2)) for name, spikes in run.spikes.items()}
    wanted = 3.0 * sum(((rates[name] - 0.1) ** 2).mean() for name in ("hidden", "last"))
    assert float(RateTarget(0.1, weight=3.0)(activity).detach()) == pytest.approx(wanted, rel=1e-12)
    assert float(RateTarget({"last": 0.1})(activity).detach()) == pytest.approx(
        ((rates["last"] - 0.1) ** 2).mean(), rel=1e-12
    )


def test_the_synaptic_cost_is_the_recordings_count() -> None:
    lowering = {"dt": DT, "method": "euler", "reset": "zero", "timing": "synchronous"}
    network = TrainedNetwork(net(), {}, None, lowering, "float64", {})
    activity = network.forward({"in": torch.as_tensor(samples(8)[0])})
    counted = hasn.compile(net()).run(samples(8)[0]).counts.synaptic_operations
    wanted = 0.5 * sum(count for name, count in counted.items() if name != "in") / 8
    assert wanted > 0
    assert float(SynapticCost(0.5)(activity).detach()) == pytest.approx(wanted)


def test_regularisers_add_up_over_parts_of_a_batch() -> None:
    terms = [RateTarget(0.05, 10.0), SynapticCost(0.01)]
    full = hasn.train(net(), samples(24), epochs=1, batch_size=24, optimizer=sgd, regularisers=terms)
    without = hasn.train(net(), samples(24), epochs=1, batch_size=24, optimizer=sgd)
    assert distance(full.graph, without.graph) > 1e-3
    parts = hasn.train(net(), samples(24), epochs=1, batch_size=6, accumulate=4, optimizer=sgd, regularisers=terms)
    assert distance(full.graph, parts.graph) < 1e-6


def test_it_stops_early_and_keeps_the_best() -> None:
    """A rate so large that the loss goes up and down."""
    options: dict[str, Any] = {"epochs": 60, "learning_rate": 0.1, "batch_size": 16, "validation": samples(48, 5)}
    result = hasn.train(net(), samples(96), patience=3, keep_best=True, **options)
    found = [epoch.validation_loss for epoch in result.history]
    assert result.stopped == "validation_loss has not improved for 3 epochs"
    assert len(found) < 60
    assert found.index(min(found)) == len(found) - 4  # type: ignore[type-var]
    run = hasn.compile(result.graph, precision="float32").run(samples(48, 5)[0])
    logits = run.output.sum(axis=0).astype(np.float64)
    loss = np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(48), samples(48, 5)[1]])
    # float32 rounds logits of about 10 to 1e-6
    assert loss == pytest.approx(min(found), abs=1e-6)  # type: ignore[type-var]


def test_the_seed_decides() -> None:
    first, same, other = (hasn.train(net(), samples(), epochs=2, batch_size=8, seed=seed) for seed in (4, 4, 5))
    assert first.losses == same.losses
    assert distance(first.graph, same.graph) == 0
    assert first.losses != other.losses


def test_the_surrogate_and_the_optimizer_are_used() -> None:
    found = [
        float(weights(hasn.train(net(), samples(), epochs=1, batch_size=8, **options).graph)["w1.weight"].sum())
        for options in ({}, {"surrogate": "sigmoid"}, {"optimizer": "sgd"}, {"optimizer": "adamw"}, {"shuffle": False},
                        {"learning_rate": 1e-2}, {"reset": "subtract"}, {"method": "exact"}, {"dt": 2e-3})
    ]  # fmt: skip
    assert len(set(found)) == len(found)


def test_the_schedule_moves_the_rate() -> None:
    rates: list[float] = []
    hasn.train(
        net(), samples(24), epochs=2, batch_size=8, learning_rate=0.01,
        progress=lambda s: rates.append(s.learning_rate),
        schedule=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5),
    )  # fmt: skip
    assert rates == [0.01, 0.005, 0.005, 0.0025, 0.0025, 0.00125]


def test_what_a_callback_sees() -> None:
    seen: list[Step] = []
    result = hasn.train(net(), samples(40), epochs=2, batch_size=16, progress=seen.append)
    assert [(s.epoch, s.step, s.batch, s.batches) for s in seen] == [
        (0, 1, 1, 3), (0, 2, 2, 3), (0, 3, 3, 3), (1, 4, 1, 3), (1, 5, 2, 3), (1, 6, 3, 3),
    ]  # fmt: skip
    assert tuple(s.loss for s in seen) == result.losses
    mean = (16 * seen[0].loss + 16 * seen[1].loss + 8 * seen[2].loss) / 40
    assert result.history[0].loss == pytest.approx(mean)
    run = hasn.compile(net(), precision="float32").run(samples(40)[0])
    first = hasn.train(net(), samples(40), epochs=1, batch_size=40).history[0]
    assert first.rates["hidden"] == pytest.approx(run.spikes["hidden"].mean(), rel=1e-6)
    assert first.accuracy == np.mean(run.output.sum(axis=0).argmax(axis=1) == samples(40)[1])
    assert result.steps == 6


def test_the_graph_given_is_not_changed() -> None:
    graph = net(last=readout(3))
    before = {key: value.copy() for key, value in weights(graph).items()}
    hasn.train(graph, samples(), epochs=1, loss="membrane", learn="tau", learning_rate=0.1)
    for key, value in weights(graph).items():
        np.testing.assert_array_equal(value, before[key])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs: no such number; got 0; wanted an integer >= 1"),
        ({"learning_rate": -1.0}, "learning_rate: no such value"),
        ({"clip": 0.0}, "clip: no such value"),
        ({"amp": "int8"}, "amp: no such amp; got 'int8'; wanted None, bf16, fp16"),
        ({"optimizer": "magic"}, "optimizer: no such optimizer"),
        ({"optimizer": lambda groups: 3}, "optimizer: no torch.optim.Optimizer comes of it; got int"),
        ({"schedule": 3}, "schedule: no schedule"),
        ({"monitor": "validation_loss"}, "monitor: there are no validation data"),
        ({"monitor": "taste"}, "monitor: no such monitor"),
        ({"recompute": 0}, "recompute: no such number"),
        ({"amp": "bf16", "matmul": "split-bf16"}, "amp: two precisions of the same products; got matmul='split-bf16'"),
        ({"matmul": "fp8"}, "matmul: no such product"),
        ({"colour": "red"}, "colour: neither training nor the backend has such an option"),
        ({"regularisers": [RateTarget({"nobody": 0.1})]}, "regularisers: no such spiking population; got 'nobody'"),
        ({"log": 3}, "log: no log"),
    ],
)
def test_options_that_do_not_exist(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        hasn.train(net(), samples(), **{"epochs": 1, **options})


def test_products_in_bfloat16_parts_train() -> None:
    """In two parts as float32 does; in one not quite. (Weights move by some 0.01; Adam makes small gradients large.)"""
    found = {}
    for matmul in ("float32", "split-bf16", "bf16"):
        result = hasn.train(net(), samples(), epochs=3, optimizer="sgd", learning_rate=0.1, matmul=matmul)
        found[matmul] = weights(result.graph)["w1.weight"]
    assert abs(found["float32"] - weights(net())["w1.weight"]).max() > 0.01
    near, far = (abs(found[matmul] - found["float32"]).max() for matmul in ("split-bf16", "bf16"))
    assert near < 1e-5 < far


def test_only_graphs_are_trained() -> None:
    with pytest.raises(OptionError, match="graph: not a NIR graph; got dict"):
        hasn.train({}, samples(), epochs=1)  # type: ignore[arg-type]
