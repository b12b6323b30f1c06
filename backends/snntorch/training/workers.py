"""The workers that train together: one process, or those that torchrun has started.

Nothing here imports torch: one process needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from hasn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

M = TypeVar("M")


class Workers:
    """One process that trains alone; :class:`~hasn.backends.snntorch.training.process_group.Group` is several.

    Attributes:
        rank: of this worker, from 0.
        count: of all workers.
    """

    rank = 0
    count = 1

    def share(self, samples: int) -> slice:
        """Which of a batch's samples are this worker's: as many as the others', the first workers one more."""
        each, more = divmod(samples, self.count)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def exchange(self, what: str, message: M) -> list[M]:
        """What every worker says, in the order of ranks. All workers must come to the same exchange.

        Args:
            what: the name of the exchange, so that workers that are out of step are told so.
            message: anything that can be pickled.

        Raises:
            HasnError: another worker has failed: its error.
            TrainingError: another worker is gone, or at another place.
        """
        return [message]

    def first(self, what: str, message: M) -> M:
        """What worker 0 says."""
        return message

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """Put into tensors, which have the same shapes in all workers, the sum over the workers."""

    def placed(self, device: Any) -> Any:
        """This worker's own device for what a user asked for."""
        return device

    def on_device(self) -> AbstractContextManager[Any]:
        """Make this worker's device the current one."""
        return nullcontext()

    def check_same(self, values: Mapping[str, str]) -> None:
        """Refuse workers that were called with different things: their sums would mean nothing.

        Raises:
            OptionError: naming the first thing that differs, in all workers.
        """
        said = self.exchange("settings", dict(values))
        for rank, other in enumerate(said):
            for name in {**said[0], **other}:
                if said[0].get(name) != other.get(name):
                    raise OptionError(
                        "the workers were called with different values",
                        parameter=name,
                        got=f"{other.get(name)} in worker {rank}",
                        wanted=f"{said[0].get(name)}, as in worker 0",
                        way_out="Make the graph and the options from the same seed and files in all workers.",
                    )
