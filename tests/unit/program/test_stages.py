"""A Program cut in stages: what crosses, where the cut lies, and that the stages compute what the whole does."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hasn
from hasn.errors import OptionError
from hasn.ir.lower import lower
from hasn.nodes import PoissonInput
from hasn.program.model import Program
from hasn.program.stages import Stage, cut
from hasn.signals import signals
from hasn.testing.interpreter import ProgramInterpreter
from hasn.testing.strategies import Trial, trials
from tests.graphs import DT, Draw, chain, graph, inp, out, spikes
from tests.unit.backends.snntorch.engine_nets import NETS
from tests.unit.backends.snntorch.engine_nets import net as named_net


def net() -> nir.NIRGraph:
    """Two layers, the second recurrent and behind a Delay, and a path from the first past it to the last."""
    d = Draw(3)
    nodes = {
        "in": inp(6), "w1": d.linear(8, 6), "one": d.lif(8), "late": nir.Delay(np.arange(8) % 3 * DT),
        "w2": d.linear(7, 8), "two": d.lif(7), "back": d.linear(7, 7, mean=-0.1), "past": d.linear(4, 8),
        "w3": d.linear(4, 7), "last": d.lif(4), "out": out(4),
    }  # fmt: skip
    paths = ("in > w1 > one > late > w2 > two > w3 > last > out", "two > back > two", "one > past > last")
    return graph(nodes, *paths, dt=DT)


def one_after_the_other(stages: tuple[Stage, ...], inputs: dict[str, Any], run: Any) -> tuple[dict[str, Any], Any]:
    """{Output: values} and {population: spikes} of all stages; ``run`` runs a Program on {Source: values}."""
    values: dict[str, Any] = dict(inputs)
    found: dict[str, Any] = {}
    for stage in stages:
        recording = run(stage.program, {name: values[name] for name in stage.incoming})
        found |= recording.spikes
        values = {name: recording.outputs[sink] for name, sink in zip(stage.outgoing, stage.shown, strict=True)}
    return values, found


def interpreted(program: Program, inputs: dict[str, Any]) -> Any:
    return ProgramInterpreter(program).run(inputs)


def assert_whole(program: Program, stages: tuple[Stage, ...], inputs: dict[str, Any], run: Any) -> Any:
    """The stages' outputs and spikes are the whole's, to the last bit."""
    whole = run(program, inputs)
    values, found = one_after_the_other(stages, inputs, run)
    for ours, theirs in ((values, whole.outputs), (found, whole.spikes)):
        assert ours.keys() == theirs.keys()
        for name, wanted in theirs.items():
            np.testing.assert_array_equal(ours[name], wanted, err_msg=name)
    return whole


def most(program: Program) -> int:
    """The largest number of stages."""
    with pytest.raises(OptionError) as error:
        cut(program, 10_000)
    return int(str(error.value.wanted).split()[2].rstrip(":"))


# --- the stages compute what the whole does


@given(trials(), st.integers(2, 4), st.sampled_from(["parameters", "synapses"]))
@settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_random_networks_in_stages(trial: Trial, count: int, balance: str) -> None:
    program = lower(trial.graph, **trial.options)
    stages = cut(program, min(count, most(program)), balance)
    inputs = signals(program, trial.inputs).values
    assert_whole(program, stages, inputs, interpreted)
    assert sorted(name for stage in stages for name in stage.names) == sorted(program.by_name)


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("name", NETS)
def test_torch_networks_in_stages(name: str, count: int) -> None:
    """Feed-forward, recurrent, convolutional, with delays, hardware's timing; on the backend that trains."""
    from hasn.backends.snntorch import BACKEND

    g, options, shape = named_net(name)
    program = hasn.lower(g, **options)
    stages = cut(program, min(count, most(program)))
    inputs = signals(program, spikes(shape, 20, 2)).values
    whole = assert_whole(program, stages, inputs, lambda part, values: BACKEND.compile(part, g, "float64").run(values))
    assert all(found.any() for found in whole.spikes.values())


# --- what crosses


