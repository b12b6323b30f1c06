"""What NetX holds to the last: biases, delays, sizes, windows; and what a refusal says was got and wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from hasn.conversions.loihi.export.netx import export_netx, layers, windows
from hasn.conversions.loihi.export.netx.layers import layers_of
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.quantising.quantise import quantise
from hasn.errors import UnsupportedError
from hasn.program.integers.encode import chip_neuron
from tests.graphs import Draw, chain, graph, inp, out, spikes
from tests.unit.conversions.loihi.netx_chains import DT, dense_chain


def net(nodes: dict[str, Any], *paths: str, timing: str = "synchronous", **scales: float) -> QuantisedNetwork:
    return QuantisedNetwork(graph(nodes, *paths, dt=DT), "loihi2", DT, timing, input_scales=scales)


def one(weight: Any = None, late: Any = None, timing: str = "synchronous", **registers: Any) -> QuantisedNetwork:
    matrix = np.array([[4.0, 2.0], [-2.0, 8.0]]) if weight is None else np.asarray(weight, dtype=float)
    neuron = chip_neuron((len(matrix),), dt=DT, **{"dv": 100, "vth": 20, **registers})
    nodes = {"in": inp(matrix.shape[1]), "w": nir.Linear(matrix), "n": neuron, "out": out(len(matrix))}
    if late is None:
        return net(nodes, "in > w > n > out", timing=timing)
    return net({**nodes, "d": nir.Delay(np.array(late) * DT)}, "in > w > d > n > out", timing=timing)


def refused(made: QuantisedNetwork) -> UnsupportedError:
    with pytest.raises(UnsupportedError) as error:
        layers_of(made.integers)
    return error.value


def test_weights_that_round_to_0_are_none() -> None:
    """Within rounding of 0: none lead into the population, a loop of such is none, and no step counts for them."""
    e = refused(one(weight=np.full((2, 2), 1e-6)))
    assert (e.node, e.parameter) == ("n", None)
    assert "no connection leads into it" in e.message
    nodes = {
        "in": inp(2), "w": nir.Linear(np.array([[4.0, 1e-6], [-2.0, 8.0]])), "n": chip_neuron((2,), dt=DT, dv=9, vth=2),
        "l": nir.Linear(np.full((2, 2), 1e-6)), "d": nir.Delay(np.full(2, 3 * DT)), "out": out(2),
    }  # fmt: skip
    (layer,) = layers_of(net(nodes, "in > w > n > out", "n > l > d > n").integers)[1]
    assert layer.weight.tolist() == [[4, 0], [-2, 8]]
    assert (layer.recurrent, layer.delay, layer.shift) == (None, None, 1)


@pytest.mark.parametrize(("bias", "mantissa"), [(-4096 * 64, -4096), (4095 * 64, 4095), (-64, -1)])
def test_the_ends_of_a_bias(bias: int, mantissa: int) -> None:
    (layer,) = layers_of(one(bias=[bias, 0]).integers)[1]
    assert layer.bias is not None
    assert layer.bias.tolist() == [mantissa, 0]


@pytest.mark.parametrize("bias", [[64, 4096 * 64], [-4098 * 64, 0], [32, 64]])
def test_a_bias_beyond_names_the_value(bias: list[int]) -> None:
    e = refused(one(bias=bias))
    wrong = next(value for value in bias if value % 64 or not -4096 * 64 <= value <= 4095 * 64)
    assert (e.node, e.parameter, e.got) == ("n", "bias", wrong)
    assert e.wanted == "a multiple of 64 within -262144..262080"
    assert e.way_out == layers.WAY_OUT


def test_delays_are_counted_beyond_the_step_that_every_layer_takes() -> None:
    """62 steps more than the layer's own, which is one where every connection has a delay anyway."""
    (layer,) = layers_of(one(late=[0, 62]).integers)[1]
    assert layer.delay is not None
    assert (layer.shift, layer.delay.tolist()) == (1, [[0, 0], [62, 62]])
    e = refused(one(late=[0, 63]))
    assert (e.parameter, e.got, e.wanted) == ("delay", 63, "<= 62 steps")
    (layer,) = layers_of(one(late=[1, 63]).integers)[1]
    assert layer.delay is not None
    assert (layer.shift, layer.delay.tolist()) == (0, [[0, 0], [62, 62]])
    e = refused(one(late=[1, 64]))
    assert (e.parameter, e.got, e.wanted) == ("delay", 64, "<= 63 steps")
    (layer,) = layers_of(one(late=[3, 3]).integers)[1]
    assert layer.delay is not None
    assert (layer.shift, layer.delay.tolist()) == (0, [[2, 2], [2, 2]])
    (layer,) = layers_of(one(timing="hardware").integers)[1]
    assert (layer.shift, layer.delay) == (0, None)


