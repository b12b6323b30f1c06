"""The gradients of an update: what this worker has gathered, and then what all workers have."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hasn.backends.snntorch.training.workers import Workers

if TYPE_CHECKING:
    from torch import Tensor

#: For each batch of an update: which parameters (or nodes) have got a gradient.
Seen = Sequence[Sequence[bool]]


class Gradients:
    """Adds up an update's gradients in the parameters' ``grad``, without a word to the other workers until its end.

    Args:
        parameters: the trained ones.
    """

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self.parameters = parameters

    def clear(self) -> None:
        """Begin an update, again if need be."""
        for parameter in self.parameters.values():
            parameter.grad = None

    def batch_done(self) -> None:
        """All of this worker's samples of a batch have gone backwards."""

    def seen(self) -> Seen:
        """What this worker has gradients of."""
        return [[parameter.grad is not None for parameter in self.parameters.values()]]

    def gather(
        self, workers: Workers, seen: Sequence[Seen], samples: Sequence[int], refuse: Callable[[], None]
    ) -> None:
        """Put what the optimizer is to apply into ``grad``: the sum over the workers.

        Args:
            workers: that must be right behind an exchange.
            seen: by every worker.
            samples: of each batch of the update, in all workers.
            refuse: called where a gradient is not finite and will not come to the optimizer yet.
        """
        there = [any(column) for column in zip(*(said[0] for said in seen), strict=True)]
        self._sum(workers, [p for p, some in zip(self.parameters.values(), there, strict=True) if some])

    def _sum(self, workers: Workers, parameters: Sequence[Tensor]) -> list[Tensor]:
        """The gradients of some parameters, added up over the workers where they stand."""
        import torch

        found: list[Tensor] = []
        for parameter in parameters:
            if parameter.grad is None:  # this worker had no samples, or they did not reach it
                parameter.grad = torch.zeros_like(parameter)
            found.append(parameter.grad)
        workers.sum(found)
        return found

    def state(self) -> dict[str, Any]:
        """What is kept from one update to the next."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Put back what :meth:`state` gave."""
