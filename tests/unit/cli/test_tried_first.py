"""Every output of every command is tried before the work begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import graphs
from tests.unit.cli.conftest import Hasn

#: command -> (arguments, the option of each output, what does the work)
OUTPUTS: dict[str, tuple[list[str], tuple[str, ...], str]] = {
    "run": (["MODEL"], ("--out", "--report"), "hasn.compiler.compile"),
    "compare": (["MODEL"], ("--report",), "hasn.agreement.compare"),
    "train": (
        ["MODEL", "--data", "DATA", "--out", "NEW"],
        ("--out", "--checkpoint", "--log"),
        "hasn.backends.snntorch.training.api._train",
    ),
    "quantise": (
        ["MODEL", "--calibrate", "X", "--out", "NEW"],
        ("--out",),
        "hasn.conversions.loihi.quantising.quantise.quantise",
    ),
    "export": (["MODEL", "--out", "NEW"], ("--out",), "hasn.cli.quantised.chip_network"),
    "export --target netx": (
        ["MODEL", "--target", "netx", "--out", "NEW"],
        ("--out",),
        "hasn.cli.quantised.chip_network",
    ),
    "place": (["MODEL"], ("--report",), "hasn.cli.quantised.chip_network"),
    "set": (["MODEL", "--dt", "0.002"], ("--out",), "hasn.ir.load.load"),
    "demo": ([], ("--out",), "hasn.demo.job.load_digits"),
    "demo-learning": ([], ("--out",), "hasn.demo.learning_job.load_digits"),
}


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, (_, options, _) in OUTPUTS.items() for option in options]
)
def test_an_output_that_cannot_be_written_ends_the_command_before_its_work(
    name: str, option: str, hasn: Hasn, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, _, work = OUTPUTS[name]
    np.savez(tmp_path / "data.npz", input=graphs.spikes((6,), 5, 4), labels=np.arange(4) % 3)
    files = {"MODEL": model, "DATA": tmp_path / "data.npz", "X": tmp_path / "x.npy", "NEW": tmp_path / "new"}

    def begun(*_: Any, **__: Any) -> None:
        raise AssertionError("the work was begun")

    monkeypatch.setattr(work, begun)
    filled = [files.get(text, text) for text in arguments]
    answer = hasn(name.split()[0], *filled, option, "/proc/none", "--json", status=1)
    assert answer.data["error"]["type"] == "FileError"
    assert "/proc" in answer.data["error"]["text"]
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_under_the_name_of_the_result_is_refused_first(hasn: Hasn, model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", input=graphs.spikes((6,), 5, 4), labels=np.arange(4) % 3)
    same = tmp_path / "x.nir"
    answer = hasn("train", model, "--data", tmp_path / "data.npz", "--out", same, "--checkpoint", same, status=1)
    assert "--checkpoint: is the file of --out too" in answer.err


@pytest.mark.parametrize(
    ("command", "option", "of"),
    [
        (["run", "MODEL"], "--out", "FILE"),
        (["run", "MODEL", "--input", "X"], "--out", "--input"),
        (["compare", "MODEL"], "--report", "FILE"),
        (["compare", "MODEL", "--input", "X"], "--report", "--input"),
        (["train", "MODEL", "--data", "DATA"], "--out", "--data"),
        (["train", "MODEL", "--data", "DATA", "--out", "NEW", "--validation", "X"], "--checkpoint", "--validation"),
        (["train", "MODEL", "--data", "DATA", "--out", "NEW"], "--checkpoint", "FILE"),
        (["quantise", "MODEL", "--calibrate", "X"], "--out", "--calibrate"),
        (["export", "MODEL", "--target", "nir"], "--out", "FILE"),
        (["export", "MODEL", "--calibrate", "X"], "--out", "--calibrate"),
        (["export", "MODEL", "--input", "X"], "--out", "--input"),
        (["place", "MODEL"], "--report", "FILE"),
        (["place", "MODEL", "--input", "X"], "--report", "--input"),
    ],
)
def test_no_output_replaces_what_is_read_even_with_force(
    command: list[str], option: str, of: str, hasn: Hasn, model: Path, tmp_path: Path
) -> None:
    files = {"MODEL": model, "DATA": tmp_path / "data.npz", "X": tmp_path / "x.npy", "NEW": tmp_path / "new"}
    for name in ("DATA", "X"):
        files[name].write_bytes(b"mine")
    there = {name: path.read_bytes() for name, path in files.items() if path.exists()}
    filled = [files.get(text, text) for text in command]
    target = model if of == "FILE" else filled[filled.index(of) + 1]
    answer = hasn(*filled, option, target, "--force", status=1)
    assert f"{option}: is the file of {of} too" in answer.err
    assert {name: path.read_bytes() for name, path in files.items() if path.exists()} == there
