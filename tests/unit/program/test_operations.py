"""Synaptic operations, counted by hand."""

from __future__ import annotations

import nir
import numpy as np

import hasn
from hasn.program.fuse import fuse
from hasn.program.operations import synaptic_operations
from tests.graphs import DT, Draw, chain

D = Draw(10)


def test_events_times_the_synapses_that_each_reaches() -> None:
    first = np.array([[0.3, 0.0, 0.2], [0.1, 0.0, 0.0]])  # the three inputs reach 2, 0 and 1 neurons
    second = np.array([[0.4, 0.0], [0.5, 0.6], [0.0, 0.7]])  # the two neurons reach 2 and 2
    network = fuse(
        hasn.lower(chain(nir.Linear(first), D.lif(2), nir.Linear(second), D.lif(3), given=(3,), result=(3,)), dt=DT)
    )
    inputs = np.array([[[1, 1, 0.5]], [[0, 1, 0]], [[1, 0, -1]]])  # (T, batch, 3): 2, 2 and 2 events
    spikes = np.array([[[1, 0]], [[0, 1]], [[0, 1]]])
    assert synaptic_operations(network, {"input": inputs, "n2": spikes}) == {
        "input": 2 * 2 + 2 * 0 + 2 * 1,
        "n2": 1 * 2 + 2 * 2,
    }


def test_a_convolutions_border_reaches_fewer() -> None:
    conv = D.conv1d(1, 1, 3)
    network = fuse(hasn.lower(chain(conv, D.lif(1, 3), given=(1, 5), result=(1, 3)), dt=DT))
    one = np.ones((1, 1, 1, 5))
    assert synaptic_operations(network, {"input": one}) == {"input": 1 + 2 + 3 + 2 + 1}


def test_real_numbers_at_every_step_are_no_events() -> None:
    network = fuse(hasn.lower(chain(D.neuron("LI", (3,)), D.linear(3, 3), D.lif(3), given=(3,), result=(3,)), dt=DT))
    ones = np.ones((4, 1, 3))
    assert set(synaptic_operations(network, {"input": ones, "n1": ones})) == {"input"}
