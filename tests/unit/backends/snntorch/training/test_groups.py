"""Groups of workers: made, used and left, by this process alone; and each worker's device."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hasn.backends.snntorch.training import process_group
from hasn.backends.snntorch.training.process_group import Group, joined
from hasn.errors import BackendUnavailable

# --- a group of this process alone, over gloo


def test_a_group_that_is_made_is_destroyed(torchrun: None) -> None:
    hook = sys.excepthook

    def work() -> None:
        with joined("cpu") as group:
            assert torch.distributed.is_initialized()
            assert (group.rank, group.count) == (0, 1)
            assert group.exchange("a", 5) == [5]
            tensor = torch.ones(3)
            group.sum([tensor])
            assert tensor.tolist() == [1, 1, 1]
            assert group.first("b", {"c": 1}) == {"c": 1}
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    assert not torch.distributed.is_initialized()
    assert sys.excepthook is hook


def test_a_group_of_the_callers_stays(torchrun: None) -> None:
    torch.distributed.init_process_group("gloo")
    with joined("cpu") as group:
        assert group.exchange("a", 5) == [5]
    assert torch.distributed.is_initialized()


def test_a_torch_that_cannot_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_available", lambda: False)
    with pytest.raises(BackendUnavailable, match=r"no torch.distributed") as caught, joined("cpu"):
        pass
    assert caught.value.parameter == "workers"


@pytest.mark.parametrize(
    ("device", "gpus", "has_nccl", "backend"),
    [
        ("cpu", True, True, "gloo"), ("cuda:1", True, True, "cpu:gloo,cuda:nccl"), ("cuda", False, True, "gloo"),
        ("cuda", True, False, "gloo"),
    ],
)  # fmt: skip
def test_what_gradients_go_over(
    device: str, gpus: bool, has_nccl: bool, backend: str, torchrun: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: has_nccl)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda kind, **how: asked.append((kind, how)))
    process_group._join(device)
    ((kind, how),) = asked
    assert kind == backend
    assert (how["rank"], how["world_size"]) == (0, 1)
    assert how["store"] is not None


def test_messages_go_over_gloo_though_gradients_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group of its own, which is left in the end; where there is gloo, none is made."""
    left: list[Any] = []
    for backend, own in (("nccl", "a gloo group"), ("gloo", None), ("cpu:gloo,cuda:nccl", None)):
        fake: Any = SimpleNamespace(
            get_rank=lambda: 1, get_world_size=lambda: 3, get_backend=lambda b=backend: b,
            new_group=lambda backend: f"a {backend} group", destroy_process_group=left.append,
        )  # fmt: skip
        monkeypatch.setattr(process_group, "dist", fake)
        group = Group("cuda")
        assert (group.rank, group.count, group._messages) == (1, 3, own)
        group.close()
    assert left == ["a gloo group"]


@pytest.mark.parametrize(
    ("device", "current"), [("cpu", None), ("cuda", "cuda:1"), ("cuda:0", "cuda:0"), ("cuda:7", None)]
)
def test_the_device_of_a_worker_is_the_current_one(
    device: str, current: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not there the backend refuses."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "device", lambda name: f"current: {name}")
    group = Group.__new__(Group)
    group.rank, group._device = 5, device
    found = group.on_device()
    assert found == f"current: {current}" if current else isinstance(found, nullcontext)
    monkeypatch.delenv("LOCAL_RANK")
    group.rank = 1
    assert group.placed("cuda") == "cuda:1"
    assert group.placed(torch.device("cuda:0")) == torch.device("cuda:0")
