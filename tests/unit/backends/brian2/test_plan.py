"""Which synapses Brian2 gets: merged projections, delays, delay lines, levels."""

from collections import Counter

import nir
import numpy as np
import pytest

import hasn
from hasn.backends.brian2.code import quotient
from hasn.backends.brian2.neurons import codes, group_code
from hasn.backends.brian2.plan import make_plan, samples_at_once, size
from hasn.backends.brian2.schedule import DEFAULT, slots
from hasn.errors import UnsupportedError
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.testing.cases import CASES
from tests.unit.backends.brian2.formulas import DT, Cell, graph, lif
from tests.unit.backends.brian2.networks import loop


def plan_of(made, dtype="float64"):
    network = fuse(lower(made, dt=DT))
    return make_plan(network, codes(network), dtype)


def test_a_pair_of_populations_is_one_list_of_synapses_whatever_its_delays():
    plan = plan_of(loop())
    links = {(link.source, link.target): link for link in plan.links}
    assert plan.levels == {"in": 0, "a": 1, "b": 2, "slow": 3, "outslow": 4}
    assert plan.depth == 5
    assert [name for name in plan.levels if plan.sends(name)] == ["in", "a", "b", "slow"]
    back = links["b", "a"]
    # b is evaluated after a, so its spike arrives a step late anyway: the feedback edge's step is not Brian2's to add.
    # Neurons of b are delayed by 0, 2, 1, 3 steps.
    assert {(pre, step) for pre, step in zip(back.pre.tolist(), back.steps.tolist(), strict=True)} == {
        (0, 0),
        (1, 2),
        (2, 1),
        (3, 3),
    }
    assert not back.from_line
    late = links["slow", "outslow"]
    # A graded value is read from the line: element age * 4 + neuron, ages 1, 0, 2, 4.
    assert late.from_line
    assert sorted(late.pre.tolist()) == [0 * 4 + 1, 1 * 4 + 0, 2 * 4 + 2, 4 * 4 + 3]
    assert plan.lines == {"slow": 4}
    assert not np.any(late.steps)


@pytest.mark.parametrize("first", [2, 5])
@pytest.mark.parametrize("kind", ["LI", "Input", "Output"])
def test_a_delay_line_is_as_long_as_the_longest_delay_of_any_target(kind, first):
    """A graded source into three targets, 5 steps, 2 steps and none late, whichever of the two comes first.

    What is late has nothing to wait for and is evaluated first, so that one of its steps is the delivery's own.
    """
    late = {first: "x", 7 - first: "y"}
    nodes = {"in": 3, "x": lif(3), "y": lif(3), "z": lif(3), "out": 3}
    nodes |= {f"d{steps}": nir.Delay(np.full(3, steps * DT)) for steps in late}
    source = {"LI": "slow", "Input": "in", "Output": "shown"}[kind]
    edges = [edge for steps, target in late.items() for edge in ((source, f"d{steps}"), (f"d{steps}", target))]
    edges += [(source, "z"), ("x", "out")]
    if kind == "LI":
        nodes["slow"] = nir.LI(np.full(3, 0.02), np.ones(3), np.zeros(3))
        edges.append(("in", "slow"))
    if kind == "Output":  # one that hands on what it sums
        nodes["shown"] = nir.Output({"output": np.array([3])})
        edges += [("in", "first"), ("first", "shown"), ("in", "shown")]
        nodes["first"] = lif(3)
    made = graph(nodes, edges)
    plan = plan_of(made)
    assert plan.lines == {source: 4}
    links = {link.target: link for link in plan.links if link.source == source}
    for age, target in ((first - 1, "x"), (6 - first, "y"), (0, "z")):
        assert sorted(links[target].pre.tolist()) == [3 * age, 3 * age + 1, 3 * age + 2]
        assert links[target].from_line
        assert not np.any(links[target].steps)
    # And the values are those of so many steps ago.
    x = np.random.default_rng(3).normal(1.0, 2.0, (30, 3))
    recording = hasn.compile(made, "brian2", dt=DT).run(x, record=("spikes", "voltages"))
    sent = recording.voltages["slow"] if kind == "LI" else x if kind == "Input" else recording.outputs["shown"]
    for steps, target in {**late, 0: "z"}.items():
        cell = Cell(nodes[target])
        wanted = [cell.step(sent[t - steps] if t >= steps else np.zeros(3))[0] for t in range(30)]
        assert np.sum(wanted) > 5
        np.testing.assert_array_equal(recording.spikes[target], np.array(wanted) > 0.5)


