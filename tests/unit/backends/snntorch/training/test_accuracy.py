"""An accuracy is reported by the scores of a loss that has them, and guessed of no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Loss
from hasn.errors import OptionError
from tests.unit.backends.snntorch.training.task import net, readout, samples


def last_step(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(outputs[-1], labels)


def binary(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.binary_cross_entropy_with_logits(outputs.mean(0)[:, 0], labels.to(outputs.dtype))


@pytest.mark.parametrize("loss", [last_step, binary, torch.nn.MSELoss(), lambda outputs, labels: outputs.mean()])
def test_a_function_has_no_accuracy(loss: Any) -> None:
    labels = samples(24)[1]
    targets = np.zeros((10, 24, 3), np.float32) if isinstance(loss, torch.nn.Module) else labels
    data = (samples(24)[0], labels if targets is labels else targets.transpose(1, 0, 2))
    if targets is not labels:
        loss = _transposed(loss)
    told: list[Any] = []
    result = hasn.train(
        net(last=readout(3)), data, epochs=1, loss=loss, validation=data, progress=lambda s: told.append(s.accuracy)
    )
    assert (result.history[0].accuracy, result.history[0].validation_accuracy, told) == (None, None, [None])


def _transposed(loss: Any) -> Any:
    return lambda outputs, labels: loss(outputs, labels.transpose(0, 1))


def test_a_loss_that_says_how_it_reads_has_the_accuracy_of_that() -> None:
    """By the last step, of a readout: not what the sums over time say."""
    own = Loss("last step", last_step, lambda outputs: outputs[-1])
    data = samples(200)
    result = hasn.train(net(last=readout(3)), data, epochs=1, loss=own, validation=data, learning_rate=1e-9)
    run = hasn.compile(result.graph, precision="float32").run(data[0]).output
    last, summed = ((scores.argmax(1) == data[1]).mean() for scores in (run[-1], run.sum(0)))
    assert last != summed
    assert result.history[0].validation_accuracy == last


@pytest.mark.parametrize("monitor", ["accuracy", "validation_accuracy"])
@pytest.mark.parametrize("given", ["arrays", "batches"])
def test_an_accuracy_that_is_not_there_is_not_watched(monitor: str, given: str) -> None:
    inputs, labels = samples(12)

    def made(targets: Any) -> Any:
        return (inputs, targets) if given == "arrays" else [(inputs, targets)]

    seen: list[Any] = []
    call: dict[str, Any] = {"epochs": 1, "monitor": monitor, "keep_best": True, "progress": seen.append}
    with pytest.raises(OptionError, match=r"monitor: there is no accuracy: the loss last_step does not say how") as one:
        hasn.train(net(), made(labels), loss=last_step, validation=made(labels), **call)
    assert "hasn.training.Loss(name, function, scores)" in str(one.value)
    counts = np.eye(3, dtype=np.float32)[labels]
    what = "data" if monitor == "accuracy" else "validation"
    with pytest.raises(OptionError, match=f"there is no accuracy: labels of {what} are no classes; got '{monitor}'"):
        hasn.train(net(), made(counts), loss="count", validation=made(counts), **call)
    if given == "arrays":
        assert not seen


@pytest.mark.parametrize(
    "scores", [lambda o: o.mean(0)[:, 0], lambda o: o.mean(0)[:, :1], lambda o: o.mean(1), lambda o: 3.0]
)
def test_scores_that_are_not_one_for_each_class(scores: Any) -> None:
    """The largest of one is always the first: a binary loss would be right by chance."""
    with pytest.raises(
        OptionError, match=r"loss: the loss's scores are not one for each class.*torch.stack\(\[-margin"
    ):
        hasn.train(net(), samples(12), epochs=1, loss=Loss("own", last_step, scores))
