"""Export for Loihi: what is written, and what is refused. No Lava."""

from __future__ import annotations

import json
from pathlib import Path

import nir
import numpy as np
import pytest

from hasn.backends.lava.worker.lava_network import Bundle
from hasn.conversions.loihi.export.bundle import expected as bundle_expected
from hasn.conversions.loihi.export.bundle import export_bundle
from hasn.conversions.loihi.export.bundle import write as bundle
from hasn.errors import FileError, InputError, UnsupportedError
from hasn.program.integers.encode import chip_neuron
from hasn.testing.integers import interpret
from tests.graphs import graph, out
from tests.unit.conversions.loihi.bundles import DT, chip_graph, network


def test_what_the_folder_says(tmp_path: Path) -> None:
    made = export_bundle(network(), tmp_path / "chip")
    assert sorted(p.name for p in (tmp_path / "chip").iterdir()) == [
        "README.md", "expected.npz", "lava_network.py", "manifest.json", "network.npz", "run.py",
    ]  # fmt: skip
    manifest = json.loads((tmp_path / "chip" / "manifest.json").read_text())
    assert manifest["dt"] == DT
    assert manifest["shifts"] == made.shifts == {"input": 0, "hidden": 1, "readout": 2}
    assert [entry["neurons"] for entry in manifest["nodes"]["hidden"]] == [[2, 3], [0, 1]]
    assert manifest["scales"]["hidden"]["scale"] == [640.0] * 4
    assert manifest["outputs"]["output"] == {"of": "readout", "key": "voltages", "shape": [2]}
    assert set(manifest["versions"]) >= {"hasn", "nir", "lava-nc"}
    integers = network().integers
    synapses = sum(part.mantissas.nnz for p in integers.projections for part in p.parts)
    synapses += sum(w.mantissas.nnz for w in integers.populations["hidden"].drive_parts[0])
    assert manifest["resources"]["synapses"] == made.resources["synapses"] == synapses
    assert manifest["resources"]["neurons"] == 4 + 2 + 1  # one that always fires, for w1's bias
    assert made.spikes["hidden"] > 0
    readme = (tmp_path / "chip" / "README.md").read_text()
    assert "`input` (2, 3): spikes, 0 or 1" in readme
    assert "no hardware" not in readme
    assert "That is a simulation" in readme


def test_expected_is_the_plain_meaning_whoever_computed_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = (np.random.default_rng(1).random((20, 3, 2, 3)) < 0.5).astype(float)
    export_bundle(network(), tmp_path / "a", inputs=x)
    monkeypatch.setattr(bundle_expected, "_torch_runs", lambda: False)
    made = export_bundle(network(), tmp_path / "b", inputs=x)
    assert made.judged_by == "hasn.testing.integers"
    traces = interpret(network().graph, {"input": x})
    with np.load(tmp_path / "a" / "expected.npz") as one, np.load(tmp_path / "b" / "expected.npz") as other:
        for found in (one, other):
            assert set(found) == {"inputs/input", "spikes/hidden", "voltages/readout", "digest"}
            np.testing.assert_array_equal(found["inputs/input"], x[:, :2])
            np.testing.assert_array_equal(found["spikes/hidden"], traces.spikes["hidden"][:, :2])
            np.testing.assert_array_equal(found["voltages/readout"], traces.v["readout"][:, :2])
    assert traces.spikes["hidden"][:, :2].any()


def test_the_digest_sees_every_weight_register_and_wire(tmp_path: Path) -> None:
    export_bundle(network(), tmp_path / "chip")
    read = Bundle(tmp_path / "chip")
    first = read.digest()
    weights = next(a["weights"] for a in read.arrays.values() if "weights" in a)
    weights[0, 0] += 2
    assert read.digest() != first
    weights[0, 0] -= 2
    assert read.digest() == first
    read.manifest["cells"][0]["vth"] += 1
    assert read.digest() != first


def test_graded_inputs_are_for_loihi_2_and_bounded(tmp_path: Path) -> None:
    x = np.full((10, 2, 3), 3.0)
    with pytest.raises(UnsupportedError, match="have no values") as error:
        export_bundle(network(target="loihi1"), tmp_path / "chip", inputs=x)
    assert error.value.node == "input"
    assert not list(tmp_path.iterdir())
    made = export_bundle(network(), tmp_path / "chip", inputs=x)
    assert made.graded == ("input",)
    limit = json.loads((tmp_path / "chip" / "manifest.json").read_text())["inputs"]["input"]["limit"]
    # rows of w1 have at most 6 weights of 118; 2**31 - 2**24 units of 1/64 are what 32 bits leave them
    most = max(abs(p.weights).sum(axis=1).max() for p in network().integers.into("hidden") if p.source == "input")
    assert ((2**31 - 2**24) // 64) // most - 2 <= limit <= ((2**31 - 2**24) // 64) // most
    export_bundle(network(target="loihi1"), tmp_path / "one", inputs=(x > 1).astype(float))


def test_real_valued_inputs_are_tested_with_integers_of_their_scale(tmp_path: Path) -> None:
    made = export_bundle(network(input_scales={"input": 7.0}), tmp_path / "chip")
    assert made.graded == ("input",)
    with np.load(tmp_path / "chip" / "expected.npz") as found:
        assert set(np.unique(found["inputs/input"])) == set(range(-7, 8))
    assert "real values times 7, rounded" in (tmp_path / "chip" / "README.md").read_text()


def test_a_network_without_inputs_or_with_wrong_data_is_refused(tmp_path: Path) -> None:
    nodes = {"a": chip_neuron((2,), dt=DT, dv=3, vth=4, bias=100), "output": out(2)}
    alone = graph(nodes, "a > output")
    with pytest.raises(InputError, match="without Inputs"):
        export_bundle(network(graph=alone, scales={}), tmp_path / "chip")
    with pytest.raises(InputError, match="wrong shape"):
        export_bundle(network(), tmp_path / "chip", inputs=np.zeros((10, 3)))
    late = {**chip_graph().nodes, "late": nir.Delay(np.full(4, 0.07))}
    edges = [("back", "late") if e == ("back", "hidden") else e for e in chip_graph().edges]
    made = nir.NIRGraph(late, [*edges, ("late", "hidden")], type_check=False)
    with pytest.raises(UnsupportedError, match="longest delay"):
        export_bundle(network(graph=made), tmp_path / "chip")
    assert not list(tmp_path.iterdir())


def test_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chip = tmp_path / "chip"
    export_bundle(network(), chip)
    before = (chip / "network.npz").read_bytes()
    with pytest.raises(FileError, match="force=True"):
        export_bundle(network(), chip)
    with monkeypatch.context() as patch:
        patch.setattr(bundle, "readme", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(FileError, match="No space left"):
            export_bundle(network(), chip, force=True)
    assert (chip / "network.npz").read_bytes() == before
    export_bundle(network(), chip, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["chip"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    for wrong, words in (("mine", "something else"), ("mine/thesis.txt", "no folder"), ("no/such", "no such folder")):
        with pytest.raises(FileError, match=words):
            export_bundle(network(), tmp_path / wrong, force=True)
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years"
