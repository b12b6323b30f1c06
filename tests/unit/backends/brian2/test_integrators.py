"""hasn's coefficients against Brian2's own integration of the differential equations, with units."""

import nir
import numpy as np
import pytest

import hasn
from tests.unit.backends.brian2.formulas import DT, graph, node

brian2 = pytest.importorskip("brian2", reason="Brian2 is not installed (pip install 'hasn[brian2]')")

T = 50
LEAKY = "dv/dt = (v_leak - v + r*current(t, i))/tau : volt"
CUBA_C = "dc/dt = (-c + w_in*current(t, i))/tau_syn : amp"
CUBA_V = "dv/dt = (v_leak - v + r*c)/tau_mem : volt"
UNITS = {"r": "ohm", "v_leak": "volt", "tau": "second", "tau_syn": "second", "tau_mem": "second", "w_in": "1"}


def integrate(neuron, x, method):
    """Brian2's numerical integration of the node's equations, its input held constant over each step."""
    cuba = isinstance(neuron, nir.CubaLI)
    parameters = [name for name in UNITS if hasattr(neuron, name)]
    lines = [CUBA_C, CUBA_V] if cuba else [LEAKY]
    lines += [f"{name} : {UNITS[name]} (constant)" for name in parameters]
    clock = brian2.Clock(dt=DT * brian2.second)
    # "exact" wants its input named constant over the step, which a TimedArray on the same grid is.
    current = brian2.TimedArray(x * brian2.amp, dt=DT * brian2.second)
    group = brian2.NeuronGroup(x.shape[1], "\n".join(lines), method=method, clock=clock, namespace={"current": current})
    for name in parameters:
        setattr(group, f"{name}_", getattr(neuron, name))
    monitor = brian2.StateMonitor(group, "v", record=True, when="end", clock=clock)
    brian2.prefs.codegen.target = "numpy"
    try:
        brian2.Network(group, monitor).run(T * DT * brian2.second, namespace={})
    finally:
        brian2.prefs.codegen.target = "auto"
    return np.array(monitor.v_).T


@pytest.mark.parametrize("method", ["euler", "exact"])
@pytest.mark.parametrize("kind", ["LI", "CubaLI"])
def test_coefficients(kind, method):
    rng = np.random.default_rng(5)
    n = 4
    neuron = node(kind, n, rng)
    x = rng.normal(0.5, 1.0, (T, n))
    made = graph({"in": n, "n": neuron, "out": n}, [("in", "n"), ("n", "out")])
    ours = hasn.compile(made, "brian2", dt=DT, method=method).run(x).output
    if kind == "CubaLI" and method == "euler":
        # Brian2 moves both states from their old values, NIR gives the voltage the current of the same step: integrate
        # the current alone first, then the voltage driven by it.
        current = nir.LI(neuron.tau_syn, neuron.w_in, np.zeros(n))
        theirs = integrate(nir.LI(neuron.tau_mem, neuron.r, neuron.v_leak), integrate(current, x, method), method)
    else:
        theirs = integrate(neuron, x, method)
    # Float64 on both sides; `exact` goes through sympy's closed form, which cancels some digits.
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)
