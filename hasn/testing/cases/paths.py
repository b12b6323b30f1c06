"""Whole graphs, how paths meet: skips, several Inputs and Outputs, nested graphs, stacks, loose ends.

Each case is a builder; its decorators say how it is run.
"""

from __future__ import annotations

import nir
import numpy as np

from hasn.testing.cases.case import Cases
from hasn.testing.graphs import DT, Draw, chain, graph, inp, out

PATHS = Cases()
case = PATHS.add


@case()
@case(suffix="exact-subtract-batch", method="exact", reset="subtract", batch=3)
@case(suffix="hardware", timing="hardware")
def skips_of_unequal_depth(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(6), "l1": d.affine(5, 6), "n1": d.lif(5), "l2": d.linear(5, 5), "n2": d.lif(5),
             "l3": d.linear(4, 5), "n3": d.lif(4), "skip": d.linear(4, 6), "skip1": d.affine(4, 5),
             "output": out(4)}  # fmt: skip
    return graph(nodes, "input > l1 > n1 > l2 > n2 > l3 > n3 > output", "input > skip > n3", "n1 > skip1 > n3")


@case()
@case(suffix="batch", batch=2, reset="subtract")
def residual_sum_of_spikes(d: Draw) -> nir.NIRGraph:
    """n1's spikes reach n2 directly and through a matrix, and the Output sums both populations."""
    nodes = {"input": inp(5), "l1": d.affine(5, 5), "n1": d.lif(5), "l2": d.linear(5, 5), "n2": d.lif(5),
             "output": out(5)}  # fmt: skip
    return graph(nodes, "input > l1 > n1 > l2 > n2 > output", "n1 > n2", "n1 > output")


@case()
@case(suffix="batch", batch=3)
@case(suffix="hardware", timing="hardware", batch=2)
def two_inputs_two_outputs(d: Draw) -> nir.NIRGraph:
    nodes = {"left": inp(4), "right": inp(3, 2), "flat": nir.Flatten({"input": np.array([3, 2])}, 0, -1),
             "ll": d.linear(5, 4), "lr": d.affine(5, 6), "n1": d.lif(5), "l2": d.linear(3, 5),
             "n2": d.neuron("CubaLIF", (3,), w_in=2.5), "direct": d.linear(3, 4), "mixed": out(3),
             "spikes": out(5)}  # fmt: skip
    return graph(
        nodes,
        "left > ll > n1",
        "right > flat > lr > n1",
        "n1 > spikes",
        "n1 > l2 > n2 > mixed",
        "left > direct > mixed",
    )


@case()
@case(suffix="exact-batch", method="exact", batch=2)
@case(suffix="hardware", timing="hardware")
def nested_two_deep(d: Draw) -> nir.NIRGraph:
    inner = chain(d.linear(4, 5), d.lif(4), given=(5,), result=(4,))
    middle = chain(d.affine(5, 6), d.lif(5), inner, d.linear(4, 4, mean=0.3), given=(6,), result=(4,))
    nodes = {"input": inp(6), "block": middle, "lif": d.lif(4), "output": out(4)}
    return graph(nodes, "input > block > lif > output")


@case()
def nested_with_named_ports(d: Draw) -> nir.NIRGraph:
    """Two deep, with the same names at every level."""
    nodes = {"a": inp(4), "b": inp(5), "la": d.linear(4, 4), "lb": d.linear(4, 5), "lif": d.lif(4),
             "sum": out(4), "graded": out(4)}  # fmt: skip
    core = graph(nodes, "a > la > lif > sum", "b > lb > lif", "lb > graded")
    ends = [("a", "lif.a"), ("b", "lif.b"), ("lif.sum", "sum"), ("lif.graded", "graded")]
    block = nir.NIRGraph({**{n: nodes[n] for n in ("a", "b", "sum", "graded")}, "lif": core}, ends, type_check=False)
    nodes = {"x": inp(4), "y": inp(5), "block": block, "o1": out(4), "n": d.lif(4), "o2": out(4)}
    edges = [("x", "block.a"), ("y", "block.b"), ("block.sum", "o1"), ("block.graded", "n"), ("n", "o2")]
    return nir.NIRGraph(nodes, edges, type_check=False)


