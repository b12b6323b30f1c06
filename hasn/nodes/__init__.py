"""Kinds of node, a file each: parameters and units, shapes, meaning. Plug-ins add more (:mod:`hasn.nodes.kind`).

Here are the node types that NIR 1.0.8 does not have.
"""

from hasn.nodes.adaptive import AdaptiveLIF
from hasn.nodes.drawn import NoiseInput, PoissonInput
from hasn.nodes.homeostatic import HomeostaticLIF
from hasn.nodes.resonate import ResonateFire
from hasn.nodes.sparse import SparseLinear

__all__ = ["AdaptiveLIF", "HomeostaticLIF", "NoiseInput", "PoissonInput", "ResonateFire", "SparseLinear"]
