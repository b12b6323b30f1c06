"""Every function that gives back a new graph: no array of it is the caller's, so that either can be changed alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import nir
import numpy as np
import pytest
import scipy.sparse

import hasn
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.ir.plain import plain
from hasn.ir.typed import copy_graph, with_types
from hasn.models.adapters import with_projection
from hasn.plasticity import STDP, attach, detach
from hasn.testing.chip_graphs import random_chip_graph
from tests.graphs import DT, Draw, chain

D = Draw(3)


def floating() -> nir.NIRGraph:
    """Nested, with a delay, a sparse connection and arrays in metadata."""
    lif = D.lif(3, metadata={"reset": "subtract", "v_init": np.full(3, 0.1), "notes": {"deep": [np.ones(2)]}})
    inner = chain(D.affine(3, 4), lif, given=(4,), result=(3,))
    sparse = hasn.nodes.SparseLinear(scipy.sparse.csr_array(np.array([[0.5, 0, 1.0], [0, 2.0, 0]])))
    late, scale = nir.Delay(np.full(3, 2 * DT)), nir.Scale(np.ones(2))
    net = chain(inner, late, sparse, scale, D.lif(2), given=(4,), result=(2,))
    net.metadata.update(dt=DT, labels=np.arange(2))
    return net


def chip() -> nir.NIRGraph:
    """Populations that all reset to zero, and nothing that the chip lacks."""
    layers = (D.affine(3, 4), D.lif(3), nir.Delay(np.full(3, 2 * DT)), D.linear(2, 3), D.lif(2))
    return chain(*layers, given=(4,), result=(2,))


def arrays(value: Any) -> Iterator[np.ndarray[Any, Any]]:
    """All arrays within a graph that can be written to, wherever they lie."""
    if isinstance(value, np.ndarray):
        if value.flags.writeable:
            yield value
    elif isinstance(value, nir.NIRNode):
        yield from arrays(vars(value))
    elif isinstance(value, dict | list | tuple):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from arrays(inner)


def shared(first: Any, second: Any) -> int:
    return sum(np.shares_memory(a, b) for a in arrays(first) for b in arrays(second))


def spikes(shape: tuple[int, ...]) -> Any:
    return (np.random.default_rng(0).random(shape) < 0.6).astype(float)


def trained(graph: nir.NIRGraph) -> nir.NIRGraph:
    samples = spikes((5, 6, 4)), np.arange(6) % 2
    return hasn.train(
        graph, samples, epochs=1, dt=DT, learn=dict.fromkeys(("tau", "threshold", "delay"), "neuron")
    ).graph


def quantised(graph: nir.NIRGraph) -> QuantisedNetwork:
    return hasn.quantise(graph, calibrate=spikes((10, 2, 4)), dt=DT)


MAKERS: dict[str, tuple[Callable[[], nir.NIRGraph], Callable[[nir.NIRGraph], Any]]] = {
    "repair": (floating, lambda graph: hasn.repair(graph).graph),
    "copy_graph": (floating, copy_graph),
    "with_types": (floating, with_types),
    "plain": (floating, plain),
    "with_projection": (floating, lambda graph: with_projection(graph, 7)),
    "attach": (floating, lambda graph: attach(graph, "n3", STDP())),
    "detach": (lambda: attach(floating(), "n3", STDP()), lambda graph: detach(graph, "n3")),
    "to_nir": (floating, lambda graph: hasn.compile(graph, dt=DT).to_nir()),
    "train": (floating, trained),
    "quantise, chip units": (chip, lambda graph: quantised(graph).graph),
    "quantise, volts": (chip, lambda graph: quantised(graph).dequantised()),
    "of_graph": (lambda: random_chip_graph(2), lambda graph: QuantisedNetwork.of_graph(graph).graph),
    "with_metadata": (lambda: random_chip_graph(2), lambda graph: QuantisedNetwork.of_graph(graph).with_metadata()),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:nothing was learned")
@pytest.mark.parametrize("name", MAKERS)
def test_no_array_is_the_callers(name: str) -> None:
    make, new = MAKERS[name]
    graph = make()
    assert shared(graph, graph)  # what is looked for can be found
    assert shared(graph, new(graph)) == 0


def test_what_a_quantised_network_gives_away_is_not_its_own() -> None:
    network = quantised(chip())
    assert shared(network.graph, network.floating) == 0
    assert shared(network.dequantised(), network.floating) == 0
    assert shared(network.with_metadata(), network.graph) == 0


def test_a_compiled_network_gives_back_what_it_was_compiled_from() -> None:
    """Whatever the caller has done to the graph since, and to what was given back before."""
    graph = floating()
    made = hasn.compile(graph, dt=DT)
    before = graph.nodes["n5"].v_threshold.copy()
    graph.nodes["n5"].v_threshold *= 3
    first = made.to_nir()
    first.nodes["n5"].v_threshold *= 5
    np.testing.assert_array_equal(made.to_nir().nodes["n5"].v_threshold, before)


def test_an_imported_graph_has_weights_of_its_own() -> None:
    torch, snntorch = pytest.importorskip("torch"), pytest.importorskip("snntorch")
    from hasn.conversions.snntorch import from_snntorch

    linear = torch.nn.Linear(2, 3)
    neuron = snntorch.Leaky(beta=torch.full((3,), 0.5), threshold=torch.ones(3), init_hidden=True, output=True)
    graph = from_snntorch(torch.nn.Sequential(linear, neuron), dt=DT)
    tensors = [part.detach().numpy() for part in (*linear.parameters(), neuron.beta, neuron.threshold)]
    assert shared(graph, tensors) == 0
