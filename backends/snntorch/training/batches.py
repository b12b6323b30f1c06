"""Data of training: whatever a user passes, as batches (T, batch, *shape) of one epoch after the other."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from hasn.backends.snntorch.training.axes import check_shapes, layout, refuse, warn_of_doubt
from hasn.backends.snntorch.training.finite import check_finite
from hasn.backends.snntorch.training.forms import batches_of, is_iterable, is_samples, opened
from hasn.backends.snntorch.training.options import check_takes
from hasn.backends.snntorch.training.targets import Targets, columns_of, targets_of
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import InputError, OptionError
from hasn.nodes.values import native, numbers, unusable

if TYPE_CHECKING:
    from torch import Tensor

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Batch:
    """One worker's share of a batch.

    Attributes:
        inputs: {Input: (T, samples, *shape)}, all of the same length.
        labels: (samples, ...).
        whole: samples of the batch in all workers.
        mark: a checksum of all its labels, by which workers see that they have the same data; 0 where there is one.
        measure: weight and count of the batch's labels in all workers, where they do not count alike.
    """

    inputs: dict[str, Tensor]
    labels: Tensor | Targets
    whole: int
    mark: int = 0
    measure: tuple[float, float] | None = None

    @property
    def size(self) -> int:
        """Samples of this worker."""
        return len(self.labels)

    @property
    def steps(self) -> int:
        """T."""
        return len(next(iter(self.inputs.values())))

    def cut(self, samples: int) -> list[Batch]:
        """Parts of at most so many samples; none of a batch that leaves this worker nothing."""
        if not self.size:
            return []
        if samples >= self.size:
            return [self]
        starts = range(0, self.size, samples)
        return [
            replace(
                self,
                inputs={n: x[:, i : i + samples] for n, x in self.inputs.items()},
                labels=self.labels[i : i + samples],
            )
            for i in starts
        ]


@dataclass(frozen=True)
class Data:
    """What a user passes as data, and how batches are made of it.

    Attributes:
        given: see :func:`hasn.train`.
        shapes: of the Inputs.
        check: refuses labels.
        what: "data" or "validation", for messages.
        batch_size: samples of a batch; data that come in batches keep theirs.
        budget: samples x steps of a batch in place of ``batch_size``: short sequences make large batches.
        shuffle: draw a new order for every epoch.
        workers: among whom each batch is shared.
        generator: of the order; None: torch's global one.
        batch_first: whether arrays are (N, T, *shape); None: not said, so time comes first, and a doubt is a warning.
        warned: of what has been warned.
        heard: Inputs that had a value other than 0 so far.
        begun: numbers of the epochs that have begun here.
        measure: weight and count of some labels, where they do not count alike; see :class:`Batch`.
        carry: whether a batch goes on where the one before it ended.
    """

    given: Any
    shapes: Shapes
    check: Callable[[Any], None]
    what: str
    batch_size: int
    budget: int | None
    shuffle: bool
    workers: Workers = field(default_factory=Workers)
    generator: Any = None
    batch_first: bool | None = None
    warned: set[str] = field(default_factory=set)
    heard: set[str] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    measure: Callable[[Any], tuple[float, float] | None] = lambda labels: None
    carry: bool = False

    def epoch(self, number: int) -> tuple[Iterator[Batch], int | None]:
        """The batches of an epoch, and how many they are if that is known.

        The order is drawn when this is called.

        Raises:
            InputError: data of the wrong form or shape, or none; at once, or when a batch is reached.
        """
        given = self.given
        if callable(given) and not is_iterable(given):
            check_takes(self.what, given, "epoch")
            given = given(number)
        # A training that goes on may begin with a later epoch.
        new = given is not self.given or not self.begun
        self.begun.add(number)
        given, first = opened(given)
        self._check_pieces(given)
        if isinstance(given, tuple):
            return self._arrays(given, new=new, first=first)
        if is_samples(given):
            return self._of_samples(given)
        if isinstance(given, Iterator) and given is self.given and number > 0:
            raise InputError(
                "an iterator is used up after one epoch",
                parameter=self.what,
                way_out="Pass a list, a DataLoader, or a function of the epoch that makes the iterator.",
            )
        if not isinstance(given, Iterable) or isinstance(given, Mapping | str):
            wanted = "(inputs, labels), batches of them, or a function of the epoch that gives either"
            raise InputError("no training data", parameter=self.what, got=type(given).__name__, wanted=wanted)
        length = len(given) if isinstance(given, Sized) else None
        return self._checked(given, self.batch_first if first is None else first), length

    def _check_pieces(self, given: Any) -> None:
        """Refuse to go on from one batch to the next where those are other samples; warn where they seem to be."""
        import torch

        if not self.carry:
            return
        if isinstance(given, tuple) or is_samples(given):
            raise OptionError(
                f"batches of the {self.what} are other samples, not the next steps of the same",
                parameter="carry",
                got="(inputs, labels)" if isinstance(given, tuple) else type(given).__name__,
                wanted="batches, of which each goes on where the one before it ended",
                way_out="Pass [(inputs[t : t + K], labels) for t in range(0, len(inputs), K)].",
            )
        if isinstance(getattr(given, "sampler", None), torch.utils.data.RandomSampler) and "carry" not in self.warned:
            self.warned.add("carry")
            warnings.warn(
                f"{self.what}: the loader shuffles its samples, so a batch goes on with the states of others; "
                "carry=True wants the next steps of the same samples, in the same order",
                RuntimeWarning,
                stacklevel=2,
            )

    def _of_samples(self, given: Any) -> tuple[Iterator[Batch], int | None]:
        """Batches of a Dataset, whose samples have no batch to be confused with time."""
        import torch

        count = len(given) if isinstance(given, Sized) else None
        if count == 0:
            raise _empty(self.what)
        order = torch.randperm(count, generator=self.generator) if self.shuffle and count else None
        batches, number = batches_of(given, self.batch_size, order, self.what)
        return self._checked(batches, False), number

    def look(self) -> None:
        """Refuse arrays that are wrong, before anything has been trained; nothing is drawn.

        Raises:
            InputError: as for :meth:`epoch`.
        """
        given, first = opened(self.given)
        self._check_pieces(given)
        if isinstance(given, tuple):
            replace(self, shuffle=False)._arrays(given, new=True, first=first)

    def _checked(self, batches: Iterable[Any], first: bool | None) -> Iterator[Batch]:
        empty = True
        for number, item in enumerate(batches):
            if not isinstance(item, list | tuple) or len(item) != 2:
                got = f"{type(item).__name__}" + (f" of {len(item)}" if hasattr(item, "__len__") else "")
                raise InputError("a batch is no pair", parameter=self.what, got=got, wanted="(inputs, labels)")
            empty = False
            columns = self._columns(item[0], first, sequences=False)
            yield self._batch(columns, self._labels(item[1], columns), number, first)
        if empty:
            raise _empty(self.what)

    def _labels(self, given: Any, columns: Mapping[str, Any]) -> Tensor | Targets:
        one = next(iter(columns.values()))
        samples = len(one) if isinstance(one, list) else one.shape[1] if one.ndim > 1 else None
        return targets_of(given, _tensor, f"{self.what} labels", samples)

    def _batch(self, columns: dict[str, Any], labels: Tensor | Targets, number: int, first: bool | None) -> Batch:
        check_shapes(columns, self.shapes, labels, self.what, first)
        self._doubt(columns, first)
        if not len(labels):
            raise _empty(self.what)
        self.check(labels)
        check_finite(columns, labels, self.what, f"batch {number}, ")
        self._hear(columns)
        part = self.workers.share(len(labels))
        inputs = {n: x[:, part] for n, x in columns.items()}
        return Batch(inputs, labels[part], len(labels), self._mark(labels), self.measure(labels))

    def _hear(self, columns: Mapping[str, Any]) -> None:
        for name, column in columns.items():
            if name not in self.heard and any(bool(part.any()) for part in _sequences(column)):
                self.heard.add(name)

    def _doubt(self, columns: Mapping[str, Any], first: bool | None) -> None:
        blocks = {name: column for name, column in columns.items() if not isinstance(column, list)}
        if first is None and "order" not in self.warned and not self.workers.rank and warn_of_doubt(blocks, self.what):
            self.warned.add("order")

    def _mark(self, labels: Tensor | Targets) -> int:
        mark = 0
        for column in columns_of(labels) if self.workers.count > 1 else ():
            mark = zlib.crc32(column.cpu().contiguous().numpy().tobytes(), mark)
        return mark

    def _columns(self, inputs: Any, first: bool | None, *, sequences: bool) -> dict[str, Any]:
        """{Input: a tensor, time first, or a list of one for each sample}."""
        named = inputs if isinstance(inputs, Mapping) else dict.fromkeys(list(self.shapes)[:1], inputs)
        if set(named) != set(self.shapes) or not self.shapes or (len(self.shapes) > 1 and named is not inputs):
            got = ", ".join(map(str, named)) if named is inputs else "one array"
            wanted = ", ".join(self.shapes) or "a graph with an Input"
            raise InputError("the inputs are not those of the graph", parameter=self.what, got=got, wanted=wanted)
        found: dict[str, Any] = {}
        for name, value in named.items():
            many = sequences and isinstance(value, list)
            found[name] = [_tensor(v, name) for v in value] if many else _turned(_tensor(value, name), first)
        return found

    # --- arrays: one block, or a list of sequences of several lengths

    def _arrays(self, given: tuple[Any, ...], new: bool, first: bool | None = None) -> tuple[Iterator[Batch], int]:
        import torch

        first = self.batch_first if first is None else first
        if len(given) != 2:
            raise InputError("no pair", parameter=self.what, got=f"{len(given)} things", wanted="(inputs, labels)")
        columns = self._columns(given[0], first, sequences=True)
        labels = self._labels(given[1], columns)
        if not labels.ndim:
            got = f"the number {columns_of(labels)[0].item()}"
            raise InputError(
                "one label for all samples", parameter=f"{self.what} labels", got=got, wanted="(N,), one each"
            )
        if not len(labels):
            raise _empty(self.what)
        self.check(labels)
        lengths = _by_length(columns, self.shapes, labels, self.what, first)
        if new:
            self._doubt(columns, first)
            check_finite(columns, labels, self.what)
            self._hear(columns)
        chosen: list[Tensor] = []
        for steps, members in lengths.items():
            size = max(1, self.budget // steps) if self.budget else self.batch_size
            order = members[torch.randperm(len(members), generator=self.generator)] if self.shuffle else members
            chosen += torch.split(order, size)
        if self.shuffle and any(isinstance(column, list) for column in columns.values()):
            chosen = [chosen[i] for i in torch.randperm(len(chosen), generator=self.generator).tolist()]
        return (self._taken(columns, labels, members) for members in chosen), len(chosen)

    def _taken(self, columns: dict[str, Any], labels: Tensor | Targets, members: Tensor) -> Batch:
        """This worker's share of the batch of some members."""
        own = members[self.workers.share(len(members))]
        some = own if len(own) else members[:1]  # whose length and shape an empty share has as well
        inputs = {name: _take(column, some)[:, : len(own)] for name, column in columns.items()}
        all_ = labels[members]
        return Batch(inputs, labels[own], len(members), self._mark(all_), self.measure(all_))


