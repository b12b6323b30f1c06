"""lava-dl's own reader builds what was exported, and Lava's fixed_pt gives u, v and spikes of the integer network."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.backends.lava.environment import lava_python, status
from hasn.conversions.loihi.export.netx import NetxFile, export_netx
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.quantising.quantise import quantise
from hasn.demo.network import digit_network
from hasn.testing.integers import IntegerTraces, interpret
from tests.unit.conversions.loihi.netx_chains import DT, convolutions, dense_chain

SCRIPT = Path(__file__).with_name("netx_reads.py")
STEPS, SAMPLES = 25, 2


def chip(graph: nir.NIRGraph, timing: str = "synchronous", **scales: float) -> QuantisedNetwork:
    return QuantisedNetwork(graph, "loihi2", DT, timing, input_scales=scales)


def quantised() -> QuantisedNetwork:
    """From volts; ``headroom`` so large that no weight needs an exponent."""
    graph = digit_network(inputs=64, hidden=32)
    for name in ("fc1", "fc2"):
        graph.nodes[name].weight = graph.nodes[name].weight * 2.5  # untrained, it hardly fires
    calibration = (np.random.default_rng(0).random((40, 4, 64)) < 0.4).astype(float)
    return quantise(graph, calibrate=calibration, headroom=64)


CASES: dict[str, Callable[[], QuantisedNetwork]] = {
    "biased": lambda: chip(dense_chain(15)),  # layers that must be reset, two samples one after the other
    "delayed": lambda: chip(dense_chain(7)),
    "own delays": lambda: chip(dense_chain(10), **{"in": 16.0}),  # a step of delay everywhere: no layer runs late
    "hardware": lambda: chip(dense_chain(18), "hardware"),  # so too, with biases
    "recurrent": lambda: chip(dense_chain(8)),
    "pooled": lambda: chip(convolutions(0, dense=True)),
    "grid": lambda: chip(convolutions(1, dense=False)),
    "quantised": quantised,
}


@dataclass(frozen=True)
class Read:
    """A case: what the integer network does with the samples that were shown, and what the reader built and ran."""

    file: NetxFile
    registers: dict[str, tuple[int, int, int]]
    expected: IntegerTraces
    built: dict[str, NDArray[Any]]

    def trace(self, key: str, population: str) -> NDArray[Any]:
        """What Lava recorded, in canonical time: (T, samples, *shape), as the plain reference has it."""
        raw = self.built[key][self.file.shifts[population] :]
        _, samples, *shape = self.expected.v[population].shape
        raw = raw[: samples * STEPS]
        turned = raw.transpose(0, 3, 2, 1) if raw.ndim == 4 else raw
        return turned.reshape(samples, STEPS, *shape).swapaxes(0, 1)


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Read]:
    python = _python()
    folder = tmp_path_factory.mktemp("netx")
    given = {name: _export(folder, name) for name in CASES}
    done = subprocess.run([python, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=400, check=False)
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
    network = CASES[name]()
    file = export_netx(network, folder / f"{name}.net")
    (source,) = network.integers.inputs.values()
    rng, shape = np.random.default_rng(7), (STEPS, SAMPLES, *source.shape)
    inputs = (rng.random(shape) < 0.4) * (rng.integers(-9, 20, shape) if file.graded else 1)
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
    assert built["spikes"].shape[1:] == file.output_shape
    given = dict.fromkeys(network.integers.inputs, inputs[:, : SAMPLES if file.needs_reset else 1])
    registers = {population: next(iter(p.registers())) for population, p in network.integers.populations.items()}
    return Read(file, registers, interpret(network.graph, given, dt=network.dt, timing=network.timing), built)


@pytest.mark.parametrize("case", CASES)
def test_the_reader_builds_the_network_that_was_exported(read: dict[str, Read], case: str) -> None:
    found = read[case]
    for name, i in found.file.layers.items():
        assert tuple(int(found.built[f"{key}{i}"]) for key in ("du", "dv", "vth")) == found.registers[name]
        np.testing.assert_array_equal(found.trace(f"u{i}", name), found.expected.u[name])
        np.testing.assert_array_equal(found.trace(f"v{i}", name), found.expected.v[name])
    np.testing.assert_array_equal(found.trace("spikes", name), found.expected.spikes[name])


def test_the_cases_reach_what_they_are_for(read: dict[str, Read]) -> None:
    for name, found in read.items():
        rate = found.expected.spikes[list(found.file.layers)[-1]].mean()
        assert 0.02 < rate < 0.98, f"{name} fires too little or too much: {rate}"
    assert {name for name, found in read.items() if found.file.graded} == {"own delays"}
    assert {name for name, found in read.items() if found.file.needs_reset} == {"biased", "pooled", "grid"}
    assert {name for name, found in read.items() if not any(found.file.shifts.values())} == {"own delays", "hardware"}
    assert read["pooled"].built["kinds"].tolist() == ["Conv", "Conv", "Dense"]
    assert read["grid"].built["kinds"].tolist() == ["Conv", "Conv"]
    assert read["recurrent"].built["kinds"].tolist() == ["RecurrentDense"] * 3
