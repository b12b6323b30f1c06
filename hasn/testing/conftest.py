"""The fixture of all conformance tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hasn.testing.matrix import Cell
from hasn.testing.outcomes import JUDGES
from hasn.testing.runners import sharing, why_not


@pytest.fixture
def cell(request: pytest.FixtureRequest) -> Cell:
    """What is judged; takes it down for the record, and skips what cannot run here with the reason."""
    found: Cell = request.param
    request.node.user_properties.append((JUDGES, list(found)))
    reason = why_not(found.runner)
    if reason:
        pytest.skip(reason)
    return found


@pytest.fixture(scope="module", autouse=True)
def _sharing() -> Iterator[None]:
    """The suite's executables run one after the other, so a backend may share among them what is slow to start."""
    with sharing():
        yield
