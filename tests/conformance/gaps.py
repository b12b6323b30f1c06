"""What a backend cannot run as SEMANTICS says, in one place: each entry is a strict expected failure.

A gap that is closed makes its test fail until the entry goes. (backend, case) -> reason.
"""

from __future__ import annotations

GAPS: dict[tuple[str, str], str] = {}
