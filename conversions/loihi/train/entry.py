"""Quantisation-aware training as :func:`hasn.quantise` calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hasn.conversions.loihi.train.training import Training, TrainingData
from hasn.errors import OptionError

if TYPE_CHECKING:
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.conversions.loihi.quantising.connect import Synapses, Weights
    from hasn.conversions.loihi.quantising.plan import Registers
    from hasn.conversions.loihi.quantising.rounding import Rounding


def trained(
    made: QuantisedNetwork,
    train: Any,
    weights: Mapping[str, Weights],
    synapses: Mapping[str, Synapses],
    registers: Mapping[str, Registers],
    rounding: Rounding,
    *,
    seed: int = 0,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[dict[str, Synapses], dict[str, Registers]]:
    """Train on, from the weights before rounding.

    Synapses that are 0 in the float network stay 0, and the weights of a node of one sign keep it. Needs torch.

    Args:
        made: after post-training quantisation.
        train: :class:`Training` or (inputs, labels).
        weights: node of ``made.graph`` -> its weights.
        synapses, registers: of every population.
        rounding: "stochastic" starts at the weights as drawn and then rounds to the nearest.
        seed: of the order of the samples.
        progress: called after every batch with ("training", batches done, of how many).

    Returns:
        Synapses and registers with trained weights and biases; ``exact`` are the weights before rounding.

    Raises:
        InputError: inputs or labels of the wrong shape, type or range.
        OptionError: a loss that does not fit the Output, or nothing to train.
        ParameterError: a node has lost all its weights.
    """
    training = train if isinstance(train, Training) else _of_pair(train)
    data = TrainingData(made, training)
    # Late: they import torch, without which hasn.quantise can be imported and Training be made.
    from hasn.conversions.loihi.train.loop import run_training
    from hasn.conversions.loihi.train.network import TrainedNetwork

    network = TrainedNetwork(made, training, weights, rounding)
    run_training(network, data, seed, progress)
    return network.result(synapses, registers)


def _of_pair(train: Any) -> Training:
    if isinstance(train, tuple | list) and len(train) == 2:
        return Training(*train)
    raise OptionError(
        "not what training takes", parameter="train", got=type(train).__name__,
        wanted="(inputs, labels) or hasn.conversions.loihi.train.Training(inputs, labels, ...)",
    )  # fmt: skip
