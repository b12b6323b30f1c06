"""Sound files of every kind that hasn reads, small, and made by code: what the fuzzer damages."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

import hasn
from hasn.plasticity import RewardSTDP, attach
from hasn.testing.graphs import Draw
from tests.graphs import DT, chain, small_net
from tests.unit.backends.snntorch.training.task import net, samples
from tests.unit.conversions.loihi.bundles import network
from tests.unit.ir.fuzzed import every_primitive

#: Kind of input -> the ending of its files.
ENDINGS = {"nir": ".nir", "recording": ".npz", "state": ".npz", "inputs": ".npz", "array": ".npy", "checkpoint": ".pt",
           "manifest": ".json"}  # fmt: skip


def make_seeds(folder: Path) -> dict[str, list[bytes]]:
    """Kind -> sound files; what needs a backend is left out where that is not installed."""
    small = small_net()
    small.metadata["dt"] = DT
    nested = chain(chain(Draw(2).lif(3), given=(3,), result=(3,)), given=(3,), result=(3,))
    nested.metadata["dt"] = DT
    found = {"nir": [_saved(net_, folder / "seed.nir") for net_ in (small, nested, every_primitive())]}
    learning = attach(small, "n1", RewardSTDP())
    found["nir"].append(_saved(learning, folder / "seed.nir"))
    found["nir"].append(_saved(network().with_metadata(), folder / "seed.nir"))
    x = (np.random.default_rng(1).random((6, *_shape(small))) < 0.5).astype(float)
    np.savez_compressed(folder / "x.npz", input=x)
    np.save(folder / "x.npy", x)
    found |= {"inputs": [(folder / "x.npz").read_bytes()], "array": [(folder / "x.npy").read_bytes()]}
    executable = hasn.compile(small, "snntorch")
    made = executable.run(x, record=("spikes", "voltages"))
    made.save(folder / "r.npz")
    executable.run(x, record={"spikes": None, "rates": None}, to=folder / "s.npz")
    executable.run(x, keep_state=True)
    executable.state().save(folder / "state.npz")
    found["recording"] = [(folder / "r.npz").read_bytes(), (folder / "s.npz").read_bytes()]
    found["state"] = [(folder / "state.npz").read_bytes()]
    hasn.train(net(), samples(), epochs=1, checkpoint=folder / "run.pt")
    found["checkpoint"] = [(folder / "run.pt").read_bytes()]
    found["manifest"] = [(bundle(folder) / "manifest.json").read_bytes()]
    return found


def bundle(folder: Path) -> Path:
    """An exported folder, for the inputs that are files of one."""
    from hasn.conversions.loihi.export.bundle import export_bundle

    if not (folder / "chip").exists():
        export_bundle(network(), folder / "chip")
    return folder / "chip"


def _saved(graph: nir.NIRGraph, path: Path) -> bytes:
    hasn.save(graph, path, force=True)
    return path.read_bytes()


def _shape(graph: nir.NIRGraph) -> tuple[int, ...]:
    (shape,) = (node.input_type["input"] for node in graph.nodes.values() if isinstance(node, nir.Input))
    return tuple(map(int, shape))
