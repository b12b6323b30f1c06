"""Whole graphs with recurrence: feedback edges with and without a bias behind them, loops that hardware cannot retime.

Each case is a builder; its decorators say how it is run.
"""

from __future__ import annotations

import nir
import numpy as np

from hasn.testing.cases.case import Cases
from hasn.testing.graphs import DT, Draw, chain, graph, inp, out

LOOPS = Cases()
case = LOOPS.add


@case()
@case(suffix="batch", batch=2)
def nested_recurrence(d: Draw) -> nir.NIRGraph:
    """As snnTorch exports an RSynaptic: the population and its recurrent weights in a graph of their own."""
    nodes = {"input": inp(5), "lif": d.neuron("CubaLIF", (5,)), "w_rec": d.linear(5, 5, mean=0.0),
             "output": out(5)}  # fmt: skip
    block = graph(nodes, "input > lif > output", "lif > w_rec > lif")
    return chain(d.affine(5, 6), block, d.linear(3, 5, mean=0.3), d.lif(3), given=(6,), result=(3,))


@case()
@case(suffix="subtract-batch", reset="subtract", batch=3)
@case(suffix="hardware", timing="hardware")
def recurrence_by_a_bare_edge(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(6), "lin": d.linear(5, 6), "lif": d.lif(5), "output": out(5)}
    return graph(nodes, "input > lin > lif > output", "lif > lif")


@case()
@case(suffix="exact-batch", method="exact", batch=2)
@case(suffix="hardware", timing="hardware")
def recurrence_through_linear(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(6), "lin": d.affine(5, 6), "lif": d.lif(5), "rec": d.linear(5, 5, mean=-0.05),
             "output": out(5)}  # fmt: skip
    return graph(nodes, "input > lin > lif > output", "lif > rec > lif")


@case()
@case(suffix="batch", batch=2)
@case(suffix="hardware", timing="hardware")
def recurrence_through_biased_affine(d: Draw) -> nir.NIRGraph:
    """The bias lies behind the feedback edge's step: it acts from step 1 on."""
    nodes = {"input": inp(6), "lin": d.linear(5, 6), "lif": d.lif(5),
             "rec": d.affine(5, 5, bias=0.3, mean=-0.1), "output": out(5)}  # fmt: skip
    return graph(nodes, "input > lin > lif > output", "lif > rec > lif")


@case()
@case(suffix="exact-subtract-batch", method="exact", reset="subtract", batch=2)
@case(suffix="hardware", timing="hardware")
def two_populations_in_a_loop(d: Draw) -> nir.NIRGraph:
    """One feedback edge for two connections: hardware needs a step more than there is."""
    nodes = {"input": inp(6), "lin": d.affine(5, 6), "exc": d.lif(5), "to_inh": d.linear(4, 5, mean=0.4),
             "inh": d.lif(4), "to_exc": d.linear(5, 4, mean=-0.2), "output": out(5), "inhibitory": out(4)}  # fmt: skip
    return graph(nodes, "input > lin > exc > output", "exc > to_inh > inh > to_exc > exc", "inh > inhibitory")


@case()
@case(suffix="hardware", timing="hardware", batch=2)
def three_populations_two_loops(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(5), "lin": d.affine(4, 5), "a": d.lif(4), "ab": d.linear(4, 4), "b": d.lif(4),
             "bc": d.linear(4, 4), "c": d.lif(4), "ca": d.linear(4, 4, mean=0.0),
             "ba": d.affine(4, 4, mean=-0.1), "output": out(4)}  # fmt: skip
    return graph(nodes, "input > lin > a > ab > b > bc > c > output", "c > ca > a", "b > ba > a", "c > b")


@case(batch=2)
def loops_entered_from_two_sides(d: Draw) -> nir.NIRGraph:
    """Which edge comes late is a matter of the alphabet, and the file lists nodes and edges against it.

    Two Inputs and two branches of one lead into the loop of p and q, Inputs go before "a", a nested graph "n" comes
    after "n b" although "n" would not, and no Input leads to u1 and u2.
    """
    pacers = {"u1": d.lif(4, v_leak=[1.7, 1.9, 2.3, 1.5]), "u2": d.lif(4)}
    weights = ("z_q", "b2", "b1", "za", "v12", "u21", "pq", "qp", "n b", "rs", "sr", "ma", "am")
    nodes = {"z_in": inp(4), "b_in": inp(4), **{name: d.linear(4, 4, mean=0.2) for name in weights}, **pacers,
             **{name: d.lif(4) for name in ("s", "r", "q", "p", "m", "a")}, "z_out": out(4), "a_out": out(4),
             "n": chain(d.lif(4), given=(4,), result=(4,))}  # fmt: skip
    paths = ("z_in > za > m > ma > a > am > m", "z_in > z_q > q", "b_in > b2 > q > qp > p > pq > q", "b_in > b1 > p",
             "q > n > r > rs > s > sr > r", "q > n b > s", "u1 > v12 > u2 > u21 > u1", "r > z_out",
             "s > a_out")  # fmt: skip
    return graph(dict(sorted(nodes.items(), reverse=True)), *paths)


