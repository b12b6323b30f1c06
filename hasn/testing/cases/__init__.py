"""All conformance cases by name, as ``CASES``: hasn's own, then those of plug-ins, made when they are asked for."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hasn.testing.cases.case import Case

    CASES: dict[str, Case]


def __getattr__(name: str) -> Any:
    if name == "CASES":
        return _every()
    raise AttributeError(f"module 'hasn.testing.cases' has no attribute {name!r}")


@cache
def _every() -> dict[str, Case]:
    """Late: a plug-in's cases are made with modules of this package."""
    from hasn.testing.cases.drawn import DRAWN
    from hasn.testing.cases.loops import LOOPS
    from hasn.testing.cases.neurons import NEURONS
    from hasn.testing.cases.paths import PATHS
    from hasn.testing.cases.primitives import PRIMITIVES
    from hasn.testing.cases.sparse import SPARSE
    from hasn.testing.cases.values import VALUES
    from hasn.testing.suite import added

    return {**PRIMITIVES, **NEURONS, **SPARSE, **PATHS, **LOOPS, **DRAWN, **VALUES, **added().cases}
