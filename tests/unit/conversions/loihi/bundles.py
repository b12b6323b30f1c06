"""A small network in the chip's units for export, and its folder's run.py in Lava's Python."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hasn.backends.lava import BACKEND
from hasn.conversions.loihi.network import QuantisedNetwork, Scale
from hasn.program.integers.encode import chip_neuron
from tests.graphs import graph, inp, out

needs_lava = [pytest.mark.lava, pytest.mark.skipif(bool(BACKEND.why_not()), reason=BACKEND.why_not() or "installed")]
DT = 1e-3


def chip_graph() -> nir.NIRGraph:
    """input (2, 3) > flatten > w1 > hidden (4, two thresholds, recurrent) > w2 > readout (2, its voltage) > output."""
    rng = np.random.default_rng(5)
    nodes = {
        "input": inp(2, 3),
        "flat": nir.Flatten({"input": np.array([2, 3])}, 0, -1),
        "w1": nir.Affine(2.0 * rng.integers(-20, 60, (4, 6)), 2.0 * np.arange(-2, 2)),
        "hidden": chip_neuron((4,), dt=DT, du=1000, dv=300, vth=[150, 150, 90, 90]),
        "back": nir.Linear(2.0 * rng.integers(-30, 20, (4, 4))),
        "w2": nir.Linear(2.0 * rng.integers(-40, 40, (2, 4))),
        "readout": chip_neuron((2,), dt=DT, dv=200, bias=[5, -7]),
        "output": out(2),
        "spikes": out(4),
    }
    made = graph(nodes, "input > flat > w1 > hidden > w2 > readout > output")
    edges = [*made.edges, ("hidden", "back"), ("back", "hidden"), ("hidden", "spikes")]
    return nir.NIRGraph(made.nodes, edges, metadata={"dt": DT}, type_check=False)


def network(**changes: Any) -> QuantisedNetwork:
    scales = {"hidden": Scale(np.full(4, 640.0), np.zeros(4))}
    return QuantisedNetwork(**{"graph": chip_graph(), "target": "loihi2", "dt": DT, "scales": scales, **changes})


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


def run(folder: Path, *arguments: object, path: Path | None = None) -> Answer:
    """``python run.py ...`` in Lava's own Python, which knows nothing of hasn; ``path`` goes before its modules."""
    from hasn.backends.lava.environment import lava_python

    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"OMP_NUM_THREADS": "1"} | ({} if path is None else {"PYTHONPATH": str(path)})
    done = subprocess.run(
        [str(lava_python()), "run.py", *map(str, arguments)],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return Answer(done.returncode, done.stdout, done.stderr)


def rewrite(folder: Path, name: str, **arrays: Any) -> None:
    """Change arrays of a file, and its hash in the manifest with it."""
    with np.load(folder / name) as stored:
        kept = dict(stored)
    np.savez_compressed(folder / name, **{**kept, **arrays})
    manifest = json.loads((folder / "manifest.json").read_text())
    hashes = {**manifest["files"], name: hashlib.sha256((folder / name).read_bytes()).hexdigest()}
    signed(folder, files=hashes)


def signed(folder: Path, **changes: Any) -> None:
    """Change what the manifest says, and its own digest with it."""
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["digest"]
    manifest |= changes
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps({**manifest, "digest": digest}))
