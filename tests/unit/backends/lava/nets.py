"""Networks of these tests, and the judge: SEMANTICS in plain NumPy (hasn.testing.reference)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.backends.lava import BACKEND
from hasn.testing.reference import Reference, run
from tests.graphs import DT, Draw, graph, inp, out, spikes

needs_lava = [pytest.mark.lava, pytest.mark.skipif(bool(BACKEND.why_not()), reason=BACKEND.why_not() or "installed")]

#: What stock LIF can express: one number for all neurons, no leak potential, reset to 0.
IF: dict[str, Any] = {"v_reset": 0.0, "v_threshold": 0.9}
LIF: dict[str, Any] = {**IF, "v_leak": 0.0, "tau": 8e-3}
CUBA: dict[str, Any] = {**IF, "v_leak": 0.0, "tau_mem": 9e-3, "tau_syn": 5e-3}

#: Voltages are of order 1, and some 50 steps of rounding in sums of up to 12 terms lie between two orders of adding up.
ROUNDING = 1e-12


def feed_forward(kind: str = "LIF", seed: int = 3, **fixed: Any) -> nir.NIRGraph:
    """input (6) > w1 > a (8) > w2 > b (5) > output."""
    draw = Draw(seed)
    settings = {**{"IF": IF, "LIF": LIF, "CubaLIF": CUBA}[kind], **fixed}
    nodes = {
        "input": inp(6),
        "w1": draw.linear(8, 6),
        "a": draw.neuron(kind, (8,), **settings),
        "w2": draw.linear(5, 8),
        "b": draw.neuron(kind, (5,), **settings),
        "output": out(5),
    }
    return graph(nodes, "input > w1 > a > w2 > b > output")


def recurrent(kind: str = "LIF", seed: int = 3, **fixed: Any) -> nir.NIRGraph:
    """As above, and a > rec > a."""
    plain = feed_forward(kind, seed, **fixed)
    rec = Draw(seed + 1).linear(8, 8, mean=-0.05)
    return nir.NIRGraph({**plain.nodes, "rec": rec}, [*plain.edges, ("a", "rec"), ("rec", "a")], type_check=False)


def loop(seed: int = 3, **fixed: Any) -> nir.NIRGraph:
    """a and b excite each other over one feedback edge: hardware needs two steps."""
    plain = feed_forward("LIF", seed, **fixed)
    back = Draw(seed + 1).linear(8, 5, mean=0.1)
    return nir.NIRGraph({**plain.nodes, "back": back}, [*plain.edges, ("b", "back"), ("back", "a")], type_check=False)


def judge(
    net: nir.NIRGraph, x: Any, method: str = "euler", reset: str = "zero", timing: str = "synchronous"
) -> Reference:
    """The reference's recording for inputs (T, batch, *shape)."""
    inputs = x if isinstance(x, dict) else {"input": x}
    return run(net, inputs, DT, method, reset, timing)


def agree(net: nir.NIRGraph, x: Any, executable: Any, least: int = 30, **semantics: str) -> hasn.Recording:
    """Run on Lava and compare spikes, voltages and outputs with the reference.

    Args:
        least: spikes that each population must have, so that silence is not taken for agreement.
    """
    recording: hasn.Recording = executable.run(x, record=("spikes", "voltages"))
    expected = judge(net, x, **semantics)
    assert set(recording.spikes) == set(expected.spikes)
    for name, theirs in expected.spikes.items():
        assert theirs.sum() >= least, f"{name} is too quiet for a comparison"
        # A tie would make the spike a matter of rounding.
        assert expected.margins[name] > ROUNDING
        assert np.count_nonzero(recording.spikes[name] != (theirs > 0.5)) == 0, name
    for name, theirs in expected.voltages.items():
        np.testing.assert_allclose(recording.voltages[name], theirs, rtol=0, atol=ROUNDING, err_msg=name)
    for name, theirs in expected.outputs.items():
        np.testing.assert_allclose(recording.outputs[name], theirs, rtol=0, atol=ROUNDING, err_msg=name)
    return recording


def kinds(executable: Any) -> dict[str, str]:
    """Node -> the kind of process that it became."""
    return {cell.node: cell.kind for cell in executable.mapping.cells}


def not_on_chip(executable: Any) -> dict[str, str]:
    """Node -> why the chip cannot run it."""
    return {entry.node: entry.why for entry in executable.deployable if not entry.on_chip}


def some_spikes(steps: int = 50, batch: int | None = 2, seed: int = 5) -> Any:
    """Input spikes for the networks above."""
    return spikes((6,), steps, batch, seed=seed)


def group_members(pgid: int) -> list[int]:
    """Live processes (zombies are dead) of a process group, by /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == pgid and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found
