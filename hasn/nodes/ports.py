"""Input and Output: where values come from outside, and where they are shown; inside a nested graph, identities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import ParameterError
from hasn.finding import Finding
from hasn.nodes.kind import Mending, NodeKind, Place, error, shape_of
from hasn.nodes.values import numbers
from hasn.program.maps import Identity
from hasn.program.model import Connection, Node, Shape


class _Port(NodeKind):
    """A shape of its own.

    Attributes:
        key: what NIR calls it in the node's ``<key>_type``.
    """

    key: str

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """The shape that it says."""
        return shape_of(getattr(node, f"{self.key}_type")[self.key])

    def meaning(self, node: nir.NIRNode, place: Place) -> Node:
        """Of a nested graph's: it passes values on."""
        return Connection(place.name, Identity(), place.result, given=place.given)

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Whether the shape is one."""
        parameter = f"{self.key}_type"
        yield from shape_findings(name, parameter, self.key, getattr(node, parameter, None))

    def arguments(self, fields: dict[str, Any], metadata: dict[str, Any], name: str) -> dict[str, Any]:
        """NIR writes ``shape`` and takes ``<key>_type``."""
        shape = fields.get("shape", fields.get(f"{self.key}_type"))
        shape = shape.get(self.key) if isinstance(shape, dict) else shape
        if shape is not None and (np.asarray(shape).dtype.kind not in "iuf" or np.any(np.asarray(shape) < 1)):
            raise ParameterError(
                "is not a shape", node=name, parameter="shape", got=repr(shape), wanted="integers >= 1"
            )
        return {f"{self.key}_type": {self.key: None if shape is None else np.atleast_1d(shape)}}


class InputKind(_Port):
    """An Input."""

    type = nir.Input
    key = "input"

    def fitted(self, node: nir.NIRNode, arriving: Shape) -> list[Mending]:
        """A nested graph's: its recorded shape gives way to the one that arrives."""
        return [_shaped(arriving, "as it arrives", shape_of(node.input_type["input"]))]

    def reread(self, node: nir.NIRNode, given: Shape, wanted: Shape | None) -> list[Mending]:
        """A shape that counts a batch of one."""
        if wanted is None or given != (1, *wanted):
            return []
        return [_shaped(wanted, "without the batch", given)]


class OutputKind(_Port):
    """An Output."""

    type = nir.Output
    key = "output"

    def fitted(self, node: nir.NIRNode, arriving: Shape) -> list[Mending]:
        """A recorded shape of as many elements gives way to the one that arrives."""
        old = shape_of(node.output_type["output"]) or ()
        if int(np.prod(old)) != int(np.prod(arriving)):
            return []
        return [_shaped(arriving, "as it arrives", old)]


def _shaped(shape: Shape, why: str, old: Shape | None) -> Mending:
    values = {"input_type": {"input": np.array(shape)}, "output_type": {"output": np.array(shape)}}
    return Mending(values, "shape", f"now {shape}, {why}", old)


def shape_findings(name: str, parameter: str, key: str, types: Any) -> Iterator[Finding]:
    """A shape that a node itself says, which may be None: not known yet."""
    if not isinstance(types, dict) or key not in types:
        yield error(name, parameter, "does not say a shape", repr(types), f"{{{key!r}: shape}}")
        return
    shape = types[key]
    array = numbers(shape)
    whole = array is not None and array.dtype.kind in "iu" and array.ndim <= 1 and bool(np.all(array >= 1))
    if shape is not None and not whole:
        yield error(name, parameter, "is not a shape", repr(shape), "integers >= 1")


KINDS = (InputKind(), OutputKind())
