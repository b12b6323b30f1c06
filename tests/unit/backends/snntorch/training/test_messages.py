"""Messages and sums between workers, in threads of this process that stand for them: no process is started."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

from hasn.backends.snntorch.training import process_group
from hasn.backends.snntorch.training.process_group import _BUCKET, _INLINE, Failed, Group, _buckets, _worst
from hasn.errors import InputError, OptionError, TrainingError
from tests.unit.backends.snntorch.training.threads import run as run

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
