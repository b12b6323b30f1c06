"""Losses of spiking classifiers. Outputs are (T, batch, classes); every loss is a mean over the batch.

Surrogate gradients carry them through the spikes (Neftci, Mostafa & Zenke, IEEE Signal Processing Magazine 36, 2019);
the ways to read a class out of spikes follow Eshraghian et al., Proceedings of the IEEE 111, 2023, section IV.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hasn.backends.snntorch.training.entropy import Entropy, entropy
from hasn.errors import InputError, OptionError
from hasn.program.model import Program, Sink

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Loss:
    """A loss and how its classes are read.

    Attributes:
        name: what messages and checkpoints call it.
        value: (outputs (T, batch, *shape), labels) to a scalar, the mean over the batch.
        scores: outputs to (batch, classes), the largest of which is the answer; None where there are no classes.
        wants: what the Output must show, if it matters; "any": one Output of classes, whatever it shows.
        classes: whether labels must be classes 0..C-1.
        parameters: numbers in it, for checkpoints to tell it from others of its name.
        reads: what ``value`` and ``scores`` get: "output"; "membrane", the membrane potential before the reset of the
            neurons that the Output shows, whether they spike or not; "both", a :class:`Shown`.
        entropy: how labels weigh, where they do not alike.
        step_scores: outputs to (T, batch, classes), for labels (batch, T): one a step; None where there are none such.
        parts: Output -> its own loss, where there are several.
        answers: of these, the Output whose labels ``scores`` is compared with.
    """

    name: str
    value: Callable[[Any, Any], Any]
    scores: Callable[[Any], Any] | None
    wants: Literal["spikes", "voltages", "any"] | None = None
    classes: bool = True
    parameters: tuple[float, ...] = ()
    reads: Literal["output", "membrane", "both"] = "output"
    entropy: Entropy | None = None
    step_scores: Callable[[Any], Any] | None = None
    parts: Mapping[str, Loss] | None = None
    answers: str | None = None

    @property
    def weighs(self) -> bool:
        """Whether samples weigh differently in the mean."""
        return self.entropy is not None and self.entropy.weighs


class Shown(NamedTuple):
    """What a loss that reads "both" gets, each (T, batch, *shape).

    Attributes:
        output: what the Output shows.
        membrane: the membrane potential behind it, before the reset.
    """

    output: Any
    membrane: Any


Weights = Sequence[float] | None


def rate(weight: Weights = None, label_smoothing: float = 0.0, ignore_index: int | None = None) -> Loss:
    """Cross-entropy of the output spike counts: ``L = -log softmax(n)[label]``, ``n_c = sum_t z_c[t]``.

    Args:
        weight, label_smoothing, ignore_index: see :class:`hasn.backends.snntorch.training.entropy.Entropy`.
    """
    return _classified("rate", _counts, "spikes", entropy(weight, label_smoothing, ignore_index))


def _classified(
    name: str,
    scores: Callable[[Any], Any],
    wants: Literal["spikes", "voltages", "any"],
    made: Entropy,
    parameters: tuple[float, ...] = (),
) -> Loss:
    """The cross-entropy of scores (batch, classes)."""

    def value(outputs: Any, labels: Tensor) -> Tensor:
        return made(scores(outputs), labels)

    return Loss(name, value, scores, wants, parameters=(*parameters, *made.parameters), entropy=made)


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


def membrane(weight: Weights = None, label_smoothing: float = 0.0, ignore_index: int | None = None) -> Loss:
    """Cross-entropy of the largest output voltage over time: ``L = -log softmax(max_t v[t])[label]``.

    ``v`` is that of a readout without threshold (LI, CubaLI, I), or, where the Output shows spikes, the membrane
    potential of the neurons that send them, before the reset of their step.

    Args:
        weight, label_smoothing, ignore_index: see :class:`hasn.backends.snntorch.training.entropy.Entropy`.
    """
    return _classified("membrane", _peaks, "voltages", entropy(weight, label_smoothing, ignore_index))


def first_spike(
    scale: float = 1.0, weight: Weights = None, label_smoothing: float = 0.0, ignore_index: int | None = None
) -> Loss:
    """Cross-entropy of the first spikes' times, the earliest wins: ``L = -log softmax(-tau / scale)[label]``.

    With spikes ``z[t]`` of 0 and 1 the time is written as a product, which a surrogate gradient passes through:

        tau = sum over t = 0..T-1 of S[t],    S[t] = (1 - z[0]) (1 - z[1]) ... (1 - z[t])

    ``S`` is 1 before the first spike and 0 from it on, so ``tau`` is exactly its step, and T for a silent neuron, whose
    gradient is there all the same. The softmax over times is that of Mostafa (IEEE Transactions on Neural Networks and
    Learning Systems 29, 2018); the product is the survival function of discrete time, with the spike as the hazard
    (Kaplan & Meier, Journal of the American Statistical Association 53, 1958).

    Args:
        scale: steps of lead that are worth e-fold odds.
        weight, label_smoothing, ignore_index: see :class:`hasn.backends.snntorch.training.entropy.Entropy`.
    """

    def scores(outputs: Tensor) -> Tensor:
        return -_first_times(outputs) / scale

    return _classified("first-spike", scores, "spikes", entropy(weight, label_smoothing, ignore_index), (scale,))


#: How :func:`cross_entropy` reads (T, batch, classes).
OVER: dict[str, Callable[[Any], Any]] = {
    "sum": lambda outputs: full(outputs).sum(0),
    "mean": lambda outputs: full(outputs).mean(0),
    "max": lambda outputs: full(outputs).amax(0),
    "last": lambda outputs: full(outputs)[-1],
}


def cross_entropy(
    over: str = "sum",
    of: str = "output",
    weight: Weights = None,
    label_smoothing: float = 0.0,
    ignore_index: int | None = None,
) -> Loss:
    """Cross-entropy of what an Output shows, or of the membrane potentials behind it.

    Args:
        over: "sum", "mean", "max" or "last" of the steps: ``L = -log softmax(s)[label]`` with s that of x[t]; or
            "steps": ``L = mean_t -log softmax(x[t])[label[t]]``, labels (N,) or one a step (N, T).
        of: "output", or "membrane": the potential before the reset of the neurons whose spikes (or voltages) the Output
            shows. Over "steps" this is the loss of snnTorch's tutorial 5 divided by T, and accuracy is that of the
            spike counts, as there.
        weight, label_smoothing, ignore_index: see :class:`hasn.backends.snntorch.training.entropy.Entropy`.

    Raises:
        OptionError: no such reading.
    """
    for name, got, known in (("over", over, (*OVER, "steps")), ("of", of, ("output", "membrane"))):
        if got not in known:
            raise OptionError(f"no such {name}", parameter=name, got=repr(got), wanted=", ".join(known))
    made = entropy(weight, label_smoothing, ignore_index)
    name = f"cross-entropy {over} {of}"
    if over != "steps":
        loss = _classified(name, OVER[over], "any", made)
        return replace(loss, reads="membrane") if of == "membrane" else loss
    if of == "output":
        return replace(_classified(name, OVER["sum"], "any", made), value=_at_steps(made), step_scores=full)

    def value(shown: Shown, labels: Tensor) -> Any:
        return _at_steps(made)(shown.membrane, labels)

    def scores(shown: Shown) -> Tensor:
        return _counts(shown.output)

    def step_scores(shown: Shown) -> Tensor:
        return full(shown.membrane)

    return replace(_classified(name, scores, "any", made), value=value, reads="both", step_scores=step_scores)


def _at_steps(made: Entropy) -> Callable[[Any, Any], Any]:
    """The cross-entropy at every step, of labels (batch,) or (batch, T)."""

    def value(outputs: Tensor, labels: Tensor) -> Tensor:
        steps, batch, classes = outputs.shape
        if labels.ndim == 2 and labels.shape[1] != steps:
            got, wanted = f"{tuple(labels.shape)} and {steps} steps", "(N,), or (N, T): one a step"
            raise InputError("another number of labels than steps", parameter="labels", got=got, wanted=wanted)
        every = labels.T if labels.ndim == 2 else labels.expand(steps, batch)
        return made(full(outputs).reshape(-1, classes), every.reshape(-1))

    return value


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


def classes_of(program: Program) -> int | None:
    """How many classes the one Output shows; None where nobody knows."""
    sinks = program.of(Sink)
    return sinks[0].shape[0] if len(sinks) == 1 and len(sinks[0].shape) == 1 else None


@dataclass(frozen=True)
class Several:
    """Losses of several Outputs: ``L = sum_o weights[o] L_o``; ``loss={Output: loss}`` is one whose weights are 1.

    Attributes:
        losses: Output -> its loss, as ``loss`` takes it; an Output that is not named has none.
        weights: Output -> its weight; 1 where none is given.
        accuracy: the Output whose classes are counted; None: the one whose loss has classes, if it is one alone.
    """

    losses: Mapping[str, Any]
    weights: Mapping[str, float] = field(default_factory=dict)
    accuracy: str | None = None


def check_labels(labels: Tensor, classes: int | None, loss: Loss, what: str) -> None:
    """Refuse labels that a loss cannot use.

    Raises:
        InputError: they are no integers, or lie outside 0..classes-1.
    """
    if classes is None or loss.wants is None or (not loss.classes and labels.is_floating_point()):
        return
    wanted = f"(batch,) of integers 0..{classes - 1}, the elements of the Output"
    at_steps = loss.step_scores is not None and labels.ndim == 2
    if not (labels.ndim == 1 or at_steps) or labels.is_floating_point():
        got = f"{labels.dtype} {tuple(labels.shape)}"
        hot = labels.ndim == 2 and labels.shape[1] == classes
        way_out = "Of one-hot labels: labels.argmax(1)." if hot else None
        if labels.ndim == 1 and bool((labels == labels.round()).all()):
            way_out = "Of whole numbers: labels.astype(int)."
        raise InputError("no classes", parameter=f"{what} labels", got=got, wanted=wanted, way_out=way_out)
    wrong = (labels < 0) | (labels >= classes)
    if loss.entropy is not None and loss.entropy.ignore_index is not None:
        wrong &= labels != loss.entropy.ignore_index
    if bool(wrong.any()):
        place, *step = wrong.nonzero()[0].tolist()
        raise InputError(
            f"no such class, at sample {place}" + (f", step {step[0]}" if step else ""),
            parameter=f"{what} labels",
            got=int(labels[tuple(wrong.nonzero()[0])]),
            wanted=wanted,
        )
