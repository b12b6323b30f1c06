"""`hasn run`: data in, npz out, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

from hasn.ir.load import load
from hasn.ir.lower import lower
from hasn.ir.save import save
from hasn.testing.interpreter import ProgramInterpreter
from tests import graphs
from tests.unit.cli.conftest import Hasn, need

INPUT = graphs.spikes((6,), 20, seed=7)


@pytest.fixture
def spikes(tmp_path: Path) -> Path:
    path = tmp_path / "spikes.npy"
    np.save(path, INPUT)
    return path


def test_arrays_in_the_file_are_those_of_the_run(hasn: Hasn, model: Path, spikes: Path, tmp_path: Path) -> None:
    need("snntorch")
    out = tmp_path / "out.npz"
    answer = hasn("run", model, "--input", spikes, "--out", out, "--json")
    expected = ProgramInterpreter(lower(load(model))).run(INPUT, record=("spikes", "voltages"))
    with np.load(out) as arrays:
        assert set(arrays) == {"outputs/output", "spikes/n2", "spikes/n4", "voltages/n2", "voltages/n4", "dt", "times"}
        assert np.array_equal(arrays["spikes/n2"], expected.spikes["n2"])
        assert expected.spikes["n2"].any()
        # float64 on both sides; sums in another order move a voltage by some 1e-16
        assert np.allclose(arrays["voltages/n4"], expected.voltages["n4"], rtol=0, atol=1e-12)
        assert arrays["dt"] == graphs.DT
    assert answer.data["total_spikes"] == expected.counts.total_spikes
    assert answer.data["input"] == {"kind": "file", "path": str(spikes)}
    assert answer.data["spikes"]["n2"]["rate_hz"] == pytest.approx(expected.spikes["n2"].mean() / graphs.DT)


def test_the_summary_names_nodes_spikes_and_the_file(hasn: Hasn, model: Path, spikes: Path, tmp_path: Path) -> None:
    need("snntorch")
    answer = hasn("run", model, "--input", spikes, "--out", tmp_path / "out.npz")
    expected = ProgramInterpreter(lower(load(model))).run(INPUT)
    assert f"{expected.counts.spikes['n2']}" in next(line for line in answer.out.splitlines() if "│ n2" in line)
    assert f"wrote {tmp_path / 'out.npz'}" in answer.out


def test_an_existing_file_is_kept_before_anything_runs(hasn: Hasn, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    out.write_text("mine")
    # the file is looked at before the backend
    answer = hasn("run", model, "--backend", "abacus", "--out", out, status=1)
    assert "the file exists" in answer.err
    assert out.read_text() == "mine"
    need("snntorch")
    hasn("run", model, "--out", out, "--force", "--steps", "5")
    assert np.load(out)["spikes/n2"].shape == (5, 5)


def test_npz_by_input_name_or_a_single_array(hasn: Hasn, model: Path, tmp_path: Path) -> None:
    need("snntorch")
    totals = []
    for name in ("input", "anything"):
        np.savez(tmp_path / f"{name}.npz", **{name: INPUT})
        totals.append(hasn("run", model, "--input", tmp_path / f"{name}.npz", "--json").data["total_spikes"])
    assert totals[0] == totals[1] > 0


def test_two_inputs_take_two_arrays(hasn: Hasn, tmp_path: Path) -> None:
    need("snntorch")
    nodes = {"a": graphs.inp(2), "b": graphs.inp(2), "lif": graphs.Draw(1).lif(2), "output": graphs.out(2)}
    save(graphs.graph(nodes, "a > lif > output", "b > lif"), tmp_path / "two.nir")
    np.savez(tmp_path / "two.npz", a=graphs.spikes((2,), 9), b=graphs.spikes((2,), 9, seed=2))
    good = hasn("run", tmp_path / "two.nir", "--dt", "1e-3", "--input", tmp_path / "two.npz", "--json")
    assert good.data["steps"] == 9
    np.savez(tmp_path / "one.npz", a=graphs.spikes((2,), 9))
    bad = hasn("run", tmp_path / "two.nir", "--dt", "1e-3", "--input", tmp_path / "one.npz", status=1)
    assert "'b'" in bad.err
    assert "the Input has no data" in bad.err


def test_random_input_is_seeded_and_says_so(hasn: Hasn, model: Path) -> None:
    need("snntorch")
    first, same, other = (
        hasn("run", model, "--steps", "40", "--rate", "0.5", "--seed", seed, "--batch", "2", "--json").data
        for seed in (1, 1, 2)
    )
    assert first["input"] == {"kind": "random", "steps": 40, "rate": 0.5, "seed": 1, "samples": 2}
    assert first["spikes"] == same["spikes"] != other["spikes"]
    assert first["outputs"]["output"]["shape"] == [40, 2, 3]
    assert "random spikes (no --input was given): rate 0.2 a step, 100 steps, seed 0" in hasn("run", model).out


def test_a_graph_without_inputs_takes_steps(hasn: Hasn, tmp_path: Path) -> None:
    need("snntorch")
    lif = graphs.Draw(1).lif(2, v_leak=3.0)
    save(graphs.graph({"lif": lif, "output": graphs.out(2)}, "lif > output"), tmp_path / "alone.nir")
    answer = hasn("run", tmp_path / "alone.nir", "--dt", "1e-3", "--steps", "33", "--json")
    assert answer.data["steps"] == 33
    assert answer.data["total_spikes"] > 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no arrays here", "not a .npy or .npz file"),
        (b"", "not a .npy or .npz file"),
        (b"PK\x03\x04 damaged", "not a .npy or .npz file"),
        (b"\x93NUMPY\x01\x00", "not a .npy or .npz file"),
    ],
)
def test_a_file_that_holds_no_arrays(hasn: Hasn, model: Path, tmp_path: Path, content: bytes, message: str) -> None:
    need("snntorch")
    (tmp_path / "bad.npy").write_bytes(content)
    answer = hasn("run", model, "--input", tmp_path / "bad.npy", status=1)
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_pickled_objects_are_not_read(hasn: Hasn, model: Path, tmp_path: Path) -> None:
    need("snntorch")
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", input=np.array([{}, None], dtype=object))
    for name in ("objects.npy", "objects.npz"):
        answer = hasn("run", model, "--input", tmp_path / name, status=1)
        assert "holds Python objects, which are not read" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "--steps: no such number"),
        (["--steps", "-3"], "--steps: no such number"),
        (["--batch", "0"], "--batch: no such number"),
        (["--rate", "1.5"], "--rate: no such chance"),
        (["--seed", "-1"], "--seed: no such seed"),
        (["--precision", "float16"], "unknown precision"),
        (["--method", "magic"], "euler or exact"),
        (["--reset", "never"], "zero or subtract"),
        (["--dt", "-1"], "dt: the time step has no meaning"),
        (["--option", "device"], "wanted name=value"),
        (["--option", "dt=1"], "has an option of its own"),
        (["--option", "warp=9"], "warp: snntorch has no such option"),
        (["--input", "none.npy"], "there is no such file"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_that_mean_nothing(hasn: Hasn, model: Path, arguments: list[str], message: str) -> None:
    need("snntorch")
    answer = hasn("run", model, *arguments, status=1)
    assert message in answer.err


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite(hasn: Hasn, model: Path, tmp_path: Path, value: float) -> None:
    need("snntorch")
    broken = INPUT.copy()
    broken[4, 2] = value
    np.save(tmp_path / "broken.npy", broken)
    answer = hasn("run", model, "--input", tmp_path / "broken.npy", "--out", tmp_path / "out.npz", status=1)
    assert "at index (4, 2)" in answer.err
    assert not (tmp_path / "out.npz").exists()


def test_an_option_of_the_backend_goes_through(hasn: Hasn, model: Path) -> None:
    need("snntorch")
    hasn("run", model, "--option", "device=cpu", "--steps", "5")


def test_a_hanging_edge_is_named(hasn: Hasn, tmp_path: Path) -> None:
    import h5py

    graph = graphs.chain(nir.Scale(np.ones(2)), given=(2,), result=(2,))
    save(graph, tmp_path / "edge.nir")
    with h5py.File(tmp_path / "edge.nir", "r+") as file:
        edges = file["node/edges"][()]
        edges[0][1] = b"nowhere"
        del file["node/edges"]
        file["node/edges"] = edges
    answer = hasn("run", tmp_path / "edge.nir", "--dt", "1e-3", status=1)
    assert "nowhere" in answer.err
