"""What `hasn export` says of each target, and how a file becomes a network in integers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hasn.cli.export import TARGETS, _chip
from hasn.cli.quantised import chip_network
from hasn.errors import UnsupportedError

HEARD: list[str] = []


def _exported(**spikes: int) -> Any:
    resources = {"neurons": 1234, "synapses": 56789, "connections": 3, "weight_bits": 454312}
    return SimpleNamespace(
        resources=resources,
        spikes=spikes,
        shifts={"a": 1},
        judged_by="someone",
        graded=("x",),
        tested=any(spikes.values()),
    )


@pytest.mark.parametrize("target", ["loihi2", "loihi1"])
def test_a_folder(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    made = _exported(a=1000, b=0, c=0)
    monkeypatch.setattr(
        "hasn.conversions.loihi.export.bundle.export_bundle", lambda *a, **k: calls.append((a, k)) or made
    )
    found, lines = TARGETS[target]("network", Path("out"), "data", True)  # type: ignore[arg-type]
    assert calls == [(("network", Path("out")), {"inputs": "data", "force": True})]
    assert found == {"shifts": {"a": 1}, "resources": made.resources, "self_test_spikes": made.spikes,
                     "tested": True, "judged_by": "someone", "graded_inputs": ["x"]}  # fmt: skip
    assert lines == [
        "1,234 neurons, 56,789 synapses in 3 connections, 454,312 bits of weights",
        "Spikes in the self-test: a 1,000, b 0, c 0",
        "Silent in the self-test, so hardly tested: b, c. Pass --input DATA.",
        f"Wrote out. In a Python 3.10 with lava-nc: python {Path('out', 'run.py')} --self-test",
    ]


def test_a_folder_in_which_all_spike_or_nothing_can(monkeypatch: pytest.MonkeyPatch) -> None:
    made = _exported(a=7)
    monkeypatch.setattr("hasn.conversions.loihi.export.bundle.export_bundle", lambda *_, **__: made)
    lines = TARGETS["loihi2"](None, Path("out"), None, False)[1]  # type: ignore[arg-type]
    assert len(lines) == 3
    assert lines[1].endswith("self-test: a 7")
    made.spikes.clear()
    lines = TARGETS["loihi2"](None, Path("out"), None, False)[1]  # type: ignore[arg-type]
    assert lines[1].endswith("self-test: (no spiking node)")
    assert len(lines) == 3


def test_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    made = SimpleNamespace(layers=["l"], shifts={"a": 1}, reading="well")
    monkeypatch.setattr("hasn.conversions.loihi.export.netx.export_netx", lambda *a, **k: calls.append((a, k)) or made)
    monkeypatch.setattr("hasn.ir.save.save", lambda *a, **k: calls.append((a, k)))
    network: Any = SimpleNamespace(dequantised=lambda: "volts")
    assert TARGETS["netx"](network, Path("o.net"), "data", True) == (
        {"layers": ["l"], "shifts": {"a": 1}, "reading": "well"}, ["Wrote o.net. lava-dl reads it: well"],
    )  # fmt: skip
    assert TARGETS["nir"](network, Path("o.nir"), "data", True) == (
        {}, ["Wrote o.nir: what the integers stand for, in volts"],
    )  # fmt: skip
    assert calls == [((network, Path("o.net")), {"force": True}), (("volts", Path("o.nir")), {"force": True})]
    assert {target: _chip(target) for target in TARGETS} == {
        "loihi2": "loihi2", "loihi1": "loihi1", "netx": None, "nir": None,
    }  # fmt: skip


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Whether a graph is in the chip's units, and what reading and quantising it are asked for."""
    asked = SimpleNamespace(units=True, read=[], made=[])

    def of_graph(graph: Any, **options: Any) -> str:
        asked.read.append(options)
        if not asked.units:
            raise UnsupportedError("in volts")
        return "as it is"

    def quantise(graph: Any, target: str, *, progress: Any, **options: Any) -> str:
        asked.made.append((target, options))
        progress("weights", 2, 5)
        return "quantised"

    monkeypatch.setattr("hasn.conversions.loihi.network.QuantisedNetwork.of_graph", of_graph)
    monkeypatch.setattr("hasn.conversions.loihi.quantising.quantise.quantise", quantise)
    return asked


def test_a_file_in_the_chips_units_is_read_as_it_is(reading: Any, model: Path) -> None:
    chip = chip_network(model, "loihi1", None, HEARD.append, dt=0.5, timing="hardware", method="euler")
    assert (chip.network, chip.text, chip.data) == (
        "as it is",
        f"{model} is in the chip's units",
        {"kind": "chip units"},
    )
    assert chip.calibration is None
    chip_network(model, None, None, HEARD.append, timing=None)
    chip_network(model, None, None, HEARD.append)
    assert reading.read == [
        {"target": "loihi1", "dt": 0.5, "timing": "hardware"},
        {"target": None, "dt": None, "timing": None},
        {"target": None, "dt": None, "timing": None},
    ]
    assert reading.made == []


def test_any_other_file_is_quantised_on_random_spikes_and_says_so(reading: Any, model: Path) -> None:
    reading.units = False
    HEARD.clear()
    chip = chip_network(model, None, None, HEARD.append, method="exact", largest_exponent=0)
    ((target, options),) = reading.made
    data = options.pop("calibrate")
    assert (target, options) == ("loihi2", {"method": "exact", "largest_exponent": 0})
    assert data["input"].shape == (100, 8, 6)
    rng = np.random.default_rng(0)
    assert np.array_equal(data["input"], rng.random((100, 8, 6)) < 0.2)
    assert chip.network == "quantised"
    assert chip.calibration is data
    assert chip.text == (
        "Quantised, with scales from RANDOM spikes (no --calibrate was given; rate 0.2, 100 steps): "
        "stronger inputs may wrap or clip"
    )
    assert chip.data == {
        "kind": "quantised",
        "calibration": {"kind": "random", "steps": 100, "rate": 0.2, "seed": 0, "samples": 8},
    }
    assert HEARD == ["Weights: step 2 of 5"]


def test_with_data_a_file_is_always_quantised_on_it(reading: Any, model: Path, tmp_path: Path) -> None:
    for name, value in (("c", 1.0), ("t", 2.0)):
        np.save(tmp_path / f"{name}.npy", np.full((3, 6), value))
    chip = chip_network(model, "loihi1", tmp_path / "c.npy", HEARD.append, tmp_path / "t.npy", dt=0.001)
    assert reading.read == []
    ((target, options),) = reading.made
    assert (target, options["dt"]) == ("loihi1", 0.001)
    assert (options["calibrate"] == 1.0).all()
    assert chip.text == f"Quantised, with scales from {tmp_path / 'c.npy'}"
    assert chip.data["calibration"] == {"kind": "file", "path": str(tmp_path / "c.npy")}


def test_typical_data_serve_a_file_that_has_to_be_quantised(reading: Any, model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "t.npy", np.full((3, 6), 2.0))
    assert chip_network(model, None, None, HEARD.append, tmp_path / "t.npy").network == "as it is"
    reading.units = False
    chip_network(model, None, None, HEARD.append, tmp_path / "t.npy")
    assert (reading.made[0][1]["calibrate"] == 2.0).all()
