"""Losses: their equations, their gradients, and that each is learned by."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import count, first_spike, membrane, rate
from hasn.backends.snntorch.training.losses import LOSSES
from tests.unit.backends.snntorch.training.task import net, readout, samples


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


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("steps", [401, 4001])
@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_as_exact_in_narrow_types(name: str, steps: int, kind: torch.dtype) -> None:
    """bfloat16 has 8 bits and float16 11, so neither holds 4,001 spikes, and bfloat16 not 401; times likewise.

    Spikes are 0 and 1, and voltages numbers of 8 bits, which both types hold: all that is summed is exact in float32,
    and what is left are some roundings of its 24 bits.
    """
    shown = torch.full((steps, 2, 3), -1.0 if name == "membrane" else 0.0, dtype=torch.float64)
    peaks = [[127 / 64, 0.25, -0.5], [1.0, -0.25, 65 / 64]]
    if name == "membrane":
        shown[steps // 2] = torch.tensor(peaks)
    else:
        shown[:, 0, 0] = shown[-1, 0, 1] = shown[steps // 2 :, 1, 1] = 1
    loss, labels = LOSSES[name](), torch.tensor([1, 2])  # what is wrong costs much
    assert loss.scores is not None
    scores = loss.scores(shown.to(kind))
    assert scores.dtype is torch.float32
    counts = [[steps, 1, 0], [0, steps // 2 + 1, 0]]
    times = [[0, steps - 1, steps], [steps, steps // 2, steps]]
    wanted = {"membrane": peaks, "first-spike": [[-tau for tau in row] for row in times]}.get(name, counts)
    assert scores.tolist() == wanted
    found, exact = loss.value(shown.to(kind), labels), loss.value(shown, labels)
    assert float(exact) > 0.5
    assert float(found) == pytest.approx(float(exact), rel=1e-6)


def test_target_counts_are_as_exact_as_the_counts() -> None:
    """Three quarters of 4,001 steps, which float16 holds in twos: (4001 - 3000.75)^2 for each neuron."""
    always = torch.ones(4001, 1, 2, dtype=torch.float16)
    found = count(correct=0.75, incorrect=0.75).value(always, torch.tensor([0]))
    assert float(found) == pytest.approx(1000.25**2, rel=1e-6)


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
