"""The options of :func:`hasn.training.pipelined`, checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hasn.errors import OptionError
from hasn.program.stages import Stage
from hasn.training.options import OPTIMIZERS

#: Schedules by name: what they are called in torch.distributed.pipelining.
SCHEDULES = {"1f1b": "Schedule1F1B", "gpipe": "ScheduleGPipe"}


@dataclass(frozen=True)
class PipelineOptions:
    """See :func:`hasn.training.pipelined`, whose arguments these are."""

    micro_batches: int
    pipeline: str
    optimizer: str | Callable[[Any], Any]
    learning_rate: float
    schedule: Callable[[Any], Any] | None
    clip: float | None
    learn: Mapping[str, str]
    timeout: float

    def __post_init__(self) -> None:
        count = self.micro_batches
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            wanted = "an integer >= 1"
            raise OptionError("no such number", parameter="micro_batches", got=repr(count), wanted=wanted)
        for name in ("learning_rate", "clip", "timeout"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 < value < math.inf) and (name != "clip" or value is not None):
                raise OptionError("no such value", parameter=name, got=repr(value), wanted="a number > 0")
        if self.pipeline not in SCHEDULES:
            wanted = " or ".join(SCHEDULES)
            raise OptionError("no such pipeline", parameter="pipeline", got=repr(self.pipeline), wanted=wanted)
        if not callable(self.optimizer) and self.optimizer not in OPTIMIZERS:
            wanted = f"{', '.join(OPTIMIZERS)}, or a function of the parameter groups"
            raise OptionError("no such optimizer", parameter="optimizer", got=repr(self.optimizer), wanted=wanted)
        if self.schedule is not None and not callable(self.schedule):
            wanted = "a function of the optimizer that gives one of torch.optim.lr_scheduler"
            raise OptionError("no schedule", parameter="schedule", got=repr(self.schedule), wanted=wanted)

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
