"""Help, version, errors: what holds for every command."""

from __future__ import annotations

import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from hasn import cli
from hasn.cli.app import app
from tests.unit.cli.conftest import Hasn

COMMANDS = (
    ["demo"],
    ["demo-learning"],
    ["backends"],
    ["info"],
    ["check"],
    ["run"],
    ["compare"],
    ["lava", "setup"],
    ["lava", "status"],
)


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


def _options() -> list[tuple[str, str, str]]:
    """(command, parameter, help) of everything that can be given to a command."""
    import typer.main

    root = typer.main.get_command(app)
    groups = [("", root), ("lava ", root.commands["lava"])]  # type: ignore[attr-defined]
    return [
        (prefix + name, parameter.name or "", getattr(parameter, "help", "") or "")
        for prefix, group in groups
        for name, command in group.commands.items()  # type: ignore[attr-defined]
        for parameter in command.params
    ]


def test_every_option_says_what_it_does() -> None:
    found = _options()
    assert len(found) > 80
    assert [(command, name) for command, name, text in found if len(text) < 4] == []


def test_short_help_and_no_locals_in_a_traceback(hasn: Hasn) -> None:
    """A traceback may be sent to others; what is in variables is the user's own."""
    assert app.pretty_exceptions_show_locals is False
    assert "Example: hasn" in hasn("run", "-h").out
    assert "Usage: " in CliRunner().invoke(app, []).output


def test_the_script_and_the_module_run_the_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    monkeypatch.setattr("hasn.cli.app.app", lambda **_: called.append(1))
    assert cli.main() == 0
    assert len(called) == 1
    module = str(Path(cli.__file__).with_name("__main__.py"))
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(module, run_name="__main__")
    assert len(called) == 2
    runpy.run_path(module, run_name="imported")
    assert len(called) == 2
