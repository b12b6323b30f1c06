"""Trainings that come out the same with any number of workers: nets, data and options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import nir
import numpy as np
import torch

from hasn.backends.snntorch.training import RateTarget
from tests.unit.backends.snntorch.training.task import DT, HIDDEN, net, samples

RANK = int(os.environ.get("RANK", "0"))
#: 22 samples in batches of 7: uneven shares, and a last batch of 1 that leaves the second worker none.
UNEVEN: dict[str, Any] = {"data": samples(22), "batch_size": 7}
BASE: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-2, "validation": samples(9, 5)}


def recurrent() -> nir.NIRGraph:
    """The task's net with delayed feedback of the hidden layer."""
    graph = net()
    graph.nodes["late"] = nir.Delay(np.full(HIDDEN, 2 * DT))
    graph.nodes["back"] = nir.Linear(np.random.default_rng(4).normal(0, 0.2, (HIDDEN, HIDDEN)))
    graph.edges = [*graph.edges, ("hidden", "late"), ("late", "back"), ("back", "hidden")]
    return graph


def sgd(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def loader() -> Any:
    """A DataLoader with a generator of its own, which stands elsewhere in every worker."""
    inputs, labels = samples(22)
    dataset = [(torch.as_tensor(inputs[:, i]), int(labels[i])) for i in range(22)]

    def side_by_side(items: list[Any]) -> Any:
        return torch.stack([x for x, _ in items], 1), torch.tensor([y for _, y in items])

    generator = torch.Generator().manual_seed(RANK)
    return torch.utils.data.DataLoader(
        dataset, batch_size=5, shuffle=True, generator=generator, collate_fn=side_by_side
    )  # type: ignore[arg-type,var-annotated]


def several_lengths() -> Any:
    """Sequences of 4, 7 and 10 steps."""
    inputs, labels = samples(22)
    return [inputs[: 4 + 3 * (i % 3), i] for i in range(22)], labels


#: name -> the call, without the graph: each must come out as in one process.
EQUAL: dict[str, dict[str, Any]] = {
    "float64": {**BASE, **UNEVEN, "precision": "float64"},
    "float32": {**BASE, **UNEVEN},
    "accumulation": {**BASE, **UNEVEN, "accumulate": 3, "optimizer": sgd, "clip": 0.05, "learn": ("tau", "threshold")},
    "best of it": {**BASE, **UNEVEN, "epochs": 6, "learning_rate": 0.1, "patience": 2, "keep_best": True},
    "regularised": {**BASE, **UNEVEN, "regularisers": [RateTarget(0.1, 10.0)], "recompute": 4},
    "DataLoader": {**BASE, "data": loader()},
    "several lengths": {**BASE, "data": several_lengths(), "budget": 35},
    "threshold": {**BASE, **UNEVEN, "apply_after": {"w1": 5, "back": 2}, "optimizer": sgd, "accumulate": 2},
}


def coded(epoch: int) -> Iterator[Any]:
    """Batches that draw from a global generator while they are made."""
    inputs, labels = samples(24)
    for place in range(0, 24, 8):
        kept = torch.rand(inputs[:, place : place + 8].shape) > 0.1
        yield torch.as_tensor(inputs[:, place : place + 8]) * kept, labels[place : place + 8]


def overflowing(when: Callable[[], bool]) -> dict[str, Any]:
    """A training in half precision whose first loss overflows where ``when()`` says so."""
    calls = [0]

    def steep(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        loss = torch.nn.functional.cross_entropy(outputs.sum(0).float(), labels)
        return loss * (1e36 if calls[0] == 1 and when() else 1.0)

    return {"data": samples(24), "epochs": 2, "batch_size": 8, "loss": steep, "amp": "fp16", "optimizer": sgd}


def silent_net() -> nir.NIRGraph:
    """The task's net without biases, so that what is silent passes no gradient at all."""
    graph = net()
    graph.nodes["w1"] = nir.Linear(graph.nodes["w1"].weight)
    return graph


def silent_batches() -> list[Any]:
    """Batches, some of which leave nodes without a gradient, and two that are silent in one worker's share alone."""
    inputs, labels = samples(30)
    parts = []
    for place, (start, end) in enumerate([(0, 4), (4, 9), (9, 11), (11, 12), (12, 18), (18, 22), (22, 28), (28, 30)]):
        part = inputs[:, start:end].copy()
        if place in (1, 6):
            part[:] = 0  # nothing reaches w1
        elif place in (2, 4):
            part *= 0.02  # nothing spikes, so nothing reaches w2
        elif place == 5:
            part[:, :2] = 0  # worker 0's samples
        elif place == 7:
            part[:, 1:] = 0  # worker 1's
        parts.append((part, labels[start:end]))
    return parts


#: A training that waits, in which K, accumulation, momentum, weight decay and clipping all act.
SILENT: dict[str, Any] = {
    "epochs": 3, "optimizer": lambda groups: torch.optim.SGD(groups, lr=0.2, momentum=0.9, weight_decay=0.01),
    "apply_after": {"w1": 5, "w2": 2}, "accumulate": 2, "clip": 0.1, "precision": "float64",
}  # fmt: skip
