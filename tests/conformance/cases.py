"""All conformance cases by name."""

from __future__ import annotations

from tests.conformance.case import Case
from tests.conformance.loops import LOOPS
from tests.conformance.paths import PATHS
from tests.conformance.primitives import PRIMITIVES
from tests.conformance.values import VALUES

CASES: dict[str, Case] = {**PRIMITIVES, **PATHS, **LOOPS, **VALUES}
