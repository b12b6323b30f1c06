"""What hasn knows of a kind of node, in one object: its parameters, its shapes and its meaning.

To add a kind, write a file like those beside this one and name its ``KINDS`` in the entry-point group ``hasn.nodes``
(docs/architecture.md): it is then checked, repaired, saved, loaded, drawn and run by every backend.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from hasn.errors import ParameterError
from hasn.finding import Finding
from hasn.program.model import Node, Shape

#: 0.8 GB for each parameter: a shape that a damaged file claims may be any size.
_MOST_ELEMENTS = 10**8


@dataclass(frozen=True)
class Parameter:
    """A numeric parameter of a node and the condition that every element of it must meet.

    Attributes:
        name: the node's attribute.
        unit: "s", "V", "ohm", "Hz" ..., "1" for none.
        holds: array -> whether each element meets the condition.
        wanted: the condition in words.
    """

    name: str
    unit: str
    holds: Callable[[np.ndarray[Any, Any]], Any]
    wanted: str


def finite(name: str, unit: str = "1") -> Parameter:
    """A parameter that may be any finite number."""
    return Parameter(name, unit, np.isfinite, "finite numbers")


@dataclass(frozen=True)
class Place:
    """Where a node stands, and the choices of the call that give it its meaning in discrete time.

    Attributes:
        name: flat name of the node.
        given, result: shapes of what arrives and of what leaves, without time and batch.
        dt: seconds a step.
        method: "euler" or "exact".
        reset: "zero" or "subtract", for neurons that do not say it themselves.
    """

    name: str
    given: Shape
    result: Shape
    dt: float
    method: str
    reset: str


@dataclass(frozen=True)
class Mending:
    """A change of a node that repairs it.

    Attributes:
        values: attribute -> new value.
        parameter: what the user knows them by.
        message: what was done.
        got: what was there.
    """

    values: dict[str, Any]
    parameter: str
    message: str
    got: object


class NodeKind(ABC):
    """A kind of node.

    Attributes:
        type: its class, by whose name files know it; a subclass of ``nir.NIRNode``, with the parameters as fields.
        parameters: what it has in numbers.
        elementwise: whether every parameter has one value for each element, so that a single value may be broadcast.
        takes_edges: whether an edge may lead into it.
        trained: parameters that are the ``weight``, ``bias`` or ``scale`` of its map as they stand, under that name:
            training moves them, and whatever else a map has stays as it is.
    """

    type: ClassVar[type[nir.NIRNode]]
    parameters: tuple[Parameter, ...] = ()
    elementwise: bool = False
    takes_edges: bool = True
    trained: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the kind."""
        return self.type.__name__

    def values(self, node: nir.NIRNode) -> dict[str, Any]:
        """What the node computes with, in numbers, for a reader."""
        return {parameter.name: getattr(node, parameter.name) for parameter in self.parameters}

    def remark(self, node: nir.NIRNode) -> str:
        """What a reader should know beside the numbers; empty for nothing."""
        return ""

    @abstractmethod
    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """The shape that arrives, without time and batch, as far as the parameters fix it; else None.

        Raises:
            ShapeError, ParameterError: they have no meaning.
        """

    def output_shape(self, node: nir.NIRNode, shape: Shape) -> Shape:
        """The shape that leaves where ``shape`` arrives: the same, unless a kind says otherwise.

        Raises:
            ShapeError: the node cannot take this shape.
        """
        return shape

    @abstractmethod
    def meaning(self, node: nir.NIRNode, place: Place) -> Node:
        """The node of the Program: rows of a population, or a linear map. Arrays are copies."""

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """What is wrong or doubtful beyond each parameter's own condition; called where those are numbers."""
        yield from ()

    def time_findings(self, name: str, node: nir.NIRNode, dt: float, method: str) -> Iterator[Finding]:
        """What is wrong or doubtful with this dt."""
        yield from ()

    def arguments(self, fields: dict[str, Any], metadata: dict[str, Any], name: str) -> dict[str, Any]:
        """The constructor's arguments from the plain fields of a file; ``metadata`` may be added to.

        Raises:
            ParameterError: a field has no meaning.
        """
        return fields

    def fitted(self, node: nir.NIRNode, arriving: Shape) -> list[Mending]:
        """What brings the node to the shape that arrives, if that can be done without guessing; else nothing."""
        if not self.elementwise:
            return []
        values = {p.name: np.asarray(getattr(node, p.name)) for p in self.parameters}
        fitted = {name: broadcast(value, arriving) for name, value in values.items()}
        if any(value is None for value in fitted.values()):
            return []
        return [
            Mending({name: value}, name, f"brought to shape {arriving}", values[name].shape)
            for name, value in fitted.items()
            if values[name].shape != arriving
        ]

    def reread(self, node: nir.NIRNode, given: Shape, wanted: Shape | None) -> list[Mending]:
        """Another reading of a node that cannot take ``given``, or does not give ``wanted``; else nothing."""
        return []


def error(name: str, parameter: str, message: str, got: object, wanted: str, repair: str = "") -> Finding:
    """A finding that refuses a parameter."""
    return Finding("error", name, parameter, message, repair, got, wanted, ParameterError)


def shape_of(value: Any) -> Shape | None:
    """A shape as NIR stores it (array, list, None) as a tuple of int."""
    return None if value is None else tuple(int(n) for n in np.atleast_1d(np.asarray(value)))


def broadcast(value: np.ndarray[Any, Any], shape: Shape) -> np.ndarray[Any, Any] | None:
    """``value`` in ``shape`` if there is only one way to mean it: a single value, or the same but for sides of one.

    None also where the result is so large that it is rather the shape that is damaged.
    """
    if math.prod(shape) > _MOST_ELEMENTS:
        return None
    if value.size == 1:
        return np.full(shape, value.reshape(-1)[0])
    if tuple(n for n in value.shape if n != 1) == tuple(n for n in shape if n != 1):
        return value.reshape(shape)
    same_rank = value.ndim == len(shape) and all(n in (1, m) for n, m in zip(value.shape, shape, strict=True))
    return np.broadcast_to(value, shape).copy() if same_rank else None
