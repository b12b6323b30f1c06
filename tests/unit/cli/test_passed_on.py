"""What each command hands on to what does the work: its defaults, and every option when it is given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.cli.inputs import Given
from hasn.errors import HasnError
from hasn.recording import Counts, Recording
from tests.unit.cli.conftest import Hasn
from tests.unit.report.made import by_hand

Call = tuple[tuple[Any, ...], dict[str, Any]]
Listen = Callable[..., list[Call]]


@pytest.fixture
def listen(monkeypatch: pytest.MonkeyPatch) -> Listen:
    """``listen("module.function", result)``: the calls of it from now on; without a result it ends the command."""

    def to(target: str, result: Any = None) -> list[Call]:
        calls: list[Call] = []

        def heard(*args: Any, **kwargs: Any) -> Any:
            calls.append((args, kwargs))
            if result is None:
                raise HasnError("heard")
            return result

        monkeypatch.setattr(target, heard)
        return calls

    return to


GIVEN = Given("values", 17, "where they are from", {"kind": "made"})
#: What all commands that lower a graph take, as given and as heard.
MEANING = ["--dt", "0.002", "--method", "exact", "--reset", "subtract", "--timing", "hardware"]
MEANT = {"dt": 0.002, "method": "exact", "reset": "subtract", "timing": "hardware"}
PLAIN = {"dt": None, "method": None, "reset": None, "timing": None}
RANDOM = ["--steps", "7", "--rate", "0.3", "--seed", "4", "--batch", "5"]


def _recording() -> Recording:
    """Two neurons' 3 spikes in 4 steps of 2 samples, 0.5 s a step."""
    spikes = np.zeros((4, 2, 2), dtype=bool)
    spikes[0, 0, 0] = spikes[1, 0, 1] = spikes[3, 1, 1] = True
    outputs = {"out": np.array([0.25, -1.0, 2.0, 4.0]), "none": np.zeros((0, 2))}
    counts = Counts({"n2": 3, "n4": 1000}, {"n2": 20, "n4": 300})
    return Recording(outputs, {"n2": spikes}, {"n2": 1.0 * spikes}, 0.5, {"n2": np.int64(1)}, counts, "brian2",
                     "float32", 1.2345, True, {"n2": 2.0 * spikes})  # type: ignore[dict-item]  # fmt: skip


class _Executable:
    """Stands for what compile gives."""

    program = SimpleNamespace(learning={})
    recordable = ("spikes", "voltages", "currents")

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.closed = False

    def __enter__(self) -> _Executable:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def run(self, *args: Any, **kwargs: Any) -> Recording:
        self.calls.append((args, kwargs))
        return _recording()


def test_run(hasn: Hasn, listen: Listen, model: Path, tmp_path: Path) -> None:
    executable = _Executable()
    compiled = listen("hasn.compiler.compile", executable)
    asked = listen("hasn.cli.inputs.given_inputs", GIVEN)
    answer = hasn("run", model, "--json")
    assert compiled[0][0][1:] == ("snntorch",)
    assert compiled[0][1] == {**PLAIN, "precision": "float64"}
    assert asked[0] == ((executable.program, None, None, 0.2, 0, None), {})
    assert executable.calls == [(("values",), {"record": ("spikes",), "steps": 17})]
    assert executable.closed
    assert answer.data == {
        "input": {"kind": "made"}, "backend": "brian2", "precision": "float32", "steps": 4, "dt": 0.5,
        "seconds": 1.2345,
        "spikes": {"n2": {"shape": [2, 2], "spikes": 3, "rate_hz": 3 / (16 * 0.5)}},
        "outputs": {"out": {"shape": [4], "sum": 5.25}, "none": {"shape": [0, 2], "sum": 0.0}},
        "shifts": {"n2": 1}, "total_spikes": 1003, "synaptic_operations": 320, "out": None,
        "report": None, "weights": {},
    }  # fmt: skip
    out = tmp_path / "out.npz"
    data = tmp_path / "x.npy"
    options = [*MEANING, *RANDOM, "--backend", "brian2", "--input", data, "--precision", "float32", "--out", out]
    answer = hasn("run", model, *options, "--option", "threads=2", "--option", "device=cpu")
    assert compiled[1][0][1:] == ("brian2",)
    assert compiled[1][1] == {**MEANT, "precision": "float32", "threads": 2, "device": "cpu"}
    assert asked[1] == ((executable.program, data, 7, 0.3, 4, 5), {})
    assert executable.calls[1][1]["record"] == executable.recordable
    assert f"brian2, float32: 4 steps in 1.23 s; wrote {out}" in answer.out
    assert hasn("run", model, "--out", out, "--force", "--json").data["out"] == str(out)
    with np.load(out) as arrays:
        assert sorted(arrays) == [
            "currents/n2", "dt", "outputs/none", "outputs/out", "spikes/n2", "times", "voltages/n2",
        ]  # fmt: skip
        assert arrays["currents/n2"].max() == 2.0
        assert arrays["dt"] == 0.5
        assert arrays["times"].tolist() == [0, 0.5, 1, 1.5]
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == ["out.npz"]