def test_a_value_passes_through_stages_that_do_not_need_it() -> None:
    first, second, third = cut(lower(net()), ["late", "w3"])
    assert first.names == ("in", "w1", "one", "past")
    assert set(second.names) == {"late", "w2", "two", "back"}
    assert set(third.names) == {"w3", "last", "out"}
    assert first.incoming == ("in",)
    assert set(first.outgoing) == {"one", "past"} == set(second.incoming)
    assert set(second.outgoing) == {"two", "past"} == set(third.incoming)
    assert second.outgoing == third.incoming
    assert third.outgoing == ("out",)
    assert (first.given, third.made) == (((6,),), ((4,),))


def test_an_edge_keeps_its_delay_on_the_later_side() -> None:
    """In hardware's timing every connection takes a step, which the later stage waits for."""
    program = lower(chain(Draw(1).linear(5, 4), Draw(2).lif(5), Draw(3).linear(3, 5), given=(4,), result=(3,)),
                    dt=DT, timing="hardware")  # fmt: skip
    late = {(edge.source, edge.target) for edge in program.edges if edge.delay}
    assert ("n2", "n3") in late
    first, second = cut(program, ["n3"])
    assert [edge.delay for edge in second.program.edges if edge.target == "n3"] == [1]
    assert [edge.delay for edge in first.program.edges if edge.source == "n2"] == [0]
    assert_whole(program, (first, second), {"input": spikes((4,), 12, 2)}, interpreted)


def test_outputs_of_early_layers_are_shown_by_the_last_stage() -> None:
    """One of a hidden layer, one that a node reads, one that echoes an Input, one of nothing."""
    d = Draw(5)
    nodes = {"in": inp(4), "w": d.linear(4, 4), "lif": d.lif(4), "read": out(4), "w2": d.linear(3, 4)}
    nodes |= {"last": d.lif(3), "out": out(3), "hidden": out(4), "echo": out(4), "quiet": out(2)}
    paths = ("in > w > lif > read > w2 > last > out", "lif > hidden", "in > echo")
    program = lower(graph(nodes, *paths, dt=DT))
    for stages in (cut(program, ["w2", "last"]), cut(program, 4)):
        whole = assert_whole(program, stages, {"in": spikes((4,), 20, 2, rate=0.8)}, interpreted)
        assert whole.outputs["read"].any()
        assert sorted(stages[-1].outgoing) == ["echo", "hidden", "out", "quiet", "read"]


def test_parts_that_nothing_joins() -> None:
    """Nothing leads from the first population to the second, so an Input is passed on for the length of a sequence."""
    d = Draw(6)
    nodes = {"in": inp(4), "w": d.linear(4, 4), "lif": d.lif(4), "out": out(4), "alone": d.lif(3, v_leak=4.0)}
    program = lower(graph({**nodes, "other": out(3)}, "in > w > lif > out", "alone > other", dt=DT))
    for names in (["lif", "alone"], ["alone", "lif"]):
        stages = cut(program, names)
        assert all(stage.incoming for stage in stages)
        whole = assert_whole(program, stages, {"in": spikes((4,), 20, 2)}, interpreted)
        assert whole.outputs["other"].any()


# --- where the cut lies


def layers(*sizes: int) -> Program:
    """Linear and LIF layers of these sizes."""
    d = Draw(0)
    nodes = [node for ins, outs in pairwise(sizes) for node in (d.linear(outs, ins), d.lif(outs))]
    return lower(chain(*nodes, given=sizes[:1], result=sizes[-1:]), dt=DT)


def starts(stages: tuple[Stage, ...]) -> list[str]:
    return [stage.names[0] for stage in stages[1:]]


def test_the_largest_stage_has_as_few_parameters_as_can_be() -> None:
    # weights 40, 50, 100, 20 of n1, n3, n5, n7: 90 | 120 is the best of two, 90 | 100 | 20 of three
    program = layers(8, 5, 10, 10, 2)
    assert starts(cut(program, 2)) == ["n5"]
    assert starts(cut(program, 3)) == ["n5", "n7"]
    assert starts(cut(program, 4)) == ["n3", "n5", "n7"]
    assert starts(cut(program, 8)) == [f"n{i}" for i in range(2, 9)]
    assert cut(program, 1)[0].program.edges == program.edges


