"""The fixture of all conformance tests."""

from __future__ import annotations

import pytest

from hasn.testing.matrix import Cell
from hasn.testing.outcomes import JUDGES
from hasn.testing.runners import why_not


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> Cell:
    """What is judged; takes it down for the record, and skips what cannot run here with the reason."""
    found: Cell = request.param
    request.node.user_properties.append((JUDGES, list(found)))
    reason = why_not(found.runner)
    if reason:
        pytest.skip(reason)
    return found
