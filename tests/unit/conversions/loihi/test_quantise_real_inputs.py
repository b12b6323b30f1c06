"""hasn.quantise behind a real-valued Input: its data are multiplied on the way to the chip, so weights that lead
from it are divided, and what does not come from it (a bias, another Input, a population) is not.
"""

from __future__ import annotations

import nir
import numpy as np
import pytest

import hasn
from hasn.conversions.loihi.quantising import connect
from hasn.errors import UnsupportedError
from hasn.testing.graphs import graph, inp, out
from tests.unit.conversions.loihi.nets import DT, chain, float_run, lif, spikes, weights
from tests.unit.conversions.loihi.test_quantise import apart, integer_run

BIAS = np.array([0.9, -0.4, 0.3, 0.7])
WEIGHT = weights(4, 6)


def real(*shape: int) -> np.ndarray:
    """Real numbers up to about 2 for 40 steps and 3 samples."""
    return np.random.default_rng(5).normal(0.8, 0.4, (40, 3, *shape))


def cuba(*shape: int, r: float | np.ndarray = 1.5) -> nir.CubaLIF:
    """A unit of input adds ``(dt/tau_syn) w_in (dt/tau_mem) R = (1/5) 4 (1/20) r`` to the voltage in the same step."""
    full = lambda value: np.array(np.broadcast_to(np.asarray(value, dtype=float), shape))  # noqa: E731
    return nir.CubaLIF(
        tau_syn=full(5 * DT), tau_mem=full(20 * DT), w_in=full(4.0), r=full(r), v_leak=full(0), v_threshold=full(1.0),
        v_reset=full(0),
    )  # fmt: skip


GAIN = 0.2 * 4.0 * 0.05 * 1.5
RISING = np.array([0.5, 1.0, 1.5, 3.0])
SECOND = 0.5 * weights(4, 4, 2)
POOL = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))


def conv() -> nir.Conv2d:
    return nir.Conv2d((6, 6), weights(36, 1).reshape(4, 1, 3, 3), 1, 0, 1, 1, BIAS)


def over(values: np.ndarray, places: int) -> np.ndarray:
    """Each channel's value at so many places."""
    return np.repeat(values, places)


