"""What the tests of precision "loihi" share: a run held bit for bit against the plain reference."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

import hasn
from hasn.recording import Recording
from hasn.testing.chip_graphs import DT
from hasn.testing.integers import IntegerTraces, interpret

RECORD = ("spikes", "voltages", "currents")


def chip_graph(nodes: dict[str, Any], *edges: tuple[str, str]) -> nir.NIRGraph:
    return nir.NIRGraph(nodes, list(edges), metadata={"dt": DT}, type_check=False)


def inp(n: int) -> nir.Input:
    return nir.Input(np.array([n]))


def out(n: int) -> nir.Output:
    return nir.Output(np.array([n]))


def linear(rng: np.random.Generator, shape: tuple[int, ...], exponent: int = 0) -> nir.Linear:
    return nir.Linear((2.0 * rng.integers(-127, 128, shape)) * 2**exponent)


def spikes(seed: int, *shape: int, rate: float = 0.3) -> Any:
    return (np.random.default_rng(seed).random(shape) < rate).astype(float)


def compiled(graph: nir.NIRGraph, **options: Any) -> Any:
    return hasn.compile(graph, "snntorch", precision="loihi", **options)


def assert_bits(found: Recording, wanted: IntegerTraces) -> None:
    """Spikes, u and v of every population, and the types."""
    for name, u in wanted.u.items():
        for what, array, expected in (
            ("u", found.currents[name], u),
            ("v", found.voltages[name], wanted.v[name]),
        ):
            assert array.dtype == np.int32
            np.testing.assert_array_equal(array.reshape(expected.shape), expected, err_msg=f"{what} of {name}")
        if name in found.spikes:
            trains = found.spikes[name].reshape(u.shape)
            np.testing.assert_array_equal(trains, wanted.spikes[name], err_msg=f"spikes of {name}")


def assert_run(graph: nir.NIRGraph, inputs: dict[str, Any], **options: Any) -> tuple[Any, IntegerTraces]:
    """Run inputs (T, batch, *shape) and compare; the executable, and what was wanted."""
    executable = compiled(graph, **options)
    wanted = interpret(graph, inputs, timing=options.get("timing", "synchronous"))
    assert_bits(executable.run(inputs, record=RECORD), wanted)
    return executable, wanted
