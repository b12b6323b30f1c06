"""Whole graphs whose parameters are the point: delays, initial values, leaks, signs, time constants, graded signals.

Each case is a builder; its decorators say how it is run.
"""

from __future__ import annotations

import nir
import numpy as np

from hasn.testing.cases.case import Cases
from hasn.testing.graphs import DT, Draw, chain, graph, inp, out

VALUES = Cases()
case = VALUES.add


@case()
@case(suffix="batch", batch=3)
def heterogeneous_delays_between_populations(d: Draw) -> nir.NIRGraph:
    nodes = [d.affine(6, 5), d.lif(6), nir.Delay(np.array([0, 5, 1, 2, 9, 3]) * DT), d.linear(4, 6),
             nir.Delay(np.array([2, 0, 1, 1]) * DT), d.lif(4)]  # fmt: skip
    return chain(*nodes, given=(5,), result=(4,))


@case()
@case(suffix="exact-batch", method="exact", batch=2)
def delay_of_a_graded_signal(d: Draw) -> nir.NIRGraph:
    nodes = [d.affine(5, 6), d.neuron("LI", (5,)), nir.Delay(np.array([2, 0, 4, 1, 3]) * DT), d.lif(5)]
    return chain(*nodes, given=(6,), result=(5,))


@case()
def delayed_bias(d: Draw) -> nir.NIRGraph:
    """A bias before a Delay begins with the delay, one behind it at once."""
    nodes = {"input": inp(5), "l1": d.affine(4, 5, bias=0.3), "delay": nir.Delay(np.array([3, 0, 5, 2]) * DT),
             "l2": d.affine(4, 4, bias=0.2), "scale": nir.Scale(d.between(0.5, 1.5, (4,))), "n": d.lif(4),
             "output": out(4), "sum": out(4)}  # fmt: skip
    return graph(nodes, "input > l1 > delay > l2 > scale > n > output", "scale > sum", "l1 > sum")


@case()
def delay_rounds_to_the_nearest_step(d: Draw) -> nir.NIRGraph:
    """Halves go to the even neighbour."""
    delays = np.array([0.0014, 0.0016, 0.0026, 0.00049, 0.0005, 0.0015, 0.0025, 0.0035])
    return chain(nir.Delay(delays), d.linear(4, 8), d.lif(4), given=(8,), result=(4,))


@case()
@case(suffix="exact-batch", method="exact", batch=3)
@case(suffix="hardware", timing="hardware")
def v_init_and_leak(d: Draw) -> nir.NIRGraph:
    first = d.lif(5, v_leak=[0.3, -0.4, 0.2, 0.5, -0.1], metadata={"v_init": d.between(-0.5, 1.6, (5,))})
    second = d.neuron("CubaLIF", (4,), w_in=1.7, metadata={"v_init": 0.37})
    return chain(d.affine(5, 6), first, d.linear(4, 5), second, given=(6,), result=(4,))


@case()
@case(suffix="exact", method="exact")
def shifted_neurons_must_not_run_ahead(d: Draw) -> nir.NIRGraph:
    """The last population starts above its threshold and leaks: retimed hardware must not let it spike early."""
    last = d.lif(3, v_leak=[1.4, 0.2, 0.9], metadata={"v_init": np.array([1.5, 0.1, 2.0])})
    return chain(d.affine(5, 6), d.lif(5), d.linear(4, 5), d.lif(4), d.affine(3, 4, bias=0.2), last,
                 given=(6,), result=(3,))  # fmt: skip


@case(graded=True, rate=-0.3)
@case(suffix="exact-batch", graded=True, rate=-0.3, method="exact", batch=2)
def negative_resistance(d: Draw) -> nir.NIRGraph:
    """Negative R and w_in turn inhibition into excitation."""
    cuba = d.neuron("CubaLIF", (5,), r=[-8.1, 9.3, -7.7, -9.2, 7.4], w_in=[-1.2, 1.1, 0.9, -0.8, -1.3])
    return chain(d.affine(5, 6), d.lif(5, r=[-8.1, 6.3, -4.7, -9.2, 7.4]), d.linear(5, 5, mean=0.1), cuba,
                 d.linear(4, 5), d.neuron("IF", (4,), r=[-310.0, 290.0, 350.0, -270.0]), given=(6,),
                 result=(4,))  # fmt: skip


