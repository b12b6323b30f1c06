"""Gradients whose squares overflow, and gradients that do."""

from __future__ import annotations

import math
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import large
from hasn.errors import TrainingError
from tests.unit.backends.snntorch.training.calls import recurrent
from tests.unit.backends.snntorch.training.task import HIDDEN, net, samples, weights


def times(factor: float) -> Any:
    return lambda outputs, labels: torch.nn.functional.cross_entropy(outputs.sum(0), labels) * factor


def sgd(rate: float) -> Any:
    return lambda groups: torch.optim.SGD(groups, lr=rate)


def moved(result: Any) -> dict[str, Any]:
    before, after = weights(net()), weights(result.graph)
    return {key: after[key].astype(np.float64) - before[key].astype(np.float32) for key in before}


@pytest.mark.parametrize(("precision", "factor"), [("float32", 1e25), ("float64", 1e200)])
@pytest.mark.parametrize("clip", [None, 0.5])
def test_a_large_gradient_moves_as_a_small_one_does(precision: str, factor: float, clip: float | None) -> None:
    """SGD at a rate smaller by the factor; a clipped one at the same rate. 1e-3: steps of 1e-2 beside weights of 1."""
    call: dict[str, Any] = {"epochs": 1, "batch_size": 24, "clip": clip, "precision": precision}
    rate = 0.1 if clip else 0.1 / factor
    small = moved(hasn.train(net(), samples(24), loss=times(1.0), optimizer=sgd(0.1), **{**call, "clip": clip}))
    much = moved(hasn.train(net(), samples(24), loss=times(factor), optimizer=sgd(rate), **call))
    for key, value in small.items():
        np.testing.assert_allclose(much[key], value, rtol=1e-3, atol=2e-6, err_msg=key)
    norm = math.sqrt(sum(float((value**2).sum()) for value in much.values()))
    assert norm == pytest.approx(0.05, rel=1e-3) if clip else norm > 0.05


def test_the_norm_is_taken_without_squares_that_overflow() -> None:
    """3, 4 and 12 times 1e200 make 13e200; the sum of squares would be 1e402."""
    gradients = [torch.tensor([3e200, 4e200], dtype=torch.float64), torch.tensor(12e200, dtype=torch.float64)]
    assert float(large.clipped(gradients, None)) == pytest.approx(13e200, rel=1e-15)
    assert gradients[1].item() == 12e200
    assert float(large.clipped(gradients, 14e200)) == pytest.approx(13e200, rel=1e-15)
    assert gradients[1].item() == 12e200
    large.clipped(gradients, 1.3)
    assert [*gradients[0].tolist(), gradients[1].item()] == pytest.approx([0.3, 0.4, 1.2], rel=1e-15)
    assert math.isinf(float(large.clipped([torch.tensor([1.0, float("nan")])], 1.0)))
    assert math.isinf(float(large.clipped([torch.full((4,), 1.7e308, dtype=torch.float64)], None)))
    most = [torch.full((4,), 1.7e308, dtype=torch.float64)]
    assert float(large.clipped(most, 1.0)) == 1.0
    assert most[0].tolist() == pytest.approx([0.5] * 4, rel=1e-15)


def test_an_optimizer_that_cannot_square_it_is_named() -> None:
    """Adam's mean of squares becomes infinite, and its steps 0 for ever."""
    with pytest.raises(TrainingError, match=r"exp_avg_sq: the gradient is finite, and too large for what Adam keeps"):
        hasn.train(net(), samples(24), epochs=1, batch_size=24, loss=times(1e25))
    result = hasn.train(net(), samples(24), epochs=1, batch_size=24, loss=times(1e25), clip=1.0)
    plain = hasn.train(net(), samples(24), epochs=1, batch_size=24)
    for key, value in weights(plain.graph).items():  # Adam's first step is the gradient's sign
        np.testing.assert_allclose(weights(result.graph)[key], value, atol=2e-4, err_msg=key)
    assert result.steps == 1


def looped(weight: float) -> nir.NIRGraph:
    """A recurrent layer whose weights make a gradient grow at every step back."""
    graph = recurrent()
    graph.nodes["back"].weight = np.full((HIDDEN, HIDDEN), weight)
    return graph


@pytest.mark.parametrize("clip", [None, 1.0])
def test_a_gradient_that_is_infinite_names_what_lets_it_grow(clip: float | None) -> None:
    data = samples(8, steps=60)
    call: dict[str, Any] = {
        "epochs": 1,
        "surrogate": "straight_through_estimator",
        "clip": clip,
        "optimizer": sgd(1e-9),
    }
    with pytest.raises(TrainingError) as caught:
        hasn.train(looped(60.0), data, **call)
    error = str(caught.value)
    assert "backpropagation through 60 steps and the recurrent weights of back can make it grow beyond float32" in error
    assert "try smaller recurrent weights, fewer steps, a surrogate of a gentler slope, precision='float64'" in error
    assert caught.value.got == "T = 60"
    if clip:
        assert hasn.train(looped(60.0), data, **call, precision="float64").steps == 1


def test_without_recurrent_weights_none_are_named() -> None:
    class Infinite(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x.sum()

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return torch.full((10, 8, 3), float("inf"))

    with pytest.raises(TrainingError, match=r"backpropagation through 10 steps can make it grow") as caught:
        hasn.train(net(), samples(8), epochs=1, loss=lambda outputs, labels: Infinite.apply(outputs))
    assert "recurrent" not in str(caught.value)
