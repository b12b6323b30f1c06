"""What a bundle says of itself: manifest, README and expected answers, for networks of every kind. No Lava."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hasn.conversions.loihi.export.bundle import expected as module
from hasn.conversions.loihi.export.bundle import export_bundle, write
from hasn.conversions.loihi.export.bundle.expected import SAMPLES, STEPS, expected_of, largest
from hasn.conversions.loihi.network import QuantisedNetwork, Scale
from hasn.program.integers.encode import chip_neuron
from tests.graphs import graph, inp, out
from tests.unit.conversions.loihi.bundles import DT, chip_graph, network


def exported(folder: Path, made: QuantisedNetwork, **options: Any) -> tuple[Any, dict[str, Any], str]:
    result = export_bundle(made, folder, **options)
    manifest = json.loads((folder / "manifest.json").read_text())
    return result, manifest, (folder / "README.md").read_text()


def two_inputs() -> QuantisedNetwork:
    """Two Inputs, one of them scaled; a population that spikes, one that does not; Outputs of each kind."""
    nodes = {
        "x": inp(2), "y": inp(2, 2), "flat": nir.Flatten({"input": np.array([2, 2])}, 0, -1),
        "w": nir.Linear(np.array([[40.0, -20.0], [0.0, 60.0]])), "v": nir.Linear(4.0 * np.eye(2, 4)),
        "a": chip_neuron((2,), dt=DT, dv=900, vth=50), "u": nir.Linear(2.0 * np.ones((3, 2))),
        "b": chip_neuron((3,), dt=DT, dv=9), "oa": out(2), "ob": out(3), "oy": out(2, 2), "empty": out(2),
    }  # fmt: skip
    made = graph(nodes, "x > w > a > oa", "y > flat > v > a", "a > u > b > ob", "y > oy", dt=DT)
    return QuantisedNetwork(
        made, "loihi2", DT, scales={"a": Scale(np.array([1.0, 2.0]), np.array([0.5, 0.0]))},
        input_scales={"x": 1.0, "y": 12.5},
    )  # fmt: skip


def test_the_manifest_of_several_inputs_and_outputs(tmp_path: Path) -> None:
    made, manifest, readme = exported(tmp_path / "chip", two_inputs())
    limit = manifest["inputs"]["y"].pop("limit")
    assert limit > 1000
    found = {name: {k: e[k] for k in ("shape", "graded", "scale")} for name, e in manifest["inputs"].items()}
    assert found == {
        "x": {"shape": [2], "graded": False, "scale": 1.0},
        "y": {"shape": [2, 2], "graded": True, "scale": 12.5},
    }
    assert manifest["inputs"]["x"]["limit"] == 1
    assert made.graded == ("y",)
    assert manifest["outputs"] == {
        "oa": {"of": "a", "key": "spikes", "shape": [2]},
        "ob": {"of": "b", "key": "voltages", "shape": [3]},
        "oy": {"of": "y", "key": "inputs", "shape": [2, 2]},
        "empty": {"of": "empty", "key": "", "shape": [2]},
    }
    assert {name: (p["shape"], p["spiking"]) for name, p in manifest["populations"].items()} == {
        "a": ([2], True),
        "b": ([3], False),
    }
    assert (manifest["target"], manifest["dt"], manifest["timing"]) == ("loihi2", DT, "synchronous")
    assert manifest["scales"] == {"a": {"scale": [1.0, 2.0], "offset": [0.5, 0.0]}}
    assert manifest["versions"]["lava-nc"] == "0.10.0"
    assert sorted(manifest["versions"]) == ["hasn", "lava-nc", "nir", "numpy"]
    # 3 weights of w, 2 of v, 6 of u
    assert made.resources["synapses"] == 11
    assert made.resources["weight_bits"] == 8 * 11
    assert (made.resources["neurons"], made.resources["connections"]) == (5, 3)
    assert made.resources["processes"] == len(manifest["cells"]) == 2 + 3
    assert f"- `y` (2, 2): integers within +-{limit}: real values times 12.5, rounded" in readme
    assert "- `x` (2): spikes, 0 or 1\n" in readme
    assert "(one for each neuron)" in readme


def test_every_file_has_its_hash_and_the_folder_is_what_was_said(tmp_path: Path) -> None:
    made, manifest, _ = exported(tmp_path / "chip", two_inputs())
    assert made.folder == tmp_path / "chip"
    files = sorted(path.name for path in made.folder.iterdir())
    assert sorted([*manifest["files"], "manifest.json"]) == files
    for name, digest in manifest["files"].items():
        assert digest == hashlib.sha256((made.folder / name).read_bytes()).hexdigest()
    source = Path(write.__file__).parents[4] / "backends" / "lava" / "worker"
    for name in ("run.py", "lava_network.py"):
        assert (made.folder / name).read_bytes() == (source / name).read_bytes()


def test_the_readme_of_a_network_without_scales_for_loihi_1(tmp_path: Path) -> None:
    x = (np.random.default_rng(0).random((7, 2, 3)) < 0.5).astype(float)
    made, manifest, readme = exported(tmp_path / "chip", network(scales={}, target="loihi1"), inputs=x)
    assert readme.startswith("# A spiking network for Loihi 1\n")
    assert f"Written by hasn {manifest['versions']['hasn']}: " in readme
    assert "(lava-nc 0.10.0, Python 3.10)" in readme
    assert "(none here: the graph came in the chip's units)" in readme
    assert f"must give, by {made.judged_by} |" in readme
    assert f"| hidden | 4 | 2 | 1 | {made.spikes['hidden']:,} |" in readme
    assert "| readout | 2 | 1 | 2 | (does not spike) |" in readme
    r = made.resources
    assert (
        f"{r['neurons']} neurons, {r['synapses']} synapses ({r['weight_bits']} bits of weights), "
        f"{r['processes']} processes." in readme
    )
    assert "A step is 0.001 s." in readme
    assert "--self-test --hardware" not in readme  # run.py refuses it: the adapters are Loihi 2's
    assert "with Intel's lava-loihi" not in readme
    assert "There is no `--hardware` for this folder" in readme
    _, _, other = exported(tmp_path / "two", network(), inputs=3 * x)
    assert other.startswith("# A spiking network for Loihi 2\n")
    assert "python run.py --self-test --hardware" in other
    line = next(line for line in other.splitlines() if line.startswith("- `input`"))
    assert line.startswith("- `input` (2, 3): integers within +-")  # its data are integers: no scale to tell
    assert "real values" not in line


def test_expected_is_the_start_of_what_was_given_or_of_one_sample(tmp_path: Path) -> None:
    x = (np.random.default_rng(1).random((STEPS + 7, SAMPLES + 2, 2, 3)) < 0.5).astype(float)
    found = expected_of(network(), x, 0, 1)
    assert found.arrays["inputs/input"].dtype == np.int32
    assert found.arrays["voltages/readout"].dtype == np.int32
    assert found.arrays["spikes/hidden"].dtype == np.bool_
    np.testing.assert_array_equal(found.arrays["inputs/input"], x[:STEPS, :SAMPLES])
    assert found.spikes == {"hidden": int(found.arrays["spikes/hidden"].sum())}
    assert expected_of(network(), x[:, 0], 0, 1).arrays["inputs/input"].shape == (STEPS, 1, 2, 3)
    scaled = expected_of(network(input_scales={"input": 4.0}), 0.26 * x, 0, 9).arrays["inputs/input"]
    np.testing.assert_array_equal(scaled, x[:STEPS, :SAMPLES])  # round(4 * 0.26)


def test_random_inputs_are_drawn_with_the_seed_and_are_as_strong_as_it_takes(tmp_path: Path) -> None:
    """The chance of a spike goes up until every population spikes."""
    one, again, other = (expected_of(network(), None, seed, 1).arrays["inputs/input"] for seed in (3, 3, 4))
    assert one.shape == (STEPS, SAMPLES, 2, 3)
    np.testing.assert_array_equal(one, again)
    assert np.any(one != other)
    export_bundle(network(), tmp_path / "chip")
    with np.load(tmp_path / "chip" / "expected.npz") as written:
        np.testing.assert_array_equal(
            written["inputs/input"], expected_of(network(), None, 0, 1).arrays["inputs/input"]
        )
    means = []
    for vth in (5, 131071):
        made = chip_graph()
        made.nodes["hidden"] = chip_neuron((4,), dt=DT, du=4095, dv=4095, vth=vth)
        means.append(expected_of(network(graph=made), None, 0, 1).arrays["inputs/input"].mean())
    assert means[0] == pytest.approx(0.1, abs=0.03)
    assert means[1] == pytest.approx(0.9, abs=0.03)  # nothing makes it spike: the last that was tried


def test_scaled_inputs_are_tested_within_what_fits() -> None:
    strong = expected_of(two_inputs(), None, 0, 5).arrays
    assert set(np.unique(strong["inputs/x"])) == {0, 1}
    assert set(np.unique(strong["inputs/y"])) == set(range(-5, 6))
    weak = expected_of(network(input_scales={"input": 0.2}), None, 0, 5).arrays["inputs/input"]
    assert set(np.unique(weak)) == {-1, 0, 1}
    assert largest(np.array([[3, -7]])) == 7
    assert largest(np.zeros((0, 2))) == 0


def test_the_judge_is_torch_where_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    x = {"x": np.ones((4, 2)), "y": np.ones((4, 2, 2))}
    found = expected_of(two_inputs(), x, 0, 99)
    assert found.judged_by == "hasn on snnTorch, precision loihi"
    monkeypatch.setattr(module, "_torch_runs", lambda: False)
    plain = expected_of(two_inputs(), x, 0, 99)
    assert plain.judged_by == "hasn.testing.integers"
    assert set(plain.arrays) == set(found.arrays) == {"inputs/x", "inputs/y", "spikes/a", "voltages/b"}
    for key, array in found.arrays.items():
        np.testing.assert_array_equal(array, plain.arrays[key])
    assert found.arrays["spikes/a"].any()


def test_the_limit_of_graded_inputs_is_the_largest_that_fits() -> None:
    """40 + 20 units of weight into neuron 0, 60 into neuron 1, from x; 4 from y: 64 in all, of 2**31 - 2**24 >> 6."""
    made = two_inputs()
    from hasn.backends.lava.integers import map_integers

    limit = write.largest_value(made.integers, map_integers(made.integers))
    assert limit == ((2**31 - 2**24) >> 6) // 64
    small = graph({"x": inp(1), "w": nir.Linear(np.array([[2.0]])), "a": chip_neuron((1,), dt=DT, dv=9, vth=5),
                   "o": out(1)}, "x > w > a > o", dt=DT)  # fmt: skip
    integers = QuantisedNetwork(small, "loihi2", DT).integers
    assert write.largest_value(integers, map_integers(integers)) == 2**23 - 1  # a graded spike's 24 bits
