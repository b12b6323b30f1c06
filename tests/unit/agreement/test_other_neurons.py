"""Ties and causes where more than a voltage decides: moving thresholds, resonators, neurons held after a spike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.agreement import judge
from hasn.nodes import AdaptiveLIF, ResonateFire
from hasn.program.fuse import fuse
from hasn.program.model import Neurons, Program
from hasn.recording import Recording
from hasn.testing.interpreter import ProgramInterpreter
from tests.graphs import DT, Draw, chain

D = Draw(5)
X = (np.random.default_rng(2).random((40, 1, 6)) < 0.5).astype(float)


def net(kind: str, **metadata: Any) -> Program:
    node = D.neuron(kind, (5,), metadata=metadata)
    return hasn.lower(chain(D.affine(5, 6), node, D.linear(3, 5), given=(6,), result=(3,)), dt=DT, method="exact")


def changed(program: Program, **how: Any) -> Program:
    """The same with another population."""
    nodes = tuple(replace(node, **how) if isinstance(node, Neurons) else node for node in program.nodes)
    return replace(program, nodes=nodes)


def run(program: Program) -> Recording:
    return ProgramInterpreter(program).run(X, record=("spikes", "voltages"))


def judged(program: Program, other: Program) -> Any:
    recordings = {"a": run(program), "b": run(other)}
    return judge(program, fuse(program), {"input": X}, recordings, "a", {}, lambda: None)


NEURONS = {
    "AdaptiveLIF": {},
    "ResonateFire": {},
    "LIF": {"refractory": 2 * DT},
    "adaptive and held": {"refractory": DT},
}


@pytest.fixture(params=NEURONS)
def program(request: pytest.FixtureRequest) -> Program:
    kind = request.param if request.param in ("LIF", "ResonateFire") else "AdaptiveLIF"
    return net(kind, **NEURONS[request.param])


def at_threshold(program: Program) -> tuple[Program, tuple[int, int]]:
    """The same with a threshold that the first neuron meets exactly when it first spikes, and (step, neuron)."""
    from hasn.program.simulate import Simulated

    population = next(node for node in program.nodes if isinstance(node, Neurons))
    (into,) = fuse(program).into("n2")
    drive = fuse(program).drives["n2"][0]
    simulated = Simulated(population)
    for step, x in enumerate(X[:, 0]):
        simulated.step(into.weights @ x + drive)
        if (simulated.seen > 0).any():
            neuron = int((simulated.seen > 0).argmax())
            constant = population.condition.constant.copy()  # type: ignore[union-attr]
            constant[neuron] -= simulated.seen[neuron]
            condition = replace(population.condition, constant=constant)  # type: ignore[type-var]
            return changed(program, condition=condition), (step, neuron)
    raise AssertionError("nobody spikes")


def moved(program: Program, neuron: int, by: float) -> Program:
    """The same with a neuron's threshold lower by so much."""
    condition = next(node for node in program.nodes if isinstance(node, Neurons)).condition
    assert condition is not None
    constant = condition.constant.copy()
    constant[neuron] += by
    return changed(program, condition=replace(condition, constant=constant))


def test_a_spike_that_rounding_decides_is_a_tie(program: Program) -> None:
    """Thresholds 1e-14 apart, and a voltage between them that comes within some roundings of both."""
    edge, (step, neuron) = at_threshold(program)
    found = judged(moved(edge, neuron, -5e-15), moved(edge, neuron, 5e-15))
    first = found.first_divergence("b")
    assert (first.node, first.step, first.index, first.tie) == ("n2", step, (neuron,), True)
    assert found.ok
    assert found.verdicts["b"].ties >= 1


def test_a_threshold_that_differs_by_more_is_no_tie(program: Program) -> None:
    edge, (step, neuron) = at_threshold(program)
    found = judged(moved(edge, neuron, -1e-6), moved(edge, neuron, 1e-6))
    first = found.first_divergence("b")
    assert (first.step, first.index, first.tie) == (step, (neuron,), False)
    assert not found.ok


def test_neurons_that_are_not_held_are_named() -> None:
    program = net("LIF", refractory=3 * DT)
    found = judged(program, changed(program, held=None))
    assert found.first_divergence("b").cause.startswith("a missing refractory period: it is not held after a spike")
    assert not found.ok


def test_a_held_neuron_that_spikes_is_no_tie() -> None:
    """Its voltage stands at the threshold, but it could not have spiked."""
    node = nir.IF(r=np.full(1, 1 / DT), v_threshold=np.ones(1), v_reset=np.ones(1), metadata={"refractory": 3 * DT})
    x = np.array([2.0, 0.0, 0.0, 0.0, 0.0]).reshape(5, 1, 1)
    program = hasn.lower(chain(node, given=(1,), result=(1,)), dt=DT)
    one = ProgramInterpreter(program).run(x, record=("spikes", "voltages"))
    assert one.spikes["n1"][:, 0, 0].tolist() == [True, False, False, False, False]
    spikes = one.spikes["n1"].copy()
    spikes[2] = True
    other = replace(one, spikes={"n1": spikes}, outputs={"output": spikes.astype(float)})
    found = judge(program, fuse(program), {"input": x}, {"a": one, "b": other}, "a", {}, lambda: None)
    assert not found.first_divergence("b").tie
    assert not found.ok


@pytest.mark.parametrize("kind", [AdaptiveLIF, ResonateFire])
def test_a_population_that_resets_nothing_is_named(kind: type) -> None:
    program = net(kind.__name__)
    found = judged(program, changed(program, resets=()))
    assert "does not reset at all" in found.first_divergence("b").cause