def test_the_table_of_a_run(hasn: Hasn, listen: Listen, model: Path) -> None:
    listen("hasn.compiler.compile", _Executable())
    listen("hasn.cli.inputs.given_inputs", GIVEN)
    lines = hasn("run", model).out.splitlines()
    assert lines[0] == "where they are from"
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert cells == [
        ["node", "recorded", "shape (time first)", "spikes", "mean rate (Hz)", "values"],
        ["n2", "spikes", "(4, 2, 2)", "3", "0.375", ""],
        ["out", "output", "(4,)", "", "", "-1 .. 4, mean 1.312"],
        ["none", "output", "(0, 2)", "", "", ""],
    ]
    assert lines[-1] == "snntorch, float64: 4 steps in 1.23 s"


def test_compare(hasn: Hasn, listen: Listen, model: Path, tmp_path: Path) -> None:
    spikes = {"n2": np.ones((7, 1, 5), dtype=bool)}
    compared = listen("hasn.agreement.compare", by_hand({"brian2": spikes, "lava": spikes}))
    asked = listen("hasn.cli.inputs.given_inputs", GIVEN)
    written = listen("hasn.report.html.write_report", True)
    answer = hasn("compare", model, "--json")
    args, options = compared[0]
    assert args[1:] == ("values",)
    assert callable(options.pop("progress"))
    assert options == {
        **PLAIN, "dt": 1e-3, "backends": ["snntorch", "brian2", "lava"], "reference": "brian2", "precision": "float64",
        "steps": 17,
    }  # fmt: skip
    assert asked[0][0][1:] == (None, None, 0.2, 0, None)
    assert asked[0][0][0].dt == 1e-3
    assert (answer.data["ok"], answer.data["input"], answer.data["report"]) == (True, {"kind": "made"}, None)
    assert written == []
    page, data = tmp_path / "page.html", tmp_path / "x.npy"
    more = ["--backends", " lava,, brian2:float32 ", "--reference", "lava", "--precision", "float32", "--report", page]
    answer = hasn("compare", model, *MEANING, *RANDOM, *more, "--input", data, "--option", "threads=2", "--force")
    options = compared[1][1]
    del options["progress"]
    assert options == {
        **MEANT, "backends": ["lava", "brian2:float32"], "reference": "lava", "precision": "float32", "steps": 17,
        "threads": 2,
    }  # fmt: skip
    assert asked[1][0][1:] == (data, 7, 0.3, 4, 5)
    program = asked[1][0][0]
    assert (program.dt, program.method, program.timing) == (0.002, "exact", "hardware")
    assert written[0][0][0] == page
    assert written[0][1] == {"subtitle": "model.nir. where they are from.", "force": True}
    assert answer.out.startswith("where they are from\n")
    assert answer.out.endswith(f"over 1 sample of 7 steps.\nWrote {page}\n")


