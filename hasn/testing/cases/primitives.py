"""A case for every NIR primitive by itself, in every setting: method x reset x batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import nir
import numpy as np

from hasn.testing.cases.case import Case, Cases
from hasn.testing.graphs import DT, Draw, Shape, chain, graph, inp, out

PRIMITIVES = Cases()


def graded_neuron(draw: Draw, kind: str) -> nir.NIRGraph:
    """A neuron without threshold, shown as it is, and driving a LIF population."""
    nodes = {"input": inp(6), "lin": draw.affine(5, 6), "neuron": draw.neuron(kind, (5,)), "on": draw.linear(4, 5),
             "lif": draw.lif(4), "voltage": out(5), "output": out(4)}  # fmt: skip
    return graph(nodes, "input > lin > neuron > on > lif > output", "neuron > voltage")


def spiking_neuron(draw: Draw, kind: str) -> nir.NIRGraph:
    """A spiking population between two matrices."""
    return chain(draw.affine(5, 6), draw.neuron(kind, (5,)), draw.linear(3, 5), given=(6,), result=(3,))


def settings() -> Iterator[tuple[str, dict[str, Any]]]:
    """{euler, exact} x {zero, subtract} x {no batch, batch}: the end of a case's name, and what it says of the case."""
    for method, reset, batch in itertools.product(("euler", "exact"), ("zero", "subtract"), (None, 3)):
        suffix = f"-{method}-{reset}" + ("-batch" if batch else "")
        yield suffix, {"method": method, "reset": reset, "batch": batch}


def neurons() -> None:
    """6 neurons x every setting; a neuron without threshold drives one that has a reset."""
    for kind, (suffix, how) in itertools.product(("I", "LI", "CubaLI", "IF", "LIF", "CubaLIF"), settings()):
        build = spiking_neuron if kind.endswith("F") else graded_neuron
        first = suffix in ("-euler-zero-batch", "-exact-subtract")
        PRIMITIVES.put(Case(kind + suffix, partial(build, kind=kind), grid=not first, **how))


def shown(draw: Draw, make: Callable[[Draw], nir.NIRNode], given: Shape, result: Shape) -> nir.NIRGraph:
    """A stateless node, shown by an Output as it is, and driving LIF neurons of its own shape."""
    nodes = {
        "input": inp(*given),
        "node": make(draw),
        "lif": draw.lif(*result),
        "value": out(*result),
        "output": out(*result),
    }
    return graph(nodes, "input > node > lif > output", "node > value")


def inner_graph(draw: Draw) -> nir.NIRGraph:
    """A nested graph with a neuron inside."""
    return chain(draw.affine(5, 6), draw.lif(5), draw.linear(4, 5, mean=0.3), given=(6,), result=(4,))


#: name -> (node, input shape, output shape)
STATELESS: dict[str, tuple[Callable[[Draw], nir.NIRNode], Shape, Shape]] = {
    "Affine": (lambda d: d.affine(4, 6), (6,), (4,)),
    "Linear": (lambda d: d.linear(4, 6), (6,), (4,)),
    "Linear_of_blocks": (lambda d: nir.Linear(d.weight(3, 4, 6)), (3, 6), (3, 4)),
    "Affine_of_blocks": (lambda d: nir.Affine(d.weight(3, 4, 6), d.between(0.01, 0.1, (3, 4))), (3, 6), (3, 4)),
    "Scale": (lambda d: nir.Scale(d.between(0.4, 1.3, (5,))), (5,), (5,)),
    "Threshold": (lambda d: nir.Threshold(d.between(0.2, 0.8, (5,))), (5,), (5,)),
    "Delay": (lambda d: nir.Delay(np.full(5, 3 * DT)), (5,), (5,)),
    "Delay_of_each_element": (lambda d: nir.Delay(np.array([0, 1, 2, 7, 3]) * DT), (5,), (5,)),
    "Delay_of_nothing": (lambda d: nir.Delay(np.zeros(4)), (4,), (4,)),
    "Flatten": (lambda d: nir.Flatten({"input": np.array([2, 3, 2])}, 0, -1), (2, 3, 2), (12,)),
    "Flatten_of_the_last_two": (lambda d: nir.Flatten({"input": np.array([2, 3, 2])}, 1, 2), (2, 3, 2), (2, 6)),
    "SumPool2d": (lambda d: nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), (2, 4, 6), (2, 2, 3)),
    "SumPool2d_overlapping": (
        lambda d: nir.SumPool2d(np.array([3, 2]), np.array([2, 1]), np.array([1, 0])), (2, 5, 4), (2, 3, 3)),
    "AvgPool2d": (lambda d: nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), (2, 4, 6), (2, 2, 3)),
    "AvgPool2d_padded": (
        lambda d: nir.AvgPool2d(np.array([2, 3]), np.array([1, 2]), np.array([1, 1])), (2, 3, 5), (2, 4, 3)),
    "Conv1d": (lambda d: d.conv1d(3, 2, 3), (2, 8), (3, 6)),
    "Conv1d_strided_padded": (lambda d: d.conv1d(3, 2, 3, stride=2, padding=2), (2, 7), (3, 5)),
    "Conv1d_grouped_dilated": (lambda d: d.conv1d(4, 4, 2, groups=2, dilation=3), (4, 8), (4, 5)),
    "Conv1d_same": (lambda d: d.conv1d(3, 2, 4, padding="same"), (2, 7), (3, 7)),
    "Conv2d": (lambda d: d.conv2d(3, 2, (3, 3)), (2, 5, 6), (3, 3, 4)),
    "Conv2d_not_square": (
        lambda d: d.conv2d(2, 2, (3, 2), stride=(2, 1), padding=(1, 2)), (2, 5, 4), (2, 3, 7)),
    "Conv2d_dilated": (lambda d: d.conv2d(2, 1, (2, 3), dilation=(3, 2)), (1, 6, 7), (2, 3, 3)),
    "Conv2d_grouped": (lambda d: d.conv2d(6, 4, (2, 2), groups=2, padding="valid"), (4, 3, 4), (6, 2, 3)),
    "Conv2d_depthwise": (lambda d: d.conv2d(6, 3, (2, 2), groups=3), (3, 3, 3), (6, 2, 2)),
    "Conv2d_same": (lambda d: d.conv2d(2, 2, (3, 3), padding="same"), (2, 4, 5), (2, 4, 5)),
    "Conv2d_same_even_kernel": (lambda d: d.conv2d(2, 2, (2, 4), padding="same"), (2, 4, 5), (2, 4, 5)),
    "Conv2d_same_dilated": (lambda d: d.conv2d(2, 2, (3, 2), padding="same", dilation=(2, 3)), (2, 5, 5), (2, 5, 5)),
    "NIRGraph": (inner_graph, (6,), (4,)),
}  # fmt: skip


def stateless() -> None:
    """Each primitive itself x every setting; its variants x {no batch, batch}, with both methods and resets."""
    for name, (make, given, result) in STATELESS.items():
        build = partial(shown, make=make, given=given, result=result)
        for suffix, how in settings():
            if hasattr(nir, name) or suffix in ("-euler-zero", "-exact-subtract-batch"):
                PRIMITIVES.put(Case(name + suffix, build, grid=suffix != "-euler-zero", **how))


neurons()
stateless()