def measured(group: Iterable[Batch]) -> tuple[float, float] | None:
    """Weight and count of the labels of several batches; None where each counts 1."""
    known = [batch.measure for batch in group if batch.measure is not None]
    return (sum(weight for weight, _ in known), sum(count for _, count in known)) if known else None


def _empty(what: str) -> InputError:
    return InputError("there is not one sample", parameter=what, way_out="Look at what makes the batches.")


def _tensor(value: Any, name: str) -> Tensor:
    """Numbers of any kind as a tensor that torch can compute with, without a gradient; one on a device stays there."""
    import torch

    if isinstance(value, torch.Tensor) and value.layout == torch.strided and value.dtype in _computable():
        return value.detach()
    array = numbers(value)
    if array is None:
        raise InputError(f"no numbers: {unusable(value)}", parameter=name, got=type(value).__name__)
    array = native(array)
    if array.dtype.kind == "u" and array.itemsize > 1:  # torch holds such, and cannot compare them
        if array.size and array.max() > np.iinfo(np.int64).max:
            raise InputError("a number beyond 64 bits signed", parameter=name, got=int(array.max()))
        array = array.astype(np.int64)
    elif array.dtype.kind == "f" and array.itemsize > 8:
        array = array.astype(np.float64)
    return torch.as_tensor(array.copy() if any(stride < 0 for stride in array.strides) else array)


