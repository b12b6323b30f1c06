"""Nested graphs in hardware time: the same network, written flat or nested, takes the same steps."""

from __future__ import annotations

import nir
import numpy as np

import hasn
from hasn.program.fuse import fuse
from hasn.testing import reference
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


def test_an_output_inside_that_adds_up_over_time_takes_its_input_after_a_step() -> None:
    """It has a loop of its own, and so stays a node; only the graph's own Outputs are read out within the step."""
    d = Draw(4)
    inner = graph({"in": inp(3), "lif": d.lif(3), "out": out(3)}, "in > lif > out")
    inner.edges.append(("out", "out"))
    net = graph({"input": inp(3), "w": d.linear(3, 3), "g": inner, "output": out(3)}, "input > w > g > output")
    x = spikes((3,), 30, 2)
    found = hasn.compile(net, "snntorch", dt=DT, timing="hardware").run(x)
    wanted = reference.run(net, {"input": x}, DT, "euler", "zero", "hardware")
    spikes_before = np.cumsum(wanted.spikes["g.lif"], axis=0)[:-1]
    assert spikes_before.max() > 5
    np.testing.assert_array_equal(wanted.outputs["output"][1:], spikes_before)
    np.testing.assert_array_equal(found.outputs["output"], wanted.outputs["output"])


def test_a_chain_of_a_thousand_stateless_nodes() -> None:
    scales = {f"s{i:04d}": nir.Scale(np.full(2, 1.0 + 1e-4 * (i % 3))) for i in range(1200)}
    g = graph({"input": inp(2), **scales, "output": out(2)}, " > ".join(["input", *scales, "output"]))
    (projection,) = fuse(hasn.lower(g, dt=DT)).projections
    expected = np.prod([float(node.scale[0]) for node in scales.values()])
    np.testing.assert_allclose(projection.weights.toarray(), expected * np.eye(2), rtol=1e-12)
