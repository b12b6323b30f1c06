"""Targets of several kinds for each sample: a tuple or a mapping of arrays (N, ...), handled as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hasn.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """Some samples' targets.

    Attributes:
        columns: name (or place in the tuple) -> targets of the samples.
        named: whether they came as a mapping.
    """

    columns: dict[Any, Tensor]
    named: bool

    #: As labels that are no classes have it.
    ndim = 2

    @property
    def shape(self) -> tuple[int, ...]:
        """(samples,)."""
        return (len(self),)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, chosen: Any) -> Targets:
        """Those of some samples."""
        return self._each(lambda column: column[chosen.to(column.device) if hasattr(chosen, "to") else chosen])

    def to(self, device: Any) -> Targets:
        """On a device."""
        return self._each(lambda column: column.to(device))

    def _each(self, act: Callable[[Tensor], Tensor]) -> Targets:
        return Targets({name: act(column) for name, column in self.columns.items()}, self.named)

    @property
    def plain(self) -> Any:
        """As a user wrote them: a mapping or a tuple of tensors."""
        return dict(self.columns) if self.named else tuple(self.columns.values())

    def of(self, output: str, outputs: list[str]) -> Tensor:
        """An Output's: by its name, or by its place among the graph's.

        Raises:
            InputError: there are none for it.
        """
        key = output if self.named else outputs.index(output)
        if key not in self.columns:
            got = ", ".join(map(str, self.columns)) if self.named else f"a tuple of {len(self.columns)}"
            wanted = f"{output!r}; the Outputs are {', '.join(outputs)}"
            raise InputError("an Output has no targets", node=output, parameter="labels", got=got, wanted=wanted)
        return self.columns[key]


def targets_of(value: Any, tensor: Callable[[Any, str], Tensor], name: str, samples: int | None) -> Tensor | Targets:
    """What a user passes as labels.

    A mapping is one column a name. A tuple or list of arrays is one column a place where each is as long as there are
    samples; a list of as many arrays as samples is one array for each sample, as ever.

    Args:
        value: the labels.
        tensor: makes a tensor of an array.
        name: for messages.
        samples: how many there are, if that is known.

    Raises:
        InputError: columns of different lengths, or none.
    """
    if isinstance(value, Mapping):
        found: dict[Any, Tensor] = {str(key): tensor(column, f"{name} {key!r}") for key, column in value.items()}
    elif are_columns(value, samples):
        found = {place: tensor(column, f"{name} {place}") for place, column in enumerate(value)}
    else:
        return tensor(value, name)
    lengths = {str(key): len(column) if column.ndim else None for key, column in found.items()}
    if len(set(lengths.values())) != 1 or None in lengths.values():
        wanted = "one a sample in each"
        raise InputError("targets of different lengths", parameter=name, got=str(lengths), wanted=wanted)
    return Targets(found, isinstance(value, Mapping))


def _array(value: Any) -> bool:
    return (isinstance(value, np.ndarray) or hasattr(value, "detach")) and value.ndim > 0


def are_columns(value: Any, samples: int | None) -> bool:
    """Whether a tuple or list holds one array of targets a place, each as long as there are samples."""
    if not isinstance(value, tuple | list) or not value or not all(map(_array, value)):
        return False
    if any(len(column) != samples for column in value):
        return False
    return len(value) != samples or isinstance(value, tuple)


def columns_of(labels: Tensor | Targets) -> list[Tensor]:
    """The tensors of labels."""
    return list(labels.columns.values()) if isinstance(labels, Targets) else [labels]