def _computable() -> Any:
    """Types that torch computes with."""
    import torch

    floats = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    return (*floats, torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool)


def _sequences(column: Any) -> list[Tensor]:
    return column if isinstance(column, list) else [column]


def _take(column: Any, members: Tensor) -> Tensor:
    """Samples of a column, side by side."""
    import torch

    if isinstance(column, list):
        return torch.stack([column[i] for i in members.tolist()], dim=1)
    return torch.index_select(column, 1, members.to(column.device))


def _turned(value: Tensor, first: bool | None) -> Tensor:
    return value.transpose(0, 1) if first and value.ndim > 1 else value


def _by_length(
    columns: dict[str, Any], shapes: Shapes, labels: Tensor | Targets, what: str, first: bool | None
) -> dict[int, Tensor]:
    """T -> the samples of that length, once all shapes are right."""
    import torch

    lengths: Any = None
    for name, column in columns.items():
        if not isinstance(column, list):
            check_shapes({name: column}, shapes, labels, what, first)
            own = [len(column)] * len(labels)
        else:
            if len(column) != len(labels):
                refuse(name, what, f"{len(column)} sequences, {len(labels)} labels", "one label a sequence")
            for sample in column:
                if tuple(sample.shape[1:]) != shapes[name] or not len(sample):
                    refuse(name, what, tuple(sample.shape), layout(shapes[name], "(T{})"))
            own = [len(sample) for sample in column]
        if lengths not in (None, own):
            refuse(name, what, "another number of steps", "the same for all Inputs of a sample")
        lengths = own
    every = torch.tensor(lengths)
    return {steps: (every == steps).nonzero().flatten() for steps in sorted(set(lengths))}
