"""What another package adds to this suite: cases of its own nodes, and what these mean.

It names a :class:`Suite` in the entry-point group ``hasn.testing``, beside the node kinds that it names in
``hasn.nodes``; ``pytest --pyargs hasn.testing --backend brian2`` then judges them, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hasn.testing.cases.case import Case

ENTRY_POINTS = "hasn.testing"


@dataclass(frozen=True)
class Suite:
    """Cases and meanings.

    Attributes:
        cases: name -> case.
        neurons: node type -> (node, (batch, *shape), dt, method, reset) to a behaviour: a function of what arrives and
            of a log, as :class:`hasn.testing.reference.Neurons` is one. It owes hasn's lowering nothing.
        stateless: node type -> what it makes of an array: a function (node, (batch, *shape)) -> (batch, *shape).
    """

    cases: Mapping[str, Case]
    neurons: Mapping[type, Callable[..., Any]] = field(default_factory=dict)
    stateless: Mapping[type, Callable[..., Any]] = field(default_factory=dict)


@cache
def added() -> Suite:
    """All that plug-ins add.

    Raises:
        KeyError: two of them have one name for a case.
    """
    cases: dict[str, Case] = {}
    neurons: dict[type, Callable[..., Any]] = {}
    stateless: dict[type, Callable[..., Any]] = {}
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: (point.name, point.value)):
        suite: Suite = point.load()
        twice = cases.keys() & suite.cases.keys()
        if twice:
            raise KeyError(f"{point.value}: two cases are called {sorted(twice)[0]}")
        cases |= suite.cases
        neurons |= suite.neurons
        stateless |= suite.stateless
    return Suite(cases, neurons, stateless)
