"""Run by Lava's own Python: lava-dl's NetX reader builds the network of a .net file, and Lava's fixed_pt runs it.

    python netx_reads.py FOLDER

FOLDER/<name>.net is read for each FOLDER/<name>.in.npz: options (JSON, for ``hdf5.Network``) and inputs (T, *shape of
Network.inp). <name>.out.npz gets the spikes (T, *shape of Network.out), what the reader made of each layer's registers
(du<i>, dv<i>, vth<i>), each layer's u<i> and v<i> after every step, and the kinds of its layers.

lava-dl imports torch where its reader needs none of it: for type hints, and for the neurons that SLAYER trains. Where
torch is missing, stand-ins take the place of these two modules; the reader itself runs as it is.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np


def _module(name: str, **contents: Any) -> None:
    made = types.ModuleType(name)
    made.__dict__.update(contents)
    made.__path__ = []
    sys.modules[name] = made


def reader() -> Any:
    """lava.lib.dl.netx.hdf5."""
    if importlib.util.find_spec("torch") is None:
        _module("torch", tensor=object)
        _module("lava.lib.dl.slayer")
        _module("lava.lib.dl.slayer.neuron")
        _module("lava.lib.dl.slayer.neuron.rf", neuron_params=None)
    from lava.lib.dl.netx import hdf5

    return hdf5


def run(hdf5: Any, path: Path, options: dict[str, int], inputs: np.ndarray) -> dict[str, np.ndarray]:
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    network = hdf5.Network(net_config=str(path), **options)
    source = Source(data=np.moveaxis(inputs, 0, -1).astype(np.int32))
    sink = Sink(shape=network.out.shape, buffer=len(inputs))
    source.s_out.connect(network.inp)
    network.out.connect(sink.a_in)
    found = {
        f"{key}{i}": np.asarray(getattr(layer.neuron, key).init)
        for i, layer in enumerate(network.layers)
        for key in ("du", "dv", "vth")
    }
    found["kinds"] = np.array([layer.block for layer in network.layers])
    states = [(f"{key}{i}", getattr(layer.neuron, key)) for i, layer in enumerate(network.layers) for key in ("u", "v")]
    traces: dict[str, list[np.ndarray]] = {name: [] for name, _ in states}
    try:
        for _ in inputs:
            network.run(condition=RunSteps(num_steps=1), run_cfg=Loihi2SimCfg(select_tag="fixed_pt"))
            for name, variable in states:
                traces[name].append(variable.get().astype(int))
        found["spikes"] = np.moveaxis(sink.data.get(), -1, 0)
    finally:
        network.stop()
    found |= {name: np.stack(trace) for name, trace in traces.items()}
    return found


def main(folder: Path) -> None:
    hdf5 = reader()
    for task in sorted(folder.glob("*.in.npz")):
        name = task.name.removesuffix(".in.npz")
        with np.load(task) as given:
            found = run(hdf5, folder / f"{name}.net", json.loads(str(given["options"])), given["inputs"])
        np.savez(folder / f"{name}.out.npz", **found)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
