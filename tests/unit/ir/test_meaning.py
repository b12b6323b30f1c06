"""What a graph means in time: the call first, then its metadata, then what is usual; kept by whatever writes graphs."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.snntorch import to_snntorch
from hasn.errors import GraphError, OptionError, ParameterError
from hasn.program.model import Neurons, Program
from tests.graphs import DT, Draw, chain, spikes

#: What is not usual, and another dt than the graph's taus were drawn for.
MEANT: dict[str, Any] = {"dt": 2 * DT, "method": "exact", "reset": "subtract", "timing": "hardware"}
USUAL = {"dt": DT, "method": "euler", "reset": "zero", "timing": "synchronous"}


def net(**metadata: Any) -> nir.NIRGraph:
    """Two populations, in which every choice changes spikes."""
    draw = Draw(5)
    made = chain(draw.linear(4, 3), draw.lif(4), draw.linear(2, 4), draw.lif(2), given=(3,), result=(2,))
    made.metadata.update(metadata)
    return made


def said(program: Program) -> dict[str, Any]:
    reset = {step.reset for step in program.of(Neurons)}
    assert len(reset) == 1
    return {"dt": program.dt, "method": program.method, "reset": reset.pop(), "timing": program.timing}


@pytest.mark.parametrize("key", MEANT)
def test_the_call_comes_first_then_the_metadata_then_what_is_usual(key: str) -> None:
    assert said(hasn.lower(net(dt=DT))) == USUAL
    assert said(hasn.lower(net(**{"dt": DT, key: MEANT[key]}))) == {**USUAL, key: MEANT[key]}
    assert said(hasn.lower(net(**{**MEANT, key: USUAL[key]}))) == {**MEANT, key: USUAL[key]}
    assert said(hasn.lower(net(**MEANT), **{key: USUAL[key]})) == {**MEANT, key: USUAL[key]}
    assert said(hasn.lower(net(dt=DT), **{key: MEANT[key]})) == {**USUAL, key: MEANT[key]}


def test_a_neurons_own_reset_comes_before_the_graphs_and_the_calls() -> None:
    graph = net(dt=DT, reset="subtract")
    graph.nodes["n2"].metadata["reset"] = "zero"
    assert [step.reset for step in hasn.lower(graph).of(Neurons)] == ["zero", "subtract"]
    assert [step.reset for step in hasn.lower(graph, reset="zero").of(Neurons)] == ["zero", "zero"]


def test_files_hold_words_as_bytes_and_arrays(tmp_path: Path) -> None:
    hasn.save(net(**MEANT), tmp_path / "a.nir")
    assert said(hasn.lower(hasn.load(tmp_path / "a.nir"))) == MEANT
    assert said(hasn.lower(nir.read(tmp_path / "a.nir"))) == MEANT
    assert hasn.lower(net(dt=DT, method=b"exact", timing=np.array("hardware"))).method == "exact"


@pytest.mark.parametrize("key", ["method", "reset", "timing"])
def test_words_that_mean_nothing_are_named(key: str) -> None:
    for wrong in ("Exact", 7, np.array(["exact", "exact"])):
        with pytest.raises(ParameterError, match=f"unknown {key}") as caught:
            hasn.lower(net(**{"dt": DT, key: wrong}))
        assert caught.value.parameter == f"metadata['{key}']"
        (finding,) = [found for found in hasn.check(net(**{"dt": DT, key: wrong})) if found.severity == "error"]
        assert finding.parameter == f"metadata['{key}']"
    with pytest.raises(OptionError, match=f"unknown {key}"):
        hasn.lower(net(dt=DT), **{key: "Exact"})


def test_check_judges_euler_steps_only_where_they_are_taken_and_says_what_it_goes_by() -> None:
    graph = net(dt=DT)
    graph.nodes["n2"].tau = np.full(4, DT / 4)
    assert [found.parameter for found in hasn.check(graph) if found.severity == "error"] == ["tau"]
    graph.metadata["method"] = "exact"
    (note,) = hasn.check(graph)
    assert (note.severity, note.parameter) == ("note", "metadata['method']")
    assert "method='exact'" in note.message
    assert [found.parameter for found in hasn.check(graph, method="euler")] == ["tau"]


@pytest.mark.parametrize("key", MEANT)
def test_a_nested_graph_that_says_otherwise_is_refused(key: str) -> None:
    def nested(outer: dict[str, Any], inner: dict[str, Any]) -> nir.NIRGraph:
        deep = chain(net(**inner), given=(3,), result=(2,))
        made = chain(deep, given=(3,), result=(2,))
        made.metadata.update(outer)
        return made

    with pytest.raises(GraphError, match="a nested graph says otherwise") as caught:
        hasn.lower(nested({"dt": DT}, {key: MEANT[key]}))
    assert (caught.value.node, caught.value.parameter) == ("n1.n1", f"metadata['{key}']")
    assert said(hasn.lower(nested({"dt": DT, key: MEANT[key]}, {key: MEANT[key]})))[key] == MEANT[key]
    assert said(hasn.lower(nested({"dt": DT}, {key: MEANT[key]}), **{key: MEANT[key]}))[key] == MEANT[key]


# --- whatever writes a graph keeps what it meant


def trained(graph: nir.NIRGraph, **options: Any) -> nir.NIRGraph:
    samples = spikes((3,), 6, 4), np.arange(4) % 2
    return hasn.train(graph, samples, epochs=1, learning_rate=1e-6, **options).graph


def compiled(graph: nir.NIRGraph, **options: Any) -> nir.NIRGraph:
    made: nir.NIRGraph = hasn.compile(graph, **options).to_nir()  # type: ignore[attr-defined]
    return made


WAYS: dict[str, Callable[..., nir.NIRGraph]] = {"train": trained, "to_nir": compiled}


@pytest.mark.filterwarnings("ignore:nothing was learned")
@pytest.mark.parametrize(("way", "by"), list(product(WAYS, ["call", "metadata"])))
def test_a_written_graph_means_what_it_was_made_with(way: str, by: str, tmp_path: Path) -> None:
    """Saved, loaded and compiled without a word, it fires the spikes of the call."""
    x = spikes((3,), 60, 2, rate=0.7)
    graph = net(**(MEANT if by == "metadata" else {}))
    options = {} if by == "metadata" else MEANT
    before = hasn.compile(net_like(graph), **MEANT).run(x)
    hasn.save(WAYS[way](graph, **options), tmp_path / "a.nir")
    read = hasn.load(tmp_path / "a.nir")
    assert said(hasn.lower(read)) == MEANT
    assert before.spikes["n2"].sum() > 20  # or there is nothing to tell methods apart by
    if way == "to_nir":  # training has moved the weights
        np.testing.assert_array_equal(hasn.compile(read).run(x).spikes["n2"], before.spikes["n2"])
    assert said(hasn.lower(read, method="euler", timing="synchronous")) == {**USUAL, "dt": 2 * DT, "reset": "subtract"}


def net_like(graph: nir.NIRGraph) -> nir.NIRGraph:
    return nir.NIRGraph(graph.nodes, graph.edges, type_check=False)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:nothing was learned")
def test_what_a_call_overrode_is_not_kept(way: str) -> None:
    made = WAYS[way](net(**MEANT), **USUAL)
    assert made.metadata == {"dt": DT}
    assert said(hasn.lower(made)) == USUAL


def test_a_quantised_network_keeps_its_timing_wherever_its_graph_goes(tmp_path: Path) -> None:
    graph = net(dt=DT, timing="hardware", reset="zero")
    made = hasn.quantise(graph, calibrate=spikes((3,), 20, 2))
    assert made.timing == "hardware"
    for found in (made.graph, made.dequantised(), made.with_metadata()):
        assert (hasn.lower(found).timing, hasn.lower(found).method) == ("hardware", "euler")
    made.save(tmp_path / "chip.nir")
    read = QuantisedNetwork.of_graph(hasn.load(tmp_path / "chip.nir"))
    assert read.timing == "hardware"
    x = made.inputs(spikes((3,), 40, 2, rate=0.7))
    loose = hasn.compile(hasn.load(tmp_path / "chip.nir"), precision="loihi").run(x).spikes["n4"]
    np.testing.assert_array_equal(loose, made.compile().run(x).spikes["n4"])
    assert loose.sum() > 5


def test_quantising_takes_a_graph_at_its_word() -> None:
    """Method "exact" of one state has other decays than Euler's."""
    data = spikes((3,), 20, 2)
    exact, euler = (hasn.quantise(net(dt=DT, method=how), calibrate=data) for how in ("exact", "euler"))
    told = hasn.quantise(net(dt=DT), calibrate=data, method="exact")
    for name, population in told.integers.populations.items():
        np.testing.assert_array_equal(exact.integers.populations[name].dv, population.dv)
    assert any(np.any(p.dv != euler.integers.populations[name].dv) for name, p in told.integers.populations.items())


def test_a_snntorch_module_is_made_of_what_the_graph_says() -> None:
    torch = pytest.importorskip("torch")
    x = torch.tensor(spikes((3,), 40, 1, rate=0.7), dtype=torch.float32)
    graph = net(**MEANT)
    module = to_snntorch(graph, sequential=False)
    with torch.no_grad():
        shown = module(x).numpy()
    np.testing.assert_array_equal(shown, hasn.compile(net_like(graph), **MEANT, precision="float32").run(x).output)
    assert shown.sum() > 5