def test_products_are_counted_where_they_are_asked_for() -> None:
    """A convolution of 9 weights makes 324 products a step, more than the 180 of the matrix behind it."""
    d = Draw(0)
    flat = nir.Flatten({"input": np.array([1, 6, 6])}, 0, -1)
    nodes = (d.conv2d(1, 1, (3, 3), input_shape=(8, 8)), d.lif(1, 6, 6), flat, d.linear(5, 36), d.linear(30, 5))
    program = lower(chain(*nodes, given=(1, 8, 8), result=(30,)), dt=DT)
    assert starts(cut(program, 2)) == ["n5"]  # 10 + 180 | 150 parameters
    assert starts(cut(program, 2, "synapses")) == ["n4"]  # 324 | 180 + 150 products


def test_of_equal_cuts_the_one_that_fewest_numbers_cross() -> None:
    """Between 20 and 12 weights a stretch without any: 20 numbers cross before n2 and n3, 5 before n4, then 12."""
    d = Draw(0)
    down = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    up = nir.SumPool2d(np.array([2, 2]), np.array([1, 1]), np.array([1, 1]))
    flat = nir.Flatten({"input": np.array([1, 2, 6])}, 0, -1)
    nodes = (nir.Scale(np.ones((1, 2, 10))), d.lif(1, 2, 10), down, up, flat, d.linear(1, 12))
    program = lower(chain(*nodes, given=(1, 2, 10), result=(1,)), dt=DT)
    assert starts(cut(program, 2)) == ["n4"]


def test_a_cycle_stays_in_one_stage() -> None:
    for count in range(1, 9):
        found = [{"two", "back"} & set(stage.names) for stage in cut(lower(net()), count)]
        assert len(found) == count
        assert found.count({"two", "back"}) == 1
        assert found.count(set()) == count - 1
    assert {"two", "back"} in [set(stage.names) for stage in cut(lower(net()), 8)]


@pytest.mark.parametrize(
    ("stages", "balance", "words"),
    [
        (0, "parameters", "stages: no such number of stages; got 0; wanted 1 to 8"),
        (9, "parameters", "stages: no such number of stages; got 9; wanted 1 to 8: so many groups of nodes"),
        (True, "parameters", "stages: no stages; got True"),
        ("w2", "parameters", "stages: no stages; got 'w2'; wanted a number, or names of nodes"),
        (2, "weight", "balance: no such balance; got 'weight'; wanted parameters or synapses"),
        (["nowhere"], "parameters", "stages: no stage can begin here; got 'nowhere'"),
        (["in"], "parameters", "stages: no stage can begin here; got 'in'; wanted .*no Input"),
        (["w1"], "parameters", "stages: a stage has no nodes: the first; got 'w1'"),
        (["w3", "w2"], "parameters", "a stage has no nodes: the one that begins with 'w3'; got 'w3', 'w2'; wanted"),
        (["two", "back"], "parameters", "a stage has no nodes: the one that begins with 'two'.*one of a cycle"),
    ],
)  # fmt: skip
def test_cuts_that_cannot_be(stages: Any, balance: str, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        cut(lower(net()), stages, balance)


def test_a_graph_without_an_input_is_refused() -> None:
    alone = graph({"lif": Draw(0).lif(3), "out": out(3)}, "lif > out", dt=DT)
    with pytest.raises(OptionError, match="a graph without an Input cannot be cut"):
        cut(lower(alone), 1)


def test_a_drawn_input_stays_in_the_first_stage_and_nobody_is_asked_for_it() -> None:
    d = Draw(4)
    trains = PoissonInput(np.full(6, 400.0), np.full(6, 0.5), 3)
    nodes = {"in": inp(6), "w1": d.linear(5, 6), "one": d.lif(5), "w2": d.linear(4, 5), "trains": trains,
             "past": d.linear(4, 6), "two": d.lif(4), "out": out(4)}  # fmt: skip
    program = lower(graph(nodes, "in > w1 > one > w2 > two > out", "trains > past > two", dt=DT))
    stages = cut(program, ["two"])
    assert (stages[0].incoming, set(stages[0].outgoing)) == (("in",), {"w2", "past"})
    whole = assert_whole(program, stages, {"in": spikes((6,), 30, 2)}, interpreted)
    assert whole.spikes["two"].any()
