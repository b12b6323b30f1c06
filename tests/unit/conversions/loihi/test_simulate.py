"""Runs that see what no recording shows: wraps, clips, and how far currents and voltages go."""

from __future__ import annotations

import numpy as np
import pytest

from hasn.conversions.loihi.quantising import simulate
from hasn.conversions.loihi.quantising.simulate import run_integers
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.integers.lower import to_integers
from tests.edges import CASES, EDGES


@pytest.mark.parametrize(("name", "spiking"), CASES)
def test_the_ends_of_the_registers(name: str, spiking: bool) -> None:
    """u and v of each step, what is sent, and how often u wrapped and v clipped."""
    edge = EDGES[name]
    network = to_integers(fuse(lower(edge.graph(spiking))))
    u, v, z = edge.wanted
    run = simulate._IntegerRun(network, {"in": edge.inputs[:, None]})
    for t in range(len(u)):
        run.update(t)
        now_u, now_v = (state[0, 0] for state in run.states["n"])
        assert (now_u, now_v) == (u[t], v[t])
    trace = run_integers(network, {"in": edge.inputs[:, None]})["n"]
    assert trace.output[:, 0, 0].tolist() == (z if spiking else v)
    assert (trace.wraps, trace.clips) == (edge.wraps, edge.clips)


def test_the_largest_of_each_neuron_before_wrap_clip_and_reset() -> None:
    """du = 2047 keeps half of u. Two samples, the larger counts; the sign does not."""
    edge = EDGES["a current kept, inputs of several turns"]
    network = to_integers(fuse(lower(edge.graph())))
    x = np.stack([edge.inputs, -2 * edge.inputs], axis=1)[:1]
    trace = run_integers(network, {"in": x})["n"]
    assert trace.current.tolist() == [2 * 64 * 393217]
    assert trace.voltage.tolist() == [2 * 64 * 393217 - 2**24]
    assert (trace.wraps, trace.clips) == (2, 2)
