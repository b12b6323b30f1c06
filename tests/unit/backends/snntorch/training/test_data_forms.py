"""Batches of every form of data, by themselves: lengths, order, and what each refusal says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from hasn.backends.snntorch.training.batches import Batch, Data
from hasn.errors import InputError

SHAPES = {"in": (2,)}
TWO = {"in": (2,), "also": (1, 3)}


def data(given: Any, shapes: Any = SHAPES, **options: Any) -> Data:
    defaults = {"check": lambda labels: None, "what": "data", "batch_size": 4, "budget": None, "shuffle": False}
    return Data(given, shapes, **{**defaults, **options})


def epoch(given: Any, shapes: Any = SHAPES, number: int = 0, **options: Any) -> list[Batch]:
    return list(data(given, shapes, **options).epoch(number)[0])


def block(steps: int, count: int, *shape: int) -> Any:
    """(T, count, *shape) in which sample i holds i."""
    return np.zeros((steps, count, *shape), np.float32) + np.arange(count).reshape(1, count, *(1 for _ in shape))


def both(steps: int, count: int) -> dict[str, Any]:
    return {"in": block(steps, count, 2), "also": block(steps, count, 1, 3)}


def refusal(given: Any, shapes: Any = SHAPES, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        epoch(given, shapes, **options)
    return caught.value


# --- how many batches, and which


def test_how_many_batches_there_are() -> None:
    """None where the data do not say."""
    pair = (block(3, 4, 2), np.zeros(4, int))
    assert data((block(3, 9, 2), np.zeros(9, int))).epoch(0)[1] == 3
    assert data([pair, pair]).epoch(0)[1] == 2
    assert data(lambda number: [pair] * 3).epoch(0)[1] == 3
    assert data(lambda number: iter([pair])).epoch(0)[1] is None
    assert data((block(3, 9, 2), np.zeros(9, int)), budget=9).epoch(0)[1] == 3


@pytest.mark.parametrize(
    ("budget", "steps", "sizes"),
    [(12, 3, [4, 4, 1]), (11, 3, [3, 3, 3]), (3, 3, [1] * 9), (2, 3, [1] * 9), (27, 3, [9]), (100, 3, [9])],
)
def test_a_budget_is_samples_times_steps(budget: int, steps: int, sizes: list[int]) -> None:
    assert [b.size for b in epoch((block(steps, 9, 2), np.arange(9)), budget=budget, batch_size=7)] == sizes


def test_every_batch_of_a_block_is_drawn_anew_and_batches_are_not() -> None:
    """Shuffling is torch's, once for each length; one more draw orders the batches of several lengths."""
    given = (block(3, 9, 2), np.arange(9))
    torch.manual_seed(5)
    found = [b.labels.tolist() for b in epoch(given, shuffle=True)]
    torch.manual_seed(5)
    order = torch.randperm(9).tolist()
    assert found == [order[:4], order[4:8], order[8:]]
    lengths = [2, 3, 2, 3, 3]
    sequences = ([np.full((n, 2), i, np.float32) for i, n in enumerate(lengths)], np.arange(5))
    torch.manual_seed(6)
    found = [b.labels.tolist() for b in epoch(sequences, shuffle=True, batch_size=2)]
    torch.manual_seed(6)
    short, long = (torch.tensor(places)[torch.randperm(len(places))].tolist() for places in ([0, 2], [1, 3, 4]))
    cut = [short, long[:2], long[2:]]
    assert found == [cut[i] for i in torch.randperm(3)]
    state = torch.get_rng_state()
    pairs = [given, given]
    assert [b.labels.tolist() for b in epoch(pairs, shuffle=True)] == [list(range(9))] * 2
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_keep_their_inputs_and_labels() -> None:
    """Two Inputs, one as a block and one as sequences; and labels of several numbers."""
    inputs = {"in": block(3, 5, 2), "also": [np.full((3, 1, 3), i) for i in range(5)]}
    labels = np.arange(5)[:, None] * [1, 10]
    torch.manual_seed(0)
    found = epoch((inputs, labels), TWO, batch_size=2, shuffle=True)
    assert sorted(b.whole for b in found) == [1, 2, 2]
    assert sorted(int(n) for b in found for n in b.labels[:, 0]) == list(range(5))
    for b in found:
        assert b.inputs["in"].shape == (3, b.size, 2)
        assert b.inputs["also"].shape == (3, b.size, 1, 3)
        assert (b.inputs["in"][..., 0] == b.labels[:, 0]).all()
        assert (b.inputs["also"][..., 0, 2] == b.labels[:, 0]).all()
        assert (b.labels[:, 1] == 10 * b.labels[:, 0]).all()


