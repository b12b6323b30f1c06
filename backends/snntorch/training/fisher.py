"""The diagonal of the Fisher information: how much each trained parameter matters for what a network answers."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.backends.snntorch.training.choice import learned, names
from hasn.backends.snntorch.training.options import check_one_of, check_whole
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from hasn.backends.snntorch.training.losses import Loss
    from hasn.backends.snntorch.training.network import TrainedNetwork

Values = dict[str, NDArray[Any]]
#: Probabilities of all classes may miss 1 by this much: sums of rounded exponentials, in float32.
_WHOLE = 1e-3


def fisher(
    graph: nir.NIRGraph,
    data: Any,
    *,
    loss: Any = "rate",
    labels: str = "model",
    samples: int = 200,
    learn: str | Sequence[str] | Mapping[str, Any] = (),
    freeze: str | Sequence[str] = (),
    seed: int = 0,
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    timing: str | None = None,
    precision: str = "float32",
    **backend_options: Any,
) -> tuple[Values, Values]:
    """``F_k = mean_n sum_c p(c | x_n) (d log p(c | x_n) / d theta_k)^2``, with surrogate gradients.

    A sample is run alone, and sent back once for each class.

    Args:
        graph: a network that has been trained; not changed.
        data, learn, freeze, dt, method, reset, timing, precision, **backend_options: see :func:`hasn.train`.
        loss: whose negative is ``log p``: "rate", "membrane", "first-spike", or one of your own.
        labels: "model": the mean over all classes by the network's own probabilities, the Fisher information itself;
            "data": the labels of the data in their place (the empirical one), as many times faster as there are
            classes, and 0 where the network makes no mistake.
        samples: how many are taken, drawn without replacement; fewer if there are fewer.
        seed: of the draw.

    Returns:
        name -> the trained parameters, and name -> F, by the names of :attr:`Activity.parameters`.

    Raises:
        OptionError: an option that makes no sense; with labels="model" a loss whose probabilities do not add up to 1.
        InputError: no sample, wrong shapes, labels out of range.
    """
    import torch

    from hasn.backends.snntorch.training.fits import loss_of
    from hasn.backends.snntorch.training.network import TrainedNetwork

    check_one_of("labels", labels, ("model", "data"))
    check_whole("samples", samples)
    lowering = {"dt": dt, "method": method, "reset": reset, "timing": timing}
    network = TrainedNetwork(graph, learned(learn), None, lowering, precision, backend_options, names(freeze, "freeze"))
    judge = loss_of(loss, network.program)
    if judge.reads != "output" or judge.parts is not None:
        wanted = "a loss of what one Output shows"
        raise OptionError("not the odds of one answer", parameter="loss", got=judge.name, wanted=wanted)
    total = {name: torch.zeros_like(value) for name, value in network.parameters.items()}
    count = 0
    with closing(_alone(network, data, judge, seed)) as alone:
        for batch in islice(alone, samples):
            for odds, gradients in _gradients(network, judge, batch, labels):
                for name, gradient in gradients.items():
                    total[name] += odds * gradient**2
            count += 1
    values = {name: value.detach().cpu().numpy().copy() for name, value in network.parameters.items()}
    return values, {name: (value / count).cpu().numpy() for name, value in total.items()}


def _alone(network: TrainedNetwork, data: Any, judge: Loss, seed: int) -> Generator[Any]:
    """One sample after the other, in a drawn order."""
    from hasn.backends.snntorch.training.batches import Data
    from hasn.backends.snntorch.training.drawing import process_generators
    from hasn.backends.snntorch.training.losses import check_labels, classes_of
    from hasn.backends.snntorch.training.network import shapes_of

    classes = classes_of(network.program)
    found = Data(
        data, shapes_of(network.program), lambda labels: check_labels(labels, classes, judge, "data"), "data",
        1, None, True, Workers(),
    )  # fmt: skip
    with process_generators(seed):
        for batch in found.epoch(0)[0]:
            yield from batch.cut(1)


def _gradients(
    network: TrainedNetwork, judge: Loss, batch: Any, labels: str
) -> Iterator[tuple[float, dict[str, Tensor]]]:
    """(probability, gradient of log p) of each class, or of the label that there is."""
    import torch

    outputs = network.forward(batch.inputs).outputs
    given = batch.labels.to(network.module.like.device)
    asked = [given]
    if labels == "model":
        number = _classes_number(network, judge, outputs)
        asked = [torch.full_like(given, c) for c in range(number)]
    losses = [judge.value(outputs, label) for label in asked]
    odds = [float(torch.exp(-loss.detach())) for loss in losses] if labels == "model" else [1.0]
    if labels == "model" and not abs(sum(odds) - 1) < _WHOLE:
        raise OptionError(
            "the loss is no negative logarithm of probabilities, which add up to 1",
            parameter="loss",
            got=f"{judge.name}: a sum of {sum(odds):.3g}",
            way_out="Pass labels='data', or a cross-entropy.",
        )
    chosen = list(network.parameters.values())
    for i, loss in enumerate(losses):
        found = torch.autograd.grad(loss, chosen, retain_graph=i + 1 < len(losses), allow_unused=True)
        yield odds[i], {n: g for n, g in zip(network.parameters, found, strict=True) if g is not None}


def _classes_number(network: TrainedNetwork, judge: Loss, outputs: Any) -> int:
    """How many classes the answers have: as many as the loss reads, else as the Output has elements."""
    from hasn.backends.snntorch.training.losses import classes_of

    if judge.scores is not None:
        return int(np.prod(judge.scores(outputs).shape[1:]))
    found = classes_of(network.program)
    if found is None:
        got, way_out = judge.name, "Pass labels='data'."
        raise OptionError("the loss has no classes", parameter="loss", got=got, way_out=way_out)
    return found
