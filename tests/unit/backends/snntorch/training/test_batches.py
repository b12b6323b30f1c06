"""Data of every form become the same batches; what does not fit is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Step
from hasn.backends.snntorch.training.batches import Batch, Data
from hasn.errors import InputError
from tests.unit.backends.snntorch.training.task import INPUTS, net, samples


def data(given: Any, **options: Any) -> Data:
    defaults = {"check": lambda labels: None, "what": "data", "batch_size": 8, "budget": None, "shuffle": False}
    return Data(given, {"in": (INPUTS,)}, **{**defaults, **options})


def epoch(given: Any, number: int = 0, **options: Any) -> list[Batch]:
    return list(data(given, **options).epoch(number)[0])


def sequences(lengths: list[int]) -> tuple[list[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    """Sequences that say which one they are at every step, and labels."""
    return [np.full((steps, INPUTS), i, np.float32) for i, steps in enumerate(lengths)], np.arange(len(lengths)) % 3


def test_arrays_are_cut_into_batches_in_order() -> None:
    inputs, labels = samples(20)
    batches = epoch((inputs, labels))
    assert [b.size for b in batches] == [8, 8, 4]
    np.testing.assert_array_equal(torch.cat([b.inputs["in"] for b in batches], 1).numpy(), inputs)
    np.testing.assert_array_equal(torch.cat([b.labels for b in batches]).numpy(), labels)
    assert data((inputs, labels)).epoch(0)[1] == 3


def test_shuffling_keeps_inputs_and_labels_together() -> None:
    inputs, labels = samples(20)
    torch.manual_seed(0)
    first, second = (epoch((inputs, labels), shuffle=True) for _ in range(2))
    order = [int(np.flatnonzero((inputs == b.inputs["in"].numpy()[:, [i]]).all(axis=(0, 2)))[0])
             for b in first for i in range(b.size)]  # fmt: skip
    assert sorted(order) == list(range(20)) != order
    assert torch.cat([b.labels for b in first]).tolist() == labels[order].tolist()
    assert not all(torch.equal(a.labels, b.labels) for a, b in zip(first, second, strict=True))


def test_a_budget_makes_batches_of_short_sequences_large() -> None:
    """samples x steps stay within 120: 24 samples of 5 steps, 8 of 15, 1 of 121 although that is too much."""
    given = sequences([5] * 30 + [15] * 9 + [121] * 2)
    batches = epoch(given, budget=120)
    assert [(b.steps, b.size) for b in batches] == [(5, 24), (5, 6), (15, 8), (15, 1), (121, 1), (121, 1)]
    seen = [int(v) for b in batches for v in b.inputs["in"][0, :, 0]]
    assert seen == list(range(41))
    mixed = epoch(given, budget=120, shuffle=True)
    assert sorted(int(v) for b in mixed for v in b.inputs["in"][0, :, 0]) == list(range(41))
    assert all(bool((b.inputs["in"] == b.inputs["in"][:1]).all()) for b in mixed)
    assert [b.steps for b in mixed] != sorted(b.steps for b in mixed)


def test_sequences_of_several_lengths_train() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(4, 8, 30)
    inputs, labels = samples(30)
    seen: list[Step] = []
    given = ([inputs[:n, i] for i, n in enumerate(lengths)], labels)
    result = hasn.train(net(), given, epochs=20, budget=40, learning_rate=1e-2, progress=seen.append)
    assert result.history[-1].accuracy is not None
    assert result.history[-1].accuracy > 0.9
    assert len({step.samples for step in seen}) > 3


def test_every_form_of_the_same_data_trains_alike() -> None:
    inputs, labels = samples(16)
    halves = [(inputs[:, :8], labels[:8]), (torch.as_tensor(inputs[:, 8:]).bool(), list(labels[8:]))]
    forms: list[Any] = [
        (inputs, labels),
        ({"in": torch.as_tensor(inputs)}, torch.as_tensor(labels)),
        ([inputs[:, i] for i in range(16)], labels),
        halves,
        lambda number: (inputs, labels),
        lambda number: iter(halves),
    ]
    found = [hasn.train(net(), form, epochs=2, batch_size=8, shuffle=False).losses for form in forms]
    assert len(found[0]) == 4
    assert all(losses == found[0] for losses in found)


def test_a_function_gets_the_epoch() -> None:
    asked: list[int] = []

    def give(number: int) -> Any:
        asked.append(number)
        return samples(8, seed=number)

    hasn.train(net(), give, epochs=3, validation=lambda number: samples(8, seed=10 + number))
    assert asked == [0, 1, 2]


def test_two_inputs() -> None:
    graph = net()
    graph.nodes["also"] = nir.Input(np.array([2]))
    graph.nodes["w3"] = nir.Linear(np.full((16, 2), 0.1))
    graph.edges = [*graph.edges, ("also", "w3"), ("w3", "hidden")]
    inputs, labels = samples(16)
    losses = [
        hasn.train(graph, ({"in": inputs, "also": np.full((10, 16, 2), level)}, labels), epochs=1).losses
        for level in (0.0, 1.0)
    ]
    assert losses[0] == hasn.train(net(), (inputs, labels), epochs=1).losses  # nothing comes in there
    assert losses[1] != losses[0]
    with pytest.raises(InputError, match="data: the inputs are not those of the graph; got one array; wanted also, in"):
        hasn.train(graph, (inputs, labels), epochs=1)
    with pytest.raises(InputError, match=r"node 'also' data: .*got another number of steps"):
        hasn.train(graph, ({"in": inputs, "also": np.ones((9, 16, 2))}, labels), epochs=1)


def once() -> Iterator[Any]:
    yield samples(8)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((samples(8)[0][:, :0], np.zeros(0, int)), "data: there is not one sample"),
        ([], "data: there is not one sample"),
        (lambda number: [], "data: there is not one sample"),
        ([(samples(8)[0][:, :0], np.zeros(0, int))], "data: there is not one sample"),
        (None, "data: no training data; got NoneType"),
        ({"in": samples(8)[0]}, "data: no training data; got dict"),
        ((samples(8)[0],), "data: no pair; got 1 things"),
        ([samples(8)[0]], "data: a batch is no pair; got ndarray"),
        ((samples(8)[0][..., :5], samples(8)[1]), r"node 'in' data: .*got \(10, 8, 5\); wanted \(T, batch, 12\)"),
        ((samples(8)[0][:0], samples(8)[1]), r"node 'in' data: .*got \(0, 8, 12\); wanted .*T >= 1"),
        ((samples(8)[0][:, 0], samples(8)[1]), r"node 'in' data: .*got \(10, 12\)"),
        ((samples(8)[0], samples(9)[1]), r"node 'in' data: .*got \(10, 8, 12\) and 9 labels; wanted one label"),
        ((samples(8)[0].transpose(1, 0, 2), samples(8)[1]), r"The batch seems to come first: transpose\(0, 1\)"),
        ((list(samples(8)[0]), samples(8)[1]), "node 'in' data: .*got 10 sequences, 8 labels"),
        ((["a", "b"], [0, 1]), "in: no numbers"),
        (([np.ones((4, 5))], [0]), r"got \(4, 5\); wanted \(T, 12\)"),
        (once(), "data: an iterator is used up after one epoch"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit(given: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        hasn.train(net(), given, epochs=2, batch_size=8)


def test_validation_data_are_checked_under_their_name() -> None:
    with pytest.raises(InputError, match="validation labels: no such class, at sample 1; got 7"):
        hasn.train(net(), samples(8), epochs=1, validation=(samples(2)[0], [0, 7]))
    with pytest.raises(InputError, match="validation: there is not one sample"):
        hasn.train(net(), samples(8), epochs=1, validation=[])