def test_labels_are_checked_in_every_form() -> None:
    seen: list[list[int]] = []
    options: dict[str, Any] = {"check": lambda labels: seen.append(labels.tolist())}
    epoch((block(3, 5, 2), np.arange(5)), **options)
    assert seen == [[0, 1, 2, 3, 4]]  # at once
    seen.clear()
    epoch([(block(3, 2, 2), [7, 8]), (block(3, 1, 2), [9])], **options)
    assert seen == [[7, 8], [9]]


def once() -> Iterator[Any]:
    yield block(3, 2, 2), np.zeros(2, int)


def test_an_iterator_serves_one_epoch_and_a_function_that_makes_them_every_one() -> None:
    for number in (0, 1, 2):
        assert [b.size for b in epoch(lambda n: once(), number=number)] == [2]
    given = once()
    assert [b.size for b in epoch(given, number=0)] == [2]
    with pytest.raises(InputError, match="an iterator is used up after one epoch") as caught:
        data(given, what="validation").epoch(1)
    assert caught.value.parameter == "validation"


def test_a_function_that_is_also_a_list_is_a_list() -> None:
    class Callable(list[Any]):
        def __call__(self, number: int) -> Any:
            raise AssertionError

    assert [b.size for b in epoch(Callable([(block(3, 2, 2), [0, 0])]))] == [2]


# --- what is refused

WANTED = "(inputs, labels), batches of them, or a function of the epoch that gives either"


@pytest.mark.parametrize(
    ("given", "got", "wanted"),
    [
        (None, "NoneType", WANTED),
        (3, "int", WANTED),
        ("spikes.npz", "str", WANTED),
        ({"in": block(3, 2, 2)}, "dict", WANTED),
        (lambda number: None, "NoneType", WANTED),
        ((block(3, 2, 2),), "1 things", "(inputs, labels)"),
        ((block(3, 2, 2), [0, 0], [1.0, 1.0]), "3 things", "(inputs, labels)"),
        ([(block(3, 2, 2), [0, 0], [1.0, 1.0])], "tuple of 3", "(inputs, labels)"),
        ([[block(3, 2, 2)]], "list of 1", "(inputs, labels)"),
        ([block(3, 2, 2)], "ndarray of 3", "(inputs, labels)"),
        ([5], "int", "(inputs, labels)"),
    ],
)
def test_what_is_no_data(given: Any, got: str, wanted: str) -> None:
    error = refusal(given, what="validation")
    assert (error.parameter, error.got, error.wanted) == ("validation", got, wanted)


@pytest.mark.parametrize(
    "given",
    [
        (block(3, 0, 2), np.zeros(0, int)),
        ([], []),
        [],
        iter(()),
        [(block(3, 2, 2), [0, 0]), (block(3, 0, 2), np.zeros(0, int))],
    ],
)
def test_not_one_sample(given: Any) -> None:
    error = refusal(given, what="validation")
    assert (error.message, error.parameter) == ("there is not one sample", "validation")


@pytest.mark.parametrize(
    ("shapes", "inputs", "got", "wanted"),
    [
        (SHAPES, {"out": block(3, 2, 2)}, "out", "in"),
        (SHAPES, both(3, 2), "in, also", "in"),
        (TWO, {"in": block(3, 2, 2)}, "in", "in, also"),
        (TWO, block(3, 2, 2), "one array", "in, also"),
        ({}, block(3, 2, 2), "one array", "a graph with an Input"),
        ({}, {}, "", "a graph with an Input"),
    ],
)
@pytest.mark.parametrize("batched", [False, True])
def test_inputs_that_are_not_the_graphs(shapes: Any, inputs: Any, got: str, wanted: str, batched: bool) -> None:
    pair = (inputs, [0, 0])
    error = refusal([pair] if batched else pair, shapes)
    assert error.message == "the inputs are not those of the graph"
    assert (error.parameter, error.got, error.wanted) == ("data", got, wanted)


def changed(**columns: Any) -> dict[str, Any]:
    return {**both(3, 4), **columns}


