"""Surrogate-gradient training of a NIR graph: :func:`hasn.train` and what its options take.

:func:`pipelined` trains a graph that exceeds one device.

Nothing here imports torch before training starts.
"""

from hasn.backends.snntorch.training.bar import ProgressBar
from hasn.backends.snntorch.training.consolidation import ElasticWeights, SynapticIntelligence
from hasn.backends.snntorch.training.during import BatchNorm, Dropout
from hasn.backends.snntorch.training.losses import (
    Loss,
    Several,
    Shown,
    count,
    cross_entropy,
    first_spike,
    membrane,
    rate,
)
from hasn.backends.snntorch.training.origin import graph_of
from hasn.backends.snntorch.training.pipeline import pipelined
from hasn.backends.snntorch.training.pruning import Pruning
from hasn.backends.snntorch.training.regularisers import RateTarget, SynapticCost
from hasn.backends.snntorch.training.result import Epoch, Step, TrainResult

__all__ = [
    "BatchNorm",
    "Dropout",
    "ElasticWeights",
    "Epoch",
    "Loss",
    "ProgressBar",
    "Pruning",
    "RateTarget",
    "Several",
    "Shown",
    "Step",
    "SynapticCost",
    "SynapticIntelligence",
    "TrainResult",
    "count",
    "cross_entropy",
    "first_spike",
    "graph_of",
    "membrane",
    "pipelined",
    "rate",
]
