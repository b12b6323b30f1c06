"""`hasn backends`, `hasn info`, `hasn check`: commands that run nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import nir
import numpy as np
import pytest

from hasn.backend import list_backends
from hasn.cli import info as module
from hasn.errors import GraphError, ParameterError
from hasn.finding import Finding
from hasn.ir.save import save
from hasn.ir.structure import flatten
from hasn.nodes.lookup import kind_names
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


def _odd() -> nir.NIRGraph:
    """A node with metadata of every kind, one without shapes' names, two Inputs."""
    scale = nir.Scale(np.array([[2.0, 3.0], [4.0, 5.0]]))
    scale.metadata = {
        "note": "text", "raw": b"bytes", "list": np.arange(16), "long": np.arange(17), "dict": {"x": np.float64(2.5)},
        "flag": True,
    }  # fmt: skip
    nodes = {"a": graphs.inp(2, 2), "b": graphs.inp(2, 2), "s": scale, "o": graphs.out(2, 2)}
    graph = graphs.graph(nodes, "a > s > o", "b > s")
    graph.metadata.update({"dt": 0.002, "source": "here"})
    return graph


def test_all_of_infos_data() -> None:
    flat = flatten(_odd())
    assert module._data(flat) == {
        "nodes": {
            **{name: {"type": "Input", "input_shape": (2, 2), "output_shape": (2, 2), "parameters": {},
                      "parameter_count": 0, "metadata": {}} for name in ("a", "b")},
            "s": {"type": "Scale", "input_shape": (2, 2), "output_shape": (2, 2), "parameters": {"scale": [2, 2]},
                  "parameter_count": 4,
                  "metadata": {"note": "text", "raw": "bytes", "list": list(range(16)), "long": "array (17,)",
                               "dict": {"x": 2.5}, "flag": True}},
            "o": {"type": "Output", "input_shape": (2, 2), "output_shape": (2, 2), "parameters": {},
                  "parameter_count": 0, "metadata": {}},
        },
        "edges": [["a", "s"], ["s", "o"], ["b", "s"]], "inputs": ["a", "b"], "outputs": ["o"], "dt": 0.002,
        "metadata": {"dt": 0.002, "source": "here"}, "parameter_count": 4,
    }  # fmt: skip
    graph = _odd()
    del graph.metadata["dt"]
    assert module._data(flatten(graph))["dt"] is None


def test_infos_heading_and_rows() -> None:
    flat = flatten(_odd())
    assert module._heading("f.nir", flat) == "f.nir: 4 nodes, 3 edges, 4 parameters, dt 2 ms\nsource: here"
    table = module._nodes(flat)
    rows = list(zip(*[[cell.plain for cell in column.cells] for column in table.columns], strict=True))
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["a"] == ("Input", "2 × 2", "2 × 2", "0", "", "")
    assert by_name["s"][:4] == ("Scale", "2 × 2", "2 × 2", "4")
    assert by_name["s"][4].startswith("scale 2")
    assert "note: text" in by_name["s"][5]
    assert [c.justify for c in table.columns] == ["left"] * 4 + ["right", "left", "left"]


def test_every_parameter_of_a_neuron_is_counted() -> None:
    node = graphs.Draw(1).neuron("CubaLIF", (3,))
    found = module._data(flatten(graphs.chain(node, given=(3,), result=(3,))))["nodes"]["n1"]
    names = {"tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"}
    assert set(found["parameters"]) == names
    assert found["parameter_count"] == 3 * len(names)


