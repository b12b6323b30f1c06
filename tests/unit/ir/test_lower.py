"""Lowering: options, metadata, what a step holds; meaning itself is the conformance suite's."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import OptionError
from hasn.nodes.lookup import kinds
from hasn.program.model import Connection, Neurons, Sink, Source, Threshold
from hasn.testing.cases import CASES
from tests.graphs import DT, Draw, chain

D = Draw(6)


def population(net: nir.NIRGraph, **options: str) -> Neurons:
    node = hasn.lower(net, dt=DT, **options).node("n1")
    assert isinstance(node, Neurons)
    return node


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("method", "rk4", "euler or exact"),
        ("reset", "hard", "zero or subtract"),
        ("timing", "fast", "synchronous or hardware"),
    ],
)
def test_unknown_options_list_what_there_is(option: str, value: str, wanted: str, net: nir.NIRGraph) -> None:
    with pytest.raises(OptionError, match=f"{option}: unknown {option}; got '{value}'; wanted {wanted}"):
        hasn.lower(net, dt=DT, **{option: value})


@pytest.mark.parametrize("kind", [nir.NIRGraph, *(kind.type for kind in kinds().values())])
def test_the_conformance_cases_hold_every_primitive(kind: type[nir.NIRNode]) -> None:
    def types(graph: nir.NIRGraph) -> set[type]:
        inner = [types(node) for node in graph.nodes.values() if isinstance(node, nir.NIRGraph)]
        return {type(node) for node in graph.nodes.values()}.union(*inner)

    assert sum(kind in types(case.graph()) for case in CASES.values()) >= 2


def test_resets_become_a_jump() -> None:
    net = chain(D.lif(3, v_threshold=[1, 2, 3], v_reset=[0.5, -1, 0]), given=(3,), result=(3,))
    zero, subtract = population(net), population(net, reset="subtract")
    assert (zero.reset, subtract.reset) == ("zero", "subtract")
    np.testing.assert_array_equal(zero.firing.jump, [0.5, -1, 0])
    np.testing.assert_array_equal(subtract.firing.jump, [0.5, 3, 3])


@pytest.mark.parametrize("word", ["subtract", b"subtract", np.array(["subtract"]), np.array([b"subtract"])])
def test_metadata_of_a_node_wins_in_every_form_that_hdf5_gives(word: object) -> None:
    assert population(chain(D.lif(3, metadata={"reset": word}), given=(3,), result=(3,))).reset == "subtract"


def test_v_init_is_for_the_voltage_alone() -> None:
    step = population(chain(D.neuron("CubaLIF", (3,), metadata={"v_init": 0.7}), given=(3,), result=(3,)))
    np.testing.assert_array_equal(step.initial["v"], [0.7, 0.7, 0.7])
    np.testing.assert_array_equal(step.initial["c"], [0, 0, 0])


def test_a_connection_knows_both_its_shapes() -> None:
    program = hasn.lower(CASES["conv_stack"].graph(), dt=DT)
    shapes = [(step.given, step.shape) for step in program.of(Connection)]
    assert shapes[0] == ((2, 6, 7), (4, 6, 8))
    assert all(before[1] == after[0] for before, after in pairwise(shapes))


def test_what_can_be_recorded() -> None:
    program = hasn.lower(CASES["threshold_in_the_middle"].graph(), dt=DT)
    assert set(program.recorded_spikes) == {"compare", "lif"}
    assert set(program.recorded_voltages) == {"lif"}
    assert [step.name for step in program.of(Source)] == ["input"]
    assert {step.name for step in program.of(Sink)} == {"output", "bits"}
    assert isinstance(program.node("compare"), Threshold)


def test_steps_stand_in_the_order_of_evaluation() -> None:
    for case in CASES.values():
        program = hasn.lower(case.graph(), **case.options())
        place = {step.name: i for i, step in enumerate(program.nodes)}
        assert all(place[edge.source] < place[edge.target] for edge in program.edges if edge.delay == 0), case.name


def test_lowering_leaves_the_callers_arrays_alone() -> None:
    net = chain(D.lif(3), given=(3,), result=(3,))
    step = population(net)
    net.nodes["n1"].v_threshold[:] = 99.0
    net.nodes["n1"].tau[:] = 99.0
    again = population(chain(D.lif(3), given=(3,), result=(3,)))
    assert step.threshold is not None
    assert again.threshold is not None
    assert np.all(step.threshold < 2), "the Program must not see what a caller does to the graph afterwards"
