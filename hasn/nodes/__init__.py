"""Kinds of node, a file each: parameters and units, shapes, meaning. Plug-ins add more (:mod:`hasn.nodes.kind`).

Here are the node types that NIR 1.0.8 does not have.
"""

from hasn.nodes.adaptive import AdaptiveLIF
from hasn.nodes.drawn import NoiseInput, PoissonInput
from hasn.nodes.resonate import ResonateFire
from hasn.nodes.sparse import SparseLinear

__all__ = ["AdaptiveLIF", "NoiseInput", "PoissonInput", "ResonateFire", "SparseLinear"]