def test_infos_program_in_json(hasn: Hasn, model: Path) -> None:
    data = hasn("info", model, "--program", "--json", "--timing", "hardware", "--method", "exact").data["program"]
    assert (data["dt"], data["method"], data["timing"]) == (1e-3, "exact", "hardware")
    assert [(step["name"], step["kind"], step["shape"]) for step in data["steps"]] == [
        ("input", "Input", [6]), ("n1", "Affine", [5]), ("n2", "LIF", [5]), ("n3", "Linear", [3]), ("n4", "LIF", [3]),
        ("output", "Output", [3]),
    ]  # fmt: skip
    assert data["steps"][1]["details"]
    assert {"source": "n2", "target": "n3", "delay": 1} in data["edges"]
    assert sorted(edge["delay"] for edge in data["edges"]) == [0, 0, 0, 1, 1]
    assert "program" not in hasn("info", model, "--json").data


def test_a_graph_without_edges_says_so(hasn: Hasn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flat = dataclasses.replace(flatten(_odd()), edges=[])
    monkeypatch.setattr("hasn.ir.structure.flatten", lambda _: flat)
    save(_odd(), tmp_path / "x.nir")
    assert "Edges: none" in hasn("info", tmp_path / "x.nir").out


def test_a_finding_word_by_word(hasn: Hasn, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        Finding("note", "n", "p", "[b]m[/b]", "repair it", np.float64(2.0), "more", GraphError),
        Finding("warning", "", "", "m2", "", None, "", ParameterError),
    ]
    monkeypatch.setattr("hasn.ir.check.check", lambda *_, **__: findings)
    assert hasn("check", model, "--json").data == {
        "ok": True,
        "findings": [
            {"severity": "note", "node": "n", "parameter": "p", "message": "[b]m[/b]", "got": "2.0", "wanted": "more",
             "repair": "repair it", "error": "GraphError"},
            {"severity": "warning", "node": "", "parameter": "", "message": "m2", "got": None, "wanted": "",
             "repair": "", "error": "ParameterError"},
        ],
    }  # fmt: skip
    lines = hasn("check", model).out.splitlines()
    assert lines == [f"{finding.severity}: {finding.to_error()}" for finding in findings]
    assert "[b]m[/b]" in lines[0]
    findings.append(Finding("error", "n", "p", "m", "", None, "", GraphError))
    assert hasn("check", model, "--json", status=1).data["ok"] is False
    findings.clear()
    assert hasn("check", model).out == f"{model}: nothing wrong, nothing doubtful\n"


def test_a_refusal_to_load_keeps_all_its_parts(hasn: Hasn, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise GraphError("m", node="n", parameter="p", got=3, wanted="w", way_out="o")

    monkeypatch.setattr("hasn.ir.load.load", refuse)
    assert hasn("check", model, "--json", status=1).data["findings"] == [
        {"severity": "error", "node": "n", "parameter": "p", "message": "m", "got": "3", "wanted": "w", "repair": "o",
         "error": "GraphError"}
    ]  # fmt: skip


def test_the_table_and_the_data_of_backends(hasn: Hasn, monkeypatch: pytest.MonkeyPatch) -> None:
    template = next(iter(list_backends().values()))
    found = {
        "all": dataclasses.replace(template, available=True, version="1.2", why_not="", precisions=("a", "b"),
                                   latency=3, primitives=kind_names()),
        "few": dataclasses.replace(template, available=False, version="", why_not="pip install it", latency=0,
                                   primitives=tuple(n for n in kind_names() if n not in ("LIF", "Scale"))),
    }  # fmt: skip
    monkeypatch.setattr("hasn.backend.list_backends", lambda: found)
    cells = [[c.strip() for c in line.split("│")[1:-1]] for line in hasn("backends").out.splitlines() if "│" in line]
    assert cells[0] == ["backend", "here", "version", "precisions", "latency (steps)", "primitives"]
    assert cells[1] == ["all", "yes", "1.2", "a, b", "3", f"all {len(kind_names())} of NIR"]
    missing = [name for name in kind_names() if name in ("LIF", "Scale")]
    assert cells[2][1] == "no: pip install it"
    assert cells[2][5] == f"all but {', '.join(missing)}"
    assert list(hasn("backends", "--json").data) == ["all", "few"]
