"""Brian2 itself, or its double in plain NumPy."""

from __future__ import annotations

import pytest

from tests.unit.backends.brian2 import double


@pytest.fixture(params=["double", "brian2"])
def brian2(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of the two a test runs on: once on each. Not for compiled targets."""
    if request.param == "double":
        monkeypatch.setattr("hasn.backends.brian2.live.Live", double.Live)
    return str(request.param)