def test_train(hasn: Hasn, listen: Listen, model: Path, tmp_path: Path) -> None:
    x, labels = np.zeros((3, 4, 6)), np.arange(4)
    data, held_out = tmp_path / "data.npz", tmp_path / "held_out.npz"
    np.savez(data, input=x, labels=labels)
    np.savez(held_out, a=x, b=x + 1, labels=labels + 1)
    heard = listen("hasn.backends.snntorch.training.api.train")
    out = tmp_path / "out.nir"
    hasn("train", model, "--data", data, "--out", out, status=1)
    (_, samples), options = heard[0]
    assert np.array_equal(samples[0], x)
    assert np.array_equal(samples[1], labels)
    del options["progress"]
    assert options == {
        **PLAIN, "validation": None, "epochs": 10, "loss": "rate", "optimizer": "adam", "learning_rate": 1e-3,
        "batch_size": 32, "batch_first": None, "learn": (), "clip": None, "amp": None, "recompute": None,
        "patience": None, "keep_best": False, "checkpoint": None, "resume": False, "log": None, "seed": 0,
    }  # fmt: skip
    hasn(
        "train", model, "--data", data, "--out", out, "--validation", held_out, "--epochs", "2", "--loss", "count",
        "--optimizer", "sgd", "--learning-rate", "0.5", "--batch-size", "3", "--learn", "tau", "--learn", "delay",
        "--clip", "1.5", "--amp", "bf16", "--recompute", "6", "--patience", "7", "--best", "--checkpoint",
        tmp_path / "c", "--resume", "--log", tmp_path / "log", "--seed", "9", "--option", "device=cpu", *MEANING,
        status=1,
    )  # fmt: skip
    options = heard[1][1]
    given, wanted = options.pop("validation")
    assert sorted(given) == ["a", "b"]
    assert wanted.tolist() == [1, 2, 3, 4]
    del options["progress"]
    assert options == {
        **MEANT, "epochs": 2, "loss": "count", "optimizer": "sgd", "learning_rate": 0.5, "batch_size": 3,
        "batch_first": None, "learn": ("tau", "delay"), "clip": 1.5, "amp": "bf16", "recompute": 6,
        "patience": 7, "keep_best": True,
        "checkpoint": tmp_path / "c", "resume": True, "log": tmp_path / "log", "seed": 9, "device": "cpu",
    }  # fmt: skip


def test_of_many_workers_the_first_one_writes(
    hasn: Hasn, listen: Listen, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "data.npz", input=np.zeros((3, 4, 6)), labels=np.arange(4))
    listen(
        "hasn.backends.snntorch.training.api.train",
        SimpleNamespace(graph="graph", stopped="", steps=1, dropped=0, history=[], learned=True),
    )
    saved = listen("hasn.ir.save.save", True)
    arguments = ["train", model, "--data", tmp_path / "data.npz", "--out", tmp_path / "out.nir", "--json"]
    for rank, data in ((1, ""), (0, {"stopped": "", "learned": True, "steps": 1, "dropped": 0, "history": [],
                                      "checkpoint": None, "out": str(tmp_path / "out.nir")})):  # fmt: skip
        monkeypatch.setattr("hasn.torchrun.rank", lambda rank=rank: rank)
        answer = hasn(*arguments)
        assert (answer.data if answer.out else "") == data
    assert saved == [(("graph", tmp_path / "out.nir"), {"force": False})]


@pytest.mark.parametrize("arrays", [{"labels": np.arange(4)}, {"input": np.zeros((3, 4, 6))}, None])
def test_samples_without_labels_or_inputs(
    hasn: Hasn, listen: Listen, model: Path, tmp_path: Path, arrays: dict[str, Any] | None
) -> None:
    data = tmp_path / "data.npz"
    with data.open("wb") as file:
        if arrays is None:
            np.save(file, np.zeros(3))
        else:
            np.savez(file, **arrays)
    error = hasn("train", model, "--data", data, "--out", tmp_path / "o.nir", "--json", status=1).data["error"]
    assert (error["type"], error["message"], error["parameter"]) == ("InputError", "no labelled samples", str(data))
    assert error["got"] == ("one array" if arrays is None else next(iter(arrays)))