@case()
@case(suffix="batch", batch=2)
def conv_stack(d: Draw) -> nir.NIRGraph:
    """All stateless: one linear map of eight."""
    flat = nir.Flatten({"input": np.array([4, 3, 4])}, 0, -1)
    nodes = [d.conv2d(4, 2, (3, 2), padding=(1, 1), groups=2),
             d.conv2d(4, 4, (2, 3), padding="same", dilation=(1, 2)),
             nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
             nir.Scale(d.between(0.5, 1, (4, 3, 4))),
             flat, d.affine(5, 48, mean=0.002, spread=0.1), d.lif(5)]  # fmt: skip
    return chain(*nodes, given=(2, 6, 7), result=(5,))


@case(batch=2)
@case(suffix="exact-subtract", method="exact", reset="subtract")
@case(suffix="hardware", timing="hardware")
def spiking_conv_net(d: Draw) -> nir.NIRGraph:
    nodes = [d.conv2d(3, 1, (3, 3), padding=1), d.lif(3, 6, 5),
             nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), d.conv2d(4, 3, (2, 1)),
             d.neuron("CubaLIF", (4, 2, 2)), nir.Flatten({"input": np.array([4, 2, 2])}, 0, -1),
             d.affine(3, 16), d.neuron("IF", (3,))]  # fmt: skip
    return chain(*nodes, given=(1, 6, 5), result=(3,))


@case(graded=True)
def average_pool_with_padding(d: Draw) -> nir.NIRGraph:
    pool = nir.AvgPool2d(np.array([3, 2]), np.array([2, 2]), np.array([1, 1]))
    return chain(pool, nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1), d.affine(5, 18), d.lif(5),
                 given=(2, 5, 4), result=(5,))  # fmt: skip


@case()
@case(suffix="hardware", timing="hardware")
def loose_ends(d: Draw) -> nir.NIRGraph:
    """An Output that nothing reaches, a population that reaches none, a node without input, an Input of no use."""
    nodes = {"input": inp(5), "unused": inp(2), "lin": d.affine(4, 5), "n": d.lif(4), "dead": d.lif(4),
             "silent": out(3), "idle": d.affine(4, 2, bias=0.3), "driven": d.lif(4), "output": out(4),
             "self": out(4), "idle_conv": d.conv1d(2, 1, 3, padding=1, input_shape=4, bias=(0.2, 0.4)),
             "flat": nir.Flatten({"input": np.array([2, 4])}, 0), "mix": d.linear(4, 8), "far": d.lif(4)}  # fmt: skip
    return graph(nodes, "input > lin > n > output", "n > dead", "lin > dead", "idle > driven > self",
                 "idle_conv > flat > mix > far")  # fmt: skip


@case()
def autonomous_population(d: Draw) -> nir.NIRGraph:
    """No input at all: the leak lies above the threshold."""
    nodes = {"input": inp(3), "lin": d.linear(4, 3, mean=0.3), "pacer": d.lif(4, v_leak=[1.7, 1.9, 2.3, 1.5]),
             "on": d.linear(4, 4), "n": d.lif(4), "output": out(4)}  # fmt: skip
    return graph(nodes, "pacer > on > n > output", "input > lin > n")


@case()
@case(suffix="batch", batch=2)
def output_of_a_matrix(d: Draw) -> nir.NIRGraph:
    """Two outputs of sums: a biased matrix behind spikes, and the input itself."""
    nodes = {"input": inp(5), "lin": d.affine(4, 5), "n": d.lif(4), "read": d.affine(3, 4), "output": out(3),
             "echo": out(5)}  # fmt: skip
    return graph(nodes, "input > lin > n > read > output", "input > echo")


