"""Conv1d and Conv2d: torch's cross-correlation, with stride, padding, dilation and groups, each dimension its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import ParameterError, ShapeError
from hasn.finding import Finding
from hasn.nodes.kind import Mending, NodeKind, Place, error, finite, shape_of
from hasn.nodes.ports import shape_findings
from hasn.nodes.values import pads, pair, single, text
from hasn.nodes.windows import integer_findings, windows
from hasn.program.maps import Convolution
from hasn.program.model import Connection, Shape


class Conv1dKind(NodeKind):
    """Over (channels, length).

    Attributes:
        dims: spatial dimensions.
    """

    type = nir.Conv1d
    parameters = (finite("weight"), finite("bias"))
    trained = ("weight", "bias")
    dims = 1

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """(in channels, *input_shape), where that is known."""
        spatial = shape_of(node.input_shape)
        if spatial is None:
            return None
        return (int(node.weight.shape[1]) * single(node.groups), *spatial[-self.dims :])

    def output_shape(self, node: nir.NIRNode, shape: Shape) -> Shape:
        """One value a window and output channel."""
        weight = np.shape(node.weight)
        channels = weight[1] * single(node.groups)
        if len(shape) != self.dims + 1 or shape[0] != channels:
            raise ShapeError(
                "the convolution cannot take this input",
                got=shape,
                parameter="weight",
                wanted=f"(channels, {'length' if self.dims == 1 else 'height, width'}) with {channels} channels "
                f"= weight.shape[1] * groups",
            )
        stride, dilation = pair(node.stride, self.dims), pair(node.dilation, self.dims)
        padding = pads(node.padding, weight[2:], dilation)
        return (weight[0], *windows(shape[1:], weight[2:], stride, padding, dilation, "weight"))

    def meaning(self, node: nir.NIRNode, place: Place) -> Connection:
        """A convolution."""
        kernel = np.shape(node.weight)[2:]
        stride, dilation = pair(node.stride, len(kernel)), pair(node.dilation, len(kernel))
        padding = pads(node.padding, kernel, dilation)
        weight, bias = np.array(node.weight), np.array(node.bias)
        convolution = Convolution(weight, bias, stride, padding, dilation, single(node.groups), place.given)
        return Connection(place.name, convolution, place.result, given=place.given)

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Whether weight, bias, groups, stride, dilation and padding fit each other."""
        yield from shape_findings(name, "input_shape", "input", {"input": node.input_shape})
        shape = np.shape(node.weight)
        if len(shape) != self.dims + 2:
            kernel = "kernel" if self.dims == 1 else "kernel height, kernel width"
            wanted = f"(out channels, in channels / groups, {kernel})"
            yield error(name, "weight", "has the wrong number of dimensions", shape, wanted)
            return
        if np.shape(node.bias) != shape[:1]:
            wanted = f"{shape[:1]}, one value a channel"
            yield error(name, "bias", "does not fit the weight", np.shape(node.bias), wanted)
        integers = {"stride": 1, "dilation": 1, **({} if text(node.padding) else {"padding": 0})}
        bad = list(integer_findings(name, node, integers, self.dims))
        yield from bad
        try:
            yield from self._group_findings(name, node, shape, not bad)
        except ParameterError as wrong:
            yield error(name, wrong.parameter or "groups", wrong.message, wrong.got, wrong.wanted or "")

    def _group_findings(self, name: str, node: nir.NIRNode, shape: Shape, padded: bool) -> Iterator[Finding]:
        groups = single(node.groups)
        if groups < 1 or shape[0] % groups:
            yield error(name, "groups", "does not divide the output channels", groups, f"a divisor of {shape[0]}")
        if not padded:
            return
        pads(node.padding, shape[2:], pair(node.dilation, self.dims))
        if text(node.padding) == "same" and max(pair(node.stride, self.dims)) > 1:
            what, way = "'same' has no meaning with a stride", "Give the padding in numbers."
            yield error(name, "padding", what, node.stride, "stride 1", way)

    def arguments(self, fields: dict[str, Any], metadata: dict[str, Any], name: str) -> dict[str, Any]:
        """``input_shape`` may be left out."""
        return {"input_shape": None, **fields}

    def fitted(self, node: nir.NIRNode, arriving: Shape) -> list[Mending]:
        """A recorded spatial shape gives way to the one that arrives; channels do not."""
        spatial, old = arriving[1:], shape_of(node.input_shape)
        if len(spatial) != np.ndim(node.weight) - 2 or old is None or old[-len(spatial) :] == spatial:
            return []  # another rank, or the channels differ: that is no matter of a recorded shape
        new = int(spatial[0]) if len(spatial) == 1 else tuple(int(n) for n in spatial)
        return [Mending({"input_shape": new}, "input_shape", f"now {spatial}, as it arrives", old)]


class Conv2dKind(Conv1dKind):
    """Over (channels, height, width)."""

    type = nir.Conv2d
    dims = 2


KINDS = (Conv1dKind(), Conv2dKind())
