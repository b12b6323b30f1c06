"""Affine ``y = W x + b`` and Linear ``y = W x``; leading dimensions are independent blocks."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from hasn.finding import Finding
from hasn.nodes.kind import NodeKind, Parameter, Place, error, finite
from hasn.program.maps import Dense
from hasn.program.model import Connection, Shape


class LinearKind(NodeKind):
    """A matrix of weights."""

    type = nir.Linear
    parameters: tuple[Parameter, ...] = (finite("weight"),)
    trained: tuple[str, ...] = ("weight",)

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """The weight's, without its outputs."""
        shape = np.shape(node.weight)
        return (*shape[:-2], shape[-1])

    def output_shape(self, node: nir.NIRNode, shape: Shape) -> Shape:
        """One value an output in the last dimension."""
        return (*shape[:-1], int(np.shape(node.weight)[-2]))

    def meaning(self, node: nir.NIRNode, place: Place) -> Connection:
        """A dense map."""
        return Connection(place.name, Dense(np.array(node.weight)), place.result, given=place.given)

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Whether it is a matrix."""
        shape = np.shape(node.weight)
        if len(shape) < 2:
            yield error(name, "weight", "is not a matrix", shape, "(..., outputs, inputs)")


class AffineKind(LinearKind):
    """A matrix of weights and a bias, which acts at every step."""

    type = nir.Affine
    parameters: tuple[Parameter, ...] = (finite("weight"), finite("bias"))
    trained: tuple[str, ...] = ("weight", "bias")

    def meaning(self, node: nir.NIRNode, place: Place) -> Connection:
        """A dense map."""
        dense = Dense(np.array(node.weight), np.array(node.bias))
        return Connection(place.name, dense, place.result, given=place.given)

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Whether it is a matrix, and the bias fits."""
        bad = list(super().findings(name, node))
        yield from bad
        shape = np.shape(node.weight)
        if not bad and np.shape(node.bias) != shape[:-1]:
            wanted = f"{shape[:-1]}, one value an output"
            yield error(name, "bias", "does not fit the weight", np.shape(node.bias), wanted)


KINDS = (LinearKind(), AffineKind())