def test_a_graded_source_whose_values_all_come_in_time_has_no_line():
    """A feedback edge's step is the event's own where the target is evaluated first, or is the source itself."""
    slow = nir.LI(np.full(2, 0.02), np.ones(2), np.zeros(2))
    nodes = {"in": 2, "a": lif(2), "slow": slow, "self": nir.Linear(np.eye(2)), "back": nir.Linear(np.eye(2)), "out": 2}
    edges = [("in", "a"), ("a", "slow"), ("slow", "back"), ("back", "a"), ("slow", "self"), ("self", "slow")]
    plan = plan_of(graph(nodes, [*edges, ("a", "out")]))
    assert plan.lines == {}
    assert [(link.target, link.pre.tolist(), link.steps.tolist()) for link in plan.links if link.source == "slow"] == [
        ("a", [0, 1], [0, 0]),
        ("slow", [0, 1], [0, 0]),
    ]


@pytest.mark.parametrize("name", CASES)
def test_every_synapse_is_there_once_with_its_delay(name):
    """Read back as :class:`Link` says, the plan has the network's synapses; none is late by less than nothing."""
    case = CASES[name]
    network = fuse(lower(case.graph(), **case.options()))
    plan = make_plan(network, codes(network), "float64")
    wanted = Counter(
        (p.source, p.target, p.delay, row, column, weight)
        for p in network.projections
        for row, column, weight in zip(*p.weights.tocoo().coords, p.weights.tocoo().data, strict=True)
    )
    found = Counter()
    for link in plan.links:
        n = size(network.by_name[link.source])
        # An event of a level that is not below its target's comes after the target's update: in the next step.
        own = 1 if plan.levels[link.source] >= plan.levels[link.target] else 0
        ages, pre = (link.pre // n, link.pre % n) if link.from_line else (link.steps, link.pre)
        assert pre.max() < n
        assert not (link.from_line and np.any(link.steps))
        assert ages.min() >= 0
        assert ages.max() <= plan.lines.get(link.source, ages.max())
        found.update(
            (link.source, link.target, int(age) + own, row, column, weight)
            for age, row, column, weight in zip(ages, link.post, pre, link.weights, strict=True)
        )
    assert found == wanted
    assert plan.depth == len(set(plan.levels.values()))
    assert {p.name for p in network.populations if plan.sends(p.name)} == {p.source for p in network.projections}


def test_lines_count_when_a_batch_is_cut():
    plan = plan_of(loop())
    assert plan.line_elements == 5 * 4
    assert samples_at_once(plan, 3 * (plan.synapses + 20)) == 3
    assert samples_at_once(plan, 3 * (plan.synapses + 20) - 1) == 2
    assert samples_at_once(plan, plan.synapses) == 1  # one sample is run even where its lines do not fit
    with pytest.raises(UnsupportedError, match=f"62 synapses, 24 of them from 'b'; got {plan.synapses - 1}"):
        samples_at_once(plan, plan.synapses - 1)


def test_slots_keep_brian2s_own():
    assert [slot for slot in slots(3) if slot in DEFAULT] == list(DEFAULT)
    assert slots(2).index("level0_synapses") < slots(2).index("level1_update") < slots(2).index("end")


def test_code_has_the_units_of_nir():
    full = np.ones(2)
    neuron = nir.CubaLIF(full, full, full, full, full, full)
    network = fuse(lower(graph({"in": 2, "n": neuron, "out": 2}, [("in", "n"), ("n", "out")]), dt=DT))
    code = group_code(network.by_name["n"], {})
    assert code.variables == {"c": "amp", "v": "volt", "summed": "amp"}
    assert {name: unit for name, (unit, _) in code.constants.items()} == {
        "a0_c": "1",
        "gain0": "1",
        "a1_v": "1",
        "a1_c": "ohm",
        "bias1": "volt",
        "theta": "volt",
        "bias_reset0": "volt",
    }
    assert code.update.splitlines() == ["c = a0_c*c + gain0*summed", "v = a1_v*v + a1_c*c + bias1", "summed = 0*amp"]
    lif_code = group_code(fuse(lower(graph({"n": lif(1), "out": 1}, [("n", "out")]), dt=DT)).by_name["n"], {})
    assert lif_code.constants["gain0"][0] == "ohm"
    assert (quotient("volt", "1"), quotient("1", "volt"), quotient("amp", "volt")) == ("volt", "1/volt", "siemens")
