"""Training of the speech demo's network on snnTorch. Imports torch: call it, do not import it at start-up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
import torch

import hasn
from hasn.demo.delta import DeltaCode
from hasn.demo.vowels import Utterances

if TYPE_CHECKING:
    from hasn.demo.train import Progress

#: Adam's step size at its peak, utterances a batch and passes over them; deviation of the noise on normalised
#: coefficients; part of the input spikes that is left out; volts of mean readout voltage that are worth e-fold odds.
#: Chosen on a third of the training utterances, held out.
PEAK_RATE, BATCH, EPOCHS, NOISE, DROPPED, VOLTS = 1e-2, 54, 60, 0.2, 0.1, 0.1


def train_speech(
    graph: nir.NIRGraph,
    utterances: Utterances,
    code: DeltaCode,
    *,
    epochs: int = EPOCHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> nir.NIRGraph:
    """Surrogate-gradient training (atan; Neftci, Mostafa & Zenke, IEEE Signal Proc. Mag. 36, 2019) through time.

    Loss: cross-entropy of the readout's mean voltages. Adam with a one-cycle step size; at every epoch the frames get
    new Gaussian noise before they are coded, and input spikes are left out at random.

    Args:
        graph: the network; not changed.
        utterances: to train on.
        code: how they become spikes.
        epochs: passes over the utterances.
        seed: of the order, the noise and the spikes left out.
        progress: called after every batch with (batches done, of how many, loss, accuracy on the batch).

    Returns:
        The graph with trained weights.
    """
    from hasn.demo.train import one_cycle, one_thread, told

    rng, draw = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    clean, labels = [code.normalised(frames) for frames in utterances.frames], torch.as_tensor(utterances.speakers)
    total = epochs * -(-len(labels) // BATCH)

    def coded(epoch: int) -> Iterator[Any]:
        noisy = [frames + NOISE * rng.standard_normal(frames.shape) for frames in clean]
        spikes = torch.as_tensor(code.spikes(noisy))
        for chosen in torch.split(torch.randperm(len(labels), generator=draw), BATCH):
            heard = spikes[:, chosen]
            yield heard & (torch.rand(heard.shape, generator=draw) >= DROPPED), labels[chosen]

    def loss(voltages: torch.Tensor, speakers: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(voltages.mean(0) / VOLTS, speakers)

    with one_thread():
        return hasn.train(
            graph, coded, epochs=epochs, loss=loss, seed=seed, dt=code.dt, progress=told(progress, total),
            **one_cycle(total, PEAK_RATE),
        ).graph  # fmt: skip
