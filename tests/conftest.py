"""Fixtures that many tests share."""

from __future__ import annotations

from pathlib import Path

import nir
import pytest

import hasn
from tests.graphs import DT, small_net


@pytest.fixture
def net() -> nir.NIRGraph:
    """6 inputs, 5 LIF neurons, 3 LIF neurons; no dt in it."""
    return small_net()


@pytest.fixture
def nir_file(net: nir.NIRGraph, tmp_path: Path) -> Path:
    """The small net in a file that says its dt."""
    net.metadata["dt"] = DT
    path = tmp_path / "net.nir"
    hasn.save(net, path)
    return path
