"""One update: every worker's gradients of its share, in parts that fit in memory; then the sum, and a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hasn.backends.snntorch.training.batches import Batch
from hasn.backends.snntorch.training.gradients import Gradients, Seen
from hasn.backends.snntorch.training.memory import Room
from hasn.backends.snntorch.training.moving import Moving
from hasn.backends.snntorch.training.score import Scorer
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Said:
    """What a worker tells the others of its share of an update, before the gradients are added up.

    Attributes:
        samples: of each batch, in all workers.
        marks: of each batch's labels.
        figures: see :class:`hasn.backends.snntorch.training.score.Scorer`.
        limit: of this worker's memory.
        ran: samples that ran at once.
        seen: what has a gradient.
        stop: this worker's callback wants training to end.
    """

    samples: tuple[int, ...]
    marks: tuple[int, ...]
    figures: list[float]
    limit: int | None
    ran: int
    seen: Seen
    stop: bool = False


class Update:
    """Makes updates.

    The gradients are those of the mean loss over all samples of a group of batches, in all workers; each worker's
    part is weighted by its samples, so uneven shares, and none at all, are right. Nothing is sent while they gather.

    Attributes:
        stop: a callback wants training to end; with the next exchange all workers know.
    """

    stop = False

    def __init__(self, moving: Moving, gradients: Gradients, scorer: Scorer, room: Room, workers: Workers) -> None:
        self.moving, self.gradients, self.scorer, self.room, self.workers = moving, gradients, scorer, room, workers

    def __call__(self, group: Sequence[Batch], step: int) -> list[float] | None:
        """Move the parameters; what the scorer says of the group, or None for an empty one: the data have ended."""
        parts, figures = self.room.fitted(lambda: self._own(group, step))
        samples, marks = tuple(batch.whole for batch in group), tuple(batch.mark for batch in group)
        own = Said(samples, marks, figures, self.room.limit, self.room.samples, self.gradients.seen(), self.stop)
        said = self.workers.exchange("an update", own)
        self.stop = any(other.stop for other in said)
        if self.stop:
            return None
        _check_data(said, step)
        if not group:
            return None
        self.room.agree([other.limit for other in said], [other.ran for other in said])
        values = added([other.figures for other in said])
        if not math.isfinite(values[0]):
            self.scorer.stop_at_loss(parts, step, values[0])

        def refuse() -> None:
            self.scorer.stop_at_gradient(parts, step)

        self.gradients.gather(self.workers, [other.seen for other in said], samples, refuse)
        self.moving.step(refuse)
        self.moving.network.pruned.advance(step)
        return values

    def _own(self, group: Sequence[Batch], step: int) -> tuple[list[Batch], list[float]]:
        """The gradients of this worker's samples; its parts, and its share of the figures."""
        self.gradients.clear()
        self.moving.network.during.draw_anew(step, self.workers.rank)
        total = sum(batch.whole for batch in group)
        parts: list[Batch] = []
        rows: list[Tensor] = []
        for batch in group:
            for part in self.room.parts(batch):
                loss, row = self.scorer(part, part.size / total, group=group)
                self.moving.backward(loss)
                parts.append(part)
                rows.append(row)
            self.gradients.batch_done()
        return parts, self.scorer.sum(rows)


def added(figures: Sequence[Sequence[float]]) -> list[float]:
    """Sums over the workers, always in the same order."""
    return [sum(column) for column in zip(*figures, strict=True)]


def _check_data(said: Sequence[Said], step: int) -> None:
    """Refuse data that differ: the shares would not be those of one batch."""
    for rank, other in enumerate(said):
        if (other.samples, other.marks) != (said[0].samples, said[0].marks):
            got = f"batches of {other.samples} samples" if other.samples != said[0].samples else "other labels"
            raise InputError(
                f"the workers have different data at step {step}",
                parameter="data",
                got=f"{got} in worker {rank}",
                wanted=f"those of worker 0, {said[0].samples}",
                way_out="Every worker gets all data in the same order and takes its own share: give a DataLoader no "
                "distributed sampler, and every generator the same seed.",
            )
