"""Training of the demo's network on the snnTorch backend. Imports torch: call it, do not import it at start-up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import nir
import torch

from hasn.compiler import compile as compile_graph
from hasn.demo.digits import SIDE, Digits

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
    executable: Any = compile_graph(graph, "snntorch", precision="float32")
    module = executable.module
    draw = torch.Generator().manual_seed(seed)
    images, labels = torch.as_tensor(digits.train_images), torch.as_tensor(digits.train_labels)
    batches = -(-len(labels) // BATCH)
    optimizer = torch.optim.Adam(module.parameters(), lr=PEAK_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=max(epochs * batches, 2))
    done = 0
    with one_thread():
        for _ in range(epochs):
            for chosen in torch.split(torch.randperm(len(labels), generator=draw), BATCH):
                counts = module(_spikes(images[chosen], steps, draw)).sum(0)
                loss = torch.nn.functional.cross_entropy(counts, labels[chosen])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
                done += 1
                if progress:
                    hits = (counts.detach().argmax(1) == labels[chosen]).float().mean()
                    progress(done, epochs * batches, float(loss.detach()), float(hits))
    trained: nir.NIRGraph = executable.to_nir()
    return trained


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