def test_quantise(hasn: Hasn, listen: Listen, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((3, 6)))
    saved: list[Any] = []
    report = SimpleNamespace(to_dict=lambda: {"a": 1}, table=lambda: "the table", compared=True)
    made = SimpleNamespace(save=lambda *args, **kwargs: saved.append((args, kwargs)), report=lambda: report)
    heard = listen("hasn.conversions.loihi.quantising.quantise.quantise", made)
    out = tmp_path / "out.nir"
    arguments = ["quantise", model, "--calibrate", tmp_path / "x.npy", "--out", out]
    assert hasn(*arguments, "--json").data == {"a": 1, "compared": True, "out": str(out)}
    args, options = heard[0]
    assert args[1:] == ("loihi2",)
    assert options.pop("calibrate").shape == (3, 6)
    del options["progress"]
    assert options == {**PLAIN, "rounding": "nearest", "weight_bits": 8, "headroom": 2.0, "input_bits": 8, "seed": 0}
    out.write_text("mine")
    more = ["--target", "loihi1", "--rounding", "stochastic", "--weight-bits", "4", "--headroom", "1.5",
            "--input-bits", "6", "--seed", "3", "--force"]  # fmt: skip
    answer = hasn(*arguments, *more, *MEANING)
    args, options = heard[1]
    assert args[1:] == ("loihi1",)
    del options["progress"], options["calibrate"]
    assert options == {**MEANT, "rounding": "stochastic", "weight_bits": 4, "headroom": 1.5, "input_bits": 6, "seed": 3}
    assert saved == [((out,), {"force": False}), ((out,), {"force": True})]
    way = f"hasn compare {out} --precision loihi"
    assert answer.out == f"the table\nWrote {out}. Run it: {way}\n"
    plain = hasn(*arguments, "--force").out
    assert plain.endswith(f"{way}\n")


