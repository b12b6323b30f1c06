"""The forms in which torch users hold data: Datasets, TensorDatasets, loaders; and a share held out for validation."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from hasn.errors import InputError, OptionError

if TYPE_CHECKING:
    from torch import Tensor


def opened(given: Any) -> tuple[Any, bool | None]:
    """Arrays in place of a TensorDataset; and whether the batch comes first, where that is known of the form."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return given, None
    if isinstance(given, torch.utils.data.TensorDataset) and len(given.tensors) == 2:
        return tuple(given.tensors), True
    if isinstance(given, torch.utils.data.DataLoader):
        from torch.utils.data._utils.collate import default_collate

        return given, True if given.batch_size is not None and given.collate_fn is default_collate else None
    return given, None


def is_samples(given: Any) -> bool:
    """Whether it gives one sample after the other, as torch's Datasets do, and not batches."""
    torch: Any = sys.modules.get("torch")
    return torch is not None and isinstance(given, torch.utils.data.Dataset)


def batches_of(given: Any, size: int, order: Tensor | None, what: str) -> tuple[Iterator[Any], int | None]:
    """Batches (inputs, labels), time first, of a Dataset's samples ((T, *shape) or {Input: ...}, label); how many.

    Args:
        given: a Dataset; an IterableDataset comes in its own order.
        size: samples of a batch.
        order: of the samples' numbers; None: as they come.
        what: "data" or "validation".
    """
    import torch

    if isinstance(given, torch.utils.data.IterableDataset):
        return (_side_by_side(part, what) for part in _parts(iter(given), size)), None
    numbers = list(range(len(given))) if order is None else order.tolist()
    parts = list(_parts(iter(numbers), size))
    return (_side_by_side([given[i] for i in part], what) for part in parts), len(parts)


def _parts(items: Iterator[Any], size: int) -> Iterator[list[Any]]:
    while part := list(islice(items, size)):
        yield part


def _side_by_side(items: list[Any], what: str) -> tuple[Any, Any]:
    import torch

    for item in items:
        if not isinstance(item, list | tuple) or len(item) != 2:
            got = f"{type(item).__name__}" + (f" of {len(item)}" if hasattr(item, "__len__") else "")
            way_out = "Wrap the Dataset in one whose samples are pairs." if isinstance(item, Mapping) else None
            raise InputError(
                "a sample is no pair", parameter=what, got=got, wanted="(inputs (T, *shape), label)", way_out=way_out
            )
    first = items[0][0]
    names = list(first) if isinstance(first, Mapping) else [None]
    columns = {name: [x if name is None else x[name] for x, _ in items] for name in names}
    found = {name: _stacked(column, 1, what) for name, column in columns.items()}
    labels = _stacked([y for _, y in items], 0, f"{what} labels")
    return (found if isinstance(first, Mapping) else found[None]), torch.as_tensor(labels)


def _stacked(items: list[Any], axis: int, what: str) -> Any:
    import torch

    arrays: list[Any] = [item if isinstance(item, torch.Tensor) else np.asarray(item) for item in items]
    shapes = {tuple(array.shape) for array in arrays}
    if len(shapes) > 1 or any(array.ndim < axis for array in arrays):
        raise InputError(
            "samples of one batch have several shapes",
            parameter=what,
            got=", ".join(map(str, sorted(shapes, key=str)[:3])),
            wanted="(T, *shape) each, of one length",
            way_out="Pass ([sample, ...], labels), whose lengths may differ, or a DataLoader that pads.",
        )
    if all(isinstance(array, torch.Tensor) for array in arrays):
        return torch.stack(arrays, axis)
    return np.stack([np.asarray(array) for array in arrays], axis)


