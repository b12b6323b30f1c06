"""Doubles of Norse, Sinabs and SpikingJelly: as much of their modules as the conversions look at, in plain Python.

They let the conversions be tested where a tool is not installed. What a neuron computes is written out by the tests,
from the equations at the head of each conversion; only the tools themselves prove that these are theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

W = np.array([[1.0, 0.5], [0.25, 1.5], [2.0, -0.5]])


class Module:
    """A torch module, as far as the conversions look at it: parts by name."""

    training = False
    _forward_pre_hooks: dict[int, Any] = {}  # noqa: RUF012

    def __init__(self, **parts: Any) -> None:
        self.parts = parts

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        yield prefix, self
        for name, part in self.parts.items():
            yield from part.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Any]:
        return (part for _, part in self.named_modules())

    def children(self) -> Iterator[Any]:
        return iter(self.parts.values())


class Linear(Module):
    """Weights ``W``."""


class Layer(Module):
    """A neuron: its settings are attributes."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.__dict__.update(settings)


def net(neuron: Layer) -> Module:
    """Two inputs, three neurons: paths "0" and "1"."""
    return Module(**{"0": Linear(), "1": neuron})


def exported(neuron: nir.NIRNode, prefix: str = "") -> nir.NIRGraph:
    """What a tool's exporter gives of ``net``, with a neuron of its own."""
    nodes = {"input": nir.Input(np.array([2])), f"{prefix}0": nir.Linear(W), f"{prefix}1": neuron,
             "output": nir.Output(np.array([3]))}  # fmt: skip
    edges = [("input", f"{prefix}0"), (f"{prefix}0", f"{prefix}1"), (f"{prefix}1", "output")]
    return nir.NIRGraph(nodes, edges, type_check=False)


def lif(**values: float) -> nir.LIF:
    """What exporters write: one value for all neurons."""
    given = {"tau": 1.0, "r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0, **values}
    return nir.LIF(**{name: np.array(value) for name, value in given.items()})


def install(monkeypatch: pytest.MonkeyPatch, modules: dict[str, dict[str, Any]]) -> None:
    """Put modules of these names in the place of whatever is installed; their parents too."""
    for name in sorted({".".join(full.split(".")[: i + 1]) for full in modules for i in range(full.count(".") + 1)}):
        made = ModuleType(name)
        made.__dict__.update(modules.get(name, {}))
        made.__path__ = []
        monkeypatch.setitem(sys.modules, name, made)
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, made)


def kinds(*names: str) -> dict[str, type[Layer]]:
    """A class of neurons for each name."""
    return {name: type(name, (Layer,), {}) for name in names}


class Parameters(SimpleNamespace):
    """Norse's parameters; without arguments its defaults, of which the exporter is fond."""

    def __init__(self, **values: Any) -> None:
        defaults = {"v_th": 1.0, "v_leak": 0.0, "v_reset": 0.0, "tau_mem_inv": 100.0, "tau_syn_inv": 200.0}
        super().__init__(**{**defaults, **values})


def spikes_of(v_of: Any, fires: Any, reset: Any, start: float, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Spikes of three neurons, step by step.

    Args:
        v_of: (v, what arrives) -> v of this step; may keep states of its own.
        fires: v -> spikes.
        reset: v -> v of a neuron that spiked.
        start: v before the first step.
        x: (T, batch, 2).
    """
    v, found = np.full((x.shape[1], 3), start), []
    for sample in x:
        v = v_of(v, sample @ W.T)
        found.append(fires(v))
        v = np.where(found[-1], reset(v), v)
    return np.array(found)
