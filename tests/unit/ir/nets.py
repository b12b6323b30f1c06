"""Nets of one node that the tests of checks share, with fields set after NIR's own checks."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from tests.graphs import Draw, Shape, chain, graph, inp, out

D = Draw(1)


def conv(**changes: Any) -> nir.NIRGraph:
    """A net of one convolution whose fields are set after NIR's own checks."""
    node = D.conv2d(4, 2, (3, 3))
    for key, value in changes.items():
        setattr(node, key, value)
    return chain(node, given=(2, 5, 5), result=(4, 3, 3))


def one(kind: str, **fixed: Any) -> nir.NIRGraph:
    """A net of one population of three."""
    return chain(D.neuron(kind, (3,), **fixed), given=(3,), result=(3,))


def with_field(net: nir.NIRGraph, **changes: Any) -> nir.NIRGraph:
    """The net with fields of its node n1 set."""
    for key, value in changes.items():
        setattr(net.nodes["n1"], key, value)
    return net


def pool(kernel: Shape = (2, 2), stride: Shape = (2, 2), padding: Shape = (0, 0)) -> nir.NIRGraph:
    """A net of one pooling."""
    node = nir.SumPool2d(np.array(kernel), np.array(stride), np.array(padding))
    return chain(node, given=(2, 4, 4), result=(2, 2, 2))


def with_types(node: nir.NIRNode, side: str, types: Any) -> nir.NIRGraph:
    """A net of this node n1, whose types on one side are replaced."""
    first = {} if isinstance(node, nir.Input) else {"input": inp(3)}
    nodes = {**first, "n1": node, "output": out(3)}
    net = graph(nodes, " > ".join(nodes))
    setattr(node, f"{side}_type", types)
    return net
