"""No green without proof: where nothing spiked, every command that judges or measures says so and exits with 3."""

from __future__ import annotations

from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

import hasn as package
from tests import graphs
from tests.unit.cli.conftest import Hasn, need


def _save(graph: nir.NIRGraph, path: Path) -> Path:
    graph.metadata["dt"] = graphs.DT
    package.save(graph, path)
    return path


@pytest.fixture
def mute(tmp_path: Path) -> Path:
    """6-5-3 LIF without a drive of its own, on inputs of zeros: nothing can spike."""
    graph = graphs.small_net()
    graph.nodes["n1"].bias[:] = 0
    for name in ("n2", "n4"):
        graph.nodes[name].v_leak[:] = 0
        graph.nodes[name].v_reset[:] = 0
    np.save(tmp_path / "zeros.npy", np.zeros((20, 6)))
    np.savez(tmp_path / "data.npz", input=np.zeros((20, 4, 6)), labels=np.arange(4) % 3)
    return _save(graph, tmp_path / "mute.nir")


PAIR = ["--backends", "snntorch,snntorch:float32", "--reference", "snntorch"]


@pytest.mark.parametrize("why", ["thresholds", "zeros", "no edges"])
def test_compare(why: str, hasn: Hasn, mute: Path, tmp_path: Path) -> None:
    """Thresholds of 1e9, an input of zeros, a graph without edges."""
    need("snntorch")
    graph, given = package.load(mute), []
    if why == "thresholds":
        for name in ("n2", "n4"):
            graph.nodes[name].v_threshold[:] = 1e9
    elif why == "zeros":
        given = ["--input", tmp_path / "zeros.npy"]
    else:
        graph.edges = []
    path = _save(graph, tmp_path / "case.nir")
    answer = hasn("compare", path, *PAIR, *given, "--report", tmp_path / "r.html", status=3)
    assert "Nothing was compared: no spikes on snntorch" in answer.out
    assert "0 differing" not in answer.out
    assert "100 %" not in answer.out  # of nothing
    data = hasn("compare", path, *PAIR, *given, "--json", status=3).data
    assert (data["ok"], data["compared"], data["silent"]) == (True, False, ["n2", "n4"])
    assert (data["agreement"], data["zero_outputs"]) == ({"snntorch:float32": None}, ["output"])
    page = (tmp_path / "r.html").read_text()
    assert '<h1 class="none">Nothing was compared</h1>' in page


def test_the_colour_of_nothing_is_its_own(hasn: Hasn, mute: Path, tmp_path: Path, model: Path) -> None:
    need("snntorch")
    from rich.console import Console

    from hasn.cli import console

    colours = {}
    for path, options, status in ((mute, ["--input", tmp_path / "zeros.npy"], 3), (model, [], 0)):
        with pytest.MonkeyPatch.context() as patch:
            loud = Console(force_terminal=True, width=120, record=True, highlight=False)
            patch.setattr(console, "stdout", loud)
            hasn("compare", path, *PAIR, *options, status=status)
            last = loud.export_text(styles=True).splitlines()[-1]
        colours[status] = last.split("m", 1)[0]
    assert colours == {3: "\x1b[33", 0: "\x1b[32"}  # yellow, green


def test_quantise_and_export_and_place(hasn: Hasn, mute: Path, tmp_path: Path) -> None:
    need("snntorch")
    zeros, weak, out = tmp_path / "zeros.npy", tmp_path / "weak.npy", tmp_path / "chip.nir"
    one = np.zeros((20, 6))
    one[-1, 0] = 1  # zeros alone are refused
    np.save(weak, one)
    np.save(tmp_path / "x.npy", graphs.spikes((6,), 20, 4))
    answer = hasn("quantise", mute, "--calibrate", weak, "--out", out, status=3)
    assert "Nothing was compared: no spikes on the calibration data" in answer.out
    assert (
        hasn("quantise", mute, "--calibrate", weak, "--out", out, "--force", "--json", status=3).data["compared"]
        is False
    )
    hasn("quantise", mute, "--calibrate", tmp_path / "x.npy", "--out", out, "--force")
    answer = hasn("export", out, "--input", zeros, "--out", tmp_path / "bundle", status=3)
    assert "Nothing is tested: no spikes in the self-test" in answer.out
    assert "hardly tested" not in answer.out
    assert hasn("export", out, "--input", zeros, "--out", tmp_path / "b2", "--json", status=3).data["tested"] is False
    pytest.importorskip("pymetis")
    page = tmp_path / "p.html"
    answer = hasn("place", out, "--input", zeros, "--report", page, status=3)
    assert "Nothing was counted: no spikes on this input" in answer.out
    assert '<h1 class="none">' in page.read_text()
    assert hasn("place", out, "--input", zeros, "--json", status=3).data["counted"] is False
    assert hasn("place", out, "--input", tmp_path / "x.npy", "--json").data["counted"] is True


