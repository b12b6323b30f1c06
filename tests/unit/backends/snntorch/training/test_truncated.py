"""tbptt and carry: gradients end where a loop written out here detaches its states, and values go on."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.errors import InputError, OptionError, TrainingError
from tests.unit.backends.snntorch.training.calls import recurrent
from tests.unit.backends.snntorch.training.task import CLASSES, DT, HIDDEN, net, samples, weights
from tests.unit.backends.snntorch.training.test_membrane_losses import _Spike

LOWERING = {"dt": None, "method": None, "reset": None, "timing": None}
X = torch.tensor(samples(7)[0], dtype=torch.float64)
OUT = torch.randn(10, 7, CLASSES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def by_loop(piece: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Spikes of the task's net, whose states are detached after every piece, and the gradients of its weights."""
    nodes = net().nodes
    leaves = [
        torch.tensor(np.asarray(value), dtype=torch.float64, requires_grad=True)
        for value in (nodes["w1"].weight, nodes["w1"].bias, nodes["w2"].weight)
    ]
    keep, gain, threshold = 1 - DT / 5.1e-3, DT / 5.1e-3 * 5.0, 0.97
    v = [torch.zeros(7, n, dtype=torch.float64) for n in (HIDDEN, CLASSES)]
    spikes = []
    for t, now in enumerate(X):
        if t % piece == 0:
            v = [part.detach() for part in v]
        drive = now @ leaves[0].T + leaves[1]
        for i in (0, 1):
            u = keep * v[i] + gain * drive
            z = _Spike.apply(u - threshold)
            v[i] = u * (1 - z)
            drive = z @ leaves[2].T if i == 0 else drive
        spikes.append(z)
    found = torch.stack(spikes)
    (found * OUT).sum().backward()
    return found.detach(), [leaf.grad for leaf in leaves]


@pytest.mark.parametrize("piece", [1, 3, 5, 10, 99])
def test_gradients_end_at_pieces(piece: int) -> None:
    spikes, wanted = by_loop(piece)
    network = TrainedNetwork(net(), {}, None, LOWERING, "float64", {})
    network.tbptt = piece
    found = network.forward({"in": X})
    assert torch.equal(found.outputs, spikes)
    assert torch.equal(found.counts["last"], spikes.sum(0))
    (found.outputs * OUT).sum().backward()
    for parameter, gradient in zip(network.parameters.values(), wanted, strict=True):
        # pieces of one step run in snnTorch's own neuron, whose surrogate hands a gradient on in float32
        assert torch.allclose(parameter.grad, gradient, rtol=1e-6, atol=1e-6)
    whole = by_loop(99)[1]
    assert all(torch.allclose(a, b, rtol=1e-3) for a, b in zip(wanted, whole, strict=True)) is (piece >= 10)


@pytest.mark.parametrize("graph", [net, recurrent])
@pytest.mark.parametrize("engine", ["fused", "steps"])
def test_carried_states_make_one_run_of_several_batches(graph: Any, engine: str) -> None:
    """Delays and feedback are under way when a batch ends."""
    network = TrainedNetwork(graph(), {}, None, LOWERING, "float64", {"engine": engine})
    with torch.no_grad():
        whole = network.forward({"in": X}).outputs
        network.carry = True
        for _ in range(2):
            network.forget()
            parts = [network.forward({"in": X[a:b]}).outputs for a, b in ((0, 3), (3, 4), (4, 10))]
            assert torch.equal(torch.cat(parts), whole)
        assert not torch.equal(network.forward({"in": X[:3]}).outputs, whole[:3])
    assert 0 < float(whole.mean()) < 1


def pieces(steps: int = 5) -> list[Any]:
    inputs, labels = samples(24)
    return [(inputs[t : t + steps], labels) for t in range(0, 10, steps)]


def as_dataset() -> Any:
    inputs, labels = samples(24)
    return torch.utils.data.TensorDataset(torch.tensor(inputs).transpose(0, 1), torch.tensor(labels))


def test_a_loader_that_shuffles_is_doubtful() -> None:
    for shuffled in (True, False):
        loader = torch.utils.data.DataLoader(as_dataset(), batch_size=8, shuffle=shuffled)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            hasn.train(net(), loader, epochs=2, carry=True)
        assert sum("the loader shuffles its samples" in str(w.message) for w in said) == shuffled


