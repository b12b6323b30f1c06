"""Modulators that come from a node of the graph: whose mean, when it acts, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.agreement import judge
from hasn.errors import GraphError, InputError, OptionError
from hasn.ir.lower import lower
from hasn.plasticity import STDP, RewardSTDP, Rule, attach, detach
from hasn.program.fuse import fuse

DT = 1e-3
#: Each step adds the modulator to the weight.
COUNT = Rule("m", modulators=("m",))


def lif(n: int) -> nir.LIF:
    return nir.LIF(np.full(n, 20e-3), np.full(n, 20.0), np.zeros(n), np.full(n, 1.0), np.zeros(n))


def net() -> nir.NIRGraph:
    """input -> fc -> cells (1); ``other`` drives a population "four" one to one, and "rate" (LI) sums it up."""
    nodes = {
        "input": nir.Input(np.array([1])),
        "fc": nir.Linear(np.array([[0.0]])),
        "cells": lif(1),
        "output": nir.Output(np.array([1])),
        "other": nir.Input(np.array([4])),
        "four": lif(4),
        "sum": nir.Linear(np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])),
        "rate": nir.I(np.full(2, 1.0 / DT)),
    }
    edges = [("input", "fc"), ("fc", "cells"), ("cells", "output"), ("other", "four"), ("four", "sum"), ("sum", "rate")]
    return nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False)


def spikes(*places: tuple[int, int]) -> np.ndarray:
    """(8, 4): what makes neuron i spike at step t, for each (t, i)."""
    found = np.zeros((8, 4))
    for place in places:
        found[place] = 2.0
    return found


def course(graph: nir.NIRGraph, other: np.ndarray, backend: str = "snntorch", **options: Any) -> list[float]:
    """The weight after each step, where nothing but the modulator moves it."""
    with hasn.compile(graph, backend, **options) as executable:
        run = executable.run({"input": np.zeros((8, 1)), "other": other}, record=("spikes", "weights"))
    return [float(value) for value in run.series["weights"]["fc"].reshape(-1)]


@pytest.mark.parametrize("backend", ["snntorch", "brian2"])
def test_a_population_is_its_mean_spike_one_step_later(backend: str) -> None:
    """Three of four spike at step 2 and one at step 4."""
    graph = attach(net(), "fc", COUNT, modulators={"m": "four"})
    found = course(graph, spikes((2, 0), (2, 1), (2, 3), (4, 2)), backend)
    assert found == pytest.approx([0, 0, 0, 0.75, 0.75, 1.0, 1.0, 1.0], abs=1e-15)


def test_an_input_acts_in_its_own_step_and_on_hardware_one_later() -> None:
    graph = attach(net(), "fc", COUNT, modulators={"m": "other"})
    other = np.zeros((8, 4))
    other[2], other[5] = (0.4, -0.4, 1.0, 3.0), -1.0
    assert course(graph, other) == pytest.approx([0, 0, 1.0, 1.0, 1.0, 0, 0, 0], abs=1e-15)
    assert course(graph, other, timing="hardware") == pytest.approx([0, 0, 0, 1.0, 1.0, 1.0, 0, 0], abs=1e-15)


def test_a_readout_is_its_mean_voltage_one_step_later() -> None:
    """It integrates: three spikes of the first three neurons, then one of the fourth; the mean is of two readouts."""
    graph = attach(net(), "fc", COUNT, modulators={"m": "rate"})
    found = course(graph, spikes((1, 0), (1, 1), (3, 3)))
    assert np.diff(found, prepend=0.0) == pytest.approx([0, 0, 1.0, 1.0, 1.5, 1.5, 1.5, 1.5], abs=1e-12)


def test_a_population_may_modulate_what_drives_it() -> None:
    """Its own spike of step 0 moves the weight at step 1, under every setting of the loop engine."""
    graph = net()
    graph.nodes["fc"] = nir.Linear(np.array([[2.0]]))
    graph = attach(graph, "fc", COUNT, modulators={"m": "cells"})
    x = np.zeros((8, 1))
    x[0] = 1.0
    for engine in ("steps", "fused"):
        with hasn.compile(graph, engine=engine) as executable:
            executable.run({"input": x, "other": np.zeros((8, 4))})
            assert executable.weights("fc") == pytest.approx(3.0)


def test_it_survives_a_file_and_goes_with_the_rule(tmp_path: Path) -> None:
    graph = attach(net(), "fc", COUNT, modulators={"m": "four"})
    hasn.save(graph, tmp_path / "net.nir")
    loaded = hasn.load(tmp_path / "net.nir")
    other = spikes((2, 0), (2, 1))
    assert course(loaded, other) == course(graph, other) != [0.0] * 8
    with hasn.compile(loaded) as executable:
        again = executable.to_nir()
    assert course(again, other) == course(graph, other)
    assert not detach(graph, "fc").nodes["fc"].metadata
    assert set(attach(graph, "fc", STDP()).nodes["fc"].metadata) == {"plasticity"}
    assert "plasticity" not in net().nodes["fc"].metadata


def test_a_graph_inside_another_names_its_own_nodes() -> None:
    """The learner and what modulates it may stand in a nested graph together."""
    inner = net()
    del inner.nodes["input"], inner.nodes["other"]
    inner.nodes |= {"in": nir.Input(np.array([1]))}
    inner.edges = [("in", "fc"), ("fc", "cells"), ("cells", "output"), ("cells", "spread"), ("spread", "four")]
    inner.nodes |= {"spread": nir.Linear(np.full((4, 1), 2.0))}
    del inner.nodes["sum"], inner.nodes["rate"]
    outer = nir.NIRGraph(
        {"input": nir.Input(np.array([1])), "net": inner, "output": nir.Output(np.array([1]))},
        [("input", "net"), ("net", "output")],
        metadata={"dt": DT},
        type_check=False,
    )
    inner.nodes["fc"] = nir.Linear(np.array([[2.0]]))
    graph = attach(outer, "net.fc", COUNT, modulators={"m": "net.four"})
    x = np.zeros((8, 1))
    x[2] = 1.0
    with hasn.compile(graph) as executable:
        run = executable.run(x, record=("weights",))
    assert run.series["weights"]["net.fc"].reshape(-1).tolist() == [2.0, 2.0, 2.0, *[3.0] * 5]
    with pytest.raises(OptionError, match="node of the graph in which its connection stands"):
        attach(outer, "net.fc", COUNT, modulators={"m": "input"})
    with pytest.raises(GraphError, match="port of a nested graph"):
        hasn.compile(attach(outer, "net.fc", COUNT, modulators={"m": "net.output"}))
    with pytest.raises(OptionError, match="no such node with a value"):
        attach(outer, "net.fc", COUNT, modulators={"m": "net.nobody"})


def test_the_user_is_not_asked_for_it_and_may_not_give_it() -> None:
    both = Rule("m + n", modulators=("m", "n"))
    given = {"input": np.zeros((8, 1)), "other": spikes((2, 0))}
    with hasn.compile(attach(net(), "fc", both, modulators={"m": "four"})) as executable:
        assert executable.program.modulators == ("n",)
        executable.run(given, modulators={"n": np.arange(8.0)})
        assert executable.weights("fc") == pytest.approx(28.25)
        with pytest.raises(InputError, match=r"'m'.*wanted n") as caught:
            executable.run(given, modulators={"n": np.zeros(8), "m": np.zeros(8)})
        assert "comes from a node of the graph: mean of four" in str(caught.value)
        with pytest.raises(InputError, match="'n'"):
            executable.run(given)


@pytest.mark.parametrize(
    ("modulators", "message"),
    [
        ({"m": "nowhere"}, "no such node"),
        ({"reward": "four"}, "reads no such modulator"),
        ({"m": "net.four"}, "in which its connection stands"),
        ({"m": 3}, "not modulators"),
        ("four", "not modulators"),
        (["m"], "not modulators"),
    ],
)
def test_what_no_rule_can_read_is_refused_where_it_is_attached(modulators: Any, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        attach(net(), "fc", COUNT, modulators=modulators)


def test_what_has_no_meaning_is_found() -> None:
    with pytest.raises(GraphError, match="comes from a connection that learns"):
        hasn.compile(attach(net(), "fc", COUNT, modulators={"m": "fc"}))
    gone = attach(net(), "fc", COUNT, modulators={"m": "rate"})
    del gone.nodes["rate"]
    gone.edges.remove(("sum", "rate"))
    with pytest.raises(GraphError, match=r"node that is not there.*'rate'"):
        hasn.compile(gone)
    for said in ("four", {"m": 3}, {"other": "four"}):
        graph = attach(net(), "fc", COUNT, modulators={"m": "four"})
        graph.nodes["fc"].metadata["plasticity_modulators"] = said
        with pytest.raises((GraphError, OptionError), match="plasticity_modulators"):
            hasn.compile(graph)
        assert any(finding.severity == "error" and finding.node == "fc" for finding in hasn.check(graph))


def test_an_input_that_only_modulates_leads_somewhere() -> None:
    graph = net()
    graph.nodes["dopamine"] = nir.Input(np.array([2]))
    assert any("go nowhere" in finding.message for finding in hasn.check(attach(graph, "fc", COUNT)))
    graph = attach(graph, "fc", COUNT, modulators={"m": "dopamine"})
    assert not any("go nowhere" in finding.message for finding in hasn.check(graph))


def test_a_comparison_replays_it() -> None:
    """What the population says is read from the recording: the term that it scales is named."""
    rule = RewardSTDP(0.05, 0.05, w_min=0.0, w_max=1.0, tau_eligibility=0.2)
    rng = np.random.default_rng(4)
    graph = net()
    graph.nodes["fc"] = nir.Linear(np.array([[0.5]]))
    x = {"input": (rng.random((200, 2, 1)) < 0.3) * 1.0, "other": (rng.random((200, 2, 4)) < 0.2) * 2.0}
    runs = []
    for factor in (1.0, 0.5):
        told = attach(graph, "fc", Rule(f"{factor} * reward * e", **_but_update(rule)), modulators={"reward": "four"})
        with hasn.compile(told) as executable:
            runs.append(executable.run(x, record=("spikes", "voltages", "weights")))
    program = lower(attach(graph, "fc", rule, modulators={"reward": "four"}))
    found = judge(program, fuse(program), x, {"mine": runs[0], "yours": runs[1]}, "mine")
    first = found.first_weight("yours")
    assert first is not None
    assert first.term == "e reward"
    assert first.cause.startswith("yours changed it by")
    assert judge(program, fuse(program), x, {"mine": runs[0], "yours": runs[0]}, "mine").ok


def _but_update(rule: Rule) -> dict[str, Any]:
    return {key: value for key, value in vars(rule).items() if key != "update"}
