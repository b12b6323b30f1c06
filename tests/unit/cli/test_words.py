"""Errors of Python in the words of the command line, and only where the command has the option."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import hasn as package
from hasn.cli.app import app
from hasn.cli.words import on_the_command_line, translated
from hasn.errors import FileError, ParameterError, TimeStepError
from tests import graphs
from tests.unit.cli.conftest import Hasn


@pytest.mark.parametrize(
    ("python", "options", "here"),
    [
        ("Pass force=True to replace it.", {"force"}, "Pass --force to replace it."),
        ("Pass resume=True to continue.", {"resume"}, "Pass --resume to continue."),
        ("Pass resume=True to continue.", {"force"}, "Pass resume=True to continue."),
        ("Pass recompute=K (K about the root).", {"recompute"}, "Pass --recompute K (K about the root)."),
        ("or take timing='hardware', where", {"timing"}, "or take --timing hardware, where"),
        ("Pass learn=('tau',).", {"learn"}, "Pass --learn tau."),
        ("clip=1.0 bounds a step.", {"clip"}, "--clip 1.0 bounds a step."),
        ("points to dt=0.001.", {"dt"}, "points to --dt 0.001."),
        ("Pass target='cpp_standalone'.", {"option", "dt"}, "Pass --option target=cpp_standalone."),
        ("Pass target='cpp_standalone'.", {"dt"}, "Pass target='cpp_standalone'."),
        ("r = tau/dt in this graph", {"dt"}, "r = tau/dt in this graph"),
        ("5 steps of dt = 0.001 s", {"dt"}, "5 steps of dt = 0.001 s"),
        ("hasn.quantise(graph, ...) makes", set(), "hasn quantise FILE makes"),
        ("Train with reset='zero'.", {"dt"}, "Train it anew after hasn set FILE --reset zero."),
        ("Train with reset='zero'.", {"reset"}, "Train it anew after hasn set FILE --reset zero."),
        ("Pass backend='brian2'.", {"backend", "backends"}, "Pass --backend brian2."),
        ("Pass backend='brian2'.", {"backends"}, "Pass --backends brian2."),
        ("(3 more: hasn.check lists all of them)", set(), "(3 more: hasn check FILE lists all of them)"),
    ],
)
def test_a_sentence(python: str, options: set[str], here: str) -> None:
    assert on_the_command_line(python, options) == here


def test_an_error_keeps_its_class_parts_and_notes() -> None:
    error = TimeStepError("no meaning", parameter="dt", got=0, wanted="dt=...", way_out="Pass dt=... (seconds).")
    error.add_note("(2 more: hasn.check lists all of them)")
    made = translated(error, {"dt"})
    assert (type(made), str(made)) == (TimeStepError, "--dt: no meaning; got 0; wanted --dt .... Pass --dt SECONDS.")
    assert made.__notes__ == ["(2 more: hasn check FILE lists all of them)"]
    beside = translated(ParameterError("is negative", node="n", parameter="seed"), {"seed"})
    assert str(beside) == "node 'n' seed: is negative"  # the node's own, not the option
    assert str(translated(FileError("gone", parameter="a.nir"), {"dt"})) == "a.nir: gone"
    assert str(translated(FileError("unknown", parameter="backend"), {"backends"})) == "--backends: unknown"


@pytest.mark.parametrize("command", ["run", "compare", "info --program", "check"])
def test_a_file_without_dt_asks_for_the_option_and_says_how_to_store_it(
    command: str, hasn: Hasn, tmp_path: Path
) -> None:
    package.save(graphs.small_net(), tmp_path / "x.nir")
    name, *options = command.split()
    answer = hasn(name, tmp_path / "x.nir", *options, status=0 if name == "check" else 1)
    said = answer.out + answer.err
    assert "Pass --dt SECONDS, or store it once: hasn set FILE --dt SECONDS." in said
    assert "dt=" not in said


def test_in_python_the_same_error_names_the_argument() -> None:
    with pytest.raises(TimeStepError, match=r"^dt: .*Pass dt=\.\.\. \(seconds\), or set graph\.metadata\['dt'\]"):
        package.lower(graphs.small_net())


# --- help


def _commands() -> Iterator[tuple[str, typer.models.CommandInfo]]:
    yield from ((str(command.name), command) for command in app.registered_commands)
    for group in app.registered_groups:
        inner = group.typer_instance
        assert inner is not None
        for command in inner.registered_commands:
            name = command.name or (command.callback.__name__ if command.callback else "")
            yield f"{group.name} {name}", command


@pytest.mark.parametrize(("name", "command"), list(_commands()), ids=[name for name, _ in _commands()])
def test_every_help_has_its_example_before_its_options(
    name: str, command: typer.models.CommandInfo, hasn: Hasn
) -> None:
    assert command.epilog is None
    assert f"Example: hasn {name}" in inspect.getdoc(command.callback)  # type: ignore[operator, arg-type]
    text = hasn(*name.split(), "--help").out
    assert text.index("Example: hasn") < text.index("Options")
