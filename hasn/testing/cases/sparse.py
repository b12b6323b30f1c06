"""SparseLinear: with delays of each synapse and without, in loops, stored narrowly, beside its kin."""

from __future__ import annotations

import nir
import numpy as np
from scipy.sparse import csr_array

from hasn.nodes import SparseLinear
from hasn.testing.cases.case import Cases
from hasn.testing.graphs import DT, Draw, chain, graph, inp, out

SPARSE = Cases()
case = SPARSE.add


@case()
@case(suffix="exact-batch", method="exact", batch=3)
def sparse_without_delays(d: Draw) -> nir.NIRGraph:
    return chain(d.sparse(6, 7, mean=0.5), d.lif(6), d.sparse(4, 6, mean=0.5), d.lif(4), given=(7,), result=(4,))


@case(steps=60)
@case(steps=60, suffix="subtract-batch", reset="subtract", batch=2)
@case(steps=60, suffix="hardware", timing="hardware")
def sparse_with_delays(d: Draw) -> nir.NIRGraph:
    """Each synapse with a delay, 0 among them; one row and one column of the second matrix are empty."""
    first, second = d.sparse(6, 7, longest=4, mean=0.5), d.sparse(5, 6, longest=9, mean=0.6)
    weight, delay = second.weight.toarray(), np.zeros(second.shape, dtype=int)
    delay[second.weight.nonzero()] = second.delay
    weight[2, :], weight[:, 3] = 0.0, 0.0
    kept = csr_array(weight)
    holed = SparseLinear(kept, delay[kept.nonzero()])
    both = graph({"input": inp(7), "a": first, "m": d.lif(6), "b": holed, "n": d.lif(5), "on": d.linear(3, 5, mean=0.2),
                  "bias": d.affine(5, 7), "p": d.lif(3), "output": out(3)},
                 "input > a > m > b > n > on > p > output", "input > bias > n")  # fmt: skip
    return both


@case(steps=60)
@case(steps=60, suffix="hardware-batch", timing="hardware", batch=2)
@case(steps=60, suffix="exact", method="exact")
def sparse_loop(d: Draw) -> nir.NIRGraph:
    """Recurrence by synapses whose delay comes on top of the feedback edge's step."""
    nodes = {"input": inp(6), "lin": d.sparse(5, 6, longest=2, mean=0.5), "n": d.lif(5),
             "rec": d.sparse(5, 5, longest=6, shortest=1, mean=0.05), "output": out(5)}  # fmt: skip
    return graph(nodes, "input > lin > n > output", "n > rec > n")


@case(steps=60)
@case(steps=60, suffix="batch", batch=2)
def sparse_two_loops(d: Draw) -> nir.NIRGraph:
    """Two populations that excite and inhibit each other, one way without delays, which hardware cannot retime."""
    nodes = {"input": inp(6), "lin": d.affine(5, 6), "e": d.lif(5), "ei": d.sparse(4, 5, mean=0.5), "i": d.lif(4),
             "ie": d.sparse(5, 4, longest=2, mean=-0.2), "ii": d.sparse(4, 4, longest=3, mean=-0.1), "output": out(5),
             "inhibitory": out(4)}  # fmt: skip
    return graph(nodes, "input > lin > e > output", "e > ei > i > inhibitory", "i > ie > e", "i > ii > i")


@case(steps=60, graded=True)
@case(steps=60, graded=True, suffix="batch", batch=2)
def sparse_chains_of_real_numbers(d: Draw) -> nir.NIRGraph:
    """Delays add up along a chain of matrices and a nir.Delay; real numbers travel, from an integrator too."""
    delay = nir.Delay(np.array([0, 2, 1, 0, 3]) * DT)
    nodes = {"input": inp(6), "a": d.sparse(5, 6, longest=3), "late": delay, "b": d.affine(4, 5),
             "li": d.neuron("LI", (4,)), "c": d.sparse(4, 4, longest=4, mean=0.5), "n": d.lif(4),
             "output": out(4), "voltage": out(4)}  # fmt: skip
    return graph(nodes, "input > a > late > b > li > c > n > output", "c > voltage")


@case(steps=50)
@case(steps=50, suffix="batch", batch=2)
def sparse_in_few_bits(d: Draw) -> nir.NIRGraph:
    """int8 with a scale for each output, int8 with one, float16 and float32."""
    eight = d.sparse(6, 7, mean=0.5, dtype="int8")
    one = d.sparse(5, 6, longest=3, mean=0.4, dtype="int8", scale=0.0137)
    half, single = d.sparse(5, 5, mean=0.5, dtype="float16"), d.sparse(4, 5, longest=2, mean=0.5, dtype="float32")
    nodes = (eight, d.lif(6), one, d.lif(5), half, d.lif(5), single, d.lif(4))
    return chain(*nodes, given=(7,), result=(4,))


@case(steps=50)
def sparse_doubles_and_any_order(d: Draw) -> nir.NIRGraph:
    """Rows out of order; several synapses between the same two neurons, of one delay and of several."""
    weight = csr_array(
        (d.weight(8, mean=0.5), np.array([3, 1, 1, 0, 2, 2, 2, 3]), np.array([0, 4, 4, 8])), shape=(3, 4)
    )
    node = SparseLinear(weight, np.array([2, 0, 1, 1, 3, 3, 0, 1]))
    nodes = {"input": inp(4), "w": node, "more": d.affine(3, 4), "n": d.lif(3), "output": out(3)}
    return graph(nodes, "input > w > n > output", "input > more > n")
