"""Reads what hasn wrote: ``manifest.json`` (cells, wires, populations, inputs) and ``arrays.npz`` (their arrays)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

FORMAT = 1


class Bundle:
    """A mapped network.

    Attributes:
        manifest: see ``hasn.backends.lava.mapping``.
        arrays: cell -> {array's name: array}.
    """

    def __init__(self, folder: Path) -> None:
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        if self.manifest["format"] != FORMAT:
            raise ValueError(f"bundle format {self.manifest['format']}, this worker reads {FORMAT}")
        self.arrays: dict[str, dict[str, Any]] = {cell["name"]: {} for cell in self.manifest["cells"]}
        with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
            for key in stored.files:
                cell, name = key.split("/", 1)
                self.arrays[cell][name] = stored[key]

    def matrix(self, cell: str, name: str) -> Any:
        """A weight matrix: dense as it was written, or csr from its three parts."""
        arrays = self.arrays[cell]
        if name in arrays:
            return arrays[name]
        parts = (arrays[f"{name}.data"], arrays[f"{name}.indices"], arrays[f"{name}.indptr"])
        rows, columns = arrays[f"{name}.shape"].tolist()
        return csr_matrix(parts, shape=(rows, columns))
