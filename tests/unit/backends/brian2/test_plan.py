"""Which synapses Brian2 gets: merged projections, delays, delay lines, levels."""

import nir
import numpy as np

from hasn.backends.brian2.code import quotient
from hasn.backends.brian2.neurons import codes, group_code
from hasn.backends.brian2.plan import make_plan, samples_at_once
from hasn.backends.brian2.schedule import DEFAULT, slots
from hasn.program.fuse import fuse
from hasn.program.lower import lower
from tests.unit.backends.brian2.formulas import DT, graph, lif
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


def test_lines_count_when_a_batch_is_cut():
    plan = plan_of(loop())
    assert plan.line_elements == 5 * 4
    assert samples_at_once(plan, 3 * (plan.synapses + 20)) == 3
    assert samples_at_once(plan, 3 * (plan.synapses + 20) - 1) == 2


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
        "jump": "volt",
    }
    assert code.update.splitlines() == ["c = a0_c*c + gain0*summed", "v = a1_v*v + a1_c*c + bias1", "summed = 0*amp"]
    lif_code = group_code(fuse(lower(graph({"n": lif(1), "out": 1}, [("n", "out")]), dt=DT)).by_name["n"], {})
    assert lif_code.constants["gain0"][0] == "ohm"
    assert (quotient("volt", "1"), quotient("1", "volt"), quotient("amp", "volt")) == ("volt", "1/volt", "siemens")
