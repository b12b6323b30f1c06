"""`hasn run` of a network that learns: its weights at the start, at the end and in between, at once and in pieces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn as package
from hasn import room
from hasn.cli import pieces
from hasn.plasticity import RewardSTDP, Rule, attach
from tests.unit.cli.conftest import Hasn, need

T = 90


def network(rule: Rule) -> nir.NIRGraph:
    """Three inputs, two cells: with a spike of a cell weights of silent sources fall, and others rise to the bound."""
    cells = nir.LIF(np.full(2, 20e-3), np.full(2, 20.0), np.zeros(2), np.full(2, 1.0), np.zeros(2))
    nodes = {"input": nir.Input(np.array([3])), "fc": nir.Linear(np.array([[0.2, 0.4, 0.6], [0.5, 0.3, 0.1]]))}
    nodes |= {"cells": cells, "output": nir.Output(np.array([2]))}
    chain = [("input", "fc"), ("fc", "cells"), ("cells", "output")]
    return attach(nir.NIRGraph(nodes, chain, metadata={"dt": 1e-3}, type_check=False), "fc", rule)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A network, what it sees, and where its recording goes."""
    found = {name: tmp_path / name for name in ("net.nir", "x.npy", "out.npz", "cut.npz")}
    package.save(network(Rule("0.02 * pre * post - 0.01 * post", w_min=0.0, w_max=0.62)), found["net.nir"])
    np.save(found["x.npy"], (np.random.default_rng(2).random((T, 3)) < 0.4).astype(float))
    return found


def course(files: dict[str, Path]) -> np.ndarray:
    """All weights at all steps, (T + 1, 2, 3)."""
    graph = package.load(files["net.nir"])
    with package.compile(graph) as executable:
        found = executable.run(np.load(files["x.npy"]), record="weights").series["weights"]["fc"]
    return np.concatenate([graph.nodes["fc"].weight[np.newaxis], found])


def test_it_says_how_weights_have_moved(hasn: Hasn, files: dict[str, Path]) -> None:
    need("snntorch")
    weights = course(files)
    first, last = weights[0], weights[-1]
    assert (last == 0.0).any() or (last == 0.62).any()  # or a bound would show nothing
    answer = hasn("run", files["net.nir"], "--input", files["x.npy"])
    row = next(line for line in answer.out.splitlines() if "│ fc " in line)
    assert "6 weights" in row
    for text in (f"mean {first.mean():.4g} -> {last.mean():.4g}", f"sd {first.std():.4g} -> {last.std():.4g}"):
        assert text in " ".join(answer.out.split())
    data = hasn("run", files["net.nir"], "--input", files["x.npy"], "--json").data["weights"]
    assert set(data) == {"fc"}
    for when, values in (("start", first), ("end", last)):
        assert data["fc"][when] == {
            "mean": pytest.approx(values.mean(), rel=1e-12),
            "sd": pytest.approx(values.std(), rel=1e-12),
            "at_low": (values == 0.0).mean(),
            "at_high": (values == 0.62).mean(),
        }


def test_bounds_are_named_where_a_weight_lies_at_one() -> None:
    from hasn.cli.run import _course

    start = {"mean": 0.5, "sd": 0.25, "at_low": 0.0, "at_high": 0.0}
    assert _course({"start": start, "end": start}) == "mean 0.5 -> 0.5, sd 0.25 -> 0.25"
    end = {**start, "at_low": 0.125}
    assert _course({"start": start, "end": end}).endswith("sd 0.25 -> 0.25, at w_min 0 -> 12.5 %")
    assert _course({"start": {**start, "at_high": 1.0}, "end": end}).endswith(
        "at w_min 0 -> 12.5 %, at w_max 100 -> 0 %"
    )


def test_a_network_that_does_not_learn_has_no_weights_to_tell(hasn: Hasn, model: Path) -> None:
    need("snntorch")
    assert hasn("run", model, "--steps", 5, "--json").data["weights"] == {}
    assert "weights" not in hasn("run", model, "--steps", 5).out


