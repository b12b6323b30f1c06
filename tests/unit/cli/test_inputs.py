"""Input data of a command, options of backends, and where a command writes."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from hasn.cli import console
from hasn.cli.errors import error_data, report
from hasn.cli.inputs import arrays_in, given_inputs, random_spikes, read_inputs
from hasn.cli.options import backend_options
from hasn.errors import FileError, InputError, OptionError
from hasn.ir.lower import lower
from hasn.program.model import Program
from tests import graphs


@pytest.fixture(scope="module")
def two() -> Program:
    """A Program with the Inputs b (3) and a (2)."""
    nodes = {"b": graphs.inp(3), "a": graphs.inp(2), "w": graphs.Draw(1).linear(2, 3), "o": graphs.out(2)}
    return lower(graphs.graph(nodes, "b > w > o", "a > o"), dt=1e-3)


@pytest.fixture(scope="module")
def one() -> Program:
    return lower(graphs.small_net(), dt=1e-3)


@pytest.mark.parametrize("at_once", [1 << 20, 4, 1])
def test_random_spikes_are_drawn_in_the_order_of_names(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many numbers are drawn at once; a byte a spike, for they are there as a whole."""
    monkeypatch.setattr("hasn.cli.inputs._DRAWN", at_once)
    rng = np.random.default_rng(7)
    a, b = rng.random((5, 2)) < 0.3, rng.random((5, 3)) < 0.3
    found = random_spikes({"b": (3,), "a": (2,)}, 5, 0.3, 7, None)
    assert list(found) == ["a", "b"]
    assert np.array_equal(found["a"], a)
    assert np.array_equal(found["b"], b)
    assert found["a"].dtype == bool
    assert random_spikes({"a": (2, 4)}, 5, 1.0, 0, 3)["a"].shape == (5, 3, 2, 4)
    assert random_spikes({"a": (2,)}, 5, 1.0, 0, None)["a"].all()
    assert not random_spikes({"a": (2,)}, 5, 0.0, 0, None)["a"].any()


@pytest.mark.parametrize(
    ("steps", "batch", "count", "samples", "said"),
    [(None, None, 100, 1, "100 steps, seed 4"), (1, 1, 1, 1, "1 step, 1 sample, seed 4"), (9, 3, 9, 3, "3 samples")],
)
def test_random_input_says_what_it_is(
    two: Program, steps: int | None, batch: int | None, count: int, samples: int, said: str
) -> None:
    given = given_inputs(two, None, steps, 0.25, 4, batch)
    assert {name: array.shape for name, array in given.values.items()} == {
        "a": (count, *([] if batch is None else [batch]), 2), "b": (count, *([] if batch is None else [batch]), 3),
    }  # fmt: skip
    assert np.array_equal(given.values["b"], random_spikes({"a": (2,), "b": (3,)}, count, 0.25, 4, batch)["b"])
    assert given.steps is None
    assert given.data == {"kind": "random", "steps": count, "rate": 0.25, "seed": 4, "samples": samples}
    assert given.text.startswith("Input: random spikes (no --input was given): rate 0.25 a step, ")
    assert said in given.text


@pytest.mark.parametrize(("steps", "count"), [(None, 100), (7, 7)])
def test_a_graph_without_inputs_has_steps_alone(steps: int | None, count: int) -> None:
    program = lower(graphs.graph({"n": graphs.Draw(1).lif(2), "o": graphs.out(2)}, "n > o"), dt=1e-3)
    given = given_inputs(program, None, steps, 0.2, 0, None)
    assert (given.values, given.steps, given.data) == (None, count, {"kind": "none", "steps": count})
    assert given.text == f"The graph has no Input; {count} steps"


