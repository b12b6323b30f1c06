"""What the processes of a pipeline tell each other, in threads that stand for them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import torch

from hasn.backends.snntorch import devices
from hasn.backends.snntorch.training import pipeline_group, process_group
from hasn.errors import InputError, OptionError, TrainingError
from tests.unit.backends.snntorch.training.threads import run as run

# --- the processes of a pipeline


def stage(rank: int) -> Any:
    workers = pipeline_group.Workers.__new__(pipeline_group.Workers)
    workers.rank, workers._messages = rank, None
    return workers


def test_every_stage_hears_the_others(run: Any) -> None:
    assert run(3, lambda workers: workers.everyone(workers.rank * 10), stage) == [[0, 10, 20]] * 3


def test_the_error_of_a_stage_is_raised_in_all(run: Any) -> None:
    """The first one's, where there are several; each that failed has its own as the cause."""
    errors: dict[int, Exception] = {1: MemoryError("out of memory. More"), 2: InputError("bad", node="in")}

    def work(workers: Any) -> Any:
        return workers.everyone("well", errors.get(workers.rank))

    first, second, third = run(3, work, stage)
    for error in (first, second):
        assert type(error) is TrainingError
        assert error.message == "stage 1 failed: MemoryError: out of memory"
        assert error.way_out == "More micro_batches, or more stages, take less memory."
    assert second.__cause__ is errors[1]
    assert third is errors[2]
    assert third.__cause__ is None


@pytest.mark.parametrize("size", [0, 3])
def test_the_first_stage_tells(size: int, run: Any) -> None:
    def work(workers: Any) -> Any:
        return workers.from_first(lambda: [workers.rank] * size if workers.rank == 0 else pytest.fail("asked"))

    assert run(3, work, stage) == [[0] * size] * 3


def test_the_first_stages_error_is_everybodys(run: Any) -> None:
    for error, kind in ((InputError("bad"), InputError), (ValueError("bad"), TrainingError)):

        def make(error: Exception = error) -> Any:
            raise error

        first, second = run(2, lambda workers, make=make: workers.from_first(make), stage)
        assert type(first) is type(second) is kind
        assert str(first) == str(second)
        assert (first.__cause__ is error) == (kind is TrainingError)


def test_a_stage_that_is_gone(run: Any) -> None:
    def work(workers: Any) -> Any:
        return "gone" if workers.rank else workers.everyone(1)

    work.dies = (1,)  # type: ignore[attr-defined]
    error, _ = run(2, work, stage)
    assert isinstance(error, TrainingError)
    assert error.message == "stage 0 cannot go on: Connection closed by peer"


def test_leaving_where_there_is_no_group_any_more(torchrun: None) -> None:
    """As at the end of a process, where torch's groups may have gone before."""
    made = pipeline_group.Workers("cpu", 10.0)
    assert made.rank == 0
    pipeline_group._end()
    assert not torch.distributed.is_initialized()
    made.leave()
    pipeline_group._end()


def test_what_a_stages_error_says() -> None:
    """HasnErrors as they are; of others the first sentence, and a way out where memory did not suffice."""
    own = InputError("bad")
    assert pipeline_group._portable(own, 1) is own
    plain = pipeline_group._portable(ValueError("\n one. two\nthree"), 2)
    assert (plain.message, plain.way_out) == ("stage 2 failed: ValueError: one", None)
    assert pipeline_group._portable(RuntimeError("CUDA out of Memory"), 0).way_out is not None
    assert pipeline_group._portable(RuntimeError(), 0).message == "stage 0 failed: RuntimeError: "


def test_own_errors_pass_a_block_together() -> None:
    workers = stage(1)
    for error, kind in (
        (InputError("bad"), InputError),
        (RuntimeError("a\nb"), TrainingError),
        (KeyError(1), KeyError),
    ):
        with pytest.raises(kind) as caught, workers.together():
            raise error
        assert (caught.value is error) == (kind is not TrainingError)


def test_how_many_processes_there_are(monkeypatch: pytest.MonkeyPatch, torchrun: None) -> None:
    monkeypatch.setenv("WORLD_SIZE", "5")
    assert pipeline_group.processes() == 5
    monkeypatch.setenv("WORLD_SIZE", "1")
    torch.distributed.init_process_group("gloo")
    monkeypatch.setenv("WORLD_SIZE", "7")
    assert pipeline_group.processes() == 1  # the group's, which is there
    torch.distributed.destroy_process_group()
    monkeypatch.delenv("MASTER_PORT")
    with pytest.raises(OptionError) as caught:
        pipeline_group.processes()
    assert caught.value.parameter == "stages"


def test_the_device_of_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pipeline_group.local_device() == ("cuda:0" if torch.cuda.is_available() else "cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert pipeline_group.local_device() == "cuda:0"
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pipeline_group.local_device() == "cuda:3"


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize(
    ("place", "kind", "present"),
    [
        (torch.device("cuda", 2), "nccl", [torch.device("cuda", 2)]),
        (torch.device("cuda"), "nccl", []),  # whichever is the present one
        (torch.device("cpu"), "gloo", []),
        (torch.device("cpu", 0), "gloo", []),
    ],
)
def test_what_values_go_through_and_which_gpu_is_the_present_one(
    place: Any, kind: str, present: list[Any], there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With stand-ins for torch's GPUs and groups; ``there``: torch.distributed was set up before."""
    said: list[Any] = []

    def new_group(backend: str, timeout: timedelta) -> str:
        said.append((backend, timeout.total_seconds()))
        return f"group of {backend} {len(said)}"

    dist, begun, chosen, ends = torch.distributed, list[Any](), list[Any](), list[Any]()
    monkeypatch.setattr(devices, "usable_device", lambda device: place if device == "asked" else pytest.fail("other"))
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setattr(dist, "is_initialized", lambda: there)
    monkeypatch.setattr(
        process_group, "make_group", lambda kind, timeout: begun.append((kind, timeout.total_seconds()))
    )
    monkeypatch.setattr(dist, "new_group", new_group)
    monkeypatch.setattr(dist, "get_rank", lambda: 3)
    monkeypatch.setattr(pipeline_group.atexit, "register", ends.append)
    workers = pipeline_group.Workers("asked", 7.5)
    assert chosen == present
    assert begun == ([] if there else [(kind, 7.5)])
    assert ends == ([] if there else [pipeline_group._end])
    assert workers.rank == 3
    assert said == [(kind, 7.5), ("gloo", 7.5)]  # messages are Python objects, which nccl does not take
    assert (workers.values, workers._messages) == (f"group of {kind} 1", "group of gloo 2")