#: name -> (graph, what each neuron's constant input adds to its voltage in a step: bias times what lies behind, times
#: gain; how many times a bias's rounding error of half a unit comes in)
BIASES = {
    "affine": (chain((6,), nir.Affine(WEIGHT, BIAS), cuba(4)), GAIN * BIAS, 1),
    "every neuron with a gain of its own": (
        chain((6,), nir.Affine(WEIGHT, BIAS), cuba(4, r=RISING)), GAIN / 1.5 * RISING * BIAS, 1),
    "a factor before it": (
        chain((6,), nir.Scale(np.full(6, 3.0)), nir.Affine(WEIGHT, BIAS), cuba(4)), GAIN * BIAS, 1),
    "a factor behind it": (
        chain((6,), nir.Affine(WEIGHT, BIAS), nir.Scale(np.full(4, 3.0)), cuba(4)), 3 * GAIN * BIAS, 1),
    "convolution": (chain((1, 6, 6), conv(), cuba(4, 4, 4)), over(GAIN * BIAS, 16), 1),
    "convolution behind pooling": (
        chain((1, 12, 12), POOL, conv(), cuba(4, 4, 4)), over(GAIN * BIAS, 16), 1),
    "pooling behind a convolution": (  # each neuron adds up four biases of a quarter
        chain((1, 6, 6), conv(), POOL, cuba(4, 2, 2)), over(GAIN * BIAS, 4), 4),
    "composed": (
        chain((6,), nir.Affine(WEIGHT, BIAS), nir.Linear(SECOND), cuba(4)), GAIN * SECOND @ BIAS, 1),
    "composed, every neuron with a gain of its own": (
        chain((6,), nir.Affine(WEIGHT, BIAS), nir.Affine(SECOND, -BIAS), cuba(4, r=RISING)),
        GAIN / 1.5 * RISING * (SECOND @ BIAS - BIAS), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", BIASES)
def test_a_bias_is_not_divided_by_the_scale_of_the_input(name: str) -> None:
    net, wanted, errors = BIASES[name]
    inputs = real(*net.nodes["input"].input_type["input"])
    made = hasn.quantise(net, calibrate=inputs, input_bits=4)  # bits that inputs do not take are left for the weights
    assert made.input_scales["input"] == pytest.approx(7 / np.abs(inputs).max())
    (population,) = made.integers.populations.values()
    unit = 64.0 / made.scales[population.name].scale.reshape(-1)  # volts of a unit of weight
    (drive,) = population.drives.values()
    np.testing.assert_allclose(drive * unit, wanted, atol=errors * 0.501 * unit.max())
    assert np.all(np.abs(wanted) > 10 * unit)  # so that half a unit is little
    # The run says the same: what is left are weights of about 8 bits and the decays' rounding.
    rounded = made.inputs(inputs) / made.input_scales["input"]
    exact, volts = (float_run(graph, rounded)[population.name] for graph in (net, made.dequantised()))
    integers = integer_run(made, inputs).spikes[population.name]
    assert abs(integers.sum() - exact.sum()) < 0.05 * exact.sum()
    assert apart(volts, integers) < 0.03


@pytest.mark.parametrize("kind", ["LIF", "Threshold"])
def test_nor_is_one_that_the_bias_register_takes(kind: str) -> None:
    """A LIF with ``dt/tau R = 1`` adds its bias to the voltage at every step, and so does a Threshold."""
    neurons = lif(4) if kind == "LIF" else nir.Threshold(np.full(4, 1.0))
    nodes = {"input": inp(6), "n0": nir.Affine(WEIGHT, BIAS), "n1": neurons, "output": out(4)}
    net = graph(nodes, "input > n0 > n1 > output", dt=DT)
    made = hasn.quantise(net, calibrate=real(6))
    (population,) = made.integers.populations.values()
    assert not population.drives
    # A bias of 13 bits: a part in 2**12 of the largest with its exponent.
    np.testing.assert_allclose(population.bias / made.scales["n1"].scale, BIAS, atol=2.0**-12)
    of_float = float_run(net, real(6))["n1"]
    assert apart(of_float, integer_run(made, real(6)).spikes["n1"]) < 0.05


def weight_of(made: hasn.QuantisedNetwork, source: str, target: str) -> np.ndarray:
    """What the chip's weights of a connection add to the target's voltage, in volts for a unit of the float input."""
    (found,) = (p for p in made.integers.projections if (p.source, p.target) == (source, target))
    unit = 64.0 / made.scales[target].scale.reshape(-1, 1)
    return found.weights.toarray() * unit * made.input_scales.get(source, 1.0)


@pytest.mark.parametrize("composed", [False, True])
def test_only_what_comes_from_the_input_is_divided(composed: bool) -> None:
    """A population with real-valued and spiking inputs, through weights, a bare edge and a population."""
    strong, weak = weights(4, 4, 3), weights(4, 4, 4)
    nodes = {
        "real": inp(4), "spikes": inp(4), "wr": nir.Linear(strong), "ws": nir.Linear(weak), "first": lif(4),
        "wf": nir.Linear(weights(4, 4, 5)), "n": cuba(4), "bare": cuba(4, r=0.5), "o": out(4),
    }  # fmt: skip
    paths = ["real > wr > n", "spikes > ws > n", "spikes > first > wf > n > o", "real > bare"]
    if composed:
        nodes["more"] = nir.Linear(np.eye(4)[::-1].copy())
        paths[0] = "real > wr > more > n"
    net = graph(nodes, *paths, dt=DT)
    inputs = {"real": real(4), "spikes": spikes(4, 40, 3)}
    made = hasn.quantise(net, calibrate=inputs)
    assert made.input_scales["spikes"] == 1.0
    assert made.input_scales["real"] > 4

    def near(source: str, target: str, wanted: np.ndarray) -> None:
        # 8 bits with a sign, even: off by one in 254 of the largest, and by one unit (halved at an exponent of 0).
        unit = 64.0 / made.scales[target].scale[0] * made.input_scales.get(source, 1.0)
        np.testing.assert_allclose(
            weight_of(made, source, target), wanted, atol=1.01 * max(np.abs(wanted).max() / 126, unit)
        )
        assert np.abs(wanted).max() > 10 * unit

    near("real", "n", GAIN * (strong[::-1] if composed else strong))
    near("spikes", "n", GAIN * weak)
    near("first", "n", GAIN * nodes["wf"].weight)
    near("real", "bare", GAIN / 3 * np.eye(4))
    near("spikes", "first", np.eye(4))


def test_weights_of_a_scale_of_its_own_for_each_element() -> None:
    """A Scale with one factor for each neuron has weights of its own, whatever the neurons' gains."""
    factors = np.array([0.5, 1.0, 1.5, 2.5])
    for r, gains in ((1.5, np.full(4, GAIN)), (RISING, GAIN / 1.5 * RISING)):
        made = hasn.quantise(chain((4,), nir.Scale(factors), cuba(4, r=r)), calibrate=real(4))
        wanted = np.diag(factors * gains)
        np.testing.assert_allclose(weight_of(made, "input", "n1"), wanted, atol=0.51 * wanted.max() / 127)
        np.testing.assert_allclose(made.dequantised().nodes["n0"].scale, factors, atol=0.51 * 2.5 / 127 * 3.0 / 0.5)


def test_neurons_with_gains_of_their_own_keep_the_nodes_whose_rows_take_them() -> None:
    """In volts the node has the float graph's weights and biases again, whatever R; w_in = 0 divides nothing."""
    net = chain((6,), nir.Affine(WEIGHT, BIAS), nir.Flatten({"input": np.array([4])}, 0, -1), cuba(4, r=RISING))
    made = hasn.quantise(net, calibrate=real(6), input_bits=4)
    assert {name: type(node) for name, node in made.graph.nodes.items()} == {
        "input": nir.Input, "n0": nir.Affine, "n1": nir.Flatten, "n2": nir.CubaLIF, "output": nir.Output
    }  # fmt: skip
    volts = made.dequantised().nodes["n0"]
    unit = 64.0 / made.scales["n2"].scale[0] / (GAIN / 1.5 * RISING[:, None])  # coarse where a neuron weighs little
    np.testing.assert_allclose(volts.bias[:, None], BIAS[:, None], atol=0.501 * unit.max())
    np.testing.assert_allclose(volts.weight, WEIGHT, atol=1.01 * unit.max() * made.input_scales["input"])
    deaf = cuba(4)
    deaf.w_in[0] = 0.0  # no weight says anything of it
    made = hasn.quantise(chain((6,), nir.Affine(WEIGHT, BIAS), deaf), calibrate=real(6))
    volts = made.dequantised().nodes["n0"]
    assert np.all(np.isfinite(volts.weight))
    assert np.all(np.isfinite(volts.bias))


def test_a_bias_that_comes_late_goes_with_the_weights_that_do() -> None:
    """Composed connections of two delays, the bias with the late one: at step 0 it is not there."""
    nodes = {
        "input": inp(6), "w": nir.Affine(WEIGHT, BIAS), "late": nir.Delay(np.full(4, 2 * DT)),
        "w2": nir.Linear(SECOND), "soon": nir.Linear(WEIGHT), "w3": nir.Linear(SECOND), "n": cuba(4), "o": out(4),
    }  # fmt: skip
    net = graph(nodes, "input > w > late > w2 > n > o", "input > soon > w3 > n", dt=DT)
    made = hasn.quantise(net, calibrate=real(6), input_bits=4)
    population = made.integers.populations["n"]
    assert set(population.drives) == {2}
    unit = 64.0 / made.scales["n"].scale[0]
    np.testing.assert_allclose(population.drives[2] * unit, GAIN * SECOND @ BIAS, atol=0.501 * unit)


def test_a_composed_matrix_that_is_too_large_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its entries, zeros among them: NIR has no sparse node."""
    net = chain((6,), nir.Linear(np.eye(4, 6)), nir.Linear(SECOND * np.eye(4)), cuba(4))
    monkeypatch.setattr(connect, "MOST_ENTRIES", 24)
    hasn.quantise(net, calibrate=real(6))
    monkeypatch.setattr(connect, "MOST_ENTRIES", 23)
    with pytest.raises(UnsupportedError, match=r"too large for NIR.*\(4, 6\)"):
        hasn.quantise(net, calibrate=real(6))
