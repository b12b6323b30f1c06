"""SumPool2d and AvgPool2d: sums and means over windows of (channels, height, width); padding counts in the mean."""

from __future__ import annotations

from collections.abc import Iterator

import nir

from hasn.errors import ShapeError
from hasn.finding import Finding
from hasn.nodes.kind import NodeKind, Place
from hasn.nodes.values import pads, pair
from hasn.nodes.windows import integer_findings, windows
from hasn.program.maps import Pooling
from hasn.program.model import Connection, Shape


class SumPoolKind(NodeKind):
    """Sums."""

    type = nir.SumPool2d
    mean = False

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """Any."""
        return None

    def output_shape(self, node: nir.NIRNode, shape: Shape) -> Shape:
        """One value a window."""
        if len(shape) != 3:
            raise ShapeError("pooling cannot take this input", got=shape, wanted="(channels, height, width)")
        kernel, stride = pair(node.kernel_size, 2), pair(node.stride, 2)
        padding = pads(node.padding, kernel, (1, 1))
        return (shape[0], *windows(shape[1:], kernel, stride, padding, (1, 1), "kernel_size"))

    def meaning(self, node: nir.NIRNode, place: Place) -> Connection:
        """A pooling map."""
        kernel = pair(node.kernel_size, 2)
        pooling = Pooling(kernel, pair(node.stride, 2), pads(node.padding, kernel, (1, 1)), self.mean)
        return Connection(place.name, pooling, place.result, given=place.given)

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Whether kernel, stride and padding are integers."""
        yield from integer_findings(name, node, {"kernel_size": 1, "stride": 1, "padding": 0}, 2)


class AvgPoolKind(SumPoolKind):
    """Means."""

    type = nir.AvgPool2d
    mean = True


KINDS = (SumPoolKind(), AvgPoolKind())
