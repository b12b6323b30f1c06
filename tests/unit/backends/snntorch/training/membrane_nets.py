"""A net whose last neurons feed themselves."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np

from tests.unit.backends.snntorch.training.task import DT, lif


def recurrent() -> nir.NIRGraph:
    """Spiking neurons that feed themselves stand before the Output, behind a Flatten."""
    nodes = {
        "in": nir.Input(np.array([12])),
        "w": nir.Linear(np.random.default_rng(3).normal(0.3, 0.3, (4, 12))),
        "n": lif(4),
        "flat": nir.Flatten({"input": np.array([4])}, 0, -1),
        "out": nir.Output(np.array([4])),
        "back": nir.Linear(np.random.default_rng(4).normal(0, 0.5, (4, 4))),
    }
    chain = ["in", "w", "n", "flat", "out"]
    return nir.NIRGraph(nodes, [*pairwise(chain), ("n", "back"), ("back", "n")], metadata={"dt": DT})
