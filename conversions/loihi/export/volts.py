"""A graph in the chip's units as one in volts, when only its scales are known: neurons change, weights stay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import nir
import numpy as np

from hasn.ir.structure import flatten
from hasn.ir.typed import copy_graph

if TYPE_CHECKING:
    from hasn.conversions.loihi.network import Scale


def in_volts(graph: nir.NIRGraph, scales: Mapping[str, Scale], input_scales: Mapping[str, float]) -> nir.NIRGraph:
    """Divide every voltage by its scale.

    With ``v = v_chip / scale + offset`` the update of v keeps its time constants; R is divided by the scale, the
    threshold and v_leak are mapped as voltages are. An Input whose data was scaled gets a Scale behind it, but for
    Outputs that show it.

    Args:
        graph: in the chip's units; not changed.
        scales: for every population.
        input_scales: Input -> factor of its data.
    """
    made = copy_graph(graph)
    for name, node in flatten(made).nodes.items():
        if name in scales:
            _scale(node, np.asarray(scales[name].scale), np.asarray(scales[name].offset))
    for name, factor in input_scales.items():
        if factor != 1.0:
            shape = np.asarray(made.nodes[name].input_type["input"])
            behind = f"{name}_scale"
            while behind in made.nodes:
                behind += "_"
            made.nodes[behind] = nir.Scale(np.full(tuple(shape.tolist()), factor))
            weighted = [a == name and not isinstance(made.nodes[b], nir.Output) for a, b in made.edges]
            edges = zip(weighted, made.edges, strict=True)
            made.edges = [(behind if scaled else a, b) for scaled, (a, b) in edges] + [(name, behind)]
    return made


def _scale(node: Any, scale: Any, offset: Any) -> None:
    node.r = node.r / scale
    for voltage in ("v_threshold", "v_leak", "v_reset"):
        if hasattr(node, voltage):
            setattr(node, voltage, getattr(node, voltage) / scale + offset)
    initial = np.asarray(node.metadata.get("v_init", 0.0)) / scale + offset
    node.metadata.pop("v_init", None)
    if np.any(initial):
        node.metadata["v_init"] = np.array(initial)
