"""Flatten: the same values in another shape; dimensions are counted without batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import ShapeError
from hasn.finding import Finding
from hasn.nodes.kind import Mending, NodeKind, Place, shape_of
from hasn.nodes.ports import shape_findings
from hasn.nodes.values import single
from hasn.program.maps import Identity
from hasn.program.model import Connection, Shape


class FlattenKind(NodeKind):
    """Dimensions start_dim to end_dim become one."""

    type = nir.Flatten

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """What it says, which may be nothing."""
        return shape_of(node.input_type["input"])

    def output_shape(self, node: nir.NIRNode, shape: Shape) -> Shape:
        """``shape`` with the dimensions joined."""
        start, end = single(node.start_dim), single(node.end_dim)
        first = start + len(shape) if start < 0 else start
        last = end + len(shape) if end < 0 else end
        if not 0 <= first <= last < len(shape):
            raise ShapeError(
                "Flatten has no such dimensions; they are counted without the batch",
                parameter="start_dim",
                got=f"start_dim={start}, end_dim={end} for shape {shape}",
                wanted=f"0 <= start_dim <= end_dim < {len(shape)} (negative: from the end)",
            )
        return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])

    def meaning(self, node: nir.NIRNode, place: Place) -> Connection:
        """An identity."""
        return Connection(place.name, Identity(), place.result, given=place.given)

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Whether the shape that it says is one."""
        yield from shape_findings(name, "input_type", "input", getattr(node, "input_type", None))

    def arguments(self, fields: dict[str, Any], metadata: dict[str, Any], name: str) -> dict[str, Any]:
        """The shape stands under ``input_type``."""
        return {**fields, "input_type": {"input": fields.get("input_type")}}

    def fitted(self, node: nir.NIRNode, arriving: Shape) -> list[Mending]:
        """A recorded shape gives way to the one that arrives."""
        old, values = shape_of(node.input_type["input"]), {"input_type": {"input": np.array(arriving)}}
        return [Mending(values, "input_type", f"now {arriving}, as it arrives", old)]

    def reread(self, node: nir.NIRNode, given: Shape, wanted: Shape | None) -> list[Mending]:
        """Dimensions that were counted with the batch, as torch does, if without it they give the wanted shape."""
        if single(node.start_dim) < 1 or single(node.end_dim) == 0:
            return []  # dimension 0 would be the batch itself
        old = {"start_dim": single(node.start_dim), "end_dim": single(node.end_dim)}
        moved = copy.copy(node)
        moved.start_dim, moved.end_dim = (dim - 1 if dim > 0 else dim for dim in old.values())
        try:
            if wanted not in (None, self.output_shape(moved, given)):
                return []
        except ShapeError:
            return []
        new = {parameter: getattr(moved, parameter) for parameter in old}
        return [
            Mending({p: new[p]}, p, f"now {new[p]}: it was counted with the batch, as torch does", old[p])
            for p in old
            if new[p] != old[p]
        ]


KINDS = (FlattenKind(),)