@case()
@case(suffix="hardware", timing="hardware", batch=2)
def outputs_that_nearly_show_a_population(d: Draw) -> nir.NIRGraph:
    """In another shape, late, scaled, with a bias, mixed, and after all as it is."""
    mixed = np.eye(4) + np.diag(d.between(0.2, 0.7, (3,)), 1)
    nodes = {"input": inp(5), "lin": d.affine(4, 5), "fold": nir.Scale(np.ones(4)), "n": d.lif(4),
             "again": nir.Affine(np.eye(4), np.array([0.0, 0.3, 0.0, -0.2])), "late": nir.Delay(np.full(4, 2 * DT)),
             "scaled": nir.Scale(np.array([1.0, 1.0, 2.0, 1.0])), "mixed": nir.Linear(mixed),
             "same": nir.Affine(np.eye(4), np.zeros(4)), "o1": out(4), "o2": out(4), "o3": out(4), "o4": out(4),
             "o5": out(4), "square": d.lif(2, 2), "flat": nir.Flatten({"input": np.array([2, 2])}, 0), "o6": out(4),
             "parts": d.conv2d(2, 1, (1, 1)), "image": inp(1, 2, 1),
             "turned": nir.Flatten({"input": np.array([2, 2, 1])}, 1)}  # fmt: skip
    return graph(
        nodes, "input > lin > fold > n > again > o1", "n > late > o2", "n > scaled > o3", "n > mixed > o4",
        "n > same > o5", "image > parts > turned > square > flat > o6",
    )  # fmt: skip


@case()
def flatten_of_parts(d: Draw) -> nir.NIRGraph:
    """Dimensions from both ends and in the middle, and a part of one dimension, which changes nothing."""
    nodes = {"input": inp(2, 1, 3, 2)}
    shapes = {"first": ((0, 1), (2, 3, 2)), "middle": ((1, 2), (2, 3, 2)), "last": ((-2, -1), (2, 1, 6)),
              "most": ((0, -2), (6, 2)), "one": ((2, 2), (2, 1, 3, 2))}  # fmt: skip
    for name, ((start, end), shape) in shapes.items():
        nodes |= {name: nir.Flatten({"input": np.array([2, 1, 3, 2])}, start, end), f"{name}_n": d.lif(*shape, r=20.0)}
    return graph(nodes, *(f"input > {name} > {name}_n" for name in shapes))


@case()
def output_passes_on(d: Draw) -> nir.NIRGraph:
    """An Output with an edge of its own, which shows and hands on."""
    nodes = {"input": inp(5), "lin": d.affine(4, 5), "n": d.lif(4), "shown": out(4),
             "on": d.linear(3, 4, mean=0.3), "m": d.lif(3), "output": out(3)}  # fmt: skip
    return graph(nodes, "input > lin > n > shown > on > m > output")


@case()
@case(suffix="hardware", timing="hardware", batch=2)
def parallel_paths_of_unequal_delay(d: Draw) -> nir.NIRGraph:
    """Three ways from n1 to n2: a bare edge, a matrix, a delayed matrix."""
    nodes = {"input": inp(5), "lin": d.affine(4, 5), "n1": d.lif(4), "w": d.linear(4, 4),
             "delay": nir.Delay(np.array([1, 4, 2, 2]) * DT), "v": d.linear(4, 4, mean=-0.1), "n2": d.lif(4),
             "output": out(4)}  # fmt: skip
    return graph(nodes, "input > lin > n1 > w > n2 > output", "n1 > n2", "n1 > delay > v > n2")


@case(rate=0.5)
@case(suffix="exact-batch", method="exact", batch=2, rate=0.5)
@case(suffix="hardware", timing="hardware", rate=0.5)
def populations_of_one_neuron(d: Draw) -> nir.NIRGraph:
    nodes = {"input": inp(1), "l1": nir.Linear(np.array([[0.83]])), "a": d.lif(1),
             "l2": nir.Affine(np.array([[1.31]]), np.array([0.07])), "b": d.neuron("IF", (1,), r=400.0),
             "output": out(1)}  # fmt: skip
    return graph(nodes, "input > l1 > a > l2 > b > output", "b > a")


