"""How several workers share data, agree and are told apart, without starting any."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hasn.backends.snntorch.training.batches import Batch, Data
from hasn.backends.snntorch.training.gradients import Gradients
from hasn.backends.snntorch.training.joining import _joined, open_workers
from hasn.backends.snntorch.training.update import Said, _check_data, added
from hasn.backends.snntorch.training.waiting import Waiting
from hasn.backends.snntorch.training.workers import Workers
from hasn.errors import InputError, OptionError
from hasn.torchrun import rank


class Fake(Workers):
    """One of several workers; the others say and add what they are given."""

    def __init__(self, rank: int = 0, count: int = 1, others: Sequence[Any] = ()) -> None:
        self.rank, self.count, self.others = rank, count, list(others)
        self.asked: list[str] = []

    def exchange(self, what: str, message: Any) -> list[Any]:
        self.asked.append(what)
        return [message, *self.others]

    def sum(self, tensors: Sequence[torch.Tensor]) -> None:
        for tensor, other in zip(tensors, self.others, strict=True):
            tensor += other


# --- shares


@pytest.mark.parametrize(
    ("samples", "count", "shares"),
    [(7, 3, [(0, 3), (3, 5), (5, 7)]), (8, 3, [(0, 3), (3, 6), (6, 8)]), (1, 2, [(0, 1), (1, 1)]), (4, 2, [(0, 2),
     (2, 4)]), (5, 1, [(0, 5)])],
)  # fmt: skip
def test_shares(samples: int, count: int, shares: list[tuple[int, int]]) -> None:
    assert [Fake(rank, count).share(samples) for rank in range(count)] == [slice(*share) for share in shares]


def data(given: Any, workers: Workers, **options: Any) -> Data:
    defaults: dict[str, Any] = {"check": lambda labels: None, "what": "data", "batch_size": 4, "budget": None}
    return Data(given, {"in": (2,)}, **{**defaults, **options}, shuffle=options.get("shuffle", False), workers=workers)


def numbered(count: int, steps: int = 3) -> tuple[Any, Any]:
    """Inputs (steps, count, 2) that say which sample they are, and labels that do."""
    return np.broadcast_to(np.arange(count, dtype=np.float32)[None, :, None], (steps, count, 2)).copy(), np.arange(
        count
    )


@pytest.mark.parametrize("form", ["arrays", "list", "batches"])
def test_workers_share_each_batch(form: str) -> None:
    """5 samples in batches of 4 and 1: of the last, the second worker has none, but its length and shape."""
    inputs, labels = numbered(5)
    given: Any = {"arrays": (inputs, labels), "list": ([inputs[:, i] for i in range(5)], labels),
                  "batches": [(inputs[:, :4], labels[:4]), (inputs[:, 4:], labels[4:])]}[form]  # fmt: skip
    first, second = (list(data(given, Fake(rank, 2)).epoch(0)[0]) for rank in (0, 1))
    assert [b.labels.tolist() for b in first] == [[0, 1], [4]]
    assert [b.labels.tolist() for b in second] == [[2, 3], []]
    for batches in (first, second):
        assert [b.whole for b in batches] == [4, 1]
        assert [b.steps for b in batches] == [3, 3]
        for b in batches:
            assert b.size == len(b.labels)
            assert b.inputs["in"].shape == (3, b.size, 2)
            assert (b.inputs["in"][:, :, 0] == b.labels).all()
    assert [b.mark for b in first] == [b.mark for b in second]
    assert 0 not in {first[0].mark, first[1].mark}
    other = list(data((inputs, labels[::-1].copy()), Fake(0, 2)).epoch(0)[0])
    assert other[0].mark != first[0].mark
    alone = list(data(given, Workers()).epoch(0)[0])
    assert [b.mark for b in alone] == [0, 0]
    assert [b.labels.tolist() for b in alone] == [[0, 1, 2, 3], [4]]


@pytest.mark.parametrize(
    ("size", "samples", "parts"),
    [(5, 2, [2, 2, 1]), (5, 4, [4, 1]), (5, 5, [5]), (5, 9, [5]), (5, 1, [1] * 5), (1, 1, [1]), (0, 3, [])],
)
def test_a_batch_is_cut_in_parts(size: int, samples: int, parts: list[int]) -> None:
    inputs, labels = numbered(size)
    batch = Batch({"in": torch.as_tensor(inputs), "also": torch.as_tensor(inputs) + 1}, torch.as_tensor(labels), 20, 7)
    found = batch.cut(samples)
    assert [part.size for part in found] == parts
    assert [int(n) for part in found for n in part.labels] == list(range(size))
    for part in found:
        assert part.whole == 20
        assert part.steps == 3
        assert (part.inputs["in"][:, :, 0] == part.labels).all()
        assert (part.inputs["also"][:, :, 0] == part.labels + 1).all()


# --- agreeing


def test_workers_that_were_called_with_the_same() -> None:
    workers = Fake(1, 3, [{"a": "1", "b": "2"}] * 2)
    workers.check_same({"a": "1", "b": "2"})
    assert workers.asked == ["settings"]
    Workers().check_same({"a": "1"})


@pytest.mark.parametrize(
    ("others", "name", "got", "wanted"),
    [
        ([{"a": "1", "b": "2"}, {"a": "1", "b": "3"}], "b", "3 in worker 2", "2, as in worker 0"),
        ([{"a": "0", "b": "0"}, {"a": "1", "b": "2"}], "a", "0 in worker 1", "1, as in worker 0"),
        ([{"a": "1"}, {"a": "1", "b": "2"}], "b", "None in worker 1", "2, as in worker 0"),
        ([{"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "2"}], "c", "3 in worker 1", "None, as in worker 0"),
    ],
)
def test_workers_that_were_called_with_different_things(
    others: list[dict[str, str]], name: str, got: str, wanted: str
) -> None:
    with pytest.raises(OptionError) as caught:
        Fake(0, 3, others).check_same({"a": "1", "b": "2"})
    assert (caught.value.parameter, caught.value.got, caught.value.wanted) == (name, got, wanted)


def said(**changed: Any) -> Said:
    return Said(**{"samples": (4, 3), "marks": (1, 2), "figures": [], "limit": None, "ran": 4, "seen": [], **changed})


def test_workers_with_the_same_data() -> None:
    """Limits, figures and gradients may differ."""
    _check_data([said(), said(figures=[1.0], limit=3, ran=2, seen=[[True]])], 1)


@pytest.mark.parametrize(
    ("other", "got"),
    [
        ({"samples": (4, 2)}, "batches of (4, 2) samples in worker 2"),
        ({"samples": ()}, "batches of () samples in worker 2"),
        ({"marks": (1, 3)}, "other labels in worker 2"),
    ],
)
def test_workers_with_different_data(other: dict[str, Any], got: str) -> None:
    with pytest.raises(InputError) as caught:
        _check_data([said(), said(), said(**other)], 5)
    error = caught.value
    assert (error.parameter, error.got, error.wanted) == ("data", got, "those of worker 0, (4, 3)")
    assert error.message == "the workers have different data at step 5"


def test_figures_add_up_over_workers() -> None:
    assert added([[1.0, 2.0], [0.25, 0.5], [4.0, 8.0]]) == [5.25, 10.5]


# --- gradients


def leaves(*values: list[float] | None) -> dict[str, torch.Tensor]:
    """Parameters of two elements, with these gradients."""
    found = {f"p{i}": torch.zeros(2, requires_grad=True) for i in range(len(values))}
    for parameter, value in zip(found.values(), values, strict=True):
        parameter.grad = None if value is None else torch.tensor(value)
    return found


def grads(parameters: dict[str, torch.Tensor]) -> list[Any]:
    return [None if p.grad is None else p.grad.tolist() for p in parameters.values()]


def test_gradients_are_those_of_all_workers() -> None:
    """The first is known to both, the second to the other worker alone, the third to this one, the last to none."""
    parameters = leaves([1.0, 2.0], None, [3.0, 4.0], None)
    gradients = Gradients(parameters)
    gradients.batch_done()
    assert gradients.seen() == [[True, False, True, False]]
    others = [torch.tensor([10.0, 20.0]), torch.tensor([5.0, 6.0]), torch.zeros(2)]
    seen = [gradients.seen(), [[True, True, False, False]]]
    gradients.gather(Fake(others=others), seen, (4,), lambda: pytest.fail("refused"))
    assert grads(parameters) == [[11, 22], [5, 6], [3, 4], None]
    gradients.clear()
    assert grads(parameters) == [None] * 4
    assert gradients.state() == {}


def waiting(after: Any, parameters: dict[str, torch.Tensor] | None = None) -> Waiting:
    """Node "a" has p0 and p1, node "b" p2."""
    return Waiting(parameters or leaves(None, None, None), {"p0": "a", "p1": "a", "p2": "b"}, after)


def test_who_waits_for_how_many() -> None:
    assert waiting(3).after == {"a": 3, "b": 3}
    assert waiting({"b": 4}).after == {"a": 1, "b": 4}
    assert waiting({}).after == {"a": 1, "b": 1}
    with pytest.raises(OptionError) as caught:
        waiting({"b": 2, "c": 2})
    assert (caught.value.parameter, caught.value.got, caught.value.wanted) == ("apply_after", "'c'", "a, b")


def give(gradients: Waiting, *values: list[float] | None) -> None:
    """A batch went backwards."""
    for parameter, value in zip(gradients.parameters.values(), values, strict=True):
        parameter.grad = None if value is None else torch.tensor(value)
    gradients.batch_done()


def test_gradients_wait_until_a_node_has_enough() -> None:
    """a for 2 batches, b for 3. The first update: batches of 4 and 2 samples, of which b sees the second alone.

    The gradients are those of the mean over all 6 samples; what is applied is the mean over the samples that counted.
    """
    gradients = waiting({"a": 2, "b": 3})
    gradients.clear()
    give(gradients, [1.0, 0.0], None, [0.0, 0.0])
    give(gradients, [2.0, 0.0], [0.0, 3.0], [0.0, 1.0])
    assert grads(gradients.parameters) == [None] * 3
    assert gradients.seen() == [[True, False], [True, True]]
    gradients.gather(Fake(others=[0, 0, 0]), [gradients.seen()], (4, 2), lambda: pytest.fail("refused"))
    assert grads(gradients.parameters) == [[3, 0], [0, 3], None]
    assert (gradients.counts, gradients.samples) == ({"a": 0, "b": 1}, {"a": 0, "b": 2})
    kept = gradients.state()

    gradients.clear()
    give(gradients, [1.0, 1.0], None, [0.0, 2.0])
    assert gradients.seen() == [[True, True]]
    gradients.gather(Fake(others=[0, 0, 0]), [gradients.seen()], (5,), lambda: pytest.fail("refused"))
    assert grads(gradients.parameters) == [None] * 3
    assert (gradients.counts, gradients.samples) == ({"a": 1, "b": 2}, {"a": 5, "b": 7})
    # the state of before is not touched by that: another goes on from it to the same
    again = waiting({"a": 2, "b": 3})
    again.load(kept)
    for one in (again, gradients):
        for _ in range(3 - one.counts["b"]):
            one.clear()
            give(one, None, None, [0.0, 2.0])
            one.gather(Fake(others=[0]), [one.seen()], (5,), lambda: pytest.fail("refused"))
    # b: 1 of the mean over 6, then 2 of the mean over 5, twice, over 2 + 5 + 5 samples
    for one in (again, gradients):
        assert one.parameters["p2"].grad is not None
        assert one.parameters["p2"].grad.tolist() == pytest.approx([0, (6 * 1 + 5 * 2 + 5 * 2) / 12])
        assert one.counts["b"] == one.samples["b"] == 0


def test_a_batch_counts_once_though_several_workers_see_it() -> None:
    """And for a node that only another worker has seen, this one adds zeros."""
    gradients = waiting(2)
    gradients.clear()
    give(gradients, [1.0, 0.0], None, None)
    others = [torch.tensor([2.0, 0.0]), torch.zeros(2), torch.tensor([4.0, 4.0])]
    gradients.gather(Fake(others=others), [gradients.seen(), [[True, True]]], (3,), lambda: pytest.fail("refused"))
    assert gradients.counts == {"a": 1, "b": 1}
    assert gradients.samples == {"a": 3, "b": 3}
    assert gradients.state()["sums"]["p0"].tolist() == [9, 0]
    assert gradients.state()["sums"]["p2"].tolist() == [12, 12]


def test_nodes_that_nobody_has_seen_are_not_added_up() -> None:
    gradients = waiting(1)
    gradients.clear()
    give(gradients, None, None, [1.0, 1.0])
    gradients.gather(Fake(others=[0]), [gradients.seen(), [[False, False]]], (3,), lambda: pytest.fail("refused"))
    assert grads(gradients.parameters) == [None, None, [1, 1]]


def test_what_is_not_finite_counts_and_is_refused_at_once() -> None:
    gradients = waiting(5)
    gradients.clear()
    give(gradients, [float("nan"), 0.0], None, None)
    assert gradients.seen() == [[True, False]]
    refused: list[int] = []
    gradients.gather(Fake(others=[0, 0]), [gradients.seen()], (3,), lambda: refused.append(1))
    assert refused == [1]


def test_an_update_that_begins_again_forgets_what_it_had() -> None:
    gradients = waiting(1)
    gradients.clear()
    give(gradients, [9.0, 9.0], None, None)
    gradients.clear()
    assert gradients.seen() == []
    give(gradients, [1.0, 1.0], None, None)
    gradients.gather(Fake(others=[0, 0]), [gradients.seen()], (2,), lambda: pytest.fail("refused"))
    assert grads(gradients.parameters)[0] == [1, 1]


# --- who they are


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, 0),
        ({"RANK": "1", "WORLD_SIZE": "2"}, 0),  # a scheduler's
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}, 1),
        ({"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}, 0),
    ],
)
def test_the_rank_that_torchrun_gives(
    environment: dict[str, str], wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rank() == wanted


def test_a_process_on_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where torchrun has started one alone: no group is made."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    with open_workers("cpu") as workers:
        assert (type(workers), workers.rank, workers.count) == (Workers, 0, 1)
        assert workers.exchange("a", 3) == [3]
        assert workers.first("a", 4) == 4
        assert workers.placed("cuda") == "cuda"
        assert isinstance(workers.on_device(), nullcontext)
        tensor = torch.ones(2)
        workers.sum([tensor])
        assert tensor.tolist() == [1, 1]


def lost() -> bool:
    raise AttributeError("torch.distributed was built without it")


@pytest.mark.parametrize(
    ("module", "wanted"),
    [
        (None, False),
        (SimpleNamespace(), False),
        (SimpleNamespace(distributed=SimpleNamespace(is_available=lambda: False, is_initialized=lost)), False),
        (SimpleNamespace(distributed=SimpleNamespace(is_available=lambda: True, is_initialized=lambda: False)), False),
        (SimpleNamespace(distributed=SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True)), True),
    ],
)
def test_whether_somebody_has_made_a_group(module: Any, wanted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without torch nobody has, nor where torch came without torch.distributed."""
    if module is None:
        monkeypatch.delitem(sys.modules, "torch")
    else:
        monkeypatch.setitem(sys.modules, "torch", module)
    assert _joined() is wanted
