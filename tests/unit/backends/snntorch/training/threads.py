"""Threads of this process that stand for workers: what of torch.distributed they use."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hasn.backends.snntorch.training import process_group
from hasn.backends.snntorch.training.process_group import Group


class Threads:
    """What is used of torch.distributed, between threads. Collectives meet at barriers, in order, as gloo's do."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.own = threading.local()
        self.barrier = threading.Barrier(count, timeout=20)
        self.table: list[Any] = [None] * count
        self.calls: list[tuple[str, int]] = []

    def _all(self, value: Any) -> list[Any]:
        try:
            self.table[self.own.rank] = value
            self.barrier.wait()
            found = list(self.table)
            self.barrier.wait()
        except threading.BrokenBarrierError:
            raise RuntimeError("Connection closed by peer\nand more") from None
        return found

    def get_rank(self) -> int:
        return int(self.own.rank)

    def get_world_size(self) -> int:
        return self.count

    def get_backend(self) -> str:
        return "gloo"

    def all_gather(self, into: list[Any], tensor: Any, group: Any = None) -> None:
        self.calls.append(("gather", tensor.numel()))
        for place, other in zip(into, self._all(tensor), strict=True):
            place.copy_(other)

    def broadcast(self, tensor: Any, source: int, group: Any = None) -> None:
        found = self._all(tensor)[source].clone()
        self._all(None)
        tensor.copy_(found)

    def all_reduce(self, tensor: Any, group: Any = None, async_op: bool = False) -> Any:
        """Adds up when it is waited for."""
        self.calls.append(("reduce", tensor.numel()))
        assert async_op

        def wait() -> None:
            total = torch.stack(self._all(tensor)).sum(0)
            self._all(None)
            tensor.copy_(total)

        return SimpleNamespace(wait=wait)

    def all_gather_object(self, into: list[Any], value: Any, group: Any = None) -> None:
        into[:] = [pickle.loads(data) for data in self._all(pickle.dumps(value))]

    def broadcast_object_list(self, box: list[Any], src: int, group: Any = None) -> None:
        found = pickle.loads(self._all(pickle.dumps(box))[src])
        if self.own.rank != src:  # the source keeps what it has, as in torch
            box[:] = found


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Let ``count`` workers do the same; what each gives or raises, by rank."""

    def run(count: int, work: Callable[[Any], Any], make: Callable[[int], Any] = lambda rank: Group("cpu")) -> Any:
        fake = Threads(count)
        monkeypatch.setattr(process_group, "dist", fake)
        monkeypatch.setattr(torch.distributed, "get_world_size", fake.get_world_size)
        monkeypatch.setattr(torch.distributed, "all_gather_object", fake.all_gather_object)
        monkeypatch.setattr(torch.distributed, "broadcast_object_list", fake.broadcast_object_list)

        def worker(rank: int) -> Any:
            fake.own.rank = rank
            try:
                return work(make(rank))
            except Exception as error:
                return error
            finally:
                if rank in getattr(work, "dies", ()):
                    fake.barrier.abort()

        with ThreadPoolExecutor(count) as threads:
            found = list(threads.map(worker, range(count)))
        run.calls = fake.calls  # type: ignore[attr-defined]
        return found

    return run
