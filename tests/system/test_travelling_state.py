"""1,000 steps at once, in parts, and in parts on one backend after the other: the same spikes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from numpy.typing import NDArray

import hasn
from hasn.nodes import NoiseInput, PoissonInput
from tests.graphs import DT, Draw, graph, inp, out, spikes

STEPS = 1000
X = spikes((4,), STEPS, batch=2, rate=0.3)
#: Every kind of neuron: what it is made with, and the options of the call.
KINDS: dict[str, tuple[str, dict[str, Any], dict[str, str]]] = {
    "I": ("I", {}, {}),
    "IF": ("IF", {"refractory": 3 * DT}, {"reset": "subtract"}),
    "LI": ("LI", {}, {}),
    "LIF": ("LIF", {"v_init": 0.3}, {}),
    "LIF held": ("LIF", {"refractory": np.arange(5) * 2 * DT}, {"method": "exact"}),
    "CubaLI": ("CubaLI", {}, {}),
    "CubaLIF": ("CubaLIF", {}, {"method": "exact"}),
    "CubaLIF held": ("CubaLIF", {"refractory": 4 * DT}, {"reset": "subtract"}),
    "AdaptiveLIF": ("AdaptiveLIF", {"refractory": 2 * DT}, {"reset": "subtract"}),
    "ResonateFire": ("ResonateFire", {}, {"method": "exact"}),
}


def net(kind: str, metadata: dict[str, Any]) -> nir.NIRGraph:
    """An Input, trains and a current into the population; a loop with delays, and a readout behind another delay."""
    d = Draw(11)
    # An integrator without a leak would run away: its loop holds it back.
    mean = -0.3 if kind == "I" else -0.02
    nodes = {
        "input": inp(4), "in": d.linear(5, 4, mean=0.1), "trains": PoissonInput(np.full(3, 150.0), np.full(3, 0.5), 8),
        "more": d.linear(5, 3, mean=0.1), "noise": NoiseInput(np.zeros(5), np.full(5, 0.05), 3),
        "n": d.neuron(kind, (5,), metadata=metadata), "late": nir.Delay(np.array([0, 1, 7, 3, 12]) * DT),
        "back": d.linear(5, 5, mean=mean, spread=0.05), "to": d.linear(3, 5, mean=0.5),
        "slow": nir.Delay(np.array([2, 0, 5]) * DT), "last": d.lif(3), "output": out(3),
    }  # fmt: skip
    paths = ("input > in > n > late > back > n", "trains > more > n", "noise > n", "n > to > slow > last > output")
    return graph(nodes, *paths, dt=DT)


def in_parts(kind: str, backends: list[str], cuts: list[int], folder: Path | None = None) -> dict[str, NDArray[Any]]:
    """Spikes of a run that stops at each cut and goes on on the next backend, from a file where there is a folder."""
    name, metadata, options = KINDS[kind]
    parts, state = [], None
    for backend, (first, last) in zip(backends, pairwise(cuts), strict=True):
        with hasn.compile(net(name, metadata), backend, **options) as executable:
            parts.append(executable.run(X[first:last], state=state, keep_state=True).spikes)
            state = executable.state()
        if folder is not None:
            state.save(folder / "state.npz")
            state = hasn.load_state(folder / "state.npz")
    return {node: np.concatenate([part[node] for part in parts]) for node in parts[0]}


def whole(kind: str) -> dict[str, NDArray[Any]]:
    name, metadata, options = KINDS[kind]
    with hasn.compile(net(name, metadata), "snntorch", **options) as executable:
        return dict(executable.run(X).spikes)


def assert_same(found: dict[str, NDArray[Any]], wanted: dict[str, NDArray[Any]]) -> None:
    assert set(found) == set(wanted)
    for node, train in wanted.items():
        assert found[node].shape == (STEPS, 2, *train.shape[2:])
        differing = np.argwhere(found[node] != train)
        assert not differing.size, f"{node}: {len(differing)} differ, first at {differing[0]}"
        assert 0.002 < train.mean() < 0.9, f"{node} fires in {train.mean():.2%}"


@pytest.mark.parametrize("kind", KINDS)
def test_a_thousand_steps_are_their_parts(kind: str) -> None:
    cuts = [0, 1, 2, 6, 300, 301, 777, STEPS]
    assert_same(in_parts(kind, ["snntorch"] * 7, cuts), whole(kind))


@pytest.mark.parametrize("kind", ["LIF held", "CubaLIF", "LI"])
def test_a_thousand_steps_are_their_parts_on_brian2(kind: str) -> None:
    assert_same(in_parts(kind, ["brian2"] * 3, [0, 6, 300, STEPS]), whole(kind))


@pytest.mark.lava
@pytest.mark.parametrize("kind", KINDS)
def test_300_steps_on_brian2_300_on_snntorch_and_400_on_lava_are_a_thousand_on_one(kind: str, tmp_path: Path) -> None:
    found = in_parts(kind, ["brian2", "snntorch", "lava"], [0, 300, 600, STEPS], tmp_path)
    assert_same(found, whole(kind))


@pytest.mark.lava
def test_lavas_state_goes_on_elsewhere(tmp_path: Path) -> None:
    found = in_parts("CubaLIF held", ["lava", "lava", "brian2"], [0, 60, 120, STEPS], tmp_path)
    assert_same(found, whole("CubaLIF held"))
