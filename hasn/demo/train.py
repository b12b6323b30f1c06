"""Training of the demo's network on the snnTorch backend. Imports torch: call it, do not import it at start-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import nir
import torch

import hasn
from hasn.demo.digits import SIDE, Digits
from hasn.training import Step

#: Adam's step size at its peak, batch, and largest shift of a training image in pixels; chosen on the training digits.
PEAK_RATE, BATCH, SHIFT = 3e-3, 100, 1

Progress = Callable[[int, int, float, float], None]
"""(batches done, of how many, loss, accuracy on the batch)."""


def train_digits(
    graph: nir.NIRGraph, digits: Digits, *, epochs: int, steps: int, seed: int = 0, progress: Progress | None = None
) -> nir.NIRGraph:
    """Surrogate-gradient training (atan; Neftci, Mostafa & Zenke, IEEE Signal Proc. Mag. 36, 2019) of a classifier.

    Loss: cross-entropy of the output neurons' spike counts. Adam with a one-cycle step size; images shifted by up to
    one pixel, coded anew as spikes at every epoch.

    Args:
        graph: the network; not changed.
        digits: the data; only its training part is looked at.
        epochs: passes over the training digits.
        steps: time steps a digit.
        seed: of the order, the shifts and the spikes.
        progress: called after every batch.

    Returns:
        The graph with trained weights.
    """
    draw = torch.Generator().manual_seed(seed)
    images, labels = torch.as_tensor(digits.train_images), torch.as_tensor(digits.train_labels)
    total = epochs * -(-len(labels) // BATCH)

    def coded(epoch: int) -> Iterator[Any]:
        for chosen in torch.split(torch.randperm(len(labels), generator=draw), BATCH):
            yield _spikes(images[chosen], steps, draw), labels[chosen]

    with one_thread():
        return hasn.train(
            graph, coded, epochs=epochs, loss="rate", seed=seed, progress=told(progress, total), **one_cycle(total)
        ).graph  # fmt: skip


def one_cycle(total: int, peak: float = PEAK_RATE) -> dict[str, Any]:
    """Adam whose step size rises to ``peak`` and falls to almost 0 over ``total`` batches."""

    def schedule(optimizer: Any) -> Any:
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=max(total, 2))

    return {"optimizer": "adam", "learning_rate": peak, "schedule": schedule}


def told(progress: Progress | None, total: int) -> Callable[[Step], None] | None:
    """``progress`` as :func:`hasn.train` calls it."""
    return progress and (lambda step: progress(step.step, total, step.loss, step.accuracy or 0.0))


def _spikes(images: torch.Tensor, steps: int, draw: torch.Generator) -> torch.Tensor:
    """Images (N, 784), shifted and rate-coded: (T, N, 784)."""
    across, down = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=draw).tolist()
    moved = torch.roll(images.view(-1, SIDE, SIDE), (down, across), (1, 2)).reshape(len(images), -1)
    return (torch.rand(steps, *moved.shape, generator=draw) < moved).float()


@contextmanager
def one_thread() -> Iterator[None]:
    """These matrices are too small to share: threads would wait for each other longer than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
