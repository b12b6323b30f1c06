"""Losses of spiking classifiers. Outputs are (T, batch, classes); every loss is a mean over the batch.

Surrogate gradients carry them through the spikes (Neftci, Mostafa & Zenke, IEEE Signal Processing Magazine 36, 2019);
the ways to read a class out of spikes follow Eshraghian et al., Proceedings of the IEEE 111, 2023, section IV.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from hasn.errors import InputError, OptionError
from hasn.program.model import Connection, Neurons, Program, Sink, Threshold

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A loss and how its classes are read.

    Attributes:
        name: what messages and checkpoints call it.
        value: (outputs (T, batch, *shape), labels) to a scalar, the mean over the batch.
        scores: outputs to (batch, classes), the largest of which is the answer; None where there are no classes.
        wants: what the Output must show, if it matters.
        classes: whether labels must be classes 0..C-1.
        parameters: numbers in it, for checkpoints to tell it from others of its name.
    """

    name: str
    value: Callable[[Any, Any], Any]
    scores: Callable[[Any], Any] | None
    wants: Literal["spikes", "voltages"] | None = None
    classes: bool = True
    parameters: tuple[float, ...] = ()


def rate() -> Loss:
    """Cross-entropy of the output spike counts: ``L = -log softmax(n)[label]``, ``n_c = sum_t z_c[t]``."""
    return Loss("rate", lambda outputs, labels: _cross_entropy(_counts(outputs), labels), _counts, "spikes")


def count(correct: float = 0.8, incorrect: float = 0.2) -> Loss:
    """Mean squared error of the output spike counts: ``L = mean_c (n_c - target_c)^2``.

    Args:
        correct: spikes a step that the label's neuron should give (``target = correct * T``). The defaults are those
            of snnTorch's tutorials (Eshraghian et al. 2023).
        incorrect: the same for all others.

    Labels are classes, or the target counts themselves: real numbers (batch, classes).
    """

    def value(outputs: Tensor, labels: Tensor) -> Tensor:
        import torch

        counts = _counts(outputs)
        targets = labels
        if not labels.is_floating_point():
            hot = torch.nn.functional.one_hot(labels.long(), counts.shape[1])
            targets = (incorrect + (correct - incorrect) * hot) * len(outputs)
        return torch.nn.functional.mse_loss(counts, targets.to(counts.dtype))

    return Loss("count", value, _counts, "spikes", classes=False, parameters=(correct, incorrect))


def membrane() -> Loss:
    """Cross-entropy of the largest output voltage over time: ``L = -log softmax(max_t v[t])[label]``.

    For a readout without threshold (LI, CubaLI, I): a voltage that is reset says little by its maximum.
    """
    return Loss("membrane", lambda outputs, labels: _cross_entropy(_peaks(outputs), labels), _peaks, "voltages")


def first_spike(scale: float = 1.0) -> Loss:
    """Cross-entropy of the first spikes' times, the earliest wins: ``L = -log softmax(-tau / scale)[label]``.

    With spikes ``z[t]`` of 0 and 1 the time is written as a product, which a surrogate gradient passes through:

        tau = sum over t = 0..T-1 of S[t],    S[t] = (1 - z[0]) (1 - z[1]) ... (1 - z[t])

    ``S`` is 1 before the first spike and 0 from it on, so ``tau`` is exactly its step, and T for a silent neuron, whose
    gradient is there all the same. The softmax over times is that of Mostafa (IEEE Transactions on Neural Networks and
    Learning Systems 29, 2018); the product is the survival function of discrete time, with the spike as the hazard
    (Kaplan & Meier, Journal of the American Statistical Association 53, 1958).

    Args:
        scale: steps of lead that are worth e-fold odds.
    """

    def scores(outputs: Tensor) -> Tensor:
        return -_first_times(outputs) / scale

    def value(outputs: Tensor, labels: Tensor) -> Tensor:
        return _cross_entropy(scores(outputs), labels)

    return Loss("first-spike", value, scores, "spikes", parameters=(scale,))


