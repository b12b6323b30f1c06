"""Training data are looked at for NaN and infinities before they are trained on: later the gradient gets the blame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training.targets import Targets, columns_of
from hasn.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def check_finite(columns: Mapping[str, Any], labels: Tensor | Targets, what: str, where: str = "") -> None:
    """Refuse values that are not finite, naming the first one's sample.

    Args:
        columns: {Input: (T, samples, *shape), or a list of (T, *shape)}.
        labels: of the samples.
        what: "data" or "validation".
        where: in front of the sample: the batch, where data come in batches.

    Raises:
        InputError: naming Input or labels, sample, step and element.
    """
    for name, column in columns.items():
        if not isinstance(column, list):
            wrong = first_wrong(column)
            if wrong is not None:
                step, sample, *element = wrong
                raise not_finite(name, what, column[wrong], f"{where}sample {sample}", step, element)
            continue
        for sample, sequence in enumerate(column):
            wrong = first_wrong(sequence)
            if wrong is not None:
                step, *element = wrong
                raise not_finite(name, what, sequence[wrong], f"{where}sample {sample}", step, element)
    for column in columns_of(labels):
        wrong = first_wrong(column)
        if wrong is not None:
            raise InputError(
                "a label is not finite",
                parameter=f"{what} labels",
                got=f"{float(column[wrong])} at {where}sample {wrong[0]}",
                wanted="finite numbers",
                way_out="Drop the sample, or mend what makes the labels.",
            )


def first_wrong(values: Tensor) -> tuple[int, ...] | None:
    """Place of the first value that is not finite; None: there is none. A finite sum needs no second look."""
    import torch

    if not values.is_floating_point() or bool(torch.isfinite(values.sum())):
        return None
    wrong = (~torch.isfinite(values)).nonzero()
    return tuple(int(i) for i in wrong[0]) if len(wrong) else None


def not_finite(name: str, what: str, value: Any, sample: str, step: int, element: list[int]) -> InputError:
    """What to raise for a value of an Input."""
    inside = f", element {tuple(element)}" if element else ""
    return InputError(
        "the data have a value that is not finite",
        node=name,
        parameter=what,
        got=f"{float(value)} at {sample}, step {step}{inside}",
        wanted="finite numbers",
        way_out="Clean the data first (np.nan_to_num), or drop the sample.",
    )
