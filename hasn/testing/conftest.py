"""What all conformance tests share."""

from __future__ import annotations

import gc
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


@pytest.fixture(autouse=True)
def _unwatched() -> Iterator[None]:
    """Take what outlives a test out of the garbage collector's sight.

    Brian2 collects garbage before every run, over all that lives: with torch, Brian2 and some thousand tests loaded,
    that was the longest part of a test.
    """
    yield
    gc.collect()
    gc.freeze()
