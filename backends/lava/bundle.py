"""A mapping as files: ``manifest.json`` and ``network.npz``. What is simulated is what is shipped."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hasn.backends.lava.mapping import Mapping

FORMAT = 2


def write_bundle(mapping: Mapping, folder: Path) -> None:
    """Write a mapping into a folder, which is made.

    ``manifest.json``: see :func:`manifest`. ``network.npz``: ``<cell>/<array>``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest(mapping), indent=1), encoding="utf-8")
    np.savez(folder / "network.npz", **arrays(mapping))


def manifest(mapping: Mapping) -> dict[str, Any]:
    """Format, precision, delivery, cells (name, node, kind, stock, why_not, size_in, size_out and their settings),
    wires, inputs and populations."""
    cells = [
        {
            "name": cell.name,
            "node": cell.node,
            "kind": cell.kind,
            "stock": cell.stock,
            "why_not": cell.why_not,
            "size_in": cell.size_in,
            "size_out": cell.size_out,
            **cell.settings,
        }
        for cell in mapping.cells
    ]
    return {
        "format": FORMAT,
        "precision": mapping.precision,
        "delivery": mapping.delivery,
        "cells": cells,
        "wires": [list(wire) for wire in mapping.wires],
        "inputs": {name: asdict(entry) for name, entry in mapping.inputs.items()},
        "populations": {name: asdict(place) for name, place in mapping.populations.items()},
    }


def arrays(mapping: Mapping) -> dict[str, Any]:
    """``<cell>/<array>``."""
    return {f"{c.name}/{key}": array for c in mapping.cells for key, array in c.arrays.items()}
