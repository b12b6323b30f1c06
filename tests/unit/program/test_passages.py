"""Nested graphs in hardware time: the same network, written flat or nested, takes the same steps."""

from __future__ import annotations

import nir
import numpy as np

import hasn
from hasn.program.fuse import fuse
from hasn.testing.graphs import DT, Draw, graph, inp, out, spikes


def test_a_nested_graph_takes_no_steps_of_its_own() -> None:
    d = Draw(2)
    w, lif, back, end = d.linear(4, 3), d.lif(4), d.linear(4, 4, spread=0.1), d.lif(4)
    inner = graph({"in": inp(4), "lif": lif, "out": out(4)}, "in > lif > out")
    nested = graph({"input": inp(3), "w": w, "g": inner, "back": back, "end": end, "output": out(4), "probe": out(4)},
                   "input > w > g > back > end > output", "g > probe")  # fmt: skip
    flat = graph({"input": inp(3), "w": w, "lif": lif, "back": back, "end": end, "output": out(4), "probe": out(4)},
                 "input > w > lif > back > end > output", "lif > probe")  # fmt: skip
    x = spikes((3,), 60)
    one, other = (hasn.compile(g, "snntorch", dt=DT, timing="hardware").run(x) for g in (nested, flat))
    assert one.outputs["probe"].any()
    assert one.outputs["output"].any()
    for name in ("output", "probe"):
        np.testing.assert_array_equal(one.outputs[name], other.outputs[name])


def test_a_chain_of_a_thousand_stateless_nodes() -> None:
    scales = {f"s{i:04d}": nir.Scale(np.full(2, 1.0 + 1e-4 * (i % 3))) for i in range(1200)}
    g = graph({"input": inp(2), **scales, "output": out(2)}, " > ".join(["input", *scales, "output"]))
    (projection,) = fuse(hasn.lower(g, dt=DT)).projections
    expected = np.prod([float(node.scale[0]) for node in scales.values()])
    np.testing.assert_allclose(projection.weights.toarray(), expected * np.eye(2), rtol=1e-12)
