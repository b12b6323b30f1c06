"""A network as files (``manifest.json``, ``network.npz``), and as Lava's processes, simulated or on a Loihi 2 chip.

Standard library, numpy and lava-nc 0.10 alone: hasn's simulation and exported folders use this very file.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 2
#: Bits of a graded spike on Loihi 2. In floating point, any number makes Lava multiply instead of select.
GRADED_BITS = 24

Cell = dict[str, Any]


class Refused(ValueError):
    """The folder or a request has a mistake; the text says which."""


class Bundle:
    """A mapped network.

    Attributes:
        manifest: see ``hasn.backends.lava.mapping``.
        arrays: cell -> {array's name: array}.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if self.manifest["format"] != FORMAT:
            newer = "; a newer hasn wrote it" if self.manifest["format"] > FORMAT else ""
            raise Refused(f"bundle format {self.manifest['format']}{newer}; this reads {FORMAT}")
        self.cells: dict[str, Cell] = {cell["name"]: cell for cell in self.manifest["cells"]}
        self.arrays: dict[str, dict[str, Any]] = {name: {} for name in self.cells}
        with np.load(folder / "network.npz", allow_pickle=False) as stored:
            for key in stored.files:
                cell, name = key.split("/", 1)
                self.arrays[cell][name] = stored[key]

    @property
    def fixed(self) -> bool:
        """Whether it is in the chip's integers."""
        return bool(self.manifest["precision"] == "loihi")

    @property
    def tag(self) -> str:
        """Which of Lava's process models run it."""
        return "fixed_pt" if self.fixed else "floating_pt"

    def matrix(self, cell: str, name: str) -> Any:
        """A weight matrix: dense as it was written, or csr from its three parts."""
        arrays = self.arrays[cell]
        if name in arrays:
            return arrays[name]
        from scipy.sparse import csr_matrix

        parts = (arrays[f"{name}.data"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"])
        rows, columns = arrays[f"{name}.shape"].tolist()
        return csr_matrix(parts, shape=(rows, columns))

    # --- processes

    def process(self, name: str, graded: bool, bounded: Any = None) -> Any:
        """The stock Lava process of a cell.

        Args:
            name: the cell.
            graded: whether a connection's source sends other numbers than 0 and 1.
            bounded: the class of a learning connection whose weights have ``bounds``.
        """
        from lava.proc.dense.process import DelayDense, Dense, LearningDense
        from lava.proc.lif.process import LIF, LIFRefractory
        from lava.proc.sparse.process import Sparse

        cell, arrays = self.cells[name], self.arrays[name]
        if cell["kind"] in ("lif", "lif_refractory"):
            numbers = {key: cell[key] for key in ("du", "dv", "vth", "refractory_period") if key in cell}
            vectors = {key: arrays[key] for key in ("bias_mant", "bias_exp", "v") if key in arrays}
            kind = LIF if cell["kind"] == "lif" else LIFRefractory
            return kind(shape=(int(cell["size_out"]),), name=name, **numbers, **vectors)
        common: Cell = {"name": name, "num_message_bits": GRADED_BITS if graded else 0}
        common["weights"] = self.matrix(name, "weights")
        if self.fixed:
            common |= {"weight_exp": int(cell["weight_exp"]), "num_weight_bits": 8}
        if cell["kind"] == "learning_dense":
            more = {**common, **_learning(cell)}
            return bounded(bounds=cell["bounds"], **more) if "bounds" in cell else LearningDense(**more)
        if cell["kind"] == "delay_dense":
            return DelayDense(delays=arrays["delays"].astype(int), **common)
        return {"dense": Dense, "sparse": Sparse}[cell["kind"]](**common)

    def digest(self) -> str:
        """Of all registers, weights and wires."""
        wiring = {key: self.manifest[key] for key in ("cells", "wires", "inputs", "populations", "outputs")}
        found = hashlib.sha256(json.dumps(wiring, sort_keys=True).encode())
        for cell, arrays in sorted(self.arrays.items()):
            for name, array in sorted(arrays.items()):
                found.update(
                    f"{cell}/{name} {array.dtype} {array.shape}".encode() + np.ascontiguousarray(array).tobytes()
                )
        return found.hexdigest()


def _learning(cell: Cell) -> Cell:
    """How a connection learns, as its process takes it."""
    from lava.magma.core.learning.learning_rule import Loihi2FLearningRule
    from lava.utils.weightutils import SignMode

    return {"learning_rule": Loihi2FLearningRule(**cell["rule"]), "sign_mode": SignMode[cell["sign"].upper()]}


# --- running


def play(bundle: Bundle, inputs: dict[str, Any], steps: int, hardware: bool, lag: int) -> dict[str, Any]:
    """Run one sample from the initial state.

    Args:
        bundle: the network.
        inputs: Input -> integers (T, n).
        steps: T.
        hardware: on a chip, through its spike adapters, and without voltages.
        lag: steps that spikes take through the adapters.

    Returns:
        {"spikes/NAME" or "voltages/NAME": (T, n)} in the time of the graph: shifts are taken out.
    """
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2HwCfg, Loihi2SimCfg

    manifest = bundle.manifest
    total = steps + max((place["shift"] for place in manifest["populations"].values()), default=0) + lag
    built = {
        name: bundle.process(name, manifest["inputs"].get(cell.get("source"), {}).get("graded", False))
        for name, cell in bundle.cells.items()
    }
    for source, target in manifest["wires"]:
        of = built[source]
        (of.s_out if hasattr(of, "s_out") else of.a_out).connect(
            built[target].a_in if hasattr(built[target], "a_in") else built[target].s_in
        )
    for name, entry in manifest["inputs"].items():
        if entry["targets"]:
            data = np.zeros((entry["size"], total), dtype=np.int32)
            data[:, entry["shift"] : entry["shift"] + steps] = inputs[name].T
            _feed(data, [built[target] for target in entry["targets"]], hardware, entry["graded"])
    reads = list(_reads(bundle, built, total, hardware))
    configuration = (Loihi2HwCfg if hardware else Loihi2SimCfg)(select_tag=bundle.tag)
    for process in built.values():  # parts of a network that nothing connects run one after the other
        if process.runtime is None:
            process.run(condition=RunSteps(num_steps=total), run_cfg=configuration)
    found: dict[str, Any] = {}
    for key, cell, read in reads:
        place = manifest["populations"][key.split("/", 1)[1]]
        values = found.setdefault(key, np.zeros((steps, place["size"]), dtype=np.int32))
        first = place["shift"] + lag
        values[:, bundle.arrays[cell]["members"]] = np.asarray(read())[first : first + steps]
    for process in built.values():
        if process.runtime is not None:
            process.stop()
    return found


def _feed(data: Any, targets: list[Any], hardware: bool, graded: bool) -> None:
    from lava.proc.io.source import RingBuffer

    port = RingBuffer(data=data).s_out
    if hardware:
        from lava.proc.embedded_io.spike import PyToNxAdapter

        adapter = PyToNxAdapter(shape=data.shape[:1], num_message_bits=GRADED_BITS if graded else 0)
        port.connect(adapter.inp)
        port = adapter.out
    for target in targets:
        port.connect(target.s_in)


def _reads(bundle: Bundle, built: dict[str, Any], total: int, hardware: bool) -> Iterator[tuple[str, str, Any]]:
    """(key of the result, cell, a function that gives its values (steps, n))."""
    from lava.proc.io.sink import RingBuffer
    from lava.proc.monitor.process import Monitor

    for name, place in bundle.manifest["populations"].items():
        for cell in place["cells"]:
            if place["spiking"]:
                sink = RingBuffer(shape=built[cell].s_out.shape, buffer=total)
                _sink(built[cell].s_out, hardware).connect(sink.a_in)
                yield f"spikes/{name}", cell, lambda sink=sink: sink.data.get().T
            elif not hardware:
                monitor = Monitor()
                monitor.probe(built[cell].v, total)
                yield f"voltages/{name}", cell, lambda m=monitor, c=cell: m.get_data()[c]["v"]


def _sink(port: Any, hardware: bool) -> Any:
    if not hardware:
        return port
    from lava.proc.embedded_io.spike import NxToPyAdapter

    adapter = NxToPyAdapter(shape=port.shape)
    port.connect(adapter.inp)
    return adapter.out


def run_all(bundle: Bundle, inputs: dict[str, Any], hardware: bool, lag: int) -> dict[str, Any]:
    """Run every sample of inputs (T, batch, n): {key: (T, batch, n)}."""
    steps, batch = next(iter(inputs.values())).shape[:2]
    runs = []
    for sample in range(batch):
        sys.stderr.write(f"sample {sample + 1} of {batch}, {steps} steps\n")
        runs.append(play(bundle, {name: x[:, sample] for name, x in inputs.items()}, steps, hardware, lag))
    return {key: np.stack([run[key] for run in runs], axis=1) for key in runs[0]}
