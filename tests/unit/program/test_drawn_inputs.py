"""PoissonInput and NoiseInput as nodes: checked, saved, shown, and drawn by whoever runs the network."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np
import pytest

import hasn
from hasn.errors import GraphError, InputError, ParameterError, RepairWarning, TimeStepError, UnsupportedError
from hasn.nodes import NoiseInput, PoissonInput
from hasn.program.describe import summaries
from hasn.program.draw import program_text
from hasn.signals import signals
from hasn.testing import reference
from hasn.testing.chip_graphs import chip_node
from hasn.testing.interpreter import NetworkInterpreter, ProgramInterpreter
from tests.graphs import DT, Draw, graph, inp, out

D = Draw(3)
POISSON = PoissonInput(np.full(4, 300.0), np.full(4, 0.8), 5)
NOISE = NoiseInput(np.full(3, 0.1), np.full(3, 0.2), 2**64 - 1)
LINEAR, LIF = D.linear(3, 4), D.lif(3)


def only_drawn(**nodes: nir.NIRNode) -> nir.NIRGraph:
    """No Input: trains and a current into a population."""
    parts = {"trains": POISSON, "noise": NOISE, "lin": LINEAR, "lif": LIF, "output": out(3), **nodes}
    return graph(parts, "trains > lin > lif > output", "noise > lif", dt=DT)


def test_a_graph_whose_inputs_are_all_drawn_wants_steps() -> None:
    wanted = reference.run(only_drawn(), {}, DT, "euler", "zero", "synchronous", steps=50)
    program = hasn.lower(only_drawn())
    for kind in (ProgramInterpreter, NetworkInterpreter):
        executable = kind(program)
        found = executable.run(steps=50, record=("spikes", "voltages"))
        np.testing.assert_array_equal(found.spikes["lif"], wanted.spikes["lif"][:, 0])
        assert 10 < found.spikes["lif"].sum() < 140
        stream = np.stack([executable.step().output for _ in range(50)])
        np.testing.assert_array_equal(stream, found.output)
        with pytest.raises(InputError, match="number of steps is not known"):
            executable.run()


def test_an_event_counts_as_an_inputs_does() -> None:
    found = NetworkInterpreter(hasn.lower(only_drawn())).run(steps=50)
    events = np.count_nonzero(hasn.lower(only_drawn()).drawn_values(0, 50, 1)["trains"])
    assert found.counts.synaptic_operations["trains"] == 3 * events > 0


def test_nobody_is_asked_for_what_is_drawn() -> None:
    parts = {"input": inp(3), "noise": NOISE, "lif": LIF, "output": out(3)}
    program = hasn.lower(graph(parts, "input > lif > output", "noise > lif", dt=DT))
    found = signals(program, np.ones((5, 2, 3)), first=7)
    assert found.values["noise"].shape == (5, 2, 3)
    np.testing.assert_array_equal(found.values["noise"], signals(program, np.ones((12, 2, 3))).values["noise"][7:])
    with pytest.raises(InputError, match="no such Input"):
        signals(program, {"input": np.ones((5, 3)), "noise": np.ones((5, 3))})


def test_on_hardware_a_drawn_input_takes_a_step() -> None:
    program = hasn.lower(only_drawn(), timing="hardware")
    assert {(e.source, e.target): e.delay for e in program.edges} == {
        ("trains", "lin"): 1, ("lin", "lif"): 0, ("noise", "lif"): 1, ("lif", "output"): 0,
    }  # fmt: skip


@pytest.mark.parametrize("seed", [0, 5, 2**63, 2**64 - 1])
def test_saved_and_loaded_it_draws_the_same(tmp_path: Path, seed: int) -> None:
    noise = NoiseInput(np.full(3, 0.1), np.full(3, 0.2), seed)
    hasn.save(only_drawn(noise=noise), tmp_path / "g.nir")
    loaded = hasn.load(tmp_path / "g.nir")
    assert type(loaded.nodes["trains"]) is PoissonInput
    before, after = (hasn.lower(g).drawn_values(0, 20, 2) for g in (only_drawn(noise=noise), loaded))
    assert set(before) == {"trains", "noise"}
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


BAD: dict[str, tuple[nir.NIRNode, str, type[Exception]]] = {
    "a negative rate": (PoissonInput(np.array([1.0, -1.0, 2.0]), np.ones(3)), "rate", ParameterError),
    "a rate that is no number": (PoissonInput(np.full(3, np.nan), np.ones(3)), "rate", ParameterError),
    "too many events": (PoissonInput(np.full(3, 7.1e5), np.ones(3)), "rate", TimeStepError),
    "an infinite weight": (PoissonInput(np.ones(3), np.full(3, np.inf)), "weight", ParameterError),
    "another shape": (PoissonInput(np.ones(3), np.ones(2)), "weight", ParameterError),
    "a negative spread": (NoiseInput(np.ones(3), np.array([0.0, 0.0, -1e-9])), "std", ParameterError),
    "an infinite mean": (NoiseInput(np.full(3, np.inf), np.ones(3)), "mean", ParameterError),
    "a negative seed": (NoiseInput(np.ones(3), np.ones(3), -1), "seed", ParameterError),
    "a seed of 65 bits": (NoiseInput(np.ones(3), np.ones(3), 2**64), "seed", ParameterError),
    "half a seed": (NoiseInput(np.ones(3), np.ones(3), 0.5), "seed", ParameterError),  # type: ignore[arg-type]
    "seeds": (NoiseInput(np.ones(3), np.ones(3), np.arange(3)), "seed", ParameterError),  # type: ignore[arg-type]
    "a word": (NoiseInput(np.ones(3), np.ones(3), "x"), "seed", ParameterError),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BAD)
def test_values_without_a_meaning_are_refused_by_name(name: str) -> None:
    node, parameter, error = BAD[name]
    with pytest.raises(error) as caught:
        hasn.lower(only_drawn(noise=node))
    assert (caught.value.node, caught.value.parameter) == ("noise", parameter)  # type: ignore[attr-defined]


def test_the_largest_rate_is_taken() -> None:
    hasn.lower(only_drawn(noise=PoissonInput(np.full(3, 7e5), np.ones(3))))


@pytest.mark.parametrize("nested", [False, True])
def test_no_edge_leads_into_it(nested: bool) -> None:
    parts = {"input": inp(3), "noise": NOISE, "output": out(3)}
    made = graph(parts, "input > noise > output")
    if nested:
        made = graph({"input": inp(3), "g": made, "output": out(3)}, "input > g > output")
    (finding,) = [finding for finding in hasn.check(made, dt=DT) if finding.severity == "error"]
    assert finding.node == ("g.noise" if nested else "noise")
    assert "'input'" in finding.message
    assert "NoiseInput" in finding.message
    with pytest.raises(GraphError):
        hasn.lower(made, dt=DT)


def test_a_single_value_is_broadcast_by_repair(tmp_path: Path) -> None:
    nir.write(tmp_path / "g.nir", only_drawn(noise=NoiseInput(np.full(3, 0.1), np.full(1, 0.2), 4)))
    with pytest.warns(RepairWarning, match="std"):
        node = hasn.load(tmp_path / "g.nir", repair=True).nodes["noise"]
    assert (node.std.tolist(), int(node.seed)) == ([0.2] * 3, 4)


def test_it_is_shown() -> None:
    program = hasn.lower(only_drawn())
    shown = {summary.name: summary for summary in summaries(program)}
    assert (shown["trains"].kind, shown["noise"].kind) == ("PoissonInput", "NoiseInput")
    assert shown["trains"].details == ("300 Hz, 0.8 an event", "seed 5")
    assert shown["noise"].details == ("mean 0.1, std 0.2", f"seed {2**64 - 1}")
    assert "PoissonInput" in program_text(program)


def test_backends_are_compared_on_what_was_drawn() -> None:
    """Also where one is held against another precision, so that ties are replayed with the drawn values."""
    found = hasn.compare(only_drawn(), backends=("snntorch", "snntorch:float32"), reference="brian2", steps=60)
    assert found.ok
    assert set(found.inputs) == {"trains", "noise"}
    assert set(found.recordings) == {"brian2", "snntorch", "snntorch:float32"}


def integer_graph() -> nir.NIRGraph:
    """A graph in the chip's units, driven by trains."""
    neuron = chip_node((3,), dv=300, du=500, vth=40)
    weight = np.array([[20.0, -6.0, 14.0, 30.0], [8.0, 40.0, -10.0, 6.0], [-4.0, 12.0, 30.0, 22.0]])
    trains = PoissonInput(np.full(4, 150.0), np.ones(4), 3)
    return graph(
        {"trains": trains, "lin": nir.Linear(weight), "n": neuron, "output": out(3)}, "trains > lin > n > output", dt=DT
    )


def test_trains_of_whole_weights_drive_the_chips_integers() -> None:
    from hasn.testing.integers import interpret

    wanted = interpret(integer_graph(), {}, steps=60)
    for backend in ("snntorch", "brian2"):
        with hasn.compile(integer_graph(), backend, precision="loihi") as executable:
            found = executable.run(steps=60, record=("spikes", "voltages"))
        np.testing.assert_array_equal(found.spikes["n"], wanted.spikes["n"][:, 0])
        assert 5 < found.spikes["n"].sum() < 170


def test_the_chip_takes_no_drawn_input() -> None:
    with pytest.raises(UnsupportedError) as caught:
        hasn.quantise(only_drawn(), calibrate=None)
    assert caught.value.node in ("trains", "noise")
