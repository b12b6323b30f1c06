"""Losses: their equations, their gradients, and that each is learned by."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.training import count, first_spike, membrane, rate
from tests.unit.training.task import net, readout, samples


def trains(seed: int = 0, steps: int = 6) -> torch.Tensor:
    """Spikes (steps, 4, 3); the last sample's neurons are silent."""
    drawn = (torch.rand(steps, 4, 3, generator=torch.Generator().manual_seed(seed)) < 0.3).double()
    drawn[:, 3] = 0
    return drawn


def by_hand(scores: np.ndarray[Any, Any], labels: list[int]) -> float:
    """Mean of -log softmax(scores)[label]."""
    return float(np.mean([np.log(np.exp(row).sum()) - row[y] for row, y in zip(scores, labels, strict=True)]))


LABELS = [2, 0, 1, 1]


def test_rate_is_the_cross_entropy_of_counts() -> None:
    z = trains()
    assert float(rate().value(z, torch.tensor(LABELS))) == pytest.approx(by_hand(z.sum(0).numpy(), LABELS))


def test_count_is_the_squared_distance_to_target_counts() -> None:
    z = trains()
    targets = np.full((4, 3), 6 * 0.1)
    for i, label in enumerate(LABELS):
        targets[i, label] = 6 * 0.7
    wanted = ((z.sum(0).numpy() - targets) ** 2).mean()
    loss = count(correct=0.7, incorrect=0.1)
    assert float(loss.value(z, torch.tensor(LABELS))) == pytest.approx(wanted)
    assert float(loss.value(z, torch.tensor(targets))) == pytest.approx(wanted)


def test_the_defaults_of_count_and_first_spike() -> None:
    z = trains()
    labels = torch.tensor(LABELS)
    assert float(count().value(z, labels)) == float(count(correct=0.8, incorrect=0.2).value(z, labels))
    assert float(first_spike().value(z, labels)) == float(first_spike(1.0).value(z, labels))
    assert float(count().value(z, labels)) != float(count(correct=0.2, incorrect=0.8).value(z, labels))


def test_membrane_is_the_cross_entropy_of_the_peaks() -> None:
    v = torch.randn(6, 4, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    wanted = by_hand(v.numpy().max(axis=0), LABELS)
    assert float(membrane().value(v, torch.tensor(LABELS))) == pytest.approx(wanted)


def test_first_spike_reads_the_exact_step_and_t_for_silence() -> None:
    z = trains()
    spikes = z.numpy() > 0
    steps = np.where(spikes.any(axis=0), spikes.argmax(axis=0), len(z))
    scores = first_spike(scale=2.0).scores
    assert scores is not None
    np.testing.assert_array_equal(scores(z).numpy(), -steps / 2.0)
    value = first_spike(scale=2.0).value(z, torch.tensor(LABELS))
    assert float(value) == pytest.approx(by_hand(-steps / 2.0, LABELS))


def test_the_gradient_of_the_first_spike_is_that_of_its_product() -> None:
    """tau is linear in each z[t], so moving one z from 0 to 1 (or back) changes it by exactly its derivative."""
    z = trains(seed=4).requires_grad_()
    scores = first_spike().scores
    assert scores is not None
    scores(z)[1].sum().backward()
    assert z.grad is not None
    for t in range(6):
        for i in range(3):
            low, high = z.detach().clone(), z.detach().clone()
            low[t, 1, i], high[t, 1, i] = 0, 1
            assert float(z.grad[t, 1, i]) == float((scores(high) - scores(low))[1, i])


@pytest.mark.parametrize(
    ("loss", "last"), [("rate", None), ("count", None), ("first-spike", None), ("membrane", readout(3))]
)
def test_every_loss_is_learned_by(loss: str, last: nir.NIRNode | None) -> None:
    """Chance is 1/3; the patterns can nearly always be told apart."""
    data, held_out = samples(96), samples(96, seed=5)
    result = hasn.train(
        net(last=last), data, epochs=25, loss=loss, learning_rate=1e-2, batch_size=16, validation=held_out
    )
    accuracy = result.history[-1].validation_accuracy
    assert accuracy is not None
    assert accuracy > 0.85
    again = hasn.compile(result.graph, precision="float32").run(held_out[0]).output
    scores = {"membrane": again.max(axis=0), "first-spike": np.where(again.any(axis=0), -again.argmax(axis=0), -10)}
    assert accuracy == np.mean(scores.get(loss, again.sum(axis=0)).argmax(axis=1) == held_out[1])


def test_a_function_is_a_loss() -> None:
    def power(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return ((outputs.mean(0) - torch.nn.functional.one_hot(labels, 3)) ** 2).mean()

    result = hasn.train(net(), samples(), epochs=8, loss=power, learning_rate=1e-2)
    assert result.losses[-1] < 0.5 * result.losses[0]