def held_out(data: Any, share: float, batch_first: bool | None, seed: int | None) -> tuple[Any, Any]:
    """(the data without a share of its samples, that share), drawn by the seed alone: a resumed training has the same.

    Args:
        data: arrays, or a Dataset that knows its length.
        share: 0 < share < 1.
        batch_first: as for training.
        seed: of training; None counts as 0.

    Raises:
        OptionError: no such share, data of which none can be held out, or too few samples.
    """
    import torch

    if isinstance(share, bool) or not 0 < share < 1:
        wanted = "a share of the data, 0 < share < 1, or data of its own"
        raise OptionError("no such validation", parameter="validation", got=repr(share), wanted=wanted)
    data, first = opened(data)
    pair = isinstance(data, tuple) and len(data) == 2
    if not pair and not (is_samples(data) and hasattr(data, "__len__")):
        raise OptionError(
            "no share can be held out of data that are not all here",
            parameter="validation",
            got=f"{share} of {type(data).__name__}",
            wanted="(inputs, labels), a TensorDataset or a Dataset",
            way_out="Pass data of its own to validation.",
        )
    count = _count(data[1], data[0], batch_first) if pair else len(data)
    kept = math.floor(count * share + 0.5)
    if not 0 < kept < count:
        got = f"{share} of {count} samples"
        raise OptionError("that leaves no sample on one side", parameter="validation", got=got)
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0 if seed is None else seed))
    parts = (order[kept:].sort().values, order[:kept].sort().values)
    if not pair:
        left, held = (torch.utils.data.Subset(data, part.tolist()) for part in parts)
        return left, held
    axis = 0 if first or batch_first else 1
    rest, own = ((_of_inputs(data[0], part, axis, count), _of_labels(data[1], part, count)) for part in parts)
    if first:  # a TensorDataset's samples come first, whatever batch_first says of arrays
        of_tensors = torch.utils.data.TensorDataset
        return of_tensors(*map(torch.as_tensor, rest)), of_tensors(*map(torch.as_tensor, own))
    return rest, own


def _of_inputs(inputs: Any, members: Tensor, axis: int, count: int) -> Any:
    if isinstance(inputs, Mapping):
        return {name: _of_inputs(value, members, axis, count) for name, value in inputs.items()}
    return [inputs[i] for i in members.tolist()] if isinstance(inputs, list) else _of(inputs, members, axis, count)


def _several(labels: Any, samples: int | None) -> bool:
    """Whether labels are several targets for each sample (:mod:`hasn.backends.snntorch.training.targets`)."""
    from hasn.backends.snntorch.training.targets import are_columns

    return isinstance(labels, Mapping) or are_columns(labels, samples)


def _count(labels: Any, inputs: Any, batch_first: bool | None) -> int:
    """How many samples there are."""
    one = next(iter(inputs.values()), ()) if isinstance(inputs, Mapping) else inputs
    shape = np.shape(one) if not isinstance(one, list) else (len(one),)
    samples = shape[0] if isinstance(one, list) or batch_first else shape[1] if len(shape) > 1 else None
    if not _several(labels, samples):
        return len(labels)
    columns = list(labels.values()) if isinstance(labels, Mapping) else labels
    return len(columns[0]) if columns else 0


def _of_labels(labels: Any, members: Tensor, count: int) -> Any:
    if not _several(labels, count):
        return _of(labels, members, 0, count)
    if isinstance(labels, Mapping):
        return {name: _of(column, members, 0, count) for name, column in labels.items()}
    return tuple(_of(column, members, 0, count) for column in labels)


def _of(values: Any, members: Tensor, axis: int, count: int) -> Any:
    import torch

    array = values if isinstance(values, torch.Tensor) else np.asarray(values)
    if array.ndim <= axis or array.shape[axis] != count:
        other = array.ndim > 1 and array.shape[1 - axis] == count
        turned = "Time seems to come first: leave batch_first out." if axis == 0 else None
        raise InputError(
            "the inputs have the wrong shape",
            parameter="data",
            got=f"{tuple(array.shape)} and {count} labels",
            wanted="(T, N, *shape)" if axis else "(N, T, *shape)",
            way_out=(turned or "The batch seems to come first: transpose(0, 1), or batch_first=True.")
            if other
            else None,
        )
    if isinstance(array, torch.Tensor):
        return array.index_select(axis, members.to(array.device))
    return np.take(array, members.numpy(), axis)


def is_share(validation: Any) -> bool:
    """Whether a validation is a share of the data."""
    return isinstance(validation, int | float | np.number)


def is_iterable(given: Any) -> bool:
    """Whether batches or samples can be had of it one after the other."""
    return isinstance(given, Iterable) or is_samples(given)
