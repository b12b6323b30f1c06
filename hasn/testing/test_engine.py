"""Rules on Lava's own learning engine: spikes and weights at every step are those of its own order, and with two of its
steps for one those of SEMANTICS."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.agreement.comparison import Comparison
from hasn.errors import InputError, UnsupportedError
from hasn.recording import Recording
from hasn.testing import reference
from hasn.testing.cases.engine import CASES
from hasn.testing.cases.learning import CASES as LEARNING
from hasn.testing.cases.learning import DT, LearningCase
from hasn.testing.engine import EngineLearner
from hasn.testing.learning import Learner
from hasn.testing.matrix import Cell, parametrise
from hasn.testing.runners import why_not

#: Weights may part by this much of the largest one: sums of a thousand updates in another order, in float64.
WEIGHTS = 1e-9


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        exact = "two_steps" in metafunc.function.__name__
        names = [name for name, made in CASES.items() if made.exact or not exact]
        kind = "engine-exact" if exact else "engine"
        parametrise(metafunc, kind, lambda runner: names if runner == "lava" else (), ("float64",))


@cache
def expected(name: str, semantics: bool = False) -> reference.Reference:
    """What the engine's order gives, or SEMANTICS'; the reference's input has a batch axis."""
    learner = Learner if semantics else EngineLearner
    case = CASES[name].case
    arrays = {key: x if case.batch is not None else x[:, np.newaxis] for key, x in case.inputs().items()}
    return reference.run(case.graph(), arrays, DT, "euler", "zero", "synchronous", learner=learner)


def compiled(case: LearningCase, learning: str = "engine") -> Any:
    if why_not("lava"):
        pytest.skip(why_not("lava"))
    return hasn.compile(case.graph(), "lava", learning=learning)


def agree(got: Recording, name: str, semantics: bool = False) -> None:
    """Spikes identical, weights within the tolerance, at every step."""
    want, case = expected(name, semantics), CASES[name].case
    for node, spikes in got.spikes.items():
        shown = np.asarray(spikes) if case.batch is not None else np.asarray(spikes)[:, np.newaxis]
        np.testing.assert_array_equal(shown, want.spikes[node], err_msg=node)
    assert set(got.series["weights"]) == set(want.weights)
    for node, wanted in want.weights.items():
        course = got.series["weights"][node].reshape(wanted.shape)
        np.testing.assert_allclose(course, wanted, rtol=0, atol=WEIGHTS * np.abs(wanted).max(), err_msg=node)


@pytest.mark.parametrize("name", CASES)
def test_the_cases_tell_the_orders_apart(name: str) -> None:
    """Or they would show nothing: weights move both ways, targets spike, and SEMANTICS' order gives other weights."""
    want, other = expected(name), expected(name, semantics=True)
    for node, course in want.weights.items():
        moved = np.diff(course, axis=0)
        assert moved.min() < 0 < moved.max(), node
        assert np.abs(course - other.weights[node]).max() > 1e-3, node
    assert all(20 < spikes.sum() < 0.5 * spikes.size for spikes in want.spikes.values())


def test_spikes_and_weights_are_those_of_the_engines_order(cell: Cell) -> None:
    """And what of it a chip could not run is what the case says."""
    made = CASES[cell.name]
    with compiled(made.case) as executable:
        got = executable.run(made.case.inputs(), record=("spikes", "weights"))
        agree(got, cell.name)
        assert {one.node for one in executable.deployable if not one.on_chip} == made.ours
        for node, course in got.series["weights"].items():
            np.testing.assert_array_equal(executable.weights(node), course[-1])


def test_two_steps_for_one_are_semantics_order(cell: Cell) -> None:
    """The chip's engine learns what snnTorch and Brian2 do."""
    made = CASES[cell.name]
    with compiled(made.case, "engine-exact") as executable:
        agree(executable.run(made.case.inputs(), record=("spikes", "weights")), cell.name, semantics=True)
        assert {one.node for one in executable.deployable if not one.on_chip} == made.ours


