"""The .net file field by field, read as lava-dl's reader documents it; and what NetX cannot say, refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.conversions.loihi.export.netx import export_netx
from hasn.conversions.loihi.export.netx.weights import as_read
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.errors import FileError, UnsupportedError
from hasn.program.integers.encode import chip_neuron
from hasn.program.maps import Convolution
from tests.unit.conversions.loihi.netx_chains import DT, chain, convolutions, dense_chain

LATE, RECURRENT, BIASED = 7, 8, 15


def network(graph: nir.NIRGraph, timing: str = "synchronous") -> QuantisedNetwork:
    return QuantisedNetwork.of_graph(graph, timing=timing)


def fields(path: Path) -> list[dict[str, Any]]:
    """The layers of a file: {field: value}."""
    with h5py.File(path) as file:
        found: list[dict[str, Any]] = []
        for i in range(len(file["layer"])):
            entry: dict[str, Any] = {}
            file[f"layer/{i}"].visititems(
                lambda name, item, entry=entry: entry.__setitem__(name, item[()]) if hasattr(item, "shape") else None
            )
            found.append(entry)
        return found


# --- what is written


@pytest.mark.parametrize("seed", [LATE, RECURRENT, BIASED])
def test_a_file_says_the_registers_and_weights_of_every_layer(tmp_path: Path, seed: int) -> None:
    made = network(dense_chain(seed))
    export_netx(made, tmp_path / "a.net")
    first, *layers = fields(tmp_path / "a.net")
    assert first["type"] == b"input"
    assert first["shape"].tolist() == list(made.integers.inputs["in"].shape)
    assert len(layers) == len(made.integers.populations) == 3
    for layer, (name, p) in zip(layers, made.integers.populations.items(), strict=True):
        assert layer["type"] == (b"dense_rec" if seed == RECURRENT else b"dense")
        assert layer["neuron/type"] == b"CUBA"
        assert [layer[f"neuron/{key}"] for key in ("iDecay", "vDecay", "vThMant")] == [p.du[0] + 1, p.dv[0], p.vth[0]]
        np.testing.assert_array_equal(layer.get("bias", np.zeros(p.size, int)) * 64, p.bias)
        delays = layer.get("delay", np.zeros_like(layer["weight"]))
        for projection in made.integers.into(name):
            ours = projection.weights.toarray()
            if projection.source == name:
                np.testing.assert_array_equal(layer["weight_rec"], ours)
            else:
                np.testing.assert_array_equal(np.where(delays == projection.delay, layer["weight"], 0), ours)
    assert ("delay" in layers[0], "weight_rec" in layers[0], "bias" in layers[0]) == (
        seed == LATE,
        seed == RECURRENT,
        seed == BIASED,
    )


def test_convolutions_and_pools_are_written_as_convolutions(tmp_path: Path) -> None:
    made = network(convolutions(0, dense=True))
    export_netx(made, tmp_path / "a.net")
    first, conv, pool, flat, dense = fields(tmp_path / "a.net")
    assert [layer["type"] for layer in (first, conv, pool, flat, dense)] == [
        b"input",
        b"conv",
        b"conv",
        b"flatten",
        b"dense",
    ]
    for layer, name, shape in ((conv, "a", (2, 7, 6)), (pool, "b", (4, 4, 5))):
        pads = tuple((int(n), int(n)) for n in layer["padding"])
        window = Convolution(
            layer["weight"].astype(float),
            None,
            tuple(layer["stride"].tolist()),
            pads,
            tuple(layer["dilation"].tolist()),
            int(layer["groups"]),
        )
        (projection,) = made.integers.into(name)
        np.testing.assert_array_equal(window.matrix(shape).toarray(), projection.weights.toarray())
        assert layer["shape"].tolist() == list(made.integers.populations[name].shape)
    assert (conv["groups"], pool["groups"]) == (2, 4)
    for layer, channels, kernel in ((conv, (2, 4), [3, 2]), (pool, (4, 4), [2, 3])):
        assert (layer["inChannels"], layer["outChannels"]) == channels
        assert layer["kernelSize"].tolist() == kernel
        assert layer["weight"].dtype == np.int16
    assert (dense["inFeatures"], dense["outFeatures"]) == (24, 5)
    assert flat["shape"].tolist() == [24]
    # The bias of the convolution, as (W, H, C).
    np.testing.assert_array_equal(conv["bias"].transpose(2, 1, 0).ravel() * 64, made.integers.populations["a"].bias)
    assert np.unique(conv["bias"]).size > 1


def test_the_result_and_the_file_tell_how_to_read_it(tmp_path: Path) -> None:
    biased = export_netx(network(dense_chain(BIASED)), tmp_path / "a.net")
    assert biased.shifts == {"pop0": 1, "pop1": 2, "pop2": 3}
    assert biased.options(50) == {"reset_interval": 50, "reset_offset": 1}
    with h5py.File(tmp_path / "a.net") as file:
        noted = json.loads(file.attrs["hasn"])
    assert noted == {"dt": DT, "shifts": biased.shifts, "read with": biased.reading}
    assert "'a.net', reset_interval=STEPS, reset_offset=1" in biased.reading
    # Where every connection has a step of its own, layers need no other, and nothing runs ahead.
    timed = export_netx(network(dense_chain(BIASED), "hardware"), tmp_path / "b.net")
    assert (set(timed.shifts.values()), timed.options(50)) == ({0}, {})
    grid = export_netx(network(convolutions(1, dense=False)), tmp_path / "c.net")
    assert (grid.input_shape, grid.output_shape, grid.transposed) == ((6, 7, 2), (3, 3, 3), (True, True))


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    made, path = network(dense_chain(BIASED)), tmp_path / "a.net"
    path.write_text("mine")
    with pytest.raises(FileError, match="kept"):
        export_netx(made, path)
    assert path.read_text() == "mine"
    export_netx(made, path, force=True)
    assert fields(path)[0]["type"] == b"input"
    with pytest.raises(UnsupportedError, match="one of each"):
        export_netx(network(pair(vth=[5, 6])), tmp_path / "b.net")
    assert [p.name for p in tmp_path.iterdir()] == ["a.net"]


# --- what its reader would change


#: Given, and what lava-dl 0.6.0's optimize_weight_bits and Lava 0.10's clip_weights and truncate_weights made of it
#: when they were run; None where 8 bits do not hold it, or it would be shifted by a negative number.
READ: list[tuple[list[int], list[float] | None]] = [
    ([255, 1, 0], [255, 1, 0]), ([1, 0, 0], [1, 0, 0]), ([128, 64, 192], [128, 64, 192]), ([127, 3, 1], [127, 3, 1]),
    ([16, 48, 0], [16, 48, 0]), ([254, 2, 6], [254, 2, 6]), ([254, -2, 6], [254, -2, 6]),
    ([-256, 2, 4], [-256, 2, 4]), ([-254, 3, 6], None), ([127, -128, 5], [127, -128, 5]), ([128, -1, 3], None),
    ([128, -2, 4], [128, -2, 4]), ([-127, 3, 0], [-127, 3, 0]), ([-128, 3, 0], [-128, 3, 0]), ([-129, 1, 0], None),
    ([-130, 2, 0], [-130, 2, 0]), ([-3, -5, -6], [-3, -5, -6]), ([-4, -3, -1], [-3, -3, -1]),
    ([-255, -1, -9], [-255, -1, -9]), ([-256, -2, -8], [-254, -2, -8]), ([-257, -1, -9], None),
    ([-4, 0, -2], [-3, 0, -2]), ([-4, 0, -3], [-3.5, 0, -3]), ([-3, 0, -1], [-3, 0, -1]), ([-129, 0, -2], None),
    ([-130, 0, -2], [-130, 0, -2]), ([-128, 0, -2], [-127, 0, -2]), ([-7, -7, 0], [-7, -7, 0]), ([256, 0, 2], None),
    ([1, -1, 1], [1, -1, 1]), ([2, -2, 4], [2, -2, 4]), ([100, -50, 4], [100, -50, 4]),
    ([64, -32, 16], [64, -32, 16]), ([63, -64, 1], [63, -64, 1]),
]  # fmt: skip
#: The same for a layer with recurrent weights: shift and bits are chosen for both together, the sign mode for each.
READ_TOGETHER: list[tuple[list[int], list[int], tuple[list[float], list[float]] | None]] = [
    ([4, 2], [-1, 3], ([4, 2], [-1, 3])), ([4, 2], [8, -8], ([4, 2], [8, -8])),
    ([-4, -2], [-8, 0], ([-4, -2], [-7, 0])), ([-4, -3], [1, 5], ([-4, -3], [1, 5])),
    ([200, 2], [1, 3], ([200, 2], [1, 3])), ([200, 2], [-1, 3], None), ([3, -5], [6, 7], ([3, -5], [6, 7])),
    ([-3, -1], [-255, -7], ([-3, -1], [-255, -7])), ([3, 1], [-200, -8], None),
    ([4, 8], [-100, -64], ([4, 8], [-100, -64])),
]  # fmt: skip


@pytest.mark.parametrize(("given", "held"), READ)
def test_what_the_reader_makes_of_weights(given: list[int], held: list[float] | None) -> None:
    found = as_read(np.array([given]))
    assert (None if found is None else found[0].tolist()) == (None if held is None else [held])


@pytest.mark.parametrize(("given", "recurrent", "held"), READ_TOGETHER)
def test_what_the_reader_makes_of_recurrent_weights(
    given: list[int], recurrent: list[int], held: tuple[list[float], list[float]] | None
) -> None:
    found = as_read(np.array([given]), np.array([recurrent]))
    assert (None if found is None else [part[0].tolist() for part in found]) == (None if held is None else [*held])


def test_more_than_8_bits_of_both_signs_are_not_held() -> None:
    """lava-dl clips 255 to 254 with a printed warning; here it is no weight that is held."""
    assert as_read(np.array([[255, -2, 6]])) is None


# --- what NetX has no words for


def pair(weight: Any = 6.0, **registers: Any) -> nir.NIRGraph:
    """Two inputs, two neurons."""
    matrix = np.array([[4.0, 2.0], [-2.0, 1.0]]) * weight
    return chain(
        ("in", nir.Input(np.array([2]))),
        ("w", nir.Affine(matrix, np.asarray(registers.pop("added", np.zeros(2)), dtype=float))),
        ("n", chip_neuron((2,), dt=DT, **{"dv": 100, "vth": 20, **registers})),
        ("out", nir.Output(np.array([2]))),
    )


def grown(graph: nir.NIRGraph, nodes: dict[str, Any], *edges: tuple[str, str]) -> nir.NIRGraph:
    """The graph with more nodes and edges."""
    return nir.NIRGraph({**graph.nodes, **nodes}, [*graph.edges, *edges], metadata=graph.metadata, type_check=False)


def second() -> nir.NIRNode:
    return chip_neuron((2,), dt=DT, dv=100, vth=20)


def linear(*values: float) -> nir.Linear:
    return nir.Linear(np.array(values).reshape(2, 2))


def two_inputs() -> nir.NIRGraph:
    return grown(pair(), {"in2": nir.Input(np.array([2])), "w2": linear(2, 4, 6, 8)}, ("in2", "w2"), ("w2", "n"))


def branches() -> nir.NIRGraph:
    nodes = {name: second() for name in "ab"} | {f"w{name}": linear(2, 4, 6, 8) for name in "ab"}
    return grown(pair(), nodes, ("n", "wa"), ("wa", "a"), ("n", "wb"), ("wb", "b"))


def skip() -> nir.NIRGraph:
    graph = chain(
        ("in", nir.Input(np.array([2]))),
        ("w", linear(2, 4, 6, 8)),
        ("n", second()),
        ("x", linear(2, 4, 6, 8)),
        ("m", second()),
        ("y", linear(2, 4, 6, 8)),
        ("o", second()),
        ("out", nir.Output(np.array([2]))),
    )
    return grown(graph, {"s": linear(2, 2, 2, 2)}, ("m", "s"), ("s", "n"))


def slow_loop() -> nir.NIRGraph:
    return grown(
        pair(), {"l": linear(2, 2, 2, 2), "d": nir.Delay(np.full(2, 2 * DT))}, ("n", "l"), ("l", "d"), ("d", "n")
    )


def biased_loop() -> nir.NIRGraph:
    return grown(pair(bias=64), {"l": linear(2, 2, 2, 2)}, ("n", "l"), ("l", "n"))


def far(steps: int) -> nir.NIRGraph:
    graph = pair()
    graph.nodes["late"] = nir.Delay(np.array([0, steps]) * DT)
    graph.edges = [("in", "w"), ("w", "late"), ("late", "n"), ("n", "out")]
    return graph


def shown_input() -> nir.NIRGraph:
    graph = pair()
    graph.edges = [("in", "w"), ("w", "n"), ("in", "out")]
    return graph


@pytest.mark.parametrize(
    ("make", "node", "words"),
    [
        (two_inputs, None, "one Input"),
        (lambda: grown(pair(), {"out2": nir.Output(np.array([2]))}, ("n", "out2")), None, "one Output"),
        (branches, "n", "feeds several populations"),
        (skip, "n", "several populations feed it"),
        (shown_input, "out", "last layer"),
        (lambda: pair(vth=None), "n", "read by its voltage"),
        (lambda: pair(vth=[5, 6]), "n", "one of each"),
        (lambda: pair(v_init=[0, 9]), "n", "starts at 0"),
        (lambda: pair(du=100, added=[2, 4]), "n", "not to the current"),
        (lambda: pair(bias=[64, 32]), "n", "multiple of 64"),
        (lambda: pair(bias=64 * 4096), "n", "13-bit mantissa"),
        (lambda: pair(weight=100.0), "n", "more than NetX's 8 bits"),
        (lambda: pair(weight=-np.ones((2, 2)) * [[1, 1], [-1, 4]]), "n", "would read -4 as -2"),
        (slow_loop, "n", "NetX has one step"),
        (biased_loop, "n", "run ahead"),
        (lambda: far(63), "n", "longer than NetX keeps; got 63; wanted <= 62 steps"),
    ],
)
def test_what_netx_cannot_say_is_refused_by_name(
    tmp_path: Path, make: Callable[[], nir.NIRGraph], node: str | None, words: str
) -> None:
    with pytest.raises(UnsupportedError, match=words) as refused:
        export_netx(network(make()), tmp_path / "a.net")
    assert refused.value.node == node
    assert "--target loihi2" in str(refused.value.way_out)
    assert not list(tmp_path.iterdir())


def test_the_longest_delay_is_kept(tmp_path: Path) -> None:
    export_netx(network(far(62)), tmp_path / "a.net")
    delay: NDArray[Any] = fields(tmp_path / "a.net")[1]["delay"]
    np.testing.assert_array_equal(delay, [[0, 0], [62, 62]])