def test_the_file_has_histograms_and_the_course_where_it_is_asked_for(hasn: Hasn, files: dict[str, Path]) -> None:
    need("snntorch")
    given = ("run", files["net.nir"], "--input", files["x.npy"], "--out", files["out.npz"])
    hasn(*given)
    with np.load(files["out.npz"]) as arrays:
        plain = {name: arrays[name] for name in arrays}
    assert "weights/fc" not in plain
    weights, step = course(files), plain["histograms/fc/step"]
    assert (step[0], step[-1]) == (0, T)
    edges, counts = plain["histograms/fc/edges"], plain["histograms/fc/counts"]
    assert (edges[0], edges[-1]) == (0.0, 0.62)
    for t, row in zip(step, counts, strict=True):
        assert row.tolist() == np.histogram(weights[t], edges)[0].tolist()
    assert plain["histograms/fc/mean"] == pytest.approx(weights[step].mean(axis=(1, 2)), rel=1e-12)
    hasn(*given, "--force", "--weights")
    with np.load(files["out.npz"]) as arrays:
        assert np.array_equal(arrays["weights/fc"], weights[1:])
        assert set(arrays) == {*plain, "weights/fc"}
        for name, array in plain.items():
            assert np.array_equal(arrays[name], array)
    assert plain["spikes/cells"].any()


