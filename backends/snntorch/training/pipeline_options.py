"""The options of :func:`hasn.backends.snntorch.training.pipelined`, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hasn.backends.snntorch.training.options import check_one_of, check_optimizer, check_positive, check_whole
from hasn.errors import OptionError
from hasn.program.stages import Stage

#: Schedules by name: what they are called in torch.distributed.pipelining.
SCHEDULES = {"1f1b": "Schedule1F1B", "gpipe": "ScheduleGPipe"}


@dataclass(frozen=True)
class PipelineOptions:
    """See :func:`hasn.backends.snntorch.training.pipelined`, whose arguments these are."""

    micro_batches: int
    pipeline: str
    optimizer: str | Callable[[Any], Any]
    learning_rate: float
    schedule: Callable[[Any], Any] | None
    clip: float | None
    learn: Mapping[str, str]
    timeout: float

    def __post_init__(self) -> None:
        check_whole("micro_batches", self.micro_batches)
        check_positive("learning_rate", self.learning_rate)
        check_positive("timeout", self.timeout)
        if self.clip is not None:
            check_positive("clip", self.clip)
        check_one_of("pipeline", self.pipeline, tuple(SCHEDULES))
        check_optimizer(self.optimizer, self.schedule)

    def fit(self, stages: tuple[Stage, ...], processes: int) -> None:
        """Refuse a number of processes that is not that of the stages, and fewer micro-batches than 1F1B can use."""
        if len(stages) != processes:
            raise OptionError(
                "a pipeline runs in one process for each stage",
                parameter="stages",
                got=f"{len(stages)} stages, {processes} processes",
                way_out=f"Start it with torchrun --nproc-per-node {len(stages)}, or pass stages={processes}.",
            )
        if self.pipeline == "1f1b" and self.micro_batches < processes:
            raise OptionError(
                "fewer micro-batches than stages",
                parameter="micro_batches",
                got=self.micro_batches,
                wanted=f">= {processes} for the pipeline '1f1b'",
                way_out='Pass more, or pipeline="gpipe".',
            )