def test_a_carried_batch_is_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second half would go on with the states of the first."""
    forward = TrainedNetwork.forward

    def limited(self: TrainedNetwork, inputs: Any) -> Any:
        if inputs["in"].shape[1] > 12:
            raise MemoryError
        return forward(self, inputs)

    monkeypatch.setattr(TrainedNetwork, "forward", limited)
    assert hasn.train(net(), pieces(), epochs=1).history[0].batch == 12
    with pytest.raises(TrainingError, match="carry: a batch does not fit in memory: MemoryError; got 24 samples of 5"):
        hasn.train(net(), pieces(), epochs=1, carry=True)


def test_a_callback_that_stops_within_an_epoch_leaves_the_last_ones_checkpoint(tmp_path: Any) -> None:
    given: dict[str, Any] = {"epochs": 3, "learning_rate": 1e-2, "carry": True, "checkpoint": tmp_path / "run.pt"}
    whole = hasn.train(net(), pieces(), **{**given, "checkpoint": None})
    stopped = hasn.train(net(), pieces(), **given, progress=lambda step: step.step == 3)
    assert (stopped.steps, len(stopped.history)) == (3, 1)
    assert hasn.train(net(), pieces(), **given, resume=True).losses == whole.losses


def test_training_carries_within_an_epoch_and_in_validation() -> None:
    """A rate of 0 to rounding: the figures are those of the whole sequences, in every epoch."""
    inputs, labels = samples(24)
    made = hasn.train(
        net(), pieces(), epochs=2, carry=True, learning_rate=1e-12, precision="float64", validation=pieces()
    )
    z = torch.tensor(hasn.compile(net(), "snntorch").run(inputs).outputs["out"], dtype=torch.float64)
    halves = [torch.nn.functional.cross_entropy(part.sum(0), torch.tensor(labels)) for part in (z[:5], z[5:])]
    wanted = [float(loss) for loss in halves]
    assert made.losses == pytest.approx(wanted * 2, rel=1e-9)
    assert made.history[1].validation_loss == pytest.approx(np.mean(wanted), rel=1e-9)
    apart = hasn.train(net(), pieces(), epochs=1, learning_rate=1e-12, precision="float64").losses
    assert apart[1] != pytest.approx(wanted[1], rel=1e-3)


def test_training_with_both_learns_and_resumes(tmp_path: Any) -> None:
    given: dict[str, Any] = {"epochs": 4, "learning_rate": 1e-2, "carry": True, "tbptt": 2, "precision": "float64"}
    whole = hasn.train(net(), pieces(), **given)
    assert whole.history[-1].loss < whole.history[0].loss
    path = tmp_path / "run.pt"
    hasn.train(net(), pieces(), **{**given, "epochs": 2}, checkpoint=path)
    again = hasn.train(net(), pieces(), **given, checkpoint=path, resume=True)
    assert again.losses == whole.losses
    longer = hasn.train(net(), pieces(), **{**given, "tbptt": 5})
    assert not np.array_equal(weights(longer.graph)["w1.weight"], weights(whole.graph)["w1.weight"])


@pytest.mark.parametrize(
    ("data", "more", "error", "words"),
    [
        (samples(), {"carry": True}, OptionError, "carry: batches of the data are other samples"),
        (lambda epoch: samples(), {"carry": True}, OptionError, "batches of the data are other samples"),
        (as_dataset(), {"carry": True}, OptionError, "batches of the data are other samples"),
        (
            pieces(), {"carry": True, "validation": samples()}, OptionError,
            "batches of the validation are other samples",
        ),
        (pieces(), {"carry": 1}, OptionError, "carry: no such value; got 1; wanted True or False"),
        (pieces(), {"tbptt": 0}, OptionError, "tbptt: no such number; got 0"),
        (pieces(), {"tbptt": 2, "recompute": 2}, OptionError, "got recompute with tbptt"),
        (pieces(), {"carry": True, "recompute": 2}, OptionError, "got recompute with carry"),
        (pieces(), {"carry": True, "checkpoint": "x.pt", "checkpoint_every": 1}, OptionError, "carried states"),
        (pieces(), {"carry": True, "learn": "delay"}, OptionError, "other delays"),
        (
            [(samples(9)[0], samples(9)[1]), (samples(5)[0], samples(5)[1])], {"carry": True}, InputError,
            "another number of samples; got 5 after 9",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together(data: Any, more: dict[str, Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        hasn.train(net(), data, epochs=1, **more)