def test_the_course_of_weights_needs_a_file(hasn: Hasn, files: dict[str, Path]) -> None:
    error = hasn("run", files["net.nir"], "--weights", "--json", status=1).data["error"]
    assert (error["type"], error["parameter"]) == ("OptionError", "--weights")


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_in_pieces_it_is_the_same(
    backend: str, hasn: Hasn, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Histograms are made between other steps, of the same weights."""
    need(backend)
    given = ("run", files["net.nir"], "--input", files["x.npy"], "--backend", backend, "--json")
    whole, weights = hasn(*given, "--out", files["out.npz"]).data, course(files)
    cuts: list[int] = []
    found_pieces = pieces._pieces
    monkeypatch.setattr(pieces, "_pieces", lambda *args: cuts.append(1) or found_pieces(*args))
    monkeypatch.setattr(room, "_UNASKED", 0)
    monkeypatch.setattr(room, "free_bytes", lambda: 2500)
    monkeypatch.setattr("hasn.cli.pieces._SHARE", 3)
    cut = hasn(*given, "--out", files["cut.npz"]).data
    for key in ("steps", "spikes", "outputs", "total_spikes", "synaptic_operations", "weights"):
        assert cut[key] == whole[key], key
    assert whole["total_spikes"] > 10
    assert cuts
    with np.load(files["cut.npz"]) as found, np.load(files["out.npz"]) as wanted:
        assert set(found) == set(wanted)
        step: Any = found["histograms/fc/step"]
        assert (step[0], step[-1]) == (0, T)
        assert 3 < len(step) <= 33
        assert (np.diff(step) > 0).all()
        for t, row in zip(step, found["histograms/fc/counts"], strict=True):
            assert row.tolist() == np.histogram(weights[t], found["histograms/fc/edges"])[0].tolist()


def test_a_reward_comes_from_the_file(hasn: Hasn, files: dict[str, Path], tmp_path: Path) -> None:
    need("snntorch")
    package.save(network(RewardSTDP(0.1, 0.05, w_min=0.0, w_max=0.7)), tmp_path / "reward.nir")
    x = np.load(files["x.npy"])
    told = []
    for reward in (0.0, 1.0):
        np.savez(tmp_path / "x.npz", input=x, reward=np.full(T, reward))
        found = hasn("run", tmp_path / "reward.nir", "--input", tmp_path / "x.npz", "--json").data["weights"]["fc"]
        told.append(found["end"]["mean"] - found["start"]["mean"])
    assert told[0] == 0.0
    assert abs(told[1]) > 1e-3


def test_a_reward_that_a_file_lacks_or_has_too_little_of_is_one(
    hasn: Hasn, files: dict[str, Path], tmp_path: Path
) -> None:
    """Not called an Input of the graph, which it is not; one a step serves all samples of a batch."""
    need("snntorch")
    package.save(network(RewardSTDP(0.1, 0.05, w_min=0.0, w_max=0.7)), tmp_path / "reward.nir")
    x = np.load(files["x.npy"])
    np.savez(tmp_path / "none.npz", input=x)
    np.savez(tmp_path / "short.npz", input=x, reward=np.ones(T - 1))
    for name in ("none.npz", "x.npy"):
        answer = hasn("run", tmp_path / "reward.nir", "--input", tmp_path / name, status=1)
        assert f"{name}: the rule's modulator is not supplied; got 'reward'" in " ".join(answer.err.split())
    answer = hasn("run", tmp_path / "reward.nir", "--input", tmp_path / "short.npz", status=1)
    assert f"short.npz: a modulator is one number a step, or one a step and sample; got ({T - 1},)" in " ".join(
        answer.err.split()
    )
    np.savez(tmp_path / "batch.npz", input=np.stack([x, x], axis=1), reward=np.ones(T))
    assert hasn("run", tmp_path / "reward.nir", "--input", tmp_path / "batch.npz", "--json").data["weights"]["fc"]


# --- the page


def test_the_page_shows_what_was_learned(hasn: Hasn, files: dict[str, Path], tmp_path: Path) -> None:
    need("snntorch")
    page = tmp_path / "run.html"
    given = ("run", files["net.nir"], "--input", files["x.npy"], "--report", page)
    answer = hasn(*given)
    assert f"wrote {page}" in answer.out
    text = page.read_text(encoding="utf8")
    assert "dw = 0.02 * pre * post - 0.01 * post" in text
    assert "<h1>net.nir on snntorch</h1>" in text
    assert "<td>cells</td><td>spikes</td><td>(90, 2)</td>" in text
    assert f"{course(files)[-1].mean():.4g}" in text
    assert "data:image/png" in text
    assert "the file exists" in hasn(*given, status=1).err
    answer = hasn(*given, "--force", "--out", files["out.npz"], "--json")
    assert (answer.data["report"], answer.data["out"]) == (str(page), str(files["out.npz"]))
    assert hasn("run", files["net.nir"], "--steps", 3, "--json").data["report"] is None


def test_the_page_of_a_network_that_does_not_learn(hasn: Hasn, model: Path, tmp_path: Path) -> None:
    need("snntorch")
    hasn("run", model, "--steps", 5, "--report", tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text(encoding="utf8")
    assert "Node by node" in text
    assert "learned" not in text


def test_the_page_is_no_other_file(hasn: Hasn, files: dict[str, Path]) -> None:
    given = ("run", files["net.nir"])
    assert "is the file of --out too" in hasn(*given, "--out", "same", "--report", "same", status=1).err
    assert "is the file of FILE too" in hasn(*given, "--report", files["net.nir"], "--force", status=1).err


# --- hasn info


def test_info_shows_a_rule_as_its_formula(hasn: Hasn, files: dict[str, Path]) -> None:
    text = " ".join(hasn("info", files["net.nir"]).out.replace("│", " ").split())
    assert "plasticity: a rule dw = 0.02 * pre * post - 0.01 * post 0 <= w <= 0.62" in text
    kept = hasn("info", files["net.nir"], "--json").data["nodes"]["fc"]["metadata"]["plasticity"]
    assert kept["w_max"] == 0.62


def test_info_shows_what_is_no_rule_as_it_stands(hasn: Hasn, files: dict[str, Path]) -> None:
    graph = package.load(files["net.nir"])
    graph.nodes["fc"].metadata["plasticity"] = {"update": "nonsense * post"}
    package.save(graph, files["net.nir"], force=True)
    assert "nonsense * post" in hasn("info", files["net.nir"]).out