@case(batch=1)
def batch_of_one(d: Draw) -> nir.NIRGraph:
    return chain(d.affine(5, 6), d.lif(5), given=(6,), result=(5,))


@case(steps=1, rate=1.0)
def a_single_step(d: Draw) -> nir.NIRGraph:
    first, second = d.lif(4, r=[60.0, 0.5, 40.0, 3.0]), d.lif(3, r=[70.0, 50.0, 0.3])
    return chain(d.linear(4, 5, mean=0.3), first, d.linear(3, 4, mean=0.3), second, given=(5,), result=(3,))


@case()
def names_that_are_no_identifiers(d: Draw) -> nir.NIRGraph:
    """Names that exporters write: numbers, dots, blanks, words that a simulator's language keeps for itself."""
    nodes = {"in put": inp(5), "0": d.affine(4, 5), "lif": d.lif(4), "class": d.linear(4, 4, mean=0.3),
             "v": d.lif(4), "t": d.linear(4, 4, mean=0.3), "größe.2": d.lif(4), "output": out(4)}  # fmt: skip
    return graph(nodes, "in put > 0 > lif > class > v > t > größe.2 > output")


@case(batch=2)
@case(suffix="exact-subtract", method="exact", reset="subtract")
@case(suffix="hardware", timing="hardware")
def spiking_net_of_odd_convolutions(d: Draw) -> nir.NIRGraph:
    """Populations between kernels that are not square, strided, dilated, grouped and 'same'."""
    nodes = [d.conv2d(4, 2, (2, 3), stride=(1, 2), padding=(1, 0)), d.lif(4, 6, 3),
             d.conv2d(4, 4, (3, 2), groups=2, dilation=(2, 1)), d.neuron("CubaLIF", (4, 2, 2)),
             d.conv2d(3, 4, (2, 3), padding="same"), d.lif(3, 2, 2),
             nir.Flatten({"input": np.array([3, 2, 2])}, 1, 2), d.conv1d(2, 3, 2, stride=2, padding=1),
             d.lif(2, 3)]  # fmt: skip
    return chain(*nodes, given=(2, 5, 7), result=(2, 3))


@case()
@case(suffix="exact-batch", method="exact", batch=2)
def spiking_net_of_1d_convolutions(d: Draw) -> nir.NIRGraph:
    nodes = [d.conv1d(4, 2, 3, stride=2, padding=1), d.lif(4, 5), d.conv1d(4, 4, 2, groups=4, dilation=2),
             d.neuron("IF", (4, 3)), d.conv1d(2, 4, 2, padding="same"), d.lif(2, 3)]  # fmt: skip
    return chain(*nodes, given=(2, 9), result=(2, 3))


@case()
@case(suffix="exact-subtract-batch", method="exact", reset="subtract", batch=2)
@case(suffix="hardware", timing="hardware")
def padded_pools_of_spikes(d: Draw) -> nir.NIRGraph:
    """Windows that overlap and reach over the edge, in sums and in means."""
    total = nir.SumPool2d(np.array([3, 2]), np.array([2, 1]), np.array([1, 1]))
    mean = nir.AvgPool2d(np.array([2, 3]), np.array([1, 2]), np.array([1, 1]))
    nodes = [d.conv2d(2, 1, (2, 2)), d.lif(2, 4, 4), total, nir.Scale(d.between(0.2, 0.4, (2, 2, 5))), d.lif(2, 2, 5),
             mean, nir.Scale(d.between(1.0, 2.0, (2, 3, 3))), d.neuron("CubaLIF", (2, 3, 3), r=12.0)]  # fmt: skip
    return chain(*nodes, given=(1, 5, 5), result=(2, 3, 3))
