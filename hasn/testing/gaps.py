"""What a backend cannot run as SEMANTICS says, in one place: each entry is a strict expected failure.

A gap that is closed makes its tests fail until the entry goes. (backend, pattern) -> reason; the pattern, as in a
shell, is matched with ``precision/case``: ``"float32/*"``, ``"*/Conv2d*"``. A backend outside this project brings its
gaps along, as an attribute ``conformance_gaps = {pattern: reason}`` of its Backend.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from hasn.backend import get_backend
from hasn.testing.runners import INTERPRETERS

GAPS: dict[tuple[str, str], str] = {}

#: (backend, precision) -> why the simulator has no such arithmetic.
NOT_OFFERED: dict[tuple[str, str], str] = {
    ("lava", "float32"): "Lava's floating-point process models are written for Python's float, which is float64.",
}


def gap(runner: str, precision: str, case: str) -> str:
    """Why this runner is expected to fail this case; empty if it is not."""
    own = {} if runner in INTERPRETERS else getattr(get_backend(runner), "conformance_gaps", {})
    known = {pattern: reason for (name, pattern), reason in GAPS.items() if name == runner} | own
    found = (reason for pattern, reason in known.items() if fnmatchcase(f"{precision}/{case}", pattern))
    return next(found, "")
