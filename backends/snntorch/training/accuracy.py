"""The accuracy of outputs: by the scores of a loss that says how it reads a class, and by no guess."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hasn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

    from hasn.backends.snntorch.training.losses import Loss


def has_accuracy(loss: Loss, labels: Tensor) -> bool:
    """Whether a loss says how it reads classes, and labels are such."""
    scores = {1: loss.scores, 2: loss.step_scores}.get(labels.ndim)
    return scores is not None and not labels.is_floating_point()


def accuracy(loss: Loss, outputs: Any, labels: Tensor) -> Tensor:
    """Share of the samples whose label has the highest score.

    Raises:
        OptionError: the scores are not one for each of several classes.
    """
    assert loss.scores is not None
    scores = loss.scores(outputs)
    shape = tuple(getattr(scores, "shape", ()))
    if len(shape) < 2 or shape[0] != len(labels) or scores[0].numel() < 2:
        raise OptionError(
            "the loss's scores are not one for each class, so none is the largest",
            parameter="loss",
            got=f"{shape} of {loss.name!r}" if shape else type(scores).__name__,
            wanted=f"({len(labels)}, classes), two classes at least",
            way_out="Of one binary output: scores=lambda outputs: torch.stack([-margin, margin], 1), with the margin "
            "> 0 for class 1.",
        )
    found: Tensor = (scores.flatten(1).argmax(1) == labels).double().mean()
    return found


def check_monitor(monitor: str, loss: Loss, labels: Tensor, what: str) -> None:
    """Refuse to watch an accuracy that there is not.

    Args:
        monitor: what is watched.
        loss: of training.
        labels: of the data that ``what`` names.
        what: "data" or "validation".

    Raises:
        OptionError: the loss does not say how it reads a class, or labels are no classes.
    """
    if monitor != ("accuracy" if what == "data" else "validation_accuracy") or has_accuracy(loss, labels):
        return
    known = loss.scores is None
    raise OptionError(
        "there is no accuracy: "
        + (f"the loss {loss.name} does not say how it reads a class" if known else f"labels of {what} are no classes"),
        parameter="monitor",
        got=repr(monitor),
        wanted="loss or validation_loss",
        way_out="Pass loss=hasn.training.Loss(name, function, scores), scores(outputs) being (batch, classes)."
        if known
        else f"Labels are {str(labels.dtype).removeprefix('torch.')} {tuple(labels.shape)}; classes are integers (N,).",
    )