@case()
@case(suffix="batch", batch=2, reset="subtract")
def long_feedback_with_delay(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(6), "lin": d.affine(5, 6), "lif": d.lif(5), "rec": d.affine(5, 5, mean=-0.1),
             "output": out(5), "delay": nir.Delay(np.array([3, 4, 6, 3, 5]) * DT)}  # fmt: skip
    return graph(nodes, "input > lin > lif > output", "lif > rec > delay > lif")


@case()
@case(suffix="batch", batch=2)
def loop_without_neurons(d: Draw) -> nir.NIRGraph:
    """lin sums the input and half of what it gave a step ago: a filter made of stateless nodes."""
    nodes = {"input": inp(4), "lin": d.linear(4, 4), "half": nir.Scale(np.array([0.5, 0.41, -0.3, 0.62])),
             "lif": d.lif(4), "output": out(4), "sum": out(4)}  # fmt: skip
    return graph(nodes, "input > lin > lif > output", "lin > half > lin", "half > sum")


@case()
def loop_without_neurons_with_bias_and_delay(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(4), "lin": d.affine(4, 4), "half": nir.Scale(np.array([0.5, 0.41, -0.3, 0.62])),
             "delay": nir.Delay(np.array([1, 3, 0, 2]) * DT), "lif": d.lif(4), "output": out(4)}  # fmt: skip
    return graph(nodes, "input > lin > lif > output", "lin > half > delay > lin")


@case()
@case(suffix="hardware", timing="hardware", batch=2)
def all_neurons_together(d: Draw) -> nir.NIRGraph:
    """Each of the six kinds in one net, some with an initial voltage, with a loop around."""
    nodes = {"input": inp(6), "l1": d.affine(5, 6), "cuba": d.neuron("CubaLIF", (5,)), "l2": d.linear(4, 5),
             "li": d.neuron("LI", (4,), metadata={"v_init": np.array([0.9, 0.3, -0.7, 1.4])}),
             "l3": d.linear(4, 4, mean=0.4), "if": d.neuron("IF", (4,), metadata={"v_init": 0.31, "reset": "subtract"}),
             "l4": d.linear(3, 4, mean=0.4), "ci": d.neuron("CubaLI", (3,), metadata={"v_init": -0.4}), "lif": d.lif(3),
             "l5": d.linear(3, 3), "i": d.neuron("I", (3,), r=20.0, metadata={"v_init": np.array([0.2, -0.6, 0.5])}),
             "back": d.linear(5, 3, mean=-0.1),
             "output": out(3)}  # fmt: skip
    return graph(nodes, "input > l1 > cuba > l2 > li > l3 > if > l4 > ci > lif > l5 > i > output", "lif > back > cuba")


@case()
@case(suffix="exact-batch", method="exact", batch=2)
@case(suffix="hardware", timing="hardware")
def loop_through_nested_graphs(d: Draw) -> nir.NIRGraph:
    """Two nested graphs, one of them two deep with a loop of its own, in a loop around both."""
    core = graph({"input": inp(4), "lif": d.lif(4), "rec": d.linear(4, 4, mean=-0.1), "output": out(4)},
                 "input > lif > output", "lif > rec > lif")  # fmt: skip
    first = chain(d.affine(4, 4), core, given=(4,), result=(4,))
    second = chain(d.linear(5, 4, mean=0.3), d.neuron("CubaLIF", (5,)), given=(4,), result=(5,))
    nodes = {"input": inp(4), "z_first": first, "a_second": second, "back": d.linear(4, 5, mean=-0.2),
             "output": out(5)}  # fmt: skip
    return graph(nodes, "input > z_first > a_second > output", "a_second > back > z_first")
