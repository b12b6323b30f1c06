"""Resets to zero in the place of those by subtraction: what changes, and what it costs, measured."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
import pytest
import snntorch
import torch
from torch import nn

import hasn
from hasn.conversions.loihi import zero_reset
from hasn.conversions.snntorch import from_snntorch
from hasn.errors import InputError, OptionError, UnsupportedError
from tests.unit.backends.snntorch.training.task import DT, net, samples


def one_neuron() -> nir.NIRGraph:
    """v <- v + x, threshold 1: subtraction keeps what is above it."""
    node = nir.IF(np.array([1 / DT]), np.array([1.0]), np.array([0.0]), metadata={"reset": "subtract"})
    nodes = {"in": nir.Input(np.array([1])), "n": node, "out": nir.Output(np.array([1]))}
    return nir.NIRGraph(nodes, list(pairwise(nodes)), metadata={"dt": DT})


def test_what_is_above_the_threshold_is_lost() -> None:
    """x = 0.75. Subtract: v is 0.75 1.5* 1.25* 1.0 1.75* 1.5* 1.25* 1.0, 5 spikes; zero: every other step, 4."""
    found = zero_reset(one_neuron(), np.full((8, 1, 1), 0.75))
    assert found.changed == ("n",)
    assert found.spikes == (5, 4)
    assert found.differing == pytest.approx(5 / 8)  # at 1, 2, 4, 5, 6 against 1, 3, 5, 7
    assert found.accuracy is None
    assert one_neuron().nodes["n"].metadata["reset"] == "subtract"
    assert found.graph.nodes["n"].metadata["reset"] == "zero"


def test_a_snntorch_network_with_its_default_reset_goes_to_the_chip_that_way() -> None:
    torch.manual_seed(1)
    module = nn.Sequential(
        nn.Linear(12, 16), snntorch.Leaky(beta=0.8, init_hidden=True),
        nn.Linear(16, 3), snntorch.Leaky(beta=0.9, init_hidden=True),
    )  # fmt: skip
    graph = from_snntorch(module, input_shape=(12,), dt=DT)
    assert "1, 3 reset by subtraction" in graph.metadata["loihi"]
    trained = hasn.train(graph, samples(), epochs=3, learning_rate=1e-2).graph
    inputs, labels = samples(32, 5)
    with pytest.raises(UnsupportedError, match="zero_reset"):
        hasn.quantise(trained, calibrate=inputs)
    found = zero_reset(trained, inputs, labels)
    assert found.changed == ("1", "3")
    assert 0 < found.differing < 0.5
    assert found.accuracy is not None
    for graph_, accuracy in zip((trained, found.graph), found.accuracy, strict=True):
        counts = hasn.compile(graph_, "snntorch").run(inputs).outputs
        assert accuracy == (next(iter(counts.values())).sum(0).argmax(1) == labels).mean()
    network = hasn.quantise(found.graph, calibrate=inputs)
    assert next(iter(hasn.compile(network, "snntorch").run(inputs).outputs.values())).sum() > 0
    zero = nn.Sequential(nn.Linear(12, 3), snntorch.Leaky(beta=0.8, reset_mechanism="zero", init_hidden=True))
    assert "loihi" not in from_snntorch(zero, input_shape=(12,), dt=DT).metadata


def test_what_cannot_be_measured() -> None:
    inputs, labels = samples(4)
    with pytest.raises(OptionError, match="no population resets by subtraction"):
        zero_reset(net(), inputs)
    assert zero_reset(net(), inputs, reset="subtract").changed == ("hidden", "last")
    with pytest.raises(InputError, match=r"labels: no classes to count; got labels \(3,\), out \(10, 4, 3\)"):
        zero_reset(net(), inputs, labels[:3], reset="subtract")