@case(graded=True)
@case(suffix="batch", graded=True, batch=2, reset="subtract")
@case(suffix="hardware", graded=True, timing="hardware")
def graded_inputs(d: Draw) -> nir.NIRGraph:
    return chain(d.affine(5, 6), d.neuron("CubaLIF", (5,)), d.linear(4, 5, mean=0.3), d.lif(4), given=(6,),
                 result=(4,))  # fmt: skip


@case()
@case(suffix="batch", batch=2, graded=True)
@case(suffix="hardware", timing="hardware")
def threshold_in_the_middle(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(6), "lin": d.affine(5, 6), "compare": nir.Threshold(d.between(0.1, 0.6, (5,))),
             "on": d.linear(4, 5, mean=0.3), "lif": d.lif(4), "back": d.linear(5, 4, mean=-0.1),
             "output": out(4), "bits": out(5)}  # fmt: skip
    return graph(nodes, "input > lin > compare > on > lif > output", "compare > bits", "lif > back > compare")


@case()
@case(suffix="batch", batch=2)
def scale_of_spikes_and_of_voltages(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(5), "s0": nir.Scale(d.between(-0.3, 1.2, (5,))), "li": d.neuron("LI", (5,)),
             "s1": nir.Scale(d.between(0.3, 0.9, (5,))), "lif": d.lif(5),
             "s2": nir.Scale(d.between(0.5, 2, (5,))), "output": out(5)}  # fmt: skip
    return graph(nodes, "input > s0 > li > s1 > lif > s2 > output")


@case()
@case(suffix="subtract", reset="subtract", batch=2)
def metadata_reset_wins(d: Draw) -> nir.NIRGraph:
    first, second = d.lif(5, metadata={"reset": "subtract"}), d.lif(4, metadata={"reset": "zero"})
    return chain(d.affine(5, 6), first, d.linear(4, 5), second, d.linear(4, 4, mean=0.3), d.lif(4),
                 given=(6,), result=(4,))  # fmt: skip


@case(method="exact")
@case(suffix="batch", method="exact", batch=2)
def equal_time_constants(d: Draw) -> nir.NIRGraph:
    """tau_syn = tau_mem, where the usual formula divides by 0, and tau_syn close to it, where it cancels."""
    tau = np.array([5e-3, 7e-3, 9e-3, 11e-3, 6e-3])
    near = tau * np.array([1, 1 + 1e-13, 1 + 1e-9, 1 - 1e-6, 1])
    return chain(d.affine(5, 6), d.neuron("CubaLIF", (5,), tau_mem=tau, tau_syn=near), d.linear(3, 5),
                 d.neuron("CubaLI", (3,), tau_mem=4e-3, tau_syn=4e-3), given=(6,), result=(3,))  # fmt: skip


@case()
@case(suffix="exact", method="exact")
def time_constants_near_the_step(d: Draw) -> nir.NIRGraph:
    """tau from 0.6 dt (Euler oscillates) over dt (Euler forgets all) to 1 s."""
    tau = np.array([0.6, 1.0, 1.7, 1000.0, 30.0]) * DT
    r = np.array([1.9, 2.3, 3.1, 900.0, 40.0])
    return chain(d.affine(5, 6, bias=0.1), d.lif(5, tau=tau, r=r), d.linear(4, 5),
                 d.neuron("CubaLIF", (4,), tau_syn=0.8 * DT), given=(6,), result=(4,))  # fmt: skip


@case(dt=2.5e-4, steps=200, rate=0.8)
@case(suffix="exact", dt=3e-3, method="exact")
def another_time_step(d: Draw) -> nir.NIRGraph:
    return chain(d.affine(5, 6), d.lif(5), d.linear(4, 5), d.neuron("CubaLIF", (4,), w_in=1.5, tau_syn=2e-3),
                 given=(6,), result=(4,))  # fmt: skip
