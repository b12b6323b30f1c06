"""lava-dl's own reader builds what was exported, and Lava's fixed_pt gives the spikes of the integer network."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.backends.lava.environment import lava_python, status
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.netx import NetxFile, export_netx
from hasn.testing.integers import interpret
from tests.unit.conversions.loihi.netx_chains import convolutions, dense_chain

SCRIPT = Path(__file__).with_name("netx_reads.py")
STEPS, SAMPLES = 25, 2
GRADED = "own delays"  # the case whose inputs have values
CASES = {
    "biased": (dense_chain(15), "synchronous"),  # layers that must be reset, two samples one after the other
    "delayed": (dense_chain(7), "synchronous"),
    "own delays": (dense_chain(10), "synchronous"),  # a step of delay everywhere: no layer runs late
    "hardware": (dense_chain(18), "hardware"),  # so too, with biases
    "recurrent": (dense_chain(8), "synchronous"),
    "pooled": (convolutions(0, dense=True), "synchronous"),
    "grid": (convolutions(1, dense=False), "synchronous"),
}


@dataclass(frozen=True)
class Read:
    """What came back of a case: spikes (T, samples, n) of the last layer, and what the reader built."""

    network: QuantisedNetwork
    file: NetxFile
    expected: NDArray[np.bool_]
    spikes: NDArray[Any]
    built: dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Read]:
    python = _python()
    folder = tmp_path_factory.mktemp("netx")
    given = {name: _export(folder, name) for name in CASES}
    done = subprocess.run([python, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return {name: _collect(folder, name, *given[name]) for name in CASES}


def _python() -> str:
    if not status().installed:
        pytest.skip(status().why_not)
    python = str(lava_python())
    found = subprocess.run(
        [python, "-c", "import h5py; from importlib.metadata import version; assert version('lava-dl') == '0.6.0'"],
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip(f"no lava-dl in Lava's Python. Run: {python} -m pip install --no-deps lava-dl==0.6.0 h5py==3.16.0")
    return python


def _export(folder: Path, name: str) -> tuple[QuantisedNetwork, NetxFile, NDArray[Any]]:
    graph, timing = CASES[name]
    scales = {"in": 16.0} if name == GRADED else {}
    network = QuantisedNetwork(graph, "loihi2", 1e-3, timing, input_scales=scales)
    file = export_netx(network, folder / f"{name}.net")
    shape = network.integers.inputs["in"].shape
    rng = np.random.default_rng(7)
    inputs = (rng.random((STEPS, SAMPLES, *shape)) < 0.4) * (
        rng.integers(-9, 20, (STEPS, SAMPLES, *shape)) if scales else 1
    )
    # Samples follow each other where NetX resets the layers between them; else the first is run alone.
    shown = np.concatenate([inputs[:, i] for i in range(SAMPLES if file.needs_reset else 1)])
    shown = shown.transpose(0, 3, 2, 1) if file.transposed[0] else shown.reshape(len(shown), -1)
    late = max(file.shifts.values())
    shown = np.concatenate([shown, np.zeros((late, *file.input_shape), int)])
    np.savez(folder / f"{name}.in.npz", options=json.dumps(file.options(STEPS)), inputs=shown)
    return network, file, inputs


def _collect(folder: Path, name: str, network: QuantisedNetwork, file: NetxFile, inputs: NDArray[Any]) -> Read:
    with np.load(folder / f"{name}.out.npz") as found:
        built = dict(found)
    spikes = built.pop("spikes")
    assert spikes.shape[1:] == file.output_shape
    last = list(file.shifts)[-1]
    spikes = spikes[file.shifts[last] :]
    spikes = spikes.transpose(0, 3, 2, 1) if file.transposed[1] else spikes
    samples = len(spikes) // STEPS
    spikes = spikes.reshape(samples, STEPS, -1).swapaxes(0, 1)
    flat = inputs[:, :samples].reshape(STEPS, samples, -1)
    expected = interpret(network.integers, {"in": flat}, STEPS, samples).spikes[last]
    return Read(network, file, expected, spikes, built)


@pytest.mark.parametrize("case", CASES)
def test_the_reader_builds_the_network_that_was_exported(read: dict[str, Read], case: str) -> None:
    found = read[case]
    np.testing.assert_array_equal(found.spikes, found.expected)
    for name, i in found.file.layers.items():
        (registers,) = found.network.integers.populations[name].registers()
        assert tuple(int(found.built[f"{key}{i}"]) for key in ("du", "dv", "vth")) == registers


def test_the_cases_reach_what_they_are_for(read: dict[str, Read]) -> None:
    for name, found in read.items():
        assert 0.02 < found.expected.mean() < 0.98, f"{name} fires too little or too much: {found.expected.mean()}"
    assert {name for name, found in read.items() if found.file.needs_reset} == {"biased", "pooled", "grid"}
    assert {name for name, found in read.items() if not any(found.file.shifts.values())} == {"own delays", "hardware"}
    assert read["pooled"].built["kinds"].tolist() == ["Conv", "Conv", "Dense"]
    assert read["grid"].built["kinds"].tolist() == ["Conv", "Conv"]
    assert read["recurrent"].built["kinds"].tolist() == ["RecurrentDense"] * 3
