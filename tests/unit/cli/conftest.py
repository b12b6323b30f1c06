"""The command line in-process, and small files for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hasn.backend import list_backends
from hasn.cli.app import app
from hasn.ir.save import save
from tests import graphs


@dataclass(frozen=True)
class Answer:
    """What a command gave; its exit status has been looked at."""

    out: str
    err: str

    @property
    def data(self) -> Any:
        """stdout, which must be JSON and nothing else."""
        return json.loads(self.out)


Hasn = Callable[..., Answer]


@pytest.fixture
def hasn(monkeypatch: pytest.MonkeyPatch) -> Hasn:
    """``hasn("info", path)``: the exit status must be 0, or ``status``."""
    monkeypatch.delenv("HASN_DEBUG", raising=False)

    def call(*arguments: object, status: int = 0) -> Answer:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == status, result.output
        return Answer(result.stdout, result.stderr)

    return call


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A .nir file of 6-5-3 LIF that says its dt."""
    path = tmp_path / "model.nir"
    graph = graphs.small_net()
    graph.metadata["dt"] = graphs.DT
    save(graph, path)
    return path


def need(*names: str) -> None:
    """Skip where a backend cannot run, saying why."""
    found = list_backends()
    for name in names:
        if not found[name].available:
            pytest.skip(f"{name}: {found[name].why_not}")
