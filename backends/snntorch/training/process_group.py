"""Several workers over torch.distributed that never wait for one that has failed. Imports torch.

torch's DistributedDataParallel is not used. Its hooks reduce gradients while the backward pass still runs, so a worker
whose pass fails midway (memory that does not suffice, a bad sample, a loss that is not finite) leaves the others in a
reduction that never comes, and no pass can be run again in smaller parts. Here every worker finishes its own passes
first; then all tell each other that they have, and only then they add up.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from hasn.backends.snntorch.training.meeting import met
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import BackendUnavailable, HasnError, OptionError, TrainingError

M = TypeVar("M")
#: Bytes that one collective carries of each worker's message; what is longer takes a second one.
_INLINE = 2048
#: Bytes of gradients that one collective carries: DistributedDataParallel's bucket_cap_mb.
_BUCKET = 25 * 2**20


@dataclass(frozen=True)
class Failed:
    """What a worker says in place of the message that the others wait for."""

    rank: int
    error: HasnError


class Group(Workers):
    """The workers of torch's default process group.

    Args:
        device: see :func:`hasn.backends.snntorch.training.joining.open_workers`.
    """

    def __init__(self, device: Any) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        self._device = str(device)
        # nccl carries CUDA tensors alone; messages are bytes in memory
        self._messages = dist.new_group(backend="gloo") if dist.get_backend() == "nccl" else None
        self._open = True

    # --- messages

    def exchange(self, what: str, message: M) -> list[M]:
        """See :class:`Workers`."""
        said = self._gather((what, message))
        failed = [item for item in said if isinstance(item, Failed)]
        if failed:
            self._open = False
            raise _worst(failed).error
        places = [place for place, _ in said]
        if set(places) != {what}:
            self._open = False
            got = ", ".join(f"{place!r} in worker {rank}" for rank, place in enumerate(places))
            raise TrainingError("the workers are out of step", parameter="workers", got=got)
        return [item for _, item in said]

    def first(self, what: str, message: M) -> M:
        """What worker 0 says; only its message travels, which may be large."""
        data = pickle.dumps(message) if self.rank == 0 else b""
        buffer = torch.empty(self.exchange(what, len(data))[0], dtype=torch.uint8)
        if self.rank == 0:
            buffer.copy_(_bytes(data))
        with self._contact():
            dist.broadcast(buffer, 0, group=self._messages)
        found: M = pickle.loads(buffer.numpy().tobytes())
        return found

    def _gather(self, message: object) -> list[Any]:
        """Every worker's message, whatever they are."""
        data = pickle.dumps(message)
        data = len(data).to_bytes(8, "little") + data
        heads = self._all_bytes(data, _INLINE)
        sizes = [8 + int.from_bytes(head[:8], "little") for head in heads]
        if max(sizes) > _INLINE:
            tails = self._all_bytes(data[_INLINE:], max(sizes) - _INLINE)
            heads = [head + tail for head, tail in zip(heads, tails, strict=True)]
        return [pickle.loads(head[8:size]) for head, size in zip(heads, sizes, strict=True)]

    def _all_bytes(self, data: bytes, size: int) -> list[bytes]:
        """The first ``size`` bytes of every worker's data."""
        own = torch.zeros(size, dtype=torch.uint8)
        data = data[:size]
        own[: len(data)] = _bytes(data)
        all_ = [torch.empty_like(own) for _ in range(self.count)]
        with self._contact():
            dist.all_gather(all_, own, group=self._messages)
        return [one.numpy().tobytes() for one in all_]

    @contextmanager
    def _contact(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            self._open = False
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise TrainingError(
                f"the workers have lost each other: {reason}",
                parameter=f"worker {self.rank}",
                way_out="Look at what ended the others; torchrun --max-restarts with resume=True goes on by itself.",
            ) from error

    # --- sums

    def sum(self, tensors: Sequence[Tensor]) -> None:
        """See :class:`Workers`. Call it right after an exchange, so that no worker is missing."""
        waiting = []
        with self._contact():
            for bucket in _buckets(tensors):
                flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
                group = self._messages if flat.device.type == "cpu" else None
                waiting.append((bucket, flat, dist.all_reduce(flat, group=group, async_op=True)))
            for bucket, flat, work in waiting:
                work.wait()
                parts = torch.split(flat, [tensor.numel() for tensor in bucket])
                for tensor, part in zip(bucket, parts, strict=True):
                    tensor.copy_(part.view_as(tensor))

    # --- devices

    def placed(self, device: Any) -> Any:
        """ "cuda" is the GPU of this worker's LOCAL_RANK; a device with a number is taken as it is.

        Raises:
            OptionError: there are fewer GPUs than workers here.
        """
        if str(device) != "cuda":
            return device
        place, there = int(os.environ.get("LOCAL_RANK", self.rank)), torch.cuda.device_count()
        if place >= there:
            raise OptionError(
                "every worker needs a GPU of its own",
                parameter="device",
                got=f"{there} GPUs",
                wanted=f"at least {place + 1}",
                way_out="Start torchrun with --nproc-per-node gpu.",
            )
        return f"cuda:{place}"

    def on_device(self) -> AbstractContextManager[Any]:
        """See :class:`Workers`."""
        device = str(self.placed(self._device))
        there = [f"cuda:{place}" for place in range(torch.cuda.device_count())]
        return torch.cuda.device(device) if device in there else nullcontext()  # what is not there the backend refuses

    # --- failing and ending together

    @contextmanager
    def together(self) -> Iterator[None]:
        """What one worker raises inside is raised in all, each of which is at its next exchange, or gets there."""
        try:
            yield
            self.exchange("the end", None)
        except Exception as error:
            if not self._open:  # the others have raised it too, or cannot be reached
                raise
            self._open = False
            worst = self._tell(error)
            if worst is None:
                raise
            raise worst from error

    def _tell(self, error: Exception) -> HasnError | None:
        """Say that this worker has failed; the error of another that knows better, if there is one."""
        try:
            said = self._gather(Failed(self.rank, self._portable(error)))
        except TrainingError:  # the others are gone; what happened here still matters
            return None
        worst = _worst([item for item in said if isinstance(item, Failed)])
        return None if worst.rank == self.rank or worst.error.node is None else worst.error

    def _portable(self, error: Exception) -> HasnError:
        """An error as the other workers raise it."""
        if isinstance(error, HasnError):
            parts = {"got": None if error.got is None else str(error.got), "way_out": error.way_out}
            where = {"node": error.node, "parameter": error.parameter, "wanted": error.wanted}
            return type(error)(f"worker {self.rank} of {self.count} failed: {error.message}", **parts, **where)
        return TrainingError(f"worker {self.rank} of {self.count} failed: {type(error).__name__}: {error}")

    def close(self) -> None:
        """Leave the group that carried the messages, if it was one of its own."""
        if self._messages is not None:
            dist.destroy_process_group(self._messages)


@contextmanager
def joined(device: Any) -> Iterator[Group]:
    """The group of the workers; one that is made here is destroyed in the end."""
    if not dist.is_available():
        raise BackendUnavailable("this torch has no torch.distributed", parameter="workers")
    given, hook = dist.is_initialized(), sys.excepthook
    if not given:
        _join(device)
    group = Group(device)
    try:
        with group.together(), group.on_device():
            yield group
    finally:
        if given:
            group.close()
        else:
            dist.destroy_process_group()
            sys.excepthook = hook  # torch puts the rank before every line, once more for every group it makes


def _join(device: Any) -> None:
    nccl = str(device).startswith("cuda") and torch.cuda.is_available() and dist.is_nccl_available()
    make_group("cpu:gloo,cuda:nccl" if nccl else "gloo")


def make_group(backend: str, **timeout: Any) -> None:
    """Put torchrun's processes into torch's default group, under a name that no start and no group before has used."""
    torchs: Any = dist  # it does not export PrefixStore for type checkers
    store, rank, workers = next(iter(rendezvous("env://", **timeout)))
    store = torchs.PrefixStore(met(store, rank, workers), store)
    dist.init_process_group(backend, store=store, rank=rank, world_size=workers, **timeout)


def _worst(failed: Sequence[Failed]) -> Failed:
    """Of several errors, the first that names a node: only the worker with the sample at fault can find it."""
    return min(failed, key=lambda item: (item.error.node is None, item.rank))


def _buckets(tensors: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """Tensors of one kind side by side, as many as one collective carries; the same in all workers."""
    kinds: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        bucket = kinds.setdefault((tensor.device, tensor.dtype), [])
        bucket.append(tensor)
        if sum(t.nbytes for t in bucket) >= _BUCKET:
            yield kinds.pop((tensor.device, tensor.dtype))
    yield from kinds.values()


def _bytes(data: bytes) -> Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.empty(0, dtype=torch.uint8)
