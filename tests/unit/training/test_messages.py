"""Messages and sums between workers, in threads of this process that stand for them: no process is started."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hasn.errors import InputError, OptionError, TrainingError
from hasn.training import pipeline_group, process_group
from hasn.training.process_group import _BUCKET, _INLINE, Failed, Group, _buckets, _worst, joined


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


# --- messages


@pytest.mark.parametrize("size", [0, 1, 1000, _INLINE - 40, _INLINE - 20, _INLINE, 3 * _INLINE, 100_000])
def test_every_worker_hears_every_message(size: int, run: Any) -> None:
    """Messages of three lengths, shorter and longer than one collective carries; long ones take a second one."""

    def work(group: Group) -> Any:
        return group.exchange("a place", {"rank": group.rank, "text": "x" * (size * group.rank)})

    for found in run(3, work):
        assert [item["rank"] for item in found] == [0, 1, 2]
        assert [item["text"] for item in found] == ["", "x" * size, "x" * (2 * size)]
    longest = 8 + len(pickle.dumps(("a place", {"rank": 2, "text": "x" * (2 * size)})))
    sizes = {n for _, n in run.calls}
    assert sizes == ({_INLINE} if longest <= _INLINE else {_INLINE, longest - _INLINE})


@pytest.mark.parametrize("over", [-1, 0, 1])
def test_a_message_that_just_fits(over: int, run: Any) -> None:
    """One byte more takes a second collective, of that byte."""
    empty = 8 + len(pickle.dumps(("p", "x" * 1000)))

    def work(group: Group) -> Any:
        return group.exchange("p", "x" * (1000 + _INLINE - empty + over))

    for found in run(2, work):
        assert [len(text) for text in found] == [1000 + _INLINE - empty + over] * 2
    assert {n for _, n in run.calls} == ({_INLINE, 1} if over > 0 else {_INLINE})


@pytest.mark.parametrize("message", [None, "short", b"\x00" * 10_000, {"a": torch.arange(3)}])
def test_what_worker_0_says(message: Any, run: Any) -> None:
    def work(group: Group) -> Any:
        return group.first("start", message if group.rank == 0 else "another")

    for found in run(3, work):
        assert str(found) == str(message)


def test_workers_that_are_out_of_step(run: Any) -> None:
    def work(group: Group) -> Any:
        return group.exchange("an update" if group.rank < 2 else "the end", 1)

    for error in run(3, work):
        assert isinstance(error, TrainingError)
        assert (error.parameter, error.message) == ("workers", "the workers are out of step")
        assert error.got == "'an update' in worker 0, 'an update' in worker 1, 'the end' in worker 2"


def test_a_worker_that_is_gone(run: Any) -> None:
    """What torch says first is told, with the worker that heard it."""

    def work(group: Group) -> Any:
        if group.rank == 1:
            return "gone"
        with group.together():
            return group.exchange("an update", 1)

    work.dies = (1,)  # type: ignore[attr-defined]
    error, gone = run(2, work)
    assert gone == "gone"
    assert len(run.calls) == 1  # nothing more is said to whom nobody hears
    assert isinstance(error, TrainingError)
    assert error.message == "the workers have lost each other: Connection closed by peer"
    assert error.parameter == "worker 0"
    assert isinstance(error.__cause__, RuntimeError)


def test_a_worker_that_is_gone_without_a_word() -> None:
    group = Group.__new__(Group)
    group.rank, group._open = 3, True
    with (
        pytest.raises(TrainingError, match="the workers have lost each other: RuntimeError") as caught,
        group._contact(),
    ):
        raise RuntimeError
    assert caught.value.parameter == "worker 3"
    assert not group._open


# --- sums


def test_tensors_are_added_up_where_they_stand(run: Any) -> None:
    """Of two kinds, of several shapes, not all contiguous."""

    def work(group: Group) -> Any:
        base = torch.arange(6.0).reshape(2, 3)
        tensors = [base.clone() + group.rank, (base.clone() * 10).T, torch.ones(2, dtype=torch.float64) * group.rank,
                   torch.tensor(5.0)]  # fmt: skip
        group.sum(tensors)
        return [tensor.tolist() for tensor in tensors]

    for found in run(3, work):
        assert found[0] == [[3, 6, 9], [12, 15, 18]]
        assert found[1] == [[0, 90], [30, 120], [60, 150]]
        assert found[2:] == [[3, 3], 15]
    assert sorted(run.calls) == sorted([("reduce", 13), ("reduce", 2)] * 3)


def test_buckets_hold_what_one_collective_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 24 bytes here: a bucket is full when it has them, and each kind has its own."""
    assert _BUCKET == 25 * 2**20
    monkeypatch.setattr(process_group, "_BUCKET", 24)
    sizes = [4, 2, 1, 3, 2]
    tensors = [torch.full((n,), float(i)) for i, n in enumerate(sizes)]  # 4 bytes an element
    tensors.insert(1, torch.zeros(2, dtype=torch.float64))
    found = [[t.numel() for t in bucket] for bucket in _buckets(tensors)]
    assert found == [[4, 2], [1, 3, 2], [2]]
    assert [[t.numel() for t in bucket] for bucket in _buckets(tensors[:1] * 3)] == [[4, 4], [4]]
    assert list(_buckets([])) == []


