"""Losses and the loop of quantisation-aware training. Imports torch: not to be imported at start-up."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize

from hasn.conversions.loihi.train.network import TrainedNetwork
from hasn.conversions.loihi.train.training import LOSSES, TrainingData
from hasn.errors import InputError, OptionError

Outputs: TypeAlias = Tensor | dict[str, Tensor]
Loss: TypeAlias = Callable[[Any, Tensor], Any]
#: An element whose largest voltage stands out by one spread has odds of e**4: samples that are told apart then have
#: a loss near 0, and voltages need not grow on.
SHARPNESS = 4.0


def run_training(
    network: TrainedNetwork, data: TrainingData, seed: int, progress: Callable[[str, int, int], None] | None
) -> None:
    """Adam (Kingma & Ba, ICLR 2015), its rate falling to 0 with a cosine.

    Args:
        network: trained in place.
        data: inputs and labels.
        seed: of the order of the samples, drawn anew at every epoch.
        progress: called after every batch.

    Raises:
        InputError: labels that are no classes of the Output.
        OptionError: a loss that does not fit the Output, is not finite, or does not depend on the weights.
    """
    training = network.training
    loss_of = loss_function(network, data)
    rng, total = np.random.default_rng(seed), training.epochs * data.batches
    device = network.parameters()[0].device
    optimizer = torch.optim.Adam(network.parameters(), lr=float(training.learning_rate))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    done = 0
    for epoch in range(training.epochs):
        for inputs, labels in data.epoch(epoch, rng.permutation(data.samples)):
            with parametrize.cached():
                outputs = network.module({name: torch.as_tensor(x, device=device) for name, x in inputs.items()})
                loss = loss_of(in_volts(network, outputs), torch.as_tensor(labels, device=device))
                _check(loss, done)
                optimizer.zero_grad()
                loss.backward()
            optimizer.step()
            schedule.step()
            network.keep_within()
            done += 1
            if progress:
                progress("training", done, total)


def _check(loss: Any, done: int) -> None:
    if not isinstance(loss, Tensor) or loss.numel() != 1 or not loss.requires_grad:
        got = f"shape {tuple(loss.shape)}, requires_grad {loss.requires_grad}" if isinstance(loss, Tensor) else loss
        raise OptionError(
            "the loss is no scalar tensor that depends on the weights", parameter="train.loss", got=got
        )  # fmt: skip
    if not math.isfinite(float(loss.detach())):
        raise OptionError(
            f"the loss is not finite at batch {done + 1}", parameter="train.loss", got=float(loss.detach()),
            way_out="Look at the loss function, and at the labels that it is given.",
        )  # fmt: skip


# --- outputs and losses


def in_volts(network: TrainedNetwork, outputs: Outputs) -> Outputs:
    """The module's outputs with voltages in volts."""
    if isinstance(outputs, dict):
        return {name: _in_volts(network, name, value) for name, value in outputs.items()}
    return _in_volts(network, next(iter(network.made.integers.outputs)), outputs)


def _in_volts(network: TrainedNetwork, output: str, value: Tensor) -> Tensor:
    shown = network.made.integers.outputs[output]
    population = network.made.integers.populations.get(shown)
    if population is None or population.spiking:
        return value
    scale = network.made.scales[shown]
    return value / torch.as_tensor(scale.scale, device=value.device) + torch.as_tensor(
        scale.offset, device=value.device
    )


def loss_function(network: TrainedNetwork, data: TrainingData) -> Loss:
    """The loss of (outputs in volts, labels).

    Raises:
        InputError: labels that are no classes of the Output.
        OptionError: a loss that does not fit the Output.
    """
    chosen = network.training.loss
    if callable(chosen):
        return chosen
    population = _readout(network)
    spiking = bool(population.spiking)
    if chosen is not None and (chosen == "rate") != spiking:
        raise OptionError(
            "the Output spikes" if spiking else "the Output shows voltages, not spikes",
            node=population.name, parameter="train.loss", got=repr(chosen), wanted=repr(LOSSES[not spiking]),
        )  # fmt: skip
    _check_classes(data.labels, population.size)
    if spiking:
        return lambda outputs, labels: cross_entropy(outputs.sum(0).flatten(1), labels.long())
    spread = _spread(network, data)
    return lambda outputs, labels: cross_entropy(_peaks(outputs) * (SHARPNESS / spread), labels.long())


def _readout(network: TrainedNetwork) -> Any:
    """The population that the only Output shows."""
    outputs = network.made.integers.outputs
    shown = [network.made.integers.populations.get(name) for name in outputs.values()]
    if len(shown) != 1 or shown[0] is None:
        raise OptionError(
            "one Output that shows a population is wanted", parameter="train.loss",
            got=", ".join(outputs) or "no Output", way_out="Pass a function (outputs, labels).",
        )  # fmt: skip
    return shown[0]


def _check_classes(labels: Any, classes: int) -> None:
    wanted = f"(N,) of integers 0..{classes - 1}, the elements of the Output"
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise InputError(
            "no classes", parameter="train.labels", got=f"{labels.dtype} {labels.shape}", wanted=wanted
        )  # fmt: skip
    wrong = (labels < 0) | (labels >= classes)
    if np.any(wrong):
        raise InputError("no such class", parameter="train.labels", got=int(labels[wrong][0]), wanted=wanted)


def _peaks(outputs: Tensor) -> Tensor:
    return outputs.amax(0).flatten(1)


@torch.no_grad()
def _spread(network: TrainedNetwork, data: TrainingData) -> float:
    """Root mean square of how far the largest voltages of a sample lie apart, on the first batch, in volts."""
    inputs, _ = next(iter(data.epoch(0, np.arange(data.samples))))
    device = network.parameters()[0].device
    with parametrize.cached():
        outputs = network.module({name: torch.as_tensor(x, device=device) for name, x in inputs.items()})
    peaks = _peaks(in_volts(network, outputs))  # type: ignore[arg-type]
    spread = float((peaks - peaks.mean(1, keepdim=True)).square().mean().sqrt())
    return spread if spread > 0 else 1.0
