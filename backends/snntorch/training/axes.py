"""The order of axes: arrays are (T, batch, *shape) and labels (batch, ...); which order wrong ones seem to have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from itertools import permutations
from typing import TYPE_CHECKING, Any

from hasn.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from hasn.backends.snntorch.training.targets import Targets


def check_shapes(
    columns: Mapping[str, Tensor],
    shapes: Mapping[str, tuple[int, ...]],
    labels: Tensor | Targets,
    what: str,
    batch_first: bool | None = None,
) -> None:
    """Refuse arrays that are not (T, batch, *shape) with one label for each sample.

    Args:
        columns: {Input: array}, time first.
        shapes: of the Inputs.
        labels: of the samples.
        what: "data" or "validation".
        batch_first: what was said of the arrays; they have been turned round where it is True.

    Raises:
        InputError: naming the Input, what came, what is wanted, and the order that it seems to have.
    """
    count, steps = (len(labels) if labels.ndim else 0), 0
    for name, value in columns.items():
        shape, got = shapes[name], _as_given(value, batch_first)
        wanted = layout(shape, "(batch, T{}), T >= 1" if batch_first else "(T, batch{}), T >= 1")
        if value.ndim != 2 + len(shape) or tuple(value.shape[2:]) != shape or not len(value):
            refuse(name, what, got, wanted, _order(value, shape, count, batch_first))
        if value.shape[1] != count:
            if labels.ndim > 1 and tuple(labels.shape[:2]) == tuple(value.shape[:2]):
                raise InputError(
                    "the targets come with time first",
                    parameter=f"{what} labels",
                    got=tuple(labels.shape),
                    wanted=f"({value.shape[1]}, {len(value)}, ...): samples first, inputs being {got}",
                    way_out="Turn the targets round, not the inputs: labels.transpose(0, 1).",
                )
            way_out = _order(value, shape, count, batch_first)
            refuse(name, what, f"{got} and {count} labels", "one label a sample", way_out)
        steps = steps or len(value)
        if len(value) != steps:
            refuse(name, what, f"{len(value)} steps", f"{steps}, as the other Inputs have")


def warn_of_doubt(columns: Mapping[str, Any], what: str) -> bool:
    """Say so where time and batch are of one length, so that nothing tells their order; whether it was said."""
    for name, value in columns.items():
        if value.shape[0] == value.shape[1] > 1:
            warnings.warn(
                f"{what}: {name} is {tuple(value.shape)}, as many steps as samples, so nothing tells which come first; "
                "taken as (T, batch, ...). Pass batch_first=False if that is so, batch_first=True if not",
                RuntimeWarning,
                stacklevel=2,
            )
            return True
    return False


def _as_given(value: Tensor, batch_first: bool | None) -> tuple[int, ...]:
    return tuple(value.transpose(0, 1).shape if batch_first and value.ndim > 1 else value.shape)


def _order(value: Tensor, shape: tuple[int, ...], count: int, batch_first: bool | None) -> str | None:
    """What to do with an array of another order of axes, if one order alone fits."""
    if value.ndim != 2 + len(shape) or value.ndim > 6:
        return None
    sizes, found = tuple(value.shape), []
    for time, batch in permutations(range(value.ndim), 2):
        rest = [axis for axis in range(value.ndim) if axis not in (time, batch)]
        if sizes[batch] == count and tuple(sizes[axis] for axis in rest) == shape and sizes[time]:
            found.append((time, batch, *rest))
    if found and found[0][:2] != (0, 1) and any(order[:2] == (1, 0) for order in found):
        turned = "Time seems to come first: leave batch_first out."
        return turned if batch_first else "The batch seems to come first: transpose(0, 1), or batch_first=True."
    if len(found) != 1 or batch_first:
        return None
    return f"The axes seem to be in another order: permute{found[0]}."


def refuse(name: str, what: str, got: object, wanted: str, way_out: str | None = None) -> None:
    """Raise for an Input's array."""
    raise InputError(
        "the inputs have the wrong shape", node=name, parameter=what, got=got, wanted=wanted, way_out=way_out
    )


def layout(shape: tuple[int, ...], form: str) -> str:
    """A form with an Input's own axes in it."""
    return form.format("".join(f", {n}" for n in shape))