@pytest.mark.lava
def test_a_second_run_starts_anew_and_what_is_not_recorded_is_the_same() -> None:
    case = CASES["pair"].case
    inputs = {name: x[:100] for name, x in case.inputs().items()}
    with compiled(case) as executable:
        start = executable.weights("plastic")
        first = executable.run(inputs, record=("spikes", "weights")).series["weights"]["plastic"]
        executable.run(inputs, record=("spikes",))
        np.testing.assert_array_equal(executable.weights("plastic"), first[-1])
        assert np.abs(first[-1] - start).max() > 1e-3
        executable.reset()
        np.testing.assert_array_equal(executable.weights("plastic"), start)


@pytest.mark.lava
def test_compare_says_that_it_is_the_engines_order() -> None:
    """And no more than that: the first weight follows that order to rounding."""
    if why_not("lava"):
        pytest.skip(why_not("lava"))
    case = CASES["pair-free"].case
    inputs = {name: x[:60] for name, x in case.inputs().items()}
    found: Comparison = hasn.compare(
        case.graph(), inputs, backends=("snntorch", "lava"), reference="snntorch", learning="engine"
    )
    assert not found.ok
    weight, spike = found.first_weight("lava"), found.first_divergence("lava")
    assert weight is not None
    assert spike is not None
    assert weight.term == "0.01 post x"
    assert weight.cause.startswith("lava has an order of its own: Lava's learning engine applies")
    assert spike.kind == "weights"
    assert "Lava's learning engine applies" in spike.cause
    found = hasn.compare(
        case.graph(), inputs, backends=("snntorch", "lava"), reference="snntorch", learning="engine-exact"
    )
    assert found.ok
    assert 0 < found.max_weight_error["lava"] < 1e-12


def test_what_a_run_on_the_engine_cannot_do_is_refused() -> None:
    case = CASES["pair"].case
    with hasn.compile(case.graph(), "lava", learning="engine") as executable:
        inputs = {name: x[:5] for name, x in case.inputs().items()}
        with pytest.raises(UnsupportedError, match=r"^keep_state: .* traces and tags of its own, .*learning='process'"):
            executable.run(inputs, keep_state=True)
        with pytest.raises(UnsupportedError, match=r"^step, load_state: "):
            executable.step({name: x[0] for name, x in inputs.items()})
        with pytest.raises(InputError, match=r"node 'input': .* takes spikes; got 0\.5; wanted 0 or 1"):
            executable.run({name: 0.5 * x for name, x in inputs.items()})
    with hasn.compile(case.graph(), "snntorch") as other:
        other.run(inputs, keep_state=True)
        state = other.state()
    with hasn.compile(case.graph(), "lava", learning="engine") as executable:
        with pytest.raises(UnsupportedError, match=r"^state: "):
            executable.run(inputs, state=state)
        with pytest.raises(UnsupportedError, match=r"^step, load_state: "):
            executable.load_state(state)


@pytest.mark.parametrize(
    ("name", "said"),
    {
        "pair-mean": "no weights that a batch shares; got batch_learning='mean'",
        "pair-nearest": "trace at each spike, and x is set; got the term 0.01 post x",
        "pair-sparse": "is all to all here; got Sparse",
        "reward": "third factor (reward) from neurons that compute it alone; got the term e reward",
        "triplet-delays": "is all to all here; got Sparse",
        "bcm": "and theta is fed by 0.0010005 y y; got the term -0.0001 pre theta y",
        "hebb": "reads spikes, not the membrane (v); got the term 0.0001 pre v",
        "oja": "reads spikes, not the membrane (v); got the term 0.01 pre v",
        "voltage": "multiplies and adds, without pos(1.0*u_minus",
        "short-and-long-loop": "sends the weight of a spike and no more; got transmits = 0.4 pre w",
        "pair-and-scaling": "no products without a spike here; got the term 0.0005 w",
        "odd": "by those of every Kth step; got every = 7",
    }.items(),
)
def test_rules_without_a_place_are_refused_by_the_term(name: str, said: str) -> None:
    with pytest.raises(UnsupportedError) as raised:
        hasn.compile(LEARNING[name].graph(), "lava", learning="engine")
    assert said in str(raised.value)
    assert raised.value.node in ("plastic", "loop")
    assert "learning='process'" in str(raised.value.way_out)