@pytest.mark.parametrize(
    ("inputs", "node", "got", "wanted", "way_out"),
    [
        (changed(also=block(3, 4, 3)), "also", "(3, 4, 3)", "(T, batch, 1, 3), T >= 1", None),
        (changed(also=block(3, 4, 3, 1)), "also", "(3, 4, 3, 1)", "(T, batch, 1, 3), T >= 1", None),
        (changed(also=block(3, 4, 1, 3, 1)), "also", "(3, 4, 1, 3, 1)", "(T, batch, 1, 3), T >= 1", None),
        (changed(**{"in": 3.0}), "in", "()", "(T, batch, 2), T >= 1", None),
        (changed(**{"in": block(0, 4, 2)}), "in", "(0, 4, 2)", "(T, batch, 2), T >= 1", None),
        (changed(**{"in": block(3, 5, 2)}), "in", "(3, 5, 2) and 4 labels", "one label a sample", None),
        (changed(**{"in": block(4, 3, 2)}), "in", "(4, 3, 2) and 4 labels", "one label a sample",
         "The batch seems to come first: transpose(0, 1), or batch_first=True."),
    ],
)  # fmt: skip
@pytest.mark.parametrize("batched", [False, True])
def test_shapes_that_are_not_the_inputs(
    inputs: Any, node: str, got: str, wanted: str, way_out: str | None, batched: bool
) -> None:
    pair = (inputs, [0] * 4)
    error = refusal([pair] if batched else pair, TWO)
    assert (error.message, error.node, error.parameter) == ("the inputs have the wrong shape", node, "data")
    assert (str(error.got), error.wanted, error.way_out) == (got, wanted, way_out)


def test_a_batch_of_one_label_that_is_no_array() -> None:
    error = refusal([(block(3, 1, 2), 5)])
    assert (error.node, error.got) == ("in", "(3, 1, 2) and 0 labels")


def test_inputs_of_several_lengths() -> None:
    given = {"in": block(3, 4, 2), "also": block(5, 4, 1, 3)}
    error = refusal((given, [0] * 4), TWO)
    assert (error.node, error.got) == ("also", "another number of steps")
    assert error.wanted == "the same for all Inputs of a sample"
    error = refusal([(given, [0] * 4)], TWO)
    assert (error.node, error.got, error.wanted) == ("also", "5 steps", "3, as the other Inputs have")


def sequences(*lengths: int, size: int = 2) -> list[Any]:
    return [np.ones((n, size)) for n in lengths]


@pytest.mark.parametrize(
    ("inputs", "got", "wanted"),
    [
        (sequences(3, 4, 5), "3 sequences, 2 labels", "one label a sequence"),
        (sequences(3), "1 sequences, 2 labels", "one label a sequence"),
        (sequences(3, 0), "(0, 2)", "(T, 2)"),
        ([*sequences(3), *sequences(3, size=3)], "(3, 3)", "(T, 2)"),
        ([*sequences(3), np.ones((3, 2, 1))], "(3, 2, 1)", "(T, 2)"),
    ],
)
def test_sequences_that_do_not_fit(inputs: Any, got: str, wanted: str) -> None:
    error = refusal((inputs, [0, 1]))
    assert (error.node, error.parameter, str(error.got), error.wanted) == ("in", "data", got, wanted)


def test_sequences_of_two_inputs_go_together() -> None:
    alike = {"in": sequences(3, 4), "also": [np.ones((n, 1, 3)) for n in (3, 4)]}
    assert [b.steps for b in epoch((alike, [0, 1]), TWO)] == [3, 4]
    crossed = {**alike, "also": alike["also"][::-1]}  # the same lengths, of other samples
    assert refusal((crossed, [0, 1]), TWO).node == "also"
    mixed = {"in": block(3, 2, 2), "also": alike["also"]}
    assert refusal((mixed, [0, 1]), TWO).got == "another number of steps"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (([{"a": 1}], [0]), "in"),
        ((block(3, 2, 2), ["a", "b"]), "validation labels"),
        ((block(3, 2, 2), [[0], [0, 1]]), "validation labels"),
        ([(block(3, 2, 2), ["a", "b"])], "validation labels"),
        ([(np.array(["a"]), [0])], "in"),
    ],
)
def test_what_is_no_number(given: Any, name: str) -> None:
    error = refusal(given, what="validation")
    assert error.message.startswith("no numbers: ")
    assert error.parameter == name
