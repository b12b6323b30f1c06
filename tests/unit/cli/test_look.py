"""`hasn backends`, `hasn info`, `hasn check`: commands that run nothing."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

from hasn.ir.save import save
from tests import graphs
from tests.unit.cli.conftest import Hasn


def test_backends_lists_all_three_with_version_or_remedy(hasn: Hasn) -> None:
    found = hasn("backends", "--json").data
    assert set(found) >= {"snntorch", "brian2", "lava"}
    for info in found.values():
        assert info["available"] == (info["why_not"] == "")
        assert info["version"] or info["why_not"]
    text = hasn("backends").out
    assert all(name in text for name in found)


def test_info_shows_nodes_shapes_counts_edges_and_dt(hasn: Hasn, model: Path) -> None:
    text = hasn("info", model).out
    assert "6 nodes, 5 edges" in text
    assert "dt 1 ms" in text
    assert "input -> n1" in text
    data = hasn("info", model, "--json").data
    assert data["nodes"]["n1"] == {
        "type": "Affine", "input_shape": [6], "output_shape": [5], "parameters": {"weight": [5, 6], "bias": [5]},
        "parameter_count": 35, "metadata": {},
    }  # fmt: skip
    assert data["parameter_count"] == 35 + 5 * 5 + 15 + 5 * 3
    assert data["dt"] == graphs.DT
    assert ["n4", "output"] in data["edges"]


def test_info_of_names_that_look_like_markup(hasn: Hasn, tmp_path: Path) -> None:
    nodes = {"input": graphs.inp(2), "[bold]x": nir.Scale(np.full(2, 3.0)), "output": graphs.out(2)}
    save(graphs.graph(nodes, "input > [bold]x > output"), tmp_path / "odd.nir")
    assert "input -> [bold]x" in hasn("info", tmp_path / "odd.nir").out


def test_info_program_shows_coefficients_and_shifts(hasn: Hasn, tmp_path: Path) -> None:
    lif = nir.LIF(tau=np.full(2, 0.01), r=np.ones(2), v_leak=np.zeros(2), v_threshold=np.ones(2), v_reset=np.zeros(2))
    save(graphs.chain(nir.Linear(np.eye(2)), lif, given=(2,), result=(2,)), tmp_path / "lif.nir")
    euler = hasn("info", tmp_path / "lif.nir", "--program", "--dt", "1e-3").out
    assert "v ← 0.9 v + 0.1 I" in euler
    assert "then v ← 0" in euler
    assert "n2 +1" in euler
    exact = hasn("info", tmp_path / "lif.nir", "--program", "--dt", "1e-3", "--method", "exact", "--reset", "subtract")
    assert f"v ← {np.exp(-0.1):.6g} v" in exact.out
    assert "then v ← v − 1" in exact.out


def test_info_program_needs_dt_and_says_so(hasn: Hasn, tmp_path: Path) -> None:
    save(graphs.small_net(), tmp_path / "no_dt.nir")
    hasn("info", tmp_path / "no_dt.nir")
    answer = hasn("info", tmp_path / "no_dt.nir", "--program", status=1)
    assert "the time step is not known" in answer.err


def test_check_of_a_good_file(hasn: Hasn, model: Path) -> None:
    answer = hasn("check", model)
    assert "nothing wrong" in answer.out


def test_check_warns_without_failing(hasn: Hasn, tmp_path: Path) -> None:
    save(graphs.small_net(), tmp_path / "no_dt.nir")
    answer = hasn("check", tmp_path / "no_dt.nir", "--json")
    assert [finding["severity"] for finding in answer.data["findings"]] == ["warning"]


def test_check_lists_every_error_and_fails(hasn: Hasn, tmp_path: Path) -> None:
    graph = graphs.small_net()
    graph.nodes["n2"].tau[1] = -1.0
    graph.nodes["n4"].r[0] = 0.0
    save(graph, tmp_path / "bad.nir")
    answer = hasn("check", tmp_path / "bad.nir", "--json", status=1)
    assert answer.data["ok"] is False
    wrong = [f for f in answer.data["findings"] if f["severity"] == "error"]
    assert {(finding["node"], finding["parameter"]) for finding in wrong} == {("n2", "tau"), ("n4", "r")}
    assert hasn("check", tmp_path / "bad.nir", status=1).out.count("error: ") == 2


def test_check_of_a_file_that_is_no_graph_is_a_finding(hasn: Hasn, tmp_path: Path) -> None:
    (tmp_path / "text.nir").write_text("not HDF5")
    answer = hasn("check", tmp_path / "text.nir", "--json", status=1)
    assert answer.data["findings"][0]["error"] == "FileError"
    assert "not an HDF5 file" in answer.data["findings"][0]["message"]


def test_check_of_dt_and_method(hasn: Hasn, model: Path) -> None:
    hasn("check", model, "--dt", "1", status=1)  # far over 2 tau
    hasn("check", model, "--dt", "1", "--method", "exact")
    answer = hasn("check", model, "--method", "magic", status=1)
    assert "euler or exact" in answer.err
