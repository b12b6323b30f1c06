"""Help, version, errors: what holds for every command."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest

from tests.unit.cli.conftest import Hasn

COMMANDS = (["demo"], ["backends"], ["info"], ["check"], ["run"], ["compare"], ["lava", "setup"], ["lava", "status"])


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_has_an_example(hasn: Hasn, command: list[str]) -> None:
    answer = hasn(*command, "--help")
    assert f"Example: hasn {' '.join(command)}" in " ".join(answer.out.split())


def test_version(hasn: Hasn) -> None:
    assert hasn("--version").out.strip() == f"hasn {version('hasn')}"


def test_usage_errors_are_status_2(hasn: Hasn, model: Path) -> None:
    for arguments in (["info"], ["info", model, "--no-such"], ["nonsense"], ["run", model, "--dt", "fast"]):
        hasn(*arguments, status=2)


def test_a_mistake_is_one_message_on_stderr_and_status_1(hasn: Hasn, tmp_path: Path) -> None:
    answer = hasn("info", tmp_path / "none.nir", status=1)
    assert answer.out == ""
    assert answer.err.startswith("Error: ")
    assert "none.nir" in answer.err
    assert "there is no such file" in answer.err
    assert "Traceback" not in answer.err
    assert answer.err.count("\n") == 1


def test_a_mistake_is_json_where_json_was_asked_for(hasn: Hasn, model: Path) -> None:
    answer = hasn("run", model, "--backend", "abacus", "--json", status=1)
    assert answer.data["error"]["type"] == "OptionError"
    assert answer.data["error"]["got"] == "'abacus'"
    assert "snntorch" in answer.data["error"]["wanted"]


def test_debug_shows_the_traceback(hasn: Hasn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_DEBUG", "1")
    answer = hasn("info", tmp_path / "none.nir", status=1)
    assert "Traceback (most recent call last)" in answer.err
    assert "hasn.errors.FileError" in answer.err


def test_all_errors_of_a_graph_are_pointed_to(hasn: Hasn, tmp_path: Path) -> None:
    from hasn.ir.save import save
    from tests import graphs

    graph = graphs.small_net()
    for name in ("n2", "n4"):
        graph.nodes[name].tau[0] = np.nan
    save(graph, tmp_path / "bad.nir")
    answer = hasn("run", tmp_path / "bad.nir", "--dt", "1e-3", status=1)
    assert "node 'n2' tau" in answer.err
    assert "(1 more" in answer.err


def test_help_imports_no_simulator_and_no_plotting() -> None:
    code = (
        "import sys; from hasn.cli.app import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "found = {'torch', 'brian2', 'matplotlib', 'numpy', 'nir', 'scipy', 'snntorch'} & set(sys.modules)\n"
        "sys.exit(f'imported: {found}' if found else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