LOSSES: dict[str, Callable[[], Loss]] = {
    "rate": rate,
    "count": count,
    "membrane": membrane,
    "first-spike": first_spike,
}


def full(outputs: Tensor) -> Tensor:
    """At least float32: bfloat16 counts only to 256."""
    return outputs if outputs.element_size() >= 4 else outputs.float()


def _counts(outputs: Tensor) -> Tensor:
    return full(outputs).sum(0)


def _peaks(outputs: Tensor) -> Tensor:
    return full(outputs).amax(0)


def _first_times(outputs: Tensor) -> Tensor:
    return (1 - full(outputs)).cumprod(0).sum(0)


def _cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    from torch.nn.functional import cross_entropy

    return cross_entropy(scores, labels.long())


def loss_of(chosen: Any, program: Program) -> Loss:
    """The loss that an option means, if it fits the graph's Output.

    Raises:
        OptionError: no such loss, or the Output shows something else than it reads.
    """
    if isinstance(chosen, Loss):
        loss = chosen
    elif callable(chosen):
        name = str(getattr(chosen, "__qualname__", type(chosen).__name__))
        return Loss(name, chosen, None, classes=False)  # how it reads a class is not known
    elif isinstance(chosen, str) and chosen in LOSSES:
        loss = LOSSES[chosen]()
    else:
        wanted = f"{', '.join(LOSSES)}, or a function (outputs, labels)"
        raise OptionError("no such loss", parameter="loss", got=repr(chosen), wanted=wanted)
    if loss.wants is not None:
        _check_output(loss, program)
    return loss


def classes_of(program: Program) -> int | None:
    """How many classes the one Output shows; None where nobody knows."""
    sinks = program.of(Sink)
    return sinks[0].shape[0] if len(sinks) == 1 and len(sinks[0].shape) == 1 else None


def _check_output(loss: Loss, program: Program) -> None:
    sinks = program.of(Sink)
    if len(sinks) != 1 or len(sinks[0].shape) != 1:
        raise OptionError(
            f"the loss {loss.name!r} wants one Output, of classes",
            parameter="loss",
            got=", ".join(f"{sink.name} {sink.shape}" for sink in sinks) or "no Output",
            way_out="Flatten it, or pass a function (outputs, labels).",
        )
    shown = _shown(program, sinks[0].name)
    if shown != loss.wants:
        raise OptionError(
            f"the loss {loss.name!r} reads {loss.wants}, and this Output shows {shown}",
            node=sinks[0].name,
            parameter="loss",
            got=repr(loss.name),
            wanted={"spikes": "rate, count or first-spike", "voltages": "membrane"}.get(shown, "a function"),
        )


def _shown(program: Program, output: str) -> str:
    """ "spikes", "voltages", or else "sums": what an Output shows, through nodes that only reshape or delay."""
    sources = [program.node(edge.source) for edge in program.edges_into(output)]
    if len(sources) != 1:
        return "sums"
    source = sources[0]
    if isinstance(source, Threshold):
        return "spikes"
    if isinstance(source, Neurons):
        return "spikes" if source.spiking else "voltages"
    from hasn.program.maps import Identity

    plain = isinstance(source, Connection) and isinstance(source.map, Identity)
    return _shown(program, source.name) if plain else "sums"


def check_labels(labels: Tensor, classes: int | None, loss: Loss, what: str) -> None:
    """Refuse labels that a loss cannot use.

    Raises:
        InputError: they are no integers, or lie outside 0..classes-1.
    """
    if classes is None or loss.wants is None or (not loss.classes and labels.is_floating_point()):
        return
    wanted = f"(batch,) of integers 0..{classes - 1}, the elements of the Output"
    if labels.ndim != 1 or labels.is_floating_point():
        got = f"{labels.dtype} {tuple(labels.shape)}"
        raise InputError("no classes", parameter=f"{what} labels", got=got, wanted=wanted)
    wrong = (labels < 0) | (labels >= classes)
    if bool(wrong.any()):
        place = int(wrong.nonzero()[0])
        raise InputError(
            f"no such class, at sample {place}",
            parameter=f"{what} labels",
            got=int(labels[place]),
            wanted=wanted,
        )
