"""The processes of a pipeline: who they are, and what they tell each other beside the values between stages."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from hasn.errors import HasnError, OptionError, TrainingError


def processes() -> int:
    """How many processes run this program.

    Raises:
        OptionError: it was not started by torchrun, nor was torch.distributed set up.
    """
    import torch.distributed as dist

    if dist.is_available() and dist.is_initialized():
        return dist.get_world_size()
    if not {"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"} <= set(os.environ):
        raise OptionError(
            "a pipeline runs in one process for each stage, and this is one alone",
            parameter="stages",
            way_out="Start it with torchrun --nproc-per-node STAGES script.py; on one device, hasn.train does.",
        )
    return int(os.environ["WORLD_SIZE"])


def local_device() -> str:
    """This process's device: a GPU of its own, where there is one."""
    import torch

    return f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"


class Workers:
    """The processes, one for each stage, in the order of their ranks.

    Attributes:
        rank: the stage that this process runs.
        values: the process group that values between stages go through: nccl on GPUs, gloo elsewhere.

    Args:
        device: where this process computes.
        timeout: seconds that one process waits for another before it gives up.
    """

    def __init__(self, device: Any, timeout: float) -> None:
        import torch
        import torch.distributed as dist

        from hasn.backends.snntorch.devices import usable_device
        from hasn.backends.snntorch.training.process_group import make_group

        place = usable_device(device)
        on_gpu = place.type == "cuda"
        kind, patience = "nccl" if on_gpu else "gloo", timedelta(seconds=timeout)
        if on_gpu and place.index is not None:
            torch.cuda.set_device(place)  # nccl takes the present device
        if not dist.is_initialized():
            make_group(kind, timeout=patience)
            atexit.register(_end)
        self.rank = dist.get_rank()
        self.values: Any = dist.new_group(backend=kind, timeout=patience)
        self._messages: Any = dist.new_group(backend="gloo", timeout=patience)

    def from_first(self, make: Callable[[], Any]) -> Any:
        """What ``make`` gives in the first process, in all of them; its error is raised in all of them."""
        import torch.distributed as dist

        box: list[Any] = [None]
        failed: Exception | None = None
        if self.rank == 0:
            try:
                box[0] = make()
            except Exception as error:  # whatever it is, the others must not wait for it
                failed, box[0] = error, _portable(error, 0)
        with self.together():
            dist.broadcast_object_list(box, src=0, group=self._messages)
        if isinstance(box[0], HasnError):
            raise box[0] from (None if failed is box[0] else failed)
        return box[0]

    def everyone(self, value: Any, failed: Exception | None = None) -> list[Any]:
        """Every process's value, in their order; the error of one is raised in all of them."""
        import torch.distributed as dist

        found: list[Any] = [None] * dist.get_world_size()
        said = value if failed is None else _portable(failed, self.rank)
        with self.together():
            dist.all_gather_object(found, said, group=self._messages)
        if failed is not None:
            raise said from (None if said is failed else failed)
        for other in found:
            if isinstance(other, HasnError):
                raise other
        return found

    @contextmanager
    def together(self) -> Iterator[None]:
        """A block that the other processes take part in: when one of them is gone, it ends with a TrainingError."""
        try:
            yield
        except HasnError:
            raise
        except RuntimeError as error:
            raise TrainingError(
                f"stage {self.rank} cannot go on: {_first(error)}",
                way_out="Another process may have ended: look for the first error. Start again from saved parameters.",
            ) from error

    def leave(self) -> None:
        """End the groups that this pipeline made."""
        import torch.distributed as dist

        if not dist.is_initialized():
            return
        for group in (self.values, self._messages):
            dist.destroy_process_group(group)


def _end() -> None:
    import torch.distributed as dist

    if dist.is_initialized():
        dist.destroy_process_group()


def _portable(error: Exception, rank: int) -> HasnError:
    """An error that another process can raise."""
    if isinstance(error, HasnError):
        return error
    first = _first(error)
    memory = "memory" in first.lower()
    return TrainingError(
        f"stage {rank} failed: {type(error).__name__}: {first}",
        way_out="More micro_batches, or more stages, take less memory." if memory else None,
    )


def _first(error: Exception) -> str:
    """The first sentence of what an error says."""
    return (str(error).strip().splitlines() or [""])[0].split(". ")[0]