def test_a_delay_past_the_run_leaves_zeros_at_the_output(hasn: Hasn, tmp_path: Path) -> None:
    """Spikes agree, and nothing of them arrives: said, with status 0, for they were compared."""
    need("snntorch")
    for steps, zeros in ((51, ["output"]), (80, [])):
        graph = graphs.small_net()
        graph.nodes["late"] = nir.Delay(np.full(3, 0.05))
        graph.edges = [edge for edge in graph.edges if edge != ("n4", "output")] + [("n4", "late"), ("late", "output")]
        path = _save(graph, tmp_path / f"{steps}.nir")
        answer = hasn("compare", path, *PAIR, "--steps", steps)
        assert ("Nothing but zeros at output." in answer.out) is bool(zeros)
        assert hasn("compare", path, *PAIR, "--steps", steps, "--json").data["zero_outputs"] == zeros


def test_one_layer_that_spikes_is_not_called_silent(hasn: Hasn, tmp_path: Path) -> None:
    need("snntorch")
    pytest.importorskip("pymetis")
    neurons = nir.LIF(*np.full((5, 2), [[0.01], [1], [0], [1], [0]]))
    nodes = {"i": graphs.inp(2), "w": nir.Linear(20 * np.eye(2)), "n": neurons, "o": graphs.out(2)}
    path = _save(graphs.graph(nodes, "i > w > n > o"), tmp_path / "one.nir")
    answer = hasn("place", path, status=3)
    assert "Nothing was counted: no neuron that spiked leads to another, so every placement has" in answer.out
    assert "--input DATA" not in answer.out
    data = hasn("place", path, "--json", status=3).data
    assert data["populations"]["n"]["spikes"] > 0


@pytest.mark.parametrize("target", ["loihi2", "nir", "netx"])
def test_an_export_whose_scales_come_from_silence(target: str, hasn: Hasn, mute: Path, tmp_path: Path) -> None:
    """A network that random spikes do not move; its bundle is tested on other data, on which it does spike."""
    need("snntorch")
    neurons = {"n": nir.LIF(*np.full((5, 2), [[0.01], [1], [0], [1], [0]]))}
    nodes = {"input": graphs.inp(2), "w": nir.Linear(np.eye(2)), **neurons, "output": graphs.out(2)}
    path = _save(graphs.graph(nodes, "input > w > n > output"), tmp_path / "weak.nir")
    np.save(tmp_path / "strong.npy", np.full((40, 2), 2))
    given = ["--input", tmp_path / "strong.npy"] if target == "loihi2" else []
    answer = hasn("export", path, "--target", target, *given, "--out", tmp_path / "a", status=3)
    assert "Nothing was compared: no spikes on the calibration data" in answer.out
    data = hasn("export", path, "--target", target, *given, "--out", tmp_path / "b", "--json", status=3).data
    assert data["compared"] is False
    assert data.get("tested") is (True if given else None)


def test_train(hasn: Hasn, mute: Path, tmp_path: Path) -> None:
    need("snntorch")
    out = tmp_path / "trained.nir"
    with pytest.warns(RuntimeWarning, match="nothing was learned: "):
        data = hasn(
            "train", mute, "--data", tmp_path / "data.npz", "--out", out, "--epochs", 1, "--json", status=3
        ).data
    assert data["learned"] is False


def test_a_file_that_lost_its_edges(hasn: Hasn, model: Path) -> None:
    with h5py.File(model, "r+") as file:
        del file["node/edges"]
    for command in ("check", "info", "compare", "run"):
        answer = hasn(command, model, status=1)
        assert "the graph lacks its 'edges'" in answer.out + answer.err
