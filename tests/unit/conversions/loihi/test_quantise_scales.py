"""hasn.quantise from end to end: options reach what they are for, scales shrink where integers saturate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.quantising import quantise as module
from hasn.conversions.loihi.quantising.simulate import Trace
from hasn.errors import InputError, NotFiniteError, OptionError, ParameterError, TimeStepError, UnsupportedError
from hasn.program.integers.model import IntegerNetwork
from tests.unit.conversions.loihi.nets import DT, chain, lif, spikes, weights

GRAPH = chain((8,), nir.Linear(weights(6, 8)), lif(6), nir.Linear(weights(3, 6)), lif(3))
X = spikes(8, steps=12, batch=2)


def made(graph: nir.NIRGraph = GRAPH, inputs: Any = X, **options: Any) -> hasn.QuantisedNetwork:
    return hasn.quantise(graph, calibrate=inputs, **options)


@pytest.mark.parametrize("headroom", [0.99, 1e6, float("nan"), float("inf"), True, "2", None, -3])
def test_headroom_is_a_factor_of_at_least_1(headroom: Any) -> None:
    with pytest.raises(OptionError, match=r"no such headroom.*wanted a factor of at least 1") as error:
        made(headroom=headroom)
    assert error.value.parameter == "headroom"


def test_headroom_is_2_and_1_is_taken() -> None:
    scale = {h: made(headroom=h).scales["n3"].scale[0] for h in (1, 1.0, 2.0, 64.0)}
    assert scale[1] == scale[1.0] > scale[64.0]
    assert made().scales["n3"].scale[0] == scale[2.0]


def test_every_option_reaches_what_it_is_for() -> None:
    assert made(target="loihi1").target == "loihi1"
    assert made(target="loihi1").report().target == "loihi1"
    assert made().target == "loihi2"
    assert made(timing="hardware").timing == "hardware"
    assert {p.delay for p in made(timing="hardware").integers.projections} == {1}
    assert {part.weight_exp for p in made(largest_exponent=0).integers.projections for part in p.parts} == {0}
    assert {part.weight_exp for p in made().integers.projections for part in p.parts} != {0}
    assert all(len(np.unique(p.weights.toarray())) <= 7 for p in made(weight_bits=3).integers.projections)
    real = X * 0.3
    assert made(inputs=real, input_bits=5).input_scales == {"input": 15 / 0.3}
    assert made(inputs=real).input_scales == {"input": pytest.approx(127 / 0.3)}
    exact = made(method="exact").integers.populations["n1"].dv
    assert exact.tolist() == [round(4096 * (1 - np.exp(-1 / 20)))] * 6
    assert made().integers.populations["n1"].dv.tolist() == [round(4096 / 20)] * 6
    first, again, other = (made(rounding="stochastic", weight_bits=3, seed=seed) for seed in (1, 1, 2))
    matrices = [m.integers.projections[0].weights.toarray() for m in (first, again, other)]
    np.testing.assert_array_equal(matrices[0], matrices[1])
    assert np.any(matrices[0] != matrices[2])
    with pytest.raises(UnsupportedError, match="reset"):
        made(reset="subtract")


def test_dt_is_the_graphs_or_the_calls() -> None:
    bare = nir.NIRGraph(GRAPH.nodes, GRAPH.edges, type_check=False)
    with pytest.raises(TimeStepError, match="the time step is not known"):
        made(bare)
    found = made(bare, dt=DT / 2)
    assert found.dt == DT / 2
    assert found.graph.metadata["dt"] == DT / 2
    assert found.integers.populations["n1"].dv.tolist() == [round(4096 / 40)] * 6


def test_the_graph_is_not_changed() -> None:
    before = {name: dict(vars(node)) for name, node in GRAPH.nodes.items()}
    found = made()
    for name, node in GRAPH.nodes.items():
        for key, value in before[name].items():
            assert getattr(node, key) is value
    assert found.graph.nodes["n0"] is not GRAPH.nodes["n0"]


def test_calibration_is_told_step_by_step() -> None:
    told: list[tuple[str, int, int]] = []
    made(progress=lambda *said: told.append(said))
    assert told == [("calibrating", i + 1, 12) for i in range(12)]


def saturating(monkeypatch: pytest.MonkeyPatch, times: int, **saturated: int) -> list[IntegerNetwork]:
    """The first so many integer runs wrap or clip in ``n3``."""
    tried: list[IntegerNetwork] = []
    whole = module.run_integers

    def run(network: IntegerNetwork, inputs: Mapping[str, Any]) -> dict[str, Trace]:
        tried.append(network)
        traces = whole(network, inputs)
        if len(tried) <= times:
            for key, value in saturated.items():
                setattr(traces["n3"], key, value)
        return traces

    monkeypatch.setattr(module, "run_integers", run)
    return tried


@pytest.mark.parametrize("saturated", ["wraps", "clips"])
def test_a_scale_is_halved_where_the_integers_saturate_and_there_alone(
    monkeypatch: pytest.MonkeyPatch, saturated: str
) -> None:
    plain = made(headroom=8.0)
    wanted = made(headroom=32.0)
    assert wanted.scales["n3"].scale[0] < plain.scales["n3"].scale[0]
    tried = saturating(monkeypatch, 2, **{saturated: 1})
    found = made(headroom=8.0)
    assert len(tried) == 3
    assert found.scales["n1"].scale[0] == plain.scales["n1"].scale[0]
    assert found.scales["n3"].scale[0] == wanted.scales["n3"].scale[0]
    np.testing.assert_array_equal(found.integers.populations["n3"].vth, wanted.integers.populations["n3"].vth)


def test_a_network_that_runs_away_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = saturating(monkeypatch, 99, wraps=3, clips=2)
    with pytest.raises(UnsupportedError, match="leaves 24 bits on the calibration data, however small the scale") as e:
        made()
    assert len(tried) == module.ATTEMPTS
    assert (e.value.node, e.value.got) == ("n3", "3 wraps and 2 clips")
    assert e.value.way_out == "Look at its inputs: the integer network runs away where the float network does not."
    with pytest.raises(UnsupportedError, match="after training") as e:
        module._refuse_saturated({"a": Trace(X, X, X), "b": Trace(X, X, X, clips=1)}, trained=True)
    assert (e.value.node, e.value.got) == ("b", "0 wraps and 1 clips")
    assert "smaller learning rate" in str(e.value.way_out)


def test_inputs_are_checked_before_anything_runs() -> None:
    for bad, words in ((X[..., :7], "shape"), (np.where(X > 0, np.inf, 0), "finite"), (X * 0, "all zero")):
        with pytest.raises(InputError, match=words):
            made(inputs=bad)


#: Of two neurons, whose threshold is then counted in units of their gain.
R = np.array([[1e-5], [2e-5]])
#: name: (nodes between Input and Output, factor of the data, node that is blamed, its parameter, or the step)
BEYOND: dict[str, tuple[tuple[nir.NIRNode, ...], float, str, str]] = {
    "weight times gain": ((nir.Linear(np.array([[1e308]])), lif(1, r=1e6)), 1.0, "n0", "weight"),
    "two weights": ((nir.Linear(np.array([[1e200]])), nir.Linear(np.array([[1e200]])), lif(1)), 1.0, "n2", "weight"),
    "bias": (
        (nir.Affine(np.ones((1, 1)), np.full(1, 1e300)), nir.Linear(np.array([[1e300]])), lif(1)),
        1.0,
        "n2",
        "bias",
    ),
    "threshold over gain": (
        (nir.Conv1d(1, np.ones((2, 1, 1)), 1, 0, 1, 1, np.zeros(2)), nir.IF(R, np.full((2, 1), 1e308), 0 * R)),
        1.0,
        "n1",
        "threshold",
    ),
    "far below": ((nir.Linear(np.ones((1, 1))), nir.IF(np.ones(1), np.ones(1), np.full(1, -1e305))), 1.0, "n1", ""),
    "data": ((nir.Linear(np.array([[1e306]])), lif(1)), 1e5, "n1", "step 3"),
}


@pytest.mark.parametrize("case", BEYOND)
def test_numbers_that_overflow_name_their_node(case: str) -> None:
    """Each number of the graph is one. The first spike of the data comes at step 3."""
    nodes, factor, node, what = BEYOND[case]
    shape = (1,) if isinstance(nodes[0], nir.Linear | nir.Affine) else (1, 1)
    x = np.zeros((12, *shape))
    x[3::2] = factor
    kind = NotFiniteError if case == "data" else ParameterError
    with pytest.raises(kind) as error:
        made(chain(shape, *nodes), x)
    assert error.value.node == node
    assert what in str(error.value) if case == "data" else error.value.parameter == (what or None)