def test_export(hasn: Hasn, listen: Listen, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = SimpleNamespace(integers=SimpleNamespace(network=SimpleNamespace(program="program")))
    chip = SimpleNamespace(network=inner, calibration="calibration", data={"kind": "c"}, text="a chip", compared=True)
    read = listen("hasn.cli.quantised.chip_network", chip)
    given = listen("hasn.cli.inputs.read_inputs", "data")
    for target, asked in (("loihi2", "loihi2"), ("loihi1", "loihi1"), ("netx", None), ("nir", None)):
        exported = []
        monkeypatch.setitem(
            __import__("hasn.cli.export", fromlist=["TARGETS"]).TARGETS, target,
            lambda *args, exported=exported: exported.append(args) or ({"found": 1}, ["a line", "another"]),
        )  # fmt: skip
        answer = hasn("export", model, "--target", target, "--out", tmp_path / "o", "--json")
        network = {"network": {"kind": "c"}, "compared": True}
        assert answer.data == {"target": target, "out": str(tmp_path / "o"), **network, "found": 1}
        assert exported == [(inner, tmp_path / "o", "calibration", False)]
        args, options = read[-1]
        assert (args[0], args[1], args[2]) == (model, asked, None)
        assert options == {**PLAIN, **({"largest_exponent": 0} if target == "netx" else {})}
        more = ["--calibrate", tmp_path / "c.npy", "--input", tmp_path / "x.npy", "--force", *MEANING]
        answer = hasn("export", model, "--target", target, "--out", tmp_path / "o", *more)
        assert answer.out == "a chip\na line\nanother\n"
        assert exported[1] == (inner, tmp_path / "o", "data", True)
        assert read[-1][0][2] == tmp_path / "c.npy"
        assert read[-1][1] == {**MEANT, **({"largest_exponent": 0} if target == "netx" else {})}
        assert given[-1] == ((tmp_path / "x.npy", "program"), {})


def test_place(hasn: Hasn, listen: Listen, model: Path, tmp_path: Path) -> None:
    pytest.importorskip("pymetis")
    inner = SimpleNamespace(integers=SimpleNamespace(network=SimpleNamespace(program="program")),
                            inputs=lambda values: {"input": values})  # fmt: skip
    read = listen("hasn.cli.quantised.chip_network", SimpleNamespace(network=inner, data={"kind": "c"}, text="a chip"))
    asked = listen("hasn.cli.inputs.given_inputs", GIVEN)
    pages: list[Any] = []
    placement = SimpleNamespace(to_dict=lambda: {"traffic": 1}, counted=True, table=lambda width: f"table of {width}",
                                to_html=lambda *args, **kwargs: pages.append((args, kwargs)))  # fmt: skip
    placed = listen("hasn.conversions.loihi.placement.place", placement)
    answer = hasn("place", model, "--json")
    assert answer.data == {"traffic": 1, "counted": True, "network": {"kind": "c"}, "input": {"kind": "made"},
                           "report": None}  # fmt: skip
    args, options = read[0]
    assert (args[0], args[1], args[2], options) == (model, None, None, {"dt": None, "typical": None})
    assert asked[0] == (("program", None, None, 0.2, 0, None), {})
    args, options = placed[0]
    del options["progress"]
    assert (args, options) == (
        (inner, {"input": "values"}), {"target": None, "cores": None, "seed": 0, "steps": 17},
    )  # fmt: skip
    page, data = tmp_path / "page.html", tmp_path / "x.npy"
    more = ["--target", "loihi1", "--cores", "3", "--input", data, "--report", page, "--dt", "0.002", "--force"]
    answer = hasn("place", model, *more, *RANDOM)
    args, options = read[1]
    assert (args[1], options) == ("loihi1", {"dt": 0.002, "typical": data})
    assert asked[1] == (("program", data, 7, 0.3, 4, 5), {})
    options = placed[1][1]
    del options["progress"]
    assert options == {"target": "loihi1", "cores": 3, "seed": 4, "steps": 17}
    assert pages == [((page,), {"force": True})]
    assert answer.out == f"a chip\nwhere they are from\ntable of 140\nWrote {page}\n"
    assert hasn("place", model, "--report", page, "--json").data["report"] == str(page)


def test_a_graph_without_inputs_is_placed_without_data(hasn: Hasn, listen: Listen, model: Path) -> None:
    pytest.importorskip("pymetis")
    inner = SimpleNamespace(integers=SimpleNamespace(network=SimpleNamespace(program="program")))
    listen("hasn.cli.quantised.chip_network", SimpleNamespace(network=inner, data={}, text=""))
    listen("hasn.cli.inputs.given_inputs", Given(None, 9, "", {}))
    placed = listen("hasn.conversions.loihi.placement.place")
    hasn("place", model, status=1)
    assert placed[0][0] == (inner, None)
    assert placed[0][1]["steps"] == 9


def test_check_and_info(hasn: Hasn, listen: Listen, model: Path) -> None:
    checked = listen("hasn.ir.check.check", [])
    hasn("check", model, status=0)
    assert checked[0][1] == {"dt": None, "method": None}
    hasn("check", model, "--dt", "0.002", "--method", "exact")
    assert checked[1][1] == {"dt": 0.002, "method": "exact"}
    lowered = listen("hasn.ir.lower.lower")
    hasn("info", model)
    assert lowered == []
    for given, meant in (([], PLAIN), (MEANING, MEANT)):
        hasn("info", model, "--program", *given, status=1)
        (graph,), options = lowered.pop()
        assert graph.metadata["dt"] == (meant["dt"] or 1e-3)
        assert options == {name: meant[name] for name in ("method", "reset", "timing")}
