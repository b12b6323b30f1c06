"""The plain runs that choose scales: outputs as the references have them; largest values, wraps and clips by hand."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from hasn.conversions.loihi.quantising import simulate
from hasn.conversions.loihi.quantising.simulate import Trace, run_float, run_integers
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.integers.encode import chip_neuron
from hasn.program.integers.lower import to_integers
from hasn.testing.integers import interpret
from hasn.testing.reference import run as reference
from tests.graphs import graph, inp, out
from tests.unit.conversions.loihi.bundles import chip_graph
from tests.unit.conversions.loihi.nets import DT, cuba, lif, spikes, weights
from tests.unit.conversions.loihi.quantising.wirings import CHAINS, N3, TOPOLOGIES

FLOAT = {**CHAINS, **TOPOLOGIES}


@pytest.mark.parametrize("timing", ["synchronous", "hardware"])
@pytest.mark.parametrize("name", FLOAT)
def test_the_float_run_is_what_the_graph_means(name: str, timing: str) -> None:
    """Against the reference that knows no lowering. Sums may be taken in another order: 1e-9 volts."""
    made, inputs = FLOAT[name]
    given = inputs if isinstance(inputs, dict) else {"input": inputs}
    given = {key: 20 * value[:20] for key, value in given.items()}
    wanted = reference(made, given, DT, "euler", "zero", timing)
    network = fuse(lower(made, timing=timing))
    found = run_float(network, given)
    assert set(found) == {p.name for p in network.populations if p.name not in given and p.name not in wanted.outputs}
    for node, trace in found.items():
        values = wanted.spikes[node] if node in wanted.spikes else wanted.voltages[node]
        assert np.any(values)
        np.testing.assert_allclose(trace.output, values.reshape(*values.shape[:2], -1).swapaxes(1, 2), atol=1e-9)
        assert (trace.wraps, trace.clips) == (0, 0)


def one(node: nir.NIRNode, weight: Any = 1.0, bias: float = 0.0) -> nir.NIRGraph:
    affine = nir.Affine(np.array([[weight]]), np.array([bias]))
    return graph({"input": inp(1), "w": affine, "n": node, "out": out(1)}, "input > w > n > out", dt=DT)


def column(*values: float) -> dict[str, Any]:
    return {"input": np.array(values).reshape(-1, 1, 1)}


@pytest.mark.parametrize(
    ("node", "bias", "inputs", "output", "current", "voltage"),
    [
        # v' = 0.75 v + x: 2, 0.5, then 2.375, above 2.25 and so back to 0, then -3
        (nir.LIF(np.array([4 * DT]), np.array([4.0]), np.zeros(1), np.array([2.25]), np.zeros(1)), 0.0,
         [2, -1, 2, -3], [0, 0, 1, 0], 3.0, 3.0),
        # the same with a bias, which is input: u has it
        (nir.LIF(np.array([4 * DT]), np.array([4.0]), np.zeros(1), np.array([2.5]), np.zeros(1)), 0.5,
         [2, 0], [0, 0], 2.5, 2.5),
        # v_reset -1: v = 2 is 3 above it; no spike at -1.5
        (nir.LIF(np.array([4 * DT]), np.array([4.0]), np.zeros(1), np.array([1.5]), np.array([-1.0])), 0.0,
         [2, -0.75], [1, 0], 2.0, 3.0),
        # no threshold: the voltage itself
        (nir.LI(np.array([4 * DT]), np.array([4.0]), np.zeros(1)), 0.0, [2, -1, -4], [2, 0.5, -3.625], 4.0, 3.625),
        # c' = 0.5 c + 3 x: 3, 1.5; v' = 0.75 v + 0.5 c: 1.5, 1.875; the current that counts is R dt/tau c
        (nir.CubaLI(tau_syn=np.array([2 * DT]), tau_mem=np.array([4 * DT]), r=np.array([2.0]), v_leak=np.zeros(1),
                    w_in=np.array([6.0])), 0.0, [1, 0], [1.5, 1.875], 1.5, 1.875),
        (nir.Threshold(np.array([1.5])), 0.0, [2, -3, 1.5], [1, 0, 0], 3.0, 3.0),
    ],
)  # fmt: skip
def test_largest_currents_and_voltages_of_a_float_run(
    node: nir.NIRNode, bias: float, inputs: list[float], output: list[float], current: float, voltage: float
) -> None:
    trace = run_float(fuse(lower(one(node, 1.0, bias))), column(*inputs))["n"]
    assert trace.output.ravel().tolist() == pytest.approx(output)
    assert (trace.current.tolist(), trace.voltage.tolist()) == (pytest.approx([current]), pytest.approx([voltage]))


def integers(made: nir.NIRGraph) -> Any:
    return to_integers(fuse(lower(made)))


def test_the_integer_run_is_bit_for_bit_the_plain_interpreter() -> None:
    """Recurrent, two thresholds, a drive, a readout with a bias, some 24 steps of a loop."""
    graph = chip_graph()
    x = (np.random.default_rng(4).random((24, 3, 2, 3)) < 0.5) * 3.0
    wanted = interpret(graph, {"input": x})
    found = run_integers(integers(graph), {"input": x})
    assert wanted.spikes["hidden"].any()
    np.testing.assert_array_equal(found["hidden"].output.swapaxes(1, 2), wanted.spikes["hidden"])
    np.testing.assert_array_equal(found["readout"].output.swapaxes(1, 2), wanted.v["readout"])
    for name, trace in found.items():
        assert (trace.wraps, trace.clips) == (0, 0)
        np.testing.assert_array_equal(trace.current, np.abs(wanted.u[name]).max(axis=(0, 1)))
    np.testing.assert_array_equal(found["readout"].voltage, np.abs(wanted.v["readout"]).max(axis=(0, 1)))
    late = {**chip_graph().nodes, "late": nir.Delay(np.full(4, 3 * DT))}
    edges = [("back", "late") if e == ("back", "hidden") else e for e in chip_graph().edges]
    graph = nir.NIRGraph(late, [*edges, ("late", "hidden")], metadata={"dt": DT}, type_check=False)
    wanted = interpret(graph, {"input": x})
    np.testing.assert_array_equal(
        run_integers(integers(graph), {"input": x})["hidden"].output.swapaxes(1, 2), wanted.spikes["hidden"]
    )


def test_a_drive_starts_with_its_own_step() -> None:
    """3 weight units a step from step 2 on, into a current that keeps half."""
    nodes = {
        "input": inp(1), "w": nir.Affine(np.array([[2.0]]), np.array([3.0])), "d": nir.Delay(np.array([2 * DT])),
        "n": chip_neuron((1,), dt=DT, du=2047, dv=0), "out": out(1),
    }  # fmt: skip
    network = integers(graph(nodes, "input > w > d > n > out", dt=DT))
    assert list(network.populations["n"].drives) == [2]
    found = run_integers(network, column(1, 0, 0, 0, 0))["n"]
    assert found.output.ravel().tolist() == [0, 0, 5 * 64, 5 * 64 + (160 + 192), 5 * 64 + 352 + (176 + 192)]
    assert found.current.tolist() == [368]


def test_wraps_and_clips_are_counted_for_every_sample_and_neuron() -> None:
    """130,000 << 6 is 8,320,000, just below 2**23: twice that wraps, and a voltage of two such steps clips."""
    free = chip_neuron((2,), dt=DT, dv=0)
    nodes = {"input": inp(2), "w": nir.Scale(np.array([200.0, 200.0])), "n": free, "out": out(2)}
    network = integers(graph(nodes, "input > w > n > out", dt=DT))
    x = np.zeros((3, 2, 2))
    x[0] = [[650, 1300], [-650, 0]]  # the second wraps to -136,... and only there
    x[1] = [[650, 0], [-650, 0]]  # the first's voltage clips, upwards and downwards
    trace = run_integers(network, {"input": x})["n"]
    assert (trace.wraps, trace.clips) == (1, 2)
    assert trace.current.tolist() == [8_320_000, 16_640_000]  # before the wrap
    assert trace.voltage.tolist() == [16_640_000, 2**24 - 16_640_000]  # before the clip
    # 2**23 - 1 is above the highest threshold, which a population without one has: it is reset.
    assert trace.output[1].tolist() == [[0, 1 - 2**23], [16_640_000 - 2**24, 0]]
    under = run_integers(network, {"input": -x})["n"]
    assert (under.wraps, under.clips) == (1, 2)
    assert under.output[0].tolist() == [[-8_320_000, 8_320_000], [2**24 - 16_640_000, 0]]


def test_a_voltage_at_the_threshold_does_not_spike() -> None:
    for weight, sent in ((5.0, [0, 0]), (6.0, [1, 0])):
        network = integers(one(chip_neuron((1,), dt=DT, dv=4095, vth=5), weight))
        assert run_integers(network, column(1, 0))["n"].output.ravel().tolist() == sent


def test_decays_round_towards_0_on_both_sides() -> None:
    """du = 1023 and dv = 1024 keep 3/4: 5 * 64 = 320, 240, 180, 135, 101 and not 101.25."""
    network = integers(one(chip_neuron((1,), dt=DT, du=1023, dv=1024), 5.0))
    for sign in (1, -1):
        trace = run_integers(network, column(sign, 0, 0, 0, 0))["n"]
        u, v = [320, 240, 180, 135, 101], [320]
        for current in u[1:]:
            v.append(v[-1] * 3 // 4 + current)
        assert trace.output.ravel().tolist() == [sign * value for value in v]


def test_matrices_are_dense_where_a_quarter_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    made = graph({"input": inp(4), "w": nir.Linear(np.eye(4) * 3), "n": lif(4), "out": out(4)}, "input > w > n > out",
                 dt=DT)  # fmt: skip
    sparse = fuse(lower(made)).projections[0].weights
    assert simulate._held(sparse) is sparse  # a quarter exactly: sparse
    half = fuse(lower(graph({**made.nodes, "w": nir.Linear(np.eye(4) + np.eye(4, k=1))}, "input > w > n > out",
                            dt=DT))).projections[0].weights  # fmt: skip
    np.testing.assert_array_equal(simulate._held(half), half.toarray())
    monkeypatch.setattr(simulate, "DENSE_ENTRIES", 15)
    assert simulate._held(half) is half


def test_progress_is_told_of_every_step() -> None:
    told: list[tuple[int, int]] = []
    run_float(fuse(lower(one(lif(1)))), column(1, 0, 1), lambda done, of: told.append((done, of)))
    assert told == [(1, 3), (2, 3), (3, 3)]
    run_integers(integers(one(chip_neuron((1,), dt=DT, dv=9), 2.0)), column(1, 0), lambda *now: told.append(now))
    assert told[3:] == [(1, 2), (2, 2)]


def test_a_trace_keeps_the_largest_of_all_samples_and_steps() -> None:
    trace = Trace(np.zeros(1), np.zeros(2), np.zeros(2))
    trace.reach(np.array([[1.0, -3.0], [0.0, 0.5]]), np.array([[2.0, 1.0], [-4.0, 0.0]]))
    trace.reach(np.array([[2.0, 0.0], [-0.75, 0.0]]), np.array([[0.0, 0.0], [3.0, -5.0]]))
    assert (trace.current.tolist(), trace.voltage.tolist()) == ([3.0, 0.75], [2.0, 5.0])


def test_initial_voltages_and_several_populations() -> None:
    start = lif(3, v_init=N3)
    made = graph({"input": inp(3), "w": nir.Linear(weights(3, 3)), "a": start, "x": nir.Linear(weights(3, 3, 2)),
                  "b": cuba(3, w_in=9.0), "out": out(3)}, "input > w > a > x > b > out", dt=DT)  # fmt: skip
    given = {"input": spikes(3, 20, 2)}
    wanted = reference(made, given, DT, "euler", "zero", "synchronous")
    for node, trace in run_float(fuse(lower(made)), given).items():
        assert wanted.spikes[node].any()
        np.testing.assert_array_equal(trace.output.swapaxes(1, 2), wanted.spikes[node])
