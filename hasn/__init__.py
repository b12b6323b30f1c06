"""hasn: one spiking network, written once as a NIR graph; every simulator and chip a way to run it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hasn.activity import check
    from hasn.agreement import Comparison, Divergence, compare
    from hasn.backend import Backend, BackendInfo, list_backends
    from hasn.backends.snntorch.training.api import train
    from hasn.backends.snntorch.training.result import TrainResult
    from hasn.compiler import compile
    from hasn.conversions.loihi.network import QuantisedNetwork
    from hasn.conversions.loihi.quantising.quantise import quantise
    from hasn.counts import Counts
    from hasn.energy.bench import neurobench
    from hasn.errors import HasnError
    from hasn.executable import Executable
    from hasn.finding import Finding
    from hasn.ir.load import load
    from hasn.ir.lower import lower
    from hasn.ir.repair import Repaired, repair
    from hasn.ir.save import save
    from hasn.recording import Recording
    from hasn.state import NetworkState, load_state

__all__ = [
    "Backend",
    "BackendInfo",
    "Comparison",
    "Counts",
    "Divergence",
    "Executable",
    "Finding",
    "HasnError",
    "NetworkState",
    "QuantisedNetwork",
    "Recording",
    "Repaired",
    "TrainResult",
    "check",
    "compare",
    "compile",
    "list_backends",
    "load",
    "load_state",
    "lower",
    "neurobench",
    "quantise",
    "repair",
    "save",
    "train",
]

#: Where each public name lives; imported on first use, so that `import hasn` costs next to nothing.
_HOMES = {
    "activity": ("check",),
    "agreement": ("Comparison", "Divergence", "compare"),
    "backend": ("Backend", "BackendInfo", "list_backends"),
    "compiler": ("compile",),
    "conversions.loihi.network": ("QuantisedNetwork",),
    "conversions.loihi.quantising.quantise": ("quantise",),
    "errors": ("HasnError",),
    "executable": ("Executable",),
    "finding": ("Finding",),
    "ir.load": ("load",),
    "ir.repair": ("Repaired", "repair"),
    "ir.save": ("save",),
    "ir.lower": ("lower",),
    "state": ("NetworkState", "load_state"),
    "counts": ("Counts",),
    "energy.bench": ("neurobench",),
    "recording": ("Recording",),
    "backends.snntorch.training.api": ("train",),
    "backends.snntorch.training.result": ("TrainResult",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        value = getattr(import_module(f"hasn.{_HOME_OF[name]}"), name)
        globals()[name] = value
        return value
    if name == "__version__":
        from importlib.metadata import version

        return version("hasn")
    if name in ("control", "energy", "errors", "models", "nodes", "plasticity", "training"):
        return import_module(f"hasn.{name}")
    raise AttributeError(f"module 'hasn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "control", "energy", "errors", "models", "nodes", "plasticity", "training"])