def test_two_delays_between_the_same_neurons() -> None:
    weight = nir.Linear(np.array([[4.0, 0.0], [2.0, 6.0]]))
    other = nir.Linear(np.array([[0.0, 8.0], [0.0, 0.0]]))
    nodes = {
        "in": inp(2), "w": weight, "v": other, "d": nir.Delay(np.full(2, 2 * DT)),
        "n": chip_neuron((2,), dt=DT, dv=100, vth=20), "out": out(2),
    }  # fmt: skip
    (layer,) = layers_of(net(nodes, "in > w > n > out", "in > v > d > n").integers)[1]
    assert layer.weight.tolist() == [[4, 8], [2, 6]]
    assert layer.delay is not None
    assert layer.delay.tolist() == [[0, 2], [0, 0]]
    nodes["v"] = nir.Linear(np.array([[1.0, 8.0], [0.0, 0.0]]))
    e = refused(net(nodes, "in > w > n > out", "in > v > d > n"))
    assert (e.node, e.parameter) == ("n", "delay")
    assert "two synapses of different delay join the same neurons of in" in e.message


def test_a_recurrent_layer_has_no_delays() -> None:
    nodes = {
        "in": inp(2), "w": nir.Linear(2 * np.ones((2, 2))), "d": nir.Delay(np.array([0, 3 * DT])),
        "l": nir.Linear(4 * np.ones((2, 2))), "n": chip_neuron((2,), dt=DT, dv=100, vth=20), "out": out(2),
    }  # fmt: skip
    e = refused(net(nodes, "in > w > d > n > out", "n > l > n"))
    assert (e.node, e.parameter, e.got) == ("n", "delay", "3 step(s)")
    slow = {**nodes, "d": nir.Delay(np.full(2, DT))}
    e = refused(net(slow, "in > w > n > out", "n > l > d > n"))
    assert (e.node, e.parameter, e.got, e.wanted) == ("n", "delay of its recurrent connection", 2, "1 step")


def test_a_matrix_that_is_too_large_for_a_dense_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "MOST_WEIGHTS", 4)
    layers_of(one().integers)
    monkeypatch.setattr(layers, "MOST_WEIGHTS", 3)
    e = refused(one())
    assert (e.node, e.parameter, e.got, e.wanted) == ("n", "weights", 4, "<= 3")


@pytest.mark.parametrize(
    ("weight", "got"),
    [
        ([[510, 2]], "2..510"),
        ([[-300, 2]], "-300..2"),
        ([[100, 508], [-4, 0]], "-4..508"),
        ([[3, -254]], "-254..3"),  # nine bits
    ],
)
def test_weights_beyond_8_bits_say_what_helps(weight: Any, got: str) -> None:
    e = refused(one(weight))
    assert (e.node, e.parameter, e.got) == ("n", "weights", got)
    assert str(e.way_out).startswith("Quantise the float network with largest_exponent=0")


