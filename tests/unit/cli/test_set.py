"""`hasn set`: what a file leaves open into its metadata, listed, and used from then on."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

import hasn as package
from hasn.nodes.resonate import ResonateFire
from hasn.program.model import Neurons
from tests import graphs
from tests.unit.cli.conftest import Hasn


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A file that says neither dt nor reset."""
    package.save(graphs.small_net(), tmp_path / "bare.nir")
    return tmp_path / "bare.nir"


def resets(path: Path) -> dict[str, str | None]:
    program = package.lower(package.load(path))
    return {step.name: step.reset for step in program.of(Neurons)}


def test_dt_and_reset_go_into_the_file_and_are_listed(hasn: Hasn, bare: Path) -> None:
    before = package.load(bare)
    assert "the time step is not known" in hasn("info", bare, "--program", status=1).err
    answer = hasn("set", bare, "--dt", "2e-3", "--reset", "subtract")
    rows = [[c.strip() for c in line.split("│")[1:-1]] for line in answer.out.splitlines() if "│" in line]
    assert rows == [
        ["node", "metadata", "before", "now"],
        ["(the graph)", "dt", "(nothing)", "0.002"],
        ["n2", "reset", "(nothing)", "subtract"],
        ["n4", "reset", "(nothing)", "subtract"],
    ]
    after = package.load(bare)
    assert (after.metadata["dt"], package.lower(after).dt) == (2e-3, 2e-3)
    assert resets(bare) == {"n2": "subtract", "n4": "subtract"}
    np.testing.assert_array_equal(after.nodes["n2"].tau, before.nodes["n2"].tau)
    assert after.edges == before.edges


def test_what_was_said_before_is_in_the_list(hasn: Hasn, bare: Path) -> None:
    hasn("set", bare, "--dt", "2e-3", "--reset", "zero")
    data = hasn("set", bare, "--dt", "1e-3", "--reset", "subtract", "--node", "n4", "--json").data
    assert data == {
        "out": str(bare),
        "changes": [
            {"node": "", "key": "dt", "before": 2e-3, "now": 1e-3},
            {"node": "n4", "key": "reset", "before": "zero", "now": "subtract"},
        ],
    }
    assert resets(bare) == {"n2": "zero", "n4": "subtract"}


def test_method_and_timing_go_into_the_file_and_a_command_may_say_otherwise(hasn: Hasn, bare: Path) -> None:
    data = hasn("set", bare, "--dt", "1e-3", "--method", "exact", "--timing", "hardware", "--json").data
    assert [(change["key"], change["before"], change["now"]) for change in data["changes"]] == [
        ("dt", None, 1e-3),
        ("method", None, "exact"),
        ("timing", None, "hardware"),
    ]
    said = hasn("info", bare, "--program", "--json").data["program"]
    assert (said["method"], said["timing"]) == ("exact", "hardware")
    told = hasn("info", bare, "--program", "--method", "euler", "--timing", "synchronous", "--json").data["program"]
    assert (told["method"], told["timing"]) == ("euler", "synchronous")
    notes = {finding["parameter"]: finding["severity"] for finding in hasn("check", bare, "--json").data["findings"]}
    assert notes == {"metadata['method']": "note", "metadata['timing']": "note"}


def test_another_file_leaves_this_one_alone(hasn: Hasn, bare: Path, tmp_path: Path) -> None:
    before = bare.read_bytes()
    hasn("set", bare, "--dt", "1e-3", "--out", tmp_path / "new.nir")
    assert bare.read_bytes() == before
    assert package.load(tmp_path / "new.nir").metadata["dt"] == 1e-3
    assert "the file exists" in hasn("set", bare, "--dt", "1", "--out", tmp_path / "new.nir", status=1).err
    hasn("set", bare, "--dt", "2", "--out", tmp_path / "new.nir", "--force")
    assert package.load(tmp_path / "new.nir").metadata["dt"] == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "there is nothing to set"),
        (["--dt", "0"], "--dt: the time step has no meaning"),
        (["--dt", "nan"], "--dt: the time step has no meaning"),
        (["--reset", "none"], "--reset: unknown reset"),
        (["--reset", "zero", "--node", "n1"], "--node: is no neuron that spikes; got 'n1'; wanted n2, n4"),
        (["--dt", "1", "--node", "n2"], "--node: dt is the whole graph's"),
        (["--method", "exact", "--node", "n2"], "--node: method is the whole graph's"),
        (["--method", "rk4"], "--method: unknown method; got 'rk4'; wanted euler or exact"),
        (["--timing", "late"], "--timing: unknown timing; got 'late'; wanted synchronous or hardware"),
    ],
)
def test_what_cannot_be_set_changes_nothing(options: list[str], words: str, hasn: Hasn, bare: Path) -> None:
    before = bare.read_bytes()
    assert words in hasn("set", bare, *options, status=1).err
    assert bare.read_bytes() == before


def test_a_neuron_without_that_reset_keeps_its_own(hasn: Hasn, tmp_path: Path) -> None:
    ones = np.ones(2)
    fire = ResonateFire(tau=ones, omega=ones, r=ones, v_threshold=ones, v_reset=0 * ones)
    lif = nir.LIF(tau=ones, r=ones, v_leak=0 * ones, v_threshold=ones)
    nodes = {"i": graphs.inp(2), "rf": fire, "lif": lif, "o": graphs.out(2)}
    path = tmp_path / "two.nir"
    package.save(graphs.graph(nodes, "i > rf > lif > o"), path)
    hasn("set", path, "--reset", "subtract")
    metadata = {name: node.metadata for name, node in package.load(path).nodes.items()}
    assert "reset" not in metadata["rf"]
    assert metadata["lif"]["reset"] == "subtract"
    assert "no such reset" in hasn("set", path, "--reset", "subtract", "--node", "rf", status=1).err