# --- failing together


def failing(**errors: Exception) -> Callable[[Group], Any]:
    """Workers that fail as said (``r0=...``) in a block together, while the others are at an exchange."""

    def work(group: Group) -> Any:
        with group.together():
            if (error := errors.get(f"r{group.rank}")) is not None:
                raise error
            return group.exchange("an update", 1)

    return work


def test_what_one_worker_raises_is_raised_in_all(run: Any) -> None:
    error = InputError("bad", node="in", parameter="data", got=[1], wanted="good", way_out="Mend it.")
    first, second, third = run(3, failing(r1=error))
    assert second is error
    for other in (first, third):
        assert type(other) is InputError
        assert other.message == "worker 1 of 3 failed: bad"
        parts = (other.node, other.parameter, other.got, other.wanted, other.way_out)
        assert parts == ("in", "data", "[1]", "good", "Mend it.")


def test_an_error_of_another_kind_travels_as_text(run: Any) -> None:
    first, second = run(2, failing(r0=ValueError("the disk is gone")))
    assert isinstance(first, ValueError)
    assert type(second) is TrainingError
    assert second.message == "worker 0 of 2 failed: ValueError: the disk is gone"


def test_got_nothing_stays_nothing(run: Any) -> None:
    assert run(2, failing(r0=OptionError("bad")))[1].got is None


def test_the_error_that_names_a_node_is_everybodys(run: Any) -> None:
    """Only the worker with the sample at fault can find it; its own error stays as it was."""
    blind, seeing = TrainingError("not finite"), TrainingError("not finite", node="w1")
    first, second, third = run(3, failing(r0=blind, r2=seeing))
    assert third is seeing
    for other in (first, second):
        assert (other.node, other.message) == ("w1", "worker 2 of 3 failed: not finite")
    assert first.__cause__ is blind


def test_without_a_node_each_keeps_its_own(run: Any) -> None:
    errors = {"r0": TrainingError("one"), "r1": ValueError("two")}
    assert run(2, failing(**errors)) == [errors["r0"], errors["r1"]]
    named = {"r0": TrainingError("one", node="a"), "r1": TrainingError("two", node="b")}
    first, second = run(2, failing(**named))
    assert first is named["r0"]
    assert (second.node, second.__cause__) == ("a", named["r1"])


def test_a_worker_that_comes_to_the_end_hears_of_the_others(run: Any) -> None:
    def work(group: Group) -> Any:
        with group.together():
            if group.rank == 1:
                raise InputError("bad")
        return "done"

    first, second = run(2, work)
    assert (type(first), first.message) == (InputError, "worker 1 of 2 failed: bad")
    assert second.message == "bad"


def test_all_is_well(run: Any) -> None:
    def work(group: Group) -> Any:
        with group.together():
            group.exchange("a", 1)
        return "done"

    assert run(2, work) == ["done", "done"]


def test_what_happened_here_matters_though_the_others_are_gone(run: Any) -> None:
    def work(group: Group) -> Any:
        if group.rank == 1:
            return "gone"
        with group.together():
            raise InputError("bad")

    work.dies = (1,)  # type: ignore[attr-defined]
    error, _ = run(2, work)
    assert (type(error), error.message) == (InputError, "bad")


def test_the_worst_of_several() -> None:
    told = [
        Failed(2, TrainingError("c", node="n")),
        Failed(1, TrainingError("b", node="n")),
        Failed(0, InputError("a")),
    ]
    assert _worst(told).rank == 1
    assert _worst(told[2:]).rank == 0
    assert _worst([Failed(1, InputError("b")), Failed(0, InputError("a"))]).rank == 0


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
