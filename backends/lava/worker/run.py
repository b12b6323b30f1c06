"""Runs the network of a folder on Lava: ``manifest.json`` and ``network.npz`` become Lava's processes.

Standard library, numpy and lava-nc alone: hasn's worker uses this file, and an exported folder holds a copy of it.
"""

from __future__ import annotations

import json
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
            raise Refused(f"bundle format {self.manifest['format']}; this reads {FORMAT}")
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

    def process(self, name: str, graded: bool) -> Any:
        """The stock Lava process of a cell.

        Args:
            name: the cell.
            graded: whether a connection's source sends other numbers than 0 and 1.
        """
        from lava.proc.dense.process import DelayDense, Dense
        from lava.proc.lif.process import LIF
        from lava.proc.sparse.process import Sparse

        cell, arrays = self.cells[name], self.arrays[name]
        if cell["kind"] == "lif":
            numbers = {key: cell[key] for key in ("du", "dv", "vth")}
            vectors = {key: arrays[key] for key in ("bias_mant", "bias_exp", "v") if key in arrays}
            return LIF(shape=(int(cell["size_out"]),), name=name, **numbers, **vectors)
        common: Cell = {"name": name, "num_message_bits": GRADED_BITS if graded else 0}
        common["weights"] = self.matrix(name, "weights")
        if self.fixed:
            common |= {"weight_exp": int(cell["weight_exp"]), "num_weight_bits": 8}
        if cell["kind"] == "delay_dense":
            return DelayDense(delays=arrays["delays"].astype(int), **common)
        return {"dense": Dense, "sparse": Sparse}[cell["kind"]](**common)