def test_what_is_advised_against_too_large_weights_works(tmp_path: Path) -> None:
    """Here 64 times the headroom does not: the exponent goes with the weights."""
    draw = Draw(1)
    float_net = chain(
        draw.linear(3, 4), draw.lif(3, tau=0.02, r=20, v_threshold=1, v_leak=0, v_reset=0), given=(4,), result=(3,)
    )
    float_net.nodes["n1"].weight = float_net.nodes["n1"].weight * 30
    data = spikes((4,), 50, 2)
    for headroom in (2.0, 64.0):
        chip = quantise(float_net, calibrate=data, dt=DT, headroom=headroom)
        with pytest.raises(UnsupportedError, match="largest_exponent=0"):
            export_netx(chip, tmp_path / "a.net")
    export_netx(quantise(float_net, calibrate=data, dt=DT, largest_exponent=0), tmp_path / "a.net")
    assert (tmp_path / "a.net").is_file()


def test_what_the_reader_would_change_is_told_by_value() -> None:
    e = refused(one([[-4, -3]]))
    assert (e.node, e.parameter) == ("n", "weights")
    assert "would read -4 as -3: it misreads a matrix with no weight above 0" in e.message


def test_registers_and_starts_are_told_by_value() -> None:
    e = refused(one(vth=[5, 6]))
    assert (e.node, e.parameter, e.got) == ("n", "du, dv, vth", "2 combinations")
    assert "same time constants and threshold" in str(e.way_out)
    e = refused(one(v_init=[0, -9]))
    assert (e.node, e.parameter, e.got) == ("n", "v_init", -9)


def test_chains_are_told_by_their_names() -> None:
    n = lambda: chip_neuron((2,), dt=DT, dv=100, vth=20)  # noqa: E731
    w = lambda: nir.Linear(2 * np.ones((2, 2)))  # noqa: E731
    nodes = {"in": inp(2), "w": w(), "a": n(), "u": w(), "b": n(), "v": w(), "c": n(), "out": out(2)}
    e = refused(net(nodes, "in > w > a > u > b > out", "a > v > c"))
    assert (e.node, e.parameter, e.got) == ("a", "edges", "b, c")
    e = refused(net({**nodes, "x": w()}, "in > w > a > u > b > v > c > out", "c > x > a"))
    assert (e.node, e.parameter, e.got) == ("a", "edges", "c, in")
    e = refused(net(nodes, "in > w > a > out", "b > u > b", "c > v > c"))
    assert e.node == "b"
    assert "no connection leads into it" in e.message
    e = refused(net(nodes, "in > w > a > u > b > v > c", "b > out"))
    assert (e.node, e.parameter, e.got, e.wanted) == ("out", "Output", "b", "c")
    e = refused(net({**nodes, "in2": inp(2)}, "in > w > a > u > b > v > c > out", "in2 > w"))
    assert (e.parameter, e.got) == ("Input", "in, in2")


def test_what_a_bias_runs_ahead_of() -> None:
    """Delays in a layer behind a biased one that runs late; not in the biased layer itself."""

    def stack(first: Any, late: int, timing: str = "synchronous") -> QuantisedNetwork:
        nodes = {
            "in": inp(2), "w": nir.Linear(2 * np.ones((2, 2))), "d1": nir.Delay(np.array([0, late]) * DT),
            "a": chip_neuron((2,), dt=DT, dv=100, vth=20, bias=first), "u": nir.Linear(2 * np.ones((2, 2))),
            "d2": nir.Delay(np.array([0, 2 * DT])), "b": chip_neuron((2,), dt=DT, dv=100, vth=20), "out": out(2),
        }  # fmt: skip
        return net(nodes, "in > w > d1 > a > u > d2 > b > out", timing=timing)

    e = refused(stack(64, 0))
    assert (e.node, e.parameter) == ("b", "delay")
    assert "run ahead until NetX resets them" in e.message
    assert len(layers_of(stack(0, 3).integers)[1]) == 2
    assert len(layers_of(stack(64, 3, "hardware").integers)[1]) == 2  # no layer runs late, so none ahead


