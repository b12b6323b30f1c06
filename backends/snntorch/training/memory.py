"""How much runs at once: what memory could not hold is cut in halves, and training goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hasn.backends.snntorch.training.batches import Batch
from hasn.errors import TrainingError
from hasn.room import is_out_of_memory

R = TypeVar("R")


class Room:
    """Samples x steps that fit in memory, found by failing.

    A batch that does not fit runs in parts whose gradients add up, so the update is the same to rounding; after a
    failure the limit is half of what failed, and since it counts samples x steps, short sequences still run in larger
    parts.

    Args:
        limit: to begin with.
        whole: a batch cannot be cut: the states of its samples go on in the next one.

    Attributes:
        limit: samples x steps; None: nothing has failed yet.
        samples: that ran at once in the last batch, at most.
    """

    def __init__(self, limit: int | None = None, whole: bool = False) -> None:
        self.limit, self.whole = limit, whole
        self.samples = 0
        self._steps = 0

    def parts(self, batch: Batch) -> list[Batch]:
        """The batch, or parts of it that fit."""
        self._steps = batch.steps
        fits = batch.size if self.limit is None else max(1, self.limit // batch.steps)
        self.samples = min(batch.size, fits)
        return batch.cut(fits)

    def agree(self, limits: Sequence[int | None], samples: Sequence[int]) -> None:
        """Take the least room of all workers, so that all run in the same parts from now on."""
        self.limit = min((limit for limit in limits if limit is not None), default=None)
        self.samples = max(samples)

    def fitted(self, work: Callable[[], R]) -> R:
        """What ``work`` gives, which is called again with half the room as often as memory does not suffice.

        Raises:
            TrainingError: one sample does not fit.
        """
        while True:
            try:
                return work()
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            self._halve(reason)  # outside of the block: its error holds on to the tensors

    def _halve(self, reason: str) -> None:
        if self.samples <= 1:
            raise TrainingError(
                f"one sample does not fit in memory: {reason}",
                parameter="batch_size",
                got=f"{self._steps} steps",
                way_out="Pass recompute=K (K about the root of the steps), or shorter sequences.",
            )
        if self.whole:
            raise TrainingError(
                f"a batch does not fit in memory: {reason}",
                parameter="carry",
                got=f"{self.samples} samples of {self._steps} steps",
                way_out="Pass fewer steps or samples a batch: its states go on in the next one, so it is not cut.",
            )
        self.limit = (self.samples // 2) * self._steps
        _free()


def _free() -> Any:
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
