"""Numbers that leave their range: the same node and step on every backend, in runs and in streams."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
import torch

import hasn
from hasn.backend import get_backend
from hasn.errors import NotFiniteError, ParameterError
from hasn.ir.lower import lower
from hasn.nodes import AdaptiveLIF, ResonateFire
from hasn.nonfinite import all_finite, graded_outputs

#: The first step that has an input.
FIRST = 7
ONE = np.ones(1)


def _lif(**more: Any) -> nir.LIF:
    return nir.LIF(tau=0.02 * ONE, r=1e3 * ONE, v_leak=0 * ONE, v_threshold=ONE, v_reset=0 * ONE, **more)


def _after(node: nir.NIRNode, weight: float = 1e308) -> nir.NIRGraph:
    """Input -> Linear -> node -> Output."""
    nodes = {"input": nir.Input(np.array([1])), "fc": nir.Linear(np.array([[weight]])), "node": node}
    edges = [("input", "fc"), ("fc", "node"), ("node", "output")]
    return nir.NIRGraph({**nodes, "output": nir.Output(np.array([1]))}, edges, type_check=False)


def _twice(node: nir.NIRNode | None) -> nir.NIRGraph:
    """Two weights of 1e308 whose products add up to more than there are numbers, before a node or an Output."""
    shown = {"output": nir.Output(np.array([1]))} if node else {}
    target = {"node": node or nir.Output(np.array([1]))}
    nodes = {"input": nir.Input(np.array([1])), **{f"w{i}": nir.Linear(np.array([[1e308]])) for i in range(2)}}
    edges = [("input", "w0"), ("input", "w1"), ("w0", "node"), ("w1", "node")]
    return nir.NIRGraph({**nodes, **target, **shown}, edges + [("node", "output")] * bool(node), type_check=False)


def _loop() -> nir.NIRGraph:
    """An integrator that multiplies what it had by 1e100 at every step: 1 at step 7, so inf at step 11."""
    li = nir.LI(tau=1e-3 * ONE, r=ONE, v_leak=0 * ONE)
    nodes = {"input": nir.Input(np.array([1])), "node": li, "w": nir.Linear(np.array([[1e100]]))}
    edges = [("input", "node"), ("node", "w"), ("w", "node"), ("node", "output")]
    return nir.NIRGraph({**nodes, "output": nir.Output(np.array([1]))}, edges, type_check=False)


def _cuba() -> nir.CubaLIF:
    return nir.CubaLIF(1e-3 * ONE, 0.01 * ONE, 1e3 * ONE, 0 * ONE, ONE, v_reset=0 * ONE, w_in=ONE)


def _adaptive() -> AdaptiveLIF:
    return AdaptiveLIF(
        tau=0.02 * ONE,
        r=1e3 * ONE,
        v_leak=0 * ONE,
        v_threshold=ONE,
        v_reset=0 * ONE,
        tau_adaptation=0.1 * ONE,
        a=0 * ONE,
        b=0.1 * ONE,
        tau_threshold=0.1 * ONE,
        threshold_jump=0.1 * ONE,
    )


def _resonate() -> ResonateFire:
    return ResonateFire(tau=0.05 * ONE, omega=100 * ONE, r=1e3 * ONE, v_threshold=ONE, v_reset=0 * ONE)


#: name: (graph, options, step)
CASES: dict[str, tuple[nir.NIRGraph, dict[str, Any], int]] = {
    "reset to zero": (_after(_lif()), {}, FIRST),
    "reset by subtraction": (_after(_lif()), {"reset": "subtract"}, FIRST),
    "downwards": (_after(_lif(), -1e308), {}, FIRST),
    "exact": (_after(_lif()), {"method": "exact"}, FIRST),
    "held": (_after(_lif(metadata={"refractory": 3e-3})), {}, FIRST),
    "integrate and fire": (_after(nir.IF(1e5 * ONE, ONE, -ONE)), {}, FIRST),
    "current": (_after(_cuba()), {}, FIRST),
    "adaptive": (_after(_adaptive()), {}, FIRST),
    "resonator": (_after(_resonate()), {"method": "exact"}, FIRST),
    "no spikes": (_after(nir.LI(2e-3 * ONE, 1e3 * ONE, 0 * ONE)), {}, FIRST),
    "threshold": (_twice(nir.Threshold(ONE)), {}, FIRST),
    "output": (_twice(None), {}, FIRST),
    "loop": (_loop(), {}, FIRST + 4),
}
BACKENDS = [
    ("snntorch", {}),
    ("snntorch", {"engine": "steps"}),
    ("brian2", {}),
    ("lava", {}),
]


def _input(steps: int = 16) -> np.ndarray[Any, Any]:
    x = np.zeros((steps, 1))
    x[FIRST:] = 1.0
    return x


@pytest.mark.parametrize(("backend", "options"), BACKENDS, ids=["fused", "steps", "brian2", "lava"])
@pytest.mark.parametrize("case", CASES)
def test_a_state_that_is_not_finite_names_node_and_step(case: str, backend: str, options: dict[str, Any]) -> None:
    """As a run, as the second half of a run, and as a stream, which raises at the step itself.

    Brian2 and Lava take a second to build each of these; the equations of all populations go one way there.
    """
    if get_backend(backend).why_not():
        pytest.skip(f"{backend} is not installed here")
    graph, how, step = CASES[case]
    words = rf"node 'node': its state or value is not finite at step {step};"
    with hasn.compile(graph, backend, dt=1e-3, **how, **options) as executable:
        with pytest.raises(NotFiniteError, match=words):
            executable.run(_input())
        if backend != "snntorch" and case not in ("reset to zero", "threshold", "loop"):
            return
        executable.run(_input()[:5], keep_state=True)
        with pytest.raises(NotFiniteError, match=words):
            executable.run(_input()[5:], state=executable.state())
        executable.reset()
        for now in _input()[:step]:
            executable.step(now)
        with pytest.raises(NotFiniteError, match=words):
            executable.step(_input()[step])
        executable.reset()
        assert executable.run(_input()[:step]).steps == step  # nothing of it is left


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("engine", ["fused", "steps"])
@pytest.mark.parametrize("recompute", [None, 5])
def test_the_module_refuses_it_too(case: str, engine: str, recompute: int | None) -> None:
    """Whoever trains it without hasn.train is told, but for an Output, which is seen."""
    graph, how, step = CASES[case]
    executable = hasn.compile(graph, "snntorch", dt=1e-3, engine=engine, recompute=recompute, **how)
    x = torch.tensor(_input())[:, None]
    if case == "output":
        assert not torch.isfinite(executable.module(x)).all()
        return
    with pytest.raises(NotFiniteError, match=f"'node'.* at step {step};"):
        executable.module(x)
    executable.module(x[:step])


@pytest.mark.parametrize(("backend", "options"), BACKENDS[:3], ids=["fused", "steps", "brian2"])
def test_float32_ends_earlier(backend: str, options: dict[str, Any]) -> None:
    """1e38 times 1e3 / 20 is a number in float64 and none in float32."""
    graph = _after(_lif(), 1e38)
    with hasn.compile(graph, backend, dt=1e-3, **options) as executable:
        assert executable.run(_input()).counts.total_spikes == 16 - FIRST
    words = r"'node'.* step 7;.*3.4e\+38, which float32 has.*precision='float64'"
    executable = hasn.compile(graph, backend, dt=1e-3, precision="float32", **options)
    with executable, pytest.raises(NotFiniteError, match=words):
        executable.run(_input())


@pytest.mark.parametrize("backend", ["snntorch", "brian2", "lava"])
def test_the_first_sample_is_named_and_others_are_not_to_blame(backend: str) -> None:
    """Sample 1 overflows at step 9, sample 2 at step 4."""
    if get_backend(backend).why_not():
        pytest.skip(f"{backend} is not installed here")
    x = np.zeros((12, 3, 1))
    x[9:, 1], x[4:, 2] = 1.0, 1.0
    with hasn.compile(_after(_lif()), backend, dt=1e-3) as executable:
        with pytest.raises(NotFiniteError, match=r"'node'.* step 4;"):
            executable.run(x)
        assert not np.any(executable.run(x[:, :1]).spikes["node"])


@pytest.mark.parametrize("backend", ["snntorch", "brian2", "lava"])
def test_large_numbers_are_no_error(backend: str) -> None:
    """Sums of squares overflow long before the numbers do."""
    if get_backend(backend).why_not():
        pytest.skip(f"{backend} is not installed here")
    graph = _after(nir.LI(2e-3 * ONE, ONE, 0 * ONE), 1e307)
    with hasn.compile(graph, backend, dt=1e-3) as executable:
        out = executable.run(_input()).outputs["output"]
        stream = [executable.step(now)["output"] for now in _input()]
    # v <- v + (1e307 - v) / 2, from step 7 on
    wanted = 1e307 * (1 - 0.5 ** np.arange(1, 10))
    np.testing.assert_allclose(out[FIRST:, 0], wanted, rtol=1e-12)
    np.testing.assert_allclose(np.array(stream)[FIRST:, 0], wanted, rtol=1e-12)


def test_looking_at_arrays() -> None:
    assert all_finite(np.array([1e308, 1e308]))  # though their sum is inf
    assert not all_finite(np.array([1.0, np.inf, -np.inf]))
    assert not all_finite(np.array([np.nan]))
    assert all_finite(np.array([], float))
    assert all_finite(np.array([True]))


def test_outputs_of_spikes_and_states_need_no_look() -> None:
    assert graded_outputs(lower(_after(_lif()), dt=1e-3)) == ()
    assert graded_outputs(lower(_twice(None), dt=1e-3)) == ("node",)


#: Parameters that are numbers each, and give a coefficient that is none.
BEYOND = {
    "gain": (nir.IF(1e308 * ONE, ONE, 0 * ONE), {}, 1e3),
    "jump": (nir.IF(ONE, 1e308 * ONE, -1e308 * ONE, metadata={"reset": "subtract"}), {}, 1e-3),
}


@pytest.mark.parametrize("case", BEYOND)
def test_a_coefficient_that_is_no_number_is_refused_and_checked(case: str) -> None:
    node, how, dt = BEYOND[case]
    graph = _after(node, 1.0)
    findings = [finding for finding in hasn.check(graph, dt=dt, **how) if "coefficient" in finding.message]
    assert [(finding.severity, finding.node) for finding in findings] == [("error", "node")]
    for backend in ("snntorch", "brian2", "lava"):
        if get_backend(backend).why_not():
            continue
        with pytest.raises(ParameterError, match=r"node 'node'.*coefficient that is not finite"):
            hasn.compile(graph, backend, dt=dt, **how)


def test_a_jump_by_subtraction_is_refused_where_the_call_chooses_it() -> None:
    graph = _after(nir.IF(ONE, 1e308 * ONE, -1e308 * ONE), 1.0)
    hasn.compile(graph, dt=1e-3)
    with pytest.raises(ParameterError, match=r"node 'node'.*coefficient that is not finite"):
        hasn.compile(graph, dt=1e-3, reset="subtract")


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (_after(_lif(), -1e39), "node 'fc' weight: .*float32.*1e.39.*3.4e.38.*float64"),
        (_after(nir.Threshold(1e39 * ONE), 1.0), "node 'node' threshold"),
        (_after(nir.IF(ONE, 1e39 * ONE, 0 * ONE), 1.0), "node 'node' threshold"),
        (_after(nir.IF(1e42 * ONE, ONE, 0 * ONE), 1.0), "node 'node' v"),
        (_after(nir.IF(ONE, ONE, 0 * ONE, metadata={"v_init": -1e39 * ONE}), 1.0), "node 'node' initial v"),
        (_after(nir.Scale(1e39 * ONE), 1.0), "node 'node' scale"),
        (_after(nir.Affine(np.ones((1, 1)), 1e39 * ONE), 1.0), "node 'node' bias"),
    ],
)
def test_numbers_that_float32_has_not_are_refused(backend: str, graph: nir.NIRGraph, words: str) -> None:
    hasn.compile(graph, backend, dt=1e-3)
    with pytest.raises(ParameterError, match=words):
        hasn.compile(graph, backend, dt=1e-3, precision="float32")
