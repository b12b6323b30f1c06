"""Numbers, modulators and states that a user gives to rules, and weights that leave the range of numbers."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from scipy.sparse import csr_array

import hasn
from hasn.errors import InputError, NotFiniteError, OptionError
from hasn.nodes import SparseLinear
from hasn.plasticity import STDP, RewardSTDP, Rule, Trace, attach

DT = 1e-3


def net(rule: Rule) -> nir.NIRGraph:
    """input (2) -> fc -> cells (1)."""
    cells = nir.LIF(*(np.array([value]) for value in (20e-3, 20.0, 0.0, 1.0, 0.0)))
    ends = {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([1]))}
    nodes = {"fc": nir.Linear(np.array([[0.5, 0.25]])), "cells": cells, **ends}
    edges = [("input", "fc"), ("fc", "cells"), ("cells", "output")]
    return attach(nir.NIRGraph(nodes, edges, metadata={"dt": DT}), "fc", rule)


def test_numbers_of_numpy_are_numbers() -> None:
    """As arrays of parameters give them; a rule keeps Python's own, which files and other processes take."""
    given = STDP(np.float32(0.5), np.float64(0.25), np.float32(0.5), 20e-3, np.int64(0), np.int32(1))
    assert given == STDP(0.5, 0.25, 0.5, 20e-3, 0, 1)
    kept = Rule("x * post", {"x": Trace("pre", np.float32(0.5))}, every=np.int64(2), normalise=np.float32(0.75))
    assert [type(value) for value in (kept.every, kept.normalise, kept.traces["x"].tau)] == [int, float, float]
    with pytest.raises(OptionError, match=r"every.*no number of steps"):
        Rule("pre", every=np.float64(2.0))  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"w_max: not a number"):
        Rule("pre", w_max=np.bool_(True))  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [np.zeros(5), [0.0] * 5, 1.0, "reward"])
@pytest.mark.parametrize("rule", [RewardSTDP(), STDP()], ids=["asks", "asks not"])
def test_modulators_that_have_no_names_are_refused(rule: Rule, given: object) -> None:
    with hasn.compile(net(rule), "snntorch") as executable, pytest.raises(InputError, match="not modulators"):
        executable.run(np.zeros((5, 2)), modulators=given)  # type: ignore[arg-type]


@pytest.mark.parametrize("kernels", ["1", "0"])
def test_a_weight_that_all_samples_share_is_in_the_state_of_each(monkeypatch: pytest.MonkeyPatch, kernels: str) -> None:
    """Also where there is no trace beside it: three samples, of which the second alone has a spike in steps 0 and 2."""
    monkeypatch.setenv("HASN_KERNELS", kernels)
    x = np.zeros((3, 3, 2))
    x[[0, 2], 1, 0] = 1.0
    with hasn.compile(net(Rule("0.3 * pre", batch_learning="mean")), "snntorch") as executable:
        executable.run(x[:2], keep_state=True)
        state = executable.state()
        np.testing.assert_allclose(state.learned["fc"]["w"], [[[0.6, 0.25]]] * 3, rtol=1e-15)
        executable.run(x[2:], state=state)
        np.testing.assert_allclose(executable.weights("fc"), [[[0.7, 0.25]]] * 3, rtol=1e-15)


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
@pytest.mark.parametrize(("record", "when"), [(("weights",), "step 3;"), ((), r"step 0 \.\. 3;")])
def test_weights_that_leave_the_numbers_are_refused(backend: str, record: tuple[str, ...], when: str) -> None:
    """In the last step, after which nothing is sent that would show it."""
    x = np.zeros((4, 2))
    x[3] = 10.0
    with hasn.compile(net(Rule("1e308 * pre")), backend) as executable:
        assert executable.run(x[:3]).steps == 3
        with pytest.raises(NotFiniteError, match=rf"'fc': a weight that it has learned is not finite at {when}"):
            executable.run(x, record=record)


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
@pytest.mark.parametrize("rule", [STDP(), Rule("pre", normalise=1.0)], ids=["plain", "normalised"])
def test_a_connection_without_any_synapse_learns_nothing(backend: str, rule: Rule) -> None:
    """As pruning may leave it; the target goes on, by what else reaches it."""
    graph = net(rule)
    metadata = graph.nodes["fc"].metadata
    graph.nodes["fc"] = SparseLinear(csr_array((1, 2), dtype=np.float64), metadata=metadata)
    graph.nodes["drive"] = nir.Linear(np.array([[2.0, 0.0]]))
    graph.edges += [("input", "drive"), ("drive", "cells")]
    with hasn.compile(graph, backend) as executable:
        found = executable.run(np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]]), record=("spikes", "weights"))
        assert found.spikes["cells"][:, 0].tolist() == [False, True, False]
        assert found.series["weights"]["fc"].shape == (3, 0)
        assert executable.weights("fc").shape == (0,)
