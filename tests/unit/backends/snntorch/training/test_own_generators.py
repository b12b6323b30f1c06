"""Trainings in several threads of one process give what each gives alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Dropout, Loss, RateTarget, Several, rate
from hasn.backends.snntorch.training.drawing import runs_alone
from tests.unit.backends.snntorch.training.task import net, samples
from tests.unit.backends.snntorch.training.test_option_values import options


def noisy(epoch: int) -> Any:
    """Draws from every generator of the process."""
    inputs, labels = samples(24)
    for place in range(0, 24, 8):
        part = torch.as_tensor(inputs[:, place : place + 8])
        yield (
            part * (torch.rand(part.shape) > 0.1) + np.random.random() * 0.1 + random.random(),
            labels[place : place + 8],
        )


def loader() -> Any:
    inputs, labels = samples(24)
    dataset = torch.utils.data.TensorDataset(torch.as_tensor(inputs).transpose(0, 1), torch.as_tensor(labels))

    def first(items: list[Any]) -> Any:
        return torch.stack([x for x, _ in items], 1), torch.stack([y for _, y in items])

    return torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True, collate_fn=first)


def random_loss(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    kept = torch.rand(outputs.shape[1:]) > 0.1
    return torch.nn.functional.cross_entropy(outputs.sum(0) * kept, labels)


CALLS: dict[str, Callable[[], dict[str, Any]]] = {
    "arrays": lambda: {"data": samples(24), "batch_size": 8},
    "dropout": lambda: {"data": samples(24), "batch_size": 24, "during": {"w1": Dropout(0.3)}},
    "a function of the epoch": lambda: {"data": noisy},
    "a loader": lambda: {"data": loader()},
    "a loss that draws": lambda: {"data": samples(24), "batch_size": 8, "loss": random_loss},
}


@pytest.mark.parametrize("name", CALLS)
def test_in_threads_as_alone(name: str) -> None:
    """Three seeds at once, and other trainings between them, in threads that start together."""
    seeds, others = [1, 2, 3], [7, 8]

    def trained(seed: int, call: dict[str, Any]) -> tuple[float, ...]:
        return hasn.train(net(), epochs=3, seed=seed, **call).losses

    alone = [trained(seed, CALLS[name]()) for seed in seeds]
    assert len(set(alone)) == 3
    start = threading.Barrier(len(seeds) + len(others))

    def started(seed: int) -> tuple[float, ...]:
        start.wait(timeout=20)
        return trained(seed, CALLS[name if seed in seeds else "arrays"]())

    with ThreadPoolExecutor(start.parties) as threads:
        together = list(threads.map(started, [*seeds, *others]))
    assert together[:3] == alone


def test_trainings_of_arrays_run_at_once_and_touch_no_generator_of_the_process() -> None:
    """Each waits, in a callback, for the other to come as far."""
    both = threading.Barrier(2, timeout=20)
    states = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]

    def train(seed: int) -> Any:
        return hasn.train(net(), samples(24), epochs=1, batch_size=8, seed=seed, progress=lambda step: both.wait())

    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(train, [1, 2])
    assert first.losses != second.losses
    assert torch.equal(states[0], torch.get_rng_state())
    assert states[1:] == (np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]


def test_a_callback_that_draws_changes_nothing() -> None:
    call: dict[str, Any] = {"epochs": 2, "batch_size": 8}
    plain = hasn.train(net(), samples(24), **call)
    assert hasn.train(net(), samples(24), **call, progress=lambda s: torch.rand(3)).losses == plain.losses


def test_without_a_seed_the_order_is_that_of_the_process() -> None:
    found = []
    for state in (1, 1, 2):
        torch.manual_seed(state)
        found.append(hasn.train(net(), samples(24), epochs=1, batch_size=8, seed=None).losses)
    assert found[0] == found[1] != found[2]
    assert found[0] == hasn.train(net(), samples(24), epochs=1, batch_size=8, seed=1).losses


def test_one_within_the_other_does_not_wait_for_itself() -> None:
    inner: list[Any] = []

    def data(epoch: int) -> Any:
        inner.append(hasn.train(net(), noisy, epochs=1, seed=5).losses)
        return samples(24)

    hasn.train(net(), data, epochs=2)
    assert inner[0] == inner[1] == hasn.train(net(), noisy, epochs=1, seed=5).losses


@pytest.mark.parametrize(
    ("changed", "wanted"),
    [
        ({}, False), ({"loss": rate()}, False), ({"regularisers": (RateTarget(0.1),)}, False),
        ({"optimizer": torch.optim.SGD}, False), ({"optimizer": partial(torch.optim.SGD, lr=0.1)}, False),
        ({"schedule": partial(torch.optim.lr_scheduler.StepLR, step_size=2)}, False),
        ({"loss": torch.nn.MSELoss()}, False), ({"backend": {"surrogate": "atan"}}, False),
        ({"loss": random_loss}, True), ({"loss": Loss("own", random_loss, None)}, True),
        ({"loss": {"out": "rate"}}, False), ({"loss": {"out": random_loss}}, True),
        ({"loss": Several({"out": rate()})}, False), ({"loss": Several({"out": random_loss})}, True),
        ({"loss": Loss("own", torch.nn.functional.mse_loss, None, step_scores=random_loss)}, True),
        ({"loss": Loss("own", torch.nn.functional.mse_loss, random_loss)}, True),
        ({"regularisers": (lambda activity: 0,)}, True), ({"optimizer": lambda groups: groups}, True),
        ({"schedule": lambda optimizer: optimizer}, True), ({"optimizer": partial(random_loss, labels=0)}, True),
        ({"backend": {"surrogate": lambda x: x}}, True),
    ],
)  # fmt: skip
def test_which_trainings_run_alone(changed: dict[str, Any], wanted: bool) -> None:
    assert runs_alone(options(**changed), samples(2), None) is wanted


def test_which_data_make_a_training_run_alone() -> None:
    assert runs_alone(options(), samples(2), noisy)
    assert runs_alone(options(), [samples(2)], None)
    assert not runs_alone(options(), samples(2), samples(2))
