"""torch's own loss modules, as they stand: what of (T, batch, *shape) they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training.losses import Loss, cross_entropy, membrane, rate
from hasn.errors import InputError, OptionError

if TYPE_CHECKING:
    from torch import Tensor, nn


def of_module(chosen: Any, shown: list[str]) -> Loss | None:
    """The loss that a module of torch's means; None: it is none of these.

    :class:`torch.nn.CrossEntropyLoss` is "rate" of an Output that shows spikes, and "membrane" of one that shows
    voltages, with its weights, smoothing and index to ignore. All others compare the outputs at every step with labels
    (N, T, *shape).

    Args:
        chosen: the option.
        shown: "spikes", "voltages" or "sums", of each Output.

    Raises:
        OptionError: its reduction is none of the mean, or an Output that it cannot be read from.
    """
    from torch import nn

    if not isinstance(chosen, nn.modules.loss._Loss):
        return None
    if chosen.reduction != "mean":
        raise OptionError(
            "the loss is no mean over the samples",
            parameter="loss",
            got=f"{type(chosen).__name__}(reduction={chosen.reduction!r})",
            wanted="reduction='mean'",
        )
    return _entropy(chosen, shown) if type(chosen) is nn.CrossEntropyLoss else _at_steps(chosen)


def _entropy(chosen: nn.CrossEntropyLoss, shown: list[str]) -> Loss:
    made = {"spikes": rate, "voltages": membrane}.get(shown[0]) if len(shown) == 1 else None
    if len(shown) == 1 and made is None:
        raise OptionError(
            "the Output shows neither spikes nor voltages, so that the steps may be read in several ways",
            parameter="loss",
            got="CrossEntropyLoss()",
            way_out="Pass hasn.training.cross_entropy(over=...): 'sum', 'mean', 'max', 'last' or 'steps'.",
        )
    weight = None if chosen.weight is None else chosen.weight.tolist()
    return (made or cross_entropy)(
        weight=weight, label_smoothing=chosen.label_smoothing, ignore_index=chosen.ignore_index
    )


def _at_steps(module: nn.Module) -> Loss:
    name = type(module).__name__

    def value(outputs: Any, labels: Any) -> Tensor:
        if not hasattr(outputs, "shape") or not hasattr(labels, "shape"):
            got, way_out = "several Outputs or targets", "Pass {Output: loss}."
            raise OptionError(f"{name} compares one with one", parameter="loss", got=got, way_out=way_out)
        if labels.ndim < 2 or tuple(labels.transpose(0, 1).shape) != tuple(outputs.shape):
            steps, batch, *shape = outputs.shape
            raise InputError(
                f"{name} compares every step",
                parameter="labels",
                got=tuple(labels.shape),
                wanted=str((batch, steps, *shape)),
                way_out="Pass a function (outputs, labels) that says what of the steps is compared: "
                "lambda outputs, labels: loss(outputs.mean(0), labels).",
            )
        found: Tensor = module(outputs, labels.transpose(0, 1).to(outputs.dtype))
        return found

    return Loss(repr(module), value, None, classes=False)