def test_a_graded_input_and_an_unbiased_chain_in_the_result(tmp_path: Path) -> None:
    made = QuantisedNetwork(dense_chain(7), "loihi2", DT, input_scales={"in": 16.0})
    file = export_netx(made, tmp_path / "a.net")
    assert (file.graded, file.needs_reset) == (True, False)
    assert file.options(30) == {"input_message_bits": 24}
    assert file.reading == "lava.lib.dl.netx.hdf5.Network(net_config='a.net', input_message_bits=24)"
    assert file.path == tmp_path / "a.net"
    assert list(file.layers.values()) == list(range(len(file.layers)))
    plain = export_netx(QuantisedNetwork(dense_chain(7), "loihi2", DT), tmp_path / "b.net")
    assert plain.options(30) == {}
    (size,) = {p.size for p in made.integers.inputs.values()}
    assert (plain.input_shape, plain.transposed) == ((size,), (False, False))


# --- windows


def windowed(node: nir.NIRNode, given: tuple[int, ...], shape: tuple[int, ...], **registers: Any) -> QuantisedNetwork:
    neuron = chip_neuron(shape, dt=DT, **{"dv": 100, "vth": 20, **registers})
    return net({"in": inp(*given), "c": node, "n": neuron, "out": out(*shape)}, "in > c > n > out")


def conv(size: int = 4, factor: float = 2.0, **how: Any) -> nir.Conv2d:
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **how}
    kernel = factor * np.arange(1, 9).reshape(2, 1, 2, 2)
    return nir.Conv2d((size, size), kernel, bias=np.zeros(2), **options)


def window(made: QuantisedNetwork) -> Any:
    return layers_of(made.integers)[1][0].window


def test_what_is_written_as_a_window() -> None:
    found = window(windowed(conv(), (1, 4, 4), (2, 3, 3)))
    assert found.weight.tolist() == conv().weight.tolist()
    assert (found.stride, found.pads, found.dilation, found.groups) == ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    sums = window(windowed(nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])), (3, 4, 4), (3, 2, 2)))
    assert sums.weight.tolist() == np.ones((3, 1, 2, 2)).tolist()
    assert (sums.stride, sums.groups) == ((2, 2), 3)


@pytest.mark.parametrize(
    "made",
    [
        # unequal padding; a stride beyond int8; one dimension; two windows in a row; a flat population
        windowed(conv(padding="same"), (1, 4, 4), (2, 4, 4)),
        windowed(conv(size=129, stride=128), (1, 129, 129), (2, 1, 1)),
        windowed(nir.Conv1d(4, 2.0 * np.arange(1, 5).reshape(2, 1, 2), 1, 0, 1, 1, np.zeros(2)), (1, 4), (2, 3)),
        net({"in": inp(1, 4, 4), "c": conv(), "p": nir.SumPool2d(np.array([3, 3]), np.array([3, 3]), np.array([0, 0])),
             "n": chip_neuron((2, 1, 1), dt=DT, dv=100, vth=20), "out": out(2, 1, 1)}, "in > c > p > n > out"),
        net({"in": inp(1, 4, 4), "c": conv(), "f": nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1),
             "n": chip_neuron((18,), dt=DT, dv=100, vth=20), "out": out(18)}, "in > c > f > n > out"),
    ],
)  # fmt: skip
def test_what_becomes_dense(made: QuantisedNetwork) -> None:
    (layer,) = layers_of(made.integers)[1]
    assert layer.window is None
    (projection,) = made.integers.projections
    np.testing.assert_array_equal(layer.weight, projection.weights.toarray())


def test_weights_with_an_exponent_are_no_window() -> None:
    e = refused(windowed(conv(factor=64.0), (1, 4, 4), (2, 3, 3)))
    assert (e.parameter, e.got) == ("weights", "0..512")


def test_sums_of_24_bits_are_no_window_whatever_their_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lava's Conv clamps what it sums up: as large as all spikes of one sign can make it."""
    kernel = np.array([[[[30.0, -40.0], [20.0, -8.0]]]])
    made = windowed(nir.Conv2d((3, 3), kernel, 1, 0, 1, 1, np.zeros(1)), (1, 3, 3), (1, 2, 2))
    for limit, there in ((98, False), (99, True)):
        monkeypatch.setattr(windows, "STATE_LIMIT", limit)
        assert (window(made) is not None) == there


def test_a_stride_of_127_is_still_a_window() -> None:
    assert window(windowed(conv(size=129, stride=127), (1, 129, 129), (2, 2, 2))) is not None
