"""Surrogate-gradient training of a NIR graph: :func:`hasn.train` and what its options take.

:func:`pipelined` trains a graph that exceeds one device. This is the address of
:mod:`hasn.backends.snntorch.training`, where training lives; nothing is imported before it is asked for, torch not
before training starts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hasn.backends.snntorch.training import BatchNorm as BatchNorm
    from hasn.backends.snntorch.training import Dropout as Dropout
    from hasn.backends.snntorch.training import ElasticWeights as ElasticWeights
    from hasn.backends.snntorch.training import Epoch as Epoch
    from hasn.backends.snntorch.training import Loss as Loss
    from hasn.backends.snntorch.training import ProgressBar as ProgressBar
    from hasn.backends.snntorch.training import Pruning as Pruning
    from hasn.backends.snntorch.training import RateTarget as RateTarget
    from hasn.backends.snntorch.training import Several as Several
    from hasn.backends.snntorch.training import Shown as Shown
    from hasn.backends.snntorch.training import Step as Step
    from hasn.backends.snntorch.training import SynapticCost as SynapticCost
    from hasn.backends.snntorch.training import SynapticIntelligence as SynapticIntelligence
    from hasn.backends.snntorch.training import TrainResult as TrainResult
    from hasn.backends.snntorch.training import count as count
    from hasn.backends.snntorch.training import cross_entropy as cross_entropy
    from hasn.backends.snntorch.training import first_spike as first_spike
    from hasn.backends.snntorch.training import graph_of as graph_of
    from hasn.backends.snntorch.training import membrane as membrane
    from hasn.backends.snntorch.training import pipelined as pipelined
    from hasn.backends.snntorch.training import rate as rate


def __getattr__(name: str) -> Any:
    home = import_module("hasn.backends.snntorch.training")
    if name not in home.__all__:
        raise AttributeError(f"module 'hasn.training' has no attribute {name!r}")
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted(import_module("hasn.backends.snntorch.training").__all__)
