"""What goes wrong while it runs: memory that does not suffice, numbers that stop being numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Step
from hasn.backends.snntorch.training.network import TrainedNetwork
from hasn.errors import TrainingError
from hasn.room import is_out_of_memory
from tests.unit.backends.snntorch.training.task import net, readout, samples, weights


def sgd(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=0.1)


OUT_OF_MEMORY = [
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."),
    MemoryError(),
]


def tight(monkeypatch: pytest.MonkeyPatch, room: int, error: BaseException) -> list[tuple[int, int]]:
    """A machine that holds ``room`` samples x steps at once; what it was asked for."""
    asked: list[tuple[int, int]] = []
    forward = TrainedNetwork.forward

    def limited(self: TrainedNetwork, inputs: Any) -> Any:
        steps, batch = inputs["in"].shape[:2]
        asked.append((batch, steps))
        if batch * steps > room:
            raise error
        return forward(self, inputs)

    monkeypatch.setattr(TrainedNetwork, "forward", limited)
    return asked


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_a_batch_that_does_not_fit_runs_in_parts_to_the_same_result(
    error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    """24 samples of 10 steps into room for 70: halves of 12 fail too, so it goes on with 6."""
    whole = hasn.train(net(), samples(24), epochs=2, batch_size=24, optimizer=sgd, validation=samples(9))
    asked = tight(monkeypatch, 70, error)
    seen: list[Step] = []
    parts = hasn.train(
        net(), samples(24), epochs=2, batch_size=24, optimizer=sgd, validation=samples(9), progress=seen.append
    )
    assert [batch for batch, _ in asked] == [24, 12, 6, 6, 6, 6, 6, 3, 6, 6, 6, 6, 6, 3]
    assert parts.steps == whole.steps == 2
    assert [step.samples for step in seen] == [6, 6]
    assert parts.history[0].batch == 6
    assert parts.losses == pytest.approx(whole.losses, rel=1e-6)
    assert parts.history[1].validation_loss == pytest.approx(whole.history[1].validation_loss, rel=1e-6)
    for key, value in weights(whole.graph).items():
        np.testing.assert_allclose(weights(parts.graph)[key], value, atol=1e-6)  # float32 sums in another order


def test_short_sequences_run_in_larger_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 16 samples of 10 steps failed, 8 of 10 run at once, and 16 of 5."""
    asked = tight(monkeypatch, 100, OUT_OF_MEMORY[0])
    inputs, labels = samples(16)
    hasn.train(net(), [(inputs, labels), (inputs[:5], labels)], epochs=1)
    assert asked == [(16, 10), (8, 10), (8, 10), (16, 5)]


def test_an_update_of_several_batches_starts_again_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second batch of the update fails: the first one's gradient must not be counted twice."""
    inputs, labels = samples(24)
    batches = [(inputs[:, :8], labels[:8]), (inputs[:, 8:], labels[8:])]
    whole = hasn.train(net(), batches, epochs=1, accumulate=2, optimizer=sgd)
    tight(monkeypatch, 80, OUT_OF_MEMORY[0])
    parts = hasn.train(net(), batches, epochs=1, accumulate=2, optimizer=sgd)
    for key, value in weights(whole.graph).items():
        if key.endswith("weight"):
            assert np.abs(value - weights(net())[key]).max() > 1e-2  # a gradient counted twice would be this far off
        np.testing.assert_allclose(weights(parts.graph)[key], value, atol=1e-6)


def test_one_sample_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    tight(monkeypatch, 9, OUT_OF_MEMORY[0])
    with pytest.raises(TrainingError, match=r"one sample does not fit in memory: CUDA out of memory.*recompute=K"):
        hasn.train(net(), samples(4), epochs=1)


def test_other_errors_are_not_taken_for_memory() -> None:
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))

    def broken(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        hasn.train(net(), samples(4), epochs=1, loss=broken)


@pytest.mark.parametrize("place", ["inputs", "w1", "w2"])
@pytest.mark.parametrize("learn", [(), ("tau",)])
def test_a_loss_that_is_not_a_number_names_the_first_node_and_the_step(place: str, learn: Any) -> None:
    """A NaN in the third batch's input at time step 4, which no spike shows, or weights whose sum overflows."""
    inputs, labels = samples(24)
    graph, inputs = net(last=readout(3)), inputs.copy()
    if place == "inputs":
        inputs[4, 17, 2] = np.nan
        words = "node 'in' loss: the loss is not finite at step 3: .*first that is not, at time step 4"
    else:
        graph.nodes[place].weight[0] = 3e38  # float32 ends at 3.4e38
        words = rf"node '{place}' \w+: the \w+ is not finite at step 1: .*first that is not, at time step"
    with pytest.raises(TrainingError, match=words):
        hasn.train(graph, (inputs, labels), epochs=1, batch_size=8, loss="membrane", shuffle=False, learn=learn)


def test_weights_that_run_away_are_found() -> None:
    """The update of step 1 is finite but makes the weights so large that the next step's product overflows."""
    with pytest.raises(TrainingError, match=r"node '(w1|w2|last)' loss: the loss is not finite at step 2"):
        hasn.train(
            net(last=readout(3)), samples(16), epochs=1, batch_size=8, loss="membrane",
            optimizer=lambda groups: torch.optim.SGD(groups, lr=3e38),
        )  # fmt: skip


def test_a_loss_function_at_fault_is_told_apart() -> None:
    def undefined(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return outputs.sum() * float("nan")

    with pytest.raises(TrainingError, match="loss: the loss is not finite at step 1, though every node's state is"):
        hasn.train(net(), samples(8), epochs=1, loss=undefined)


def test_a_gradient_that_is_not_finite_names_its_parameters() -> None:
    """The square root of 0 has an infinite slope, times a zero from the other factor: NaN."""

    def steep(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return (outputs.sum() * 0).abs().sqrt()

    with pytest.raises(TrainingError, match=r"w1.*the gradient is not finite at step 1, though the loss and every"):
        hasn.train(net(), samples(8), epochs=1, loss=steep)
