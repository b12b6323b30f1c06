"""All conformance cases by name."""

from __future__ import annotations

from hasn.testing.cases.case import Case
from hasn.testing.cases.drawn import DRAWN
from hasn.testing.cases.loops import LOOPS
from hasn.testing.cases.neurons import NEURONS
from hasn.testing.cases.paths import PATHS
from hasn.testing.cases.primitives import PRIMITIVES
from hasn.testing.cases.values import VALUES

CASES: dict[str, Case] = {**PRIMITIVES, **NEURONS, **PATHS, **LOOPS, **DRAWN, **VALUES}