def test_a_file_is_read_and_named(one: Program, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    values = np.arange(3.0 * one.inputs[0].shape[0]).reshape(3, -1)
    np.save(path, values)
    given = given_inputs(one, path, 5, 2.0, -1, 0)  # what is for random spikes is not looked at
    assert np.array_equal(given.values, values)
    assert (given.steps, given.text, given.data) == (5, f"Input: {path}", {"kind": "file", "path": str(path)})


@pytest.mark.parametrize(
    ("options", "name", "got"),
    [
        ((0, 0.2, 0, None), "--steps", 0),
        ((5, 0.2, 0, 0), "--batch", 0),
        ((5, -0.1, 0, None), "--rate", -0.1),
        ((5, 1.01, 0, None), "--rate", 1.01),
        ((5, 0.2, -1, None), "--seed", -1),
    ],
)
def test_what_is_no_number_of_anything(one: Program, options: Any, name: str, got: float) -> None:
    with pytest.raises(InputError) as raised:
        given_inputs(one, None, *options)
    assert (raised.value.parameter, raised.value.got) == (name, got)
    assert raised.value.wanted


@pytest.mark.parametrize(("names", "single"), [(["input"], False), (["other"], True)])
def test_one_array_serves_one_input_whatever_its_name(
    one: Program, tmp_path: Path, names: list[str], single: bool
) -> None:
    np.savez(tmp_path / "x.npz", **{name: np.ones((3, *one.inputs[0].shape)) for name in names})
    found = read_inputs(tmp_path / "x.npz", one)
    assert isinstance(found, np.ndarray) == single
    if not single:
        assert list(found) == names


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "one array for two Inputs": ({"other": np.ones((3, 2))}, "a", "the Input has no data"),
    "one more than there are": ({"a": np.ones((3, 2)), "b": np.ones((3, 3)), "c": np.ones(3)}, "c", "no such Input"),
    "another shape": ({"a": np.ones((3, 2)), "b": np.ones((3, 4))}, "b", "wrong shape"),
    "another number of steps": ({"a": np.ones((3, 2)), "b": np.ones((4, 3))}, "b", "another number of steps"),
    "texts": ({"a": np.array([["x", "y"]]), "b": np.ones((1, 3))}, "a", "not an array of real numbers"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_arrays_that_do_not_fit_are_refused_before_they_are_read(
    two: Program, tmp_path: Path, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, node, words = WRONG[wrong]
    np.savez(tmp_path / "x.npz", **arrays)
    monkeypatch.setattr(np.lib.format, "read_array", None)
    with pytest.raises(InputError, match=words) as raised:
        read_inputs(tmp_path / "x.npz", two)
    assert (raised.value.node, raised.value.parameter) == (node, str(tmp_path / "x.npz"))
    assert raised.value.wanted or raised.value.got


@pytest.mark.parametrize("option", ["--input", "--calibrate", "--data"])
def test_errors_of_a_file_name_it_what_was_wanted_and_the_way_out(tmp_path: Path, option: str) -> None:
    with pytest.raises(FileError) as raised:
        arrays_in(tmp_path / "x.npy", option)
    assert (raised.value.message, raised.value.parameter) == ("there is no such file", str(tmp_path / "x.npy"))
    assert raised.value.way_out == f"Check the path given to {option}."
    with pytest.raises(FileError) as raised:
        arrays_in(tmp_path, option)
    assert (raised.value.message, raised.value.parameter) == ("is a folder", str(tmp_path))
    assert raised.value.way_out == f"Check the path given to {option}."
    path = tmp_path / "x.npy"
    for content, message in ((None, "holds Python objects, which are not read"), (b"x", "not a .npy or .npz file")):
        if content is None:
            np.save(path, np.array([None], dtype=object), allow_pickle=True)
        else:
            path.write_bytes(content)
        with pytest.raises(FileError) as raised:
            arrays_in(path)
        assert (raised.value.message, raised.value.parameter) == (message, str(path))
        assert raised.value.wanted is not None


def test_options_of_a_backend_are_json_where_they_can_be() -> None:
    given = ["device=cpu", "threads=2", "fast=true", "path=a=b", "none=null", "empty=", 'text="2"', "device=cuda"]
    assert backend_options(given) == {
        "device": "cuda", "threads": 2, "fast": True, "path": "a=b", "none": None, "empty": "", "text": "2",
    }  # fmt: skip
    assert backend_options(None) == backend_options([]) == {}


@pytest.mark.parametrize("text", ["device", "=2", "a-b=2", "1a=2", ""])
def test_what_is_no_option(text: str) -> None:
    with pytest.raises(OptionError) as raised:
        backend_options([text])
    error = raised.value
    assert (error.message, error.parameter, error.got) == ("not a backend option", "--option", repr(text))
    assert error.wanted == "name=value"


@pytest.mark.parametrize(
    "name", ["dt", "method", "reset", "timing", "precision", "backend", "backends", "reference", "steps"]
)
def test_options_that_have_one_of_their_own(name: str) -> None:
    with pytest.raises(OptionError) as raised:
        backend_options([f"{name}=2"])
    assert (raised.value.message, raised.value.wanted) == ("has an option of its own", f"--{name}")
    assert (raised.value.parameter, raised.value.got) == ("--option", repr(f"{name}=2"))


def test_every_part_of_an_error_is_data() -> None:
    error = FileError("m", node="n", parameter="p", got=3, wanted="w", way_out="o")
    assert error_data(error) == {
        "type": "FileError", "text": str(error), "message": "m", "node": "n", "parameter": "p", "got": "3",
        "wanted": "w", "way_out": "o",
    }  # fmt: skip
    assert error_data(FileError("m"))["got"] is None
    assert error_data(FileError("m", got=0))["got"] == "0"


@pytest.mark.parametrize(
    ("as_json", "rank", "debug", "out", "trace"),
    [
        (True, 0, "", True, False),
        (True, 1, "", False, False),
        (False, 0, "0", False, False),
        (False, 1, "1", False, True),
        (True, 0, "1", True, True),
    ],
)
def test_an_error_goes_to_one_place_and_its_traceback_where_it_is_asked_for(
    as_json: bool, rank: int, debug: str, out: bool, trace: bool,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr("hasn.cli.errors.rank", lambda: rank)
    monkeypatch.setenv("HASN_DEBUG", debug)
    error = FileError("[bold]gone[/bold]")
    error.add_note("and a note")
    report(error, as_json=as_json)
    told = capsys.readouterr()
    assert ('"message": "[bold]gone[/bold]"' in told.out) == out
    assert ("Error: [bold]gone[/bold] and a note" in told.err) == (not out)
    assert ("hasn.errors.FileError" in told.err) == trace
    assert bool(told.out) == out


class _Terminal:
    """Stands for the console."""

    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal, self.width = is_terminal, 77
        self.printed: list[tuple[Any, dict[str, Any], int]] = []

    def print(self, what: Any, **how: Any) -> None:
        self.printed.append((what, how, self.width))


@pytest.mark.parametrize(("terminal", "columns"), [(True, 77), (False, 140)])
def test_tables_are_as_wide_as_the_terminal_or_140(
    terminal: bool, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = _Terminal(terminal)
    monkeypatch.setattr(console, "stdout", made)
    assert console.width() == columns
    console.show("[b]text[/b]")
    console.show(3)
    assert made.printed == [
        ("[b]text[/b]", {"soft_wrap": True, "markup": False, "style": None}, columns),
        (3, {"soft_wrap": False, "markup": False, "style": None}, columns),
    ]


def test_json_keeps_letters_and_markup(capsys: pytest.CaptureFixture[str]) -> None:
    console.show_json({"[b]": "ä" * 300})
    assert capsys.readouterr().out == '{\n  "[b]": "' + "ä" * 300 + '"\n}\n'


def test_a_table_of_cells_as_they_are() -> None:
    made = console.table("a", "b", numbers=("b",))
    console.add_row(made, "[b]x", 3)
    assert [column.justify for column in made.columns] == ["left", "right"]
    assert [cell.plain for column in made.columns for cell in column.cells] == ["[b]x", "3"]


def test_a_spinners_text_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(console, "stderr", Console(file=io.StringIO(), force_terminal=True))
    with console.working("first") as say:
        status = next(c.cell_contents for c in (say.__closure__ or ()))
        monkeypatch.setattr(status, "update", said.append)
        say("second")
    assert said == ["second"]
    monkeypatch.setattr(console, "stderr", Console(file=io.StringIO()))
    with console.working("first") as say:
        say("second")  # of no terminal: nobody hears it
    assert said == ["second"]
