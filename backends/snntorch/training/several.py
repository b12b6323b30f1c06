"""A loss of several Outputs: the weighted sum of a loss of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training.losses import Loss, Several, Shown, check_labels
from hasn.backends.snntorch.training.options import check_positive
from hasn.backends.snntorch.training.targets import Targets
from hasn.errors import OptionError
from hasn.program.model import Program, Sink

if TYPE_CHECKING:
    from torch import Tensor


def joined(chosen: Mapping[str, Any] | Several, program: Program, fitted: Callable[..., Loss]) -> Loss:
    """The loss of several Outputs.

    Args:
        chosen: the option.
        program: of the graph.
        fitted: (a loss as an option takes it, output=name) to what it means for this Output.

    Raises:
        OptionError: no such Output, or a loss that does not fit its.
    """
    if not isinstance(chosen, Several):
        chosen = Several(chosen)
    losses, accuracy = chosen.losses, chosen.accuracy
    outputs = [sink.name for sink in program.of(Sink)]
    weights = dict(chosen.weights)
    for where, names in (("loss", losses), ("weights", weights), ("accuracy", {accuracy} - {None})):
        for name in names:
            if name not in outputs or name not in losses:
                known = outputs if where == "loss" else list(losses)
                raise OptionError("no such Output", parameter=where, got=repr(name), wanted=", ".join(known))
    if not losses:
        raise OptionError("a loss of no Output", parameter="loss", got="{}", wanted=", ".join(outputs))
    for weight in weights.values():
        check_positive("weights", weight)
    parts = {name: fitted(loss, output=name) for name, loss in losses.items()}
    heavy = [name for name, part in parts.items() if part.weighs]
    if heavy and len(parts) > 1:
        raise OptionError(
            "class weights and ignored labels need one Output's loss alone, whose weights the mean is over",
            parameter="loss",
            got=f"those of {', '.join(heavy)}",
            way_out="Leave them out, or pass one function (outputs, labels) that does it all.",
        )
    told = [name for name, part in parts.items() if part.scores is not None]
    answers = accuracy or (told[0] if len(told) == 1 else None)

    def value(shown: Any, labels: Any) -> Any:
        total: Any = 0.0
        for name, part in parts.items():
            loss = part.value(_given(part, shown, name), labels_of(labels, name, outputs))
            total = total + weights.get(name, 1.0) * loss
        return total

    def scores(shown: Any) -> Any:
        assert answers is not None
        told_by: Any = parts[answers].scores
        return told_by(_given(parts[answers], shown, answers))

    text = ", ".join(f"{name}: {weights.get(name, 1.0)} {part.name}{part.parameters}" for name, part in parts.items())
    return Loss(
        f"{{{text}}}",
        value,
        None if answers is None or parts[answers].scores is None else scores,
        classes=False,
        reads="both" if any(part.reads != "output" for part in parts.values()) else "output",
        parts=parts,
        entropy=parts[heavy[0]].entropy if heavy else None,
        answers=answers,
    )


def _given(part: Loss, shown: Any, name: str) -> Any:
    """What the loss of one Output reads."""
    if isinstance(shown, Shown):
        output, membrane = (_one(of, name) for of in shown)
        return {"output": output, "membrane": membrane, "both": Shown(output, membrane)}[part.reads]
    return _one(shown, name)


def _one(of: Any, name: str) -> Any:
    return of[name] if isinstance(of, Mapping) else of


def labels_of(labels: Any, name: str, outputs: list[str]) -> Tensor:
    """The labels of one Output: a mapping's, those at its place in a tuple, or those of all."""
    found: Tensor = labels.of(name, outputs) if isinstance(labels, Targets) else labels
    return found


def check_parts(labels: Any, program: Program, loss: Loss, what: str) -> None:
    """Refuse labels that the loss of an Output cannot use.

    Raises:
        InputError: as :func:`hasn.backends.snntorch.training.losses.check_labels`.
    """
    sinks = program.of(Sink)
    if loss.parts is None:
        if loss.wants is not None and isinstance(labels, Targets):
            labels = labels.of(sinks[0].name, [sinks[0].name])
        classes = sinks[0].shape[0] if len(sinks) == 1 and len(sinks[0].shape) == 1 else None
        if not isinstance(labels, Targets):
            check_labels(labels, classes, loss, what)
        return
    outputs = [sink.name for sink in sinks]
    for name, part in loss.parts.items():
        shape = sinks[outputs.index(name)].shape
        check_labels(labels_of(labels, name, outputs), shape[0] if len(shape) == 1 else None, part, f"{what} {name}")
