"""Doubles of Norse, Sinabs and SpikingJelly: as much of their modules as the conversions look at.

They let the conversions be tested where a tool is not installed. What a neuron computes is written out by the tests,
from the equations at the head of each conversion; only the tools themselves prove that these are theirs.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import nir
import numpy as np
import pytest

import hasn

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")
from torch import nn  # noqa: E402

DT = 2e-3
X = np.random.default_rng(4).uniform(0, 1.2, (150, 2, 2))
W = np.array([[1.0, 0.5], [0.25, 1.5], [2.0, -0.5]])


class Layer(nn.Module):
    """A neuron: its settings are attributes, and torch.fx does not look into it."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        for name, value in settings.items():
            setattr(self, name, value)

    def forward(self, x: Any, state: Any = None) -> Any:
        raise NotImplementedError


def linear(weight: Any = W) -> Any:
    made = nn.Linear(*np.shape(weight)[::-1], bias=False).double()
    with torch.no_grad():
        made.weight.copy_(torch.as_tensor(weight))
    return made


def net(*neurons: Any, container: Any = nn.Sequential) -> Any:
    """Two inputs, three neurons: paths "0" and "1"."""
    return container(linear(), *neurons).eval()


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


def kinds(home: str, *names: str, base: Any = Layer) -> dict[str, Any]:
    """A class for each name, as if it stood in the module ``home``."""
    bases = base if isinstance(base, tuple) else (base,)
    return {name: type(name, bases, {"__module__": home}) for name in names}


class SequentialState(nn.Sequential):
    """Norse's."""

    def __init__(self, *parts: Any, return_hidden: bool = False) -> None:
        super().__init__(*parts)
        self.stateful_layers = [isinstance(part, Layer | SequentialState) for part in parts]
        self.return_hidden = return_hidden

    def forward(self, x: Any, state: Any = None) -> Any:
        state = [None] * len(self) if state is None else state
        for i, part in enumerate(self):
            if self.stateful_layers[i]:
                x, state[i] = part(x, state[i])
            else:
                x = part(x)
        return x, state


class Lift(nn.Module):
    """Norse's."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.lifted_module = module
        self.is_stateful = isinstance(module, Layer | SequentialState)

    def forward(self, x: Any) -> Any:
        found, state = [], None
        for now in x:
            made = self.lifted_module(now, state) if self.is_stateful else self.lifted_module(now)
            given, state = made if self.is_stateful else (made, None)
            found.append(given)
        return (torch.stack(found), state) if self.is_stateful else torch.stack(found)


class Parameters(SimpleNamespace):
    """Norse's parameters; without arguments its defaults."""

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


def require(graph: nir.NIRGraph, wanted: np.ndarray[Any, Any]) -> None:
    """The graph's spikes are these, and neither few nor many."""
    got = hasn.compile(graph, "snntorch").run(X).outputs["output"]
    assert 0.03 < wanted.mean() < 0.97
    np.testing.assert_array_equal(got > 0, wanted)
    assert graph.metadata["dt"] == DT
