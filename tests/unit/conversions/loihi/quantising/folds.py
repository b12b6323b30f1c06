"""Whether a quantised network is what its float graph says, coefficient by coefficient, and without running either.

Both graphs that ``hasn.quantise`` makes are lowered by themselves and read as one linear update per population,

    c <- keep_c c + sum of weights + drive,    v <- keep_v v + c + constant,

in volts above v_reset; so nothing is shared with how the integers were made.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

import hasn
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.ir.lower import lower
from hasn.program.fuse import Network, fuse
from hasn.program.model import Neurons, Source, Threshold

#: Registers are exact in the graph in volts, but for float64's rounding of a few products.
EXACT = 1e-9


@dataclass(frozen=True)
class Update:
    """A population in volts above ``offset``; weights and drives as they reach the voltage."""

    keep_c: Any
    keep_v: Any
    offset: Any
    threshold: Any
    initial: Any
    constant: Any
    weights: dict[tuple[str, int], Any]
    drives: dict[int, Any]


def updates(network: Network, input_scales: dict[str, float]) -> dict[str, Update]:
    """Every population's update; weights from an Input are for one unit of its integers."""
    return {
        p.name: _update(network, p, input_scales) for p in network.populations if isinstance(p, Neurons | Threshold)
    }


def _update(network: Network, p: Neurons | Threshold, input_scales: dict[str, float]) -> Update:
    size = int(np.prod(p.shape))
    flat = lambda value: np.broadcast_to(np.asarray(value, dtype=float), p.shape).reshape(-1)  # noqa: E731
    if isinstance(p, Threshold):
        keep_c, keep_v, gain = None, np.zeros(size), np.ones(size)
        leak, offset, threshold, initial = np.zeros(size), np.zeros(size), flat(p.threshold), np.zeros(size)
    else:
        leak = flat(0.0 if p.rows[-1].bias is None else p.rows[-1].bias)
        keep_v = flat(dict(p.rows[-1].terms)["v"])
        offset = flat(0.0 if p.firing is None else p.firing.jump)
        threshold = None if p.threshold is None else flat(p.threshold)
        initial = flat(p.initial["v"])
        keep_c, gain = None, flat(p.rows[0].gain)
        if len(p.rows) == 2:
            keep_c = flat(dict(p.rows[0].terms)["c"])
            gain = gain * flat(dict(p.rows[1].terms)["c"])
    weights = {
        (w.source, w.delay): w.weights.toarray() * gain[:, None] / input_scales.get(w.source, 1.0)
        for w in network.into(p.name)
    }
    drives = {first: value * gain for first, value in network.drives.get(p.name, {}).items()}
    constant = leak - (1.0 - keep_v) * offset
    if keep_c is None and 0 in drives:  # nothing lies between input and voltage: one constant is as good as the other
        constant = constant + drives.pop(0)
    threshold = None if threshold is None else threshold - offset
    return Update(keep_c, keep_v, offset, threshold, initial - offset, constant, weights, drives)


def quantised(graph: nir.NIRGraph, inputs: Any, **options: Any) -> QuantisedNetwork:
    """``hasn.quantise``, and its result checked."""
    made = hasn.quantise(graph, calibrate=inputs, **options)
    lowering = {key: options[key] for key in ("dt", "method", "timing") if key in options}
    network = fuse(lower(graph, **lowering))
    check_integers(made, updates(network, made.input_scales))
    check_volts(made)
    check_volts(replace(made, floating=None))  # as after a file, which keeps the integers and their scales
    assert made.integers.outputs == network.outputs
    assert fuse(lower(made.dequantised(), timing=made.timing)).outputs == network.outputs
    sources = {p.name: p.shape for p in network.populations if isinstance(p, Source)}
    assert {name: i.shape for name, i in made.integers.inputs.items()} == sources
    return made


def check_integers(made: QuantisedNetwork, wanted: dict[str, Update]) -> None:
    """The registers are the float network's coefficients, each to half a unit of what holds it."""
    integers = made.integers
    assert set(integers.populations) == set(wanted)
    for name, w in wanted.items():
        p, scale = integers.populations[name], made.scales[name].scale.reshape(-1)
        np.testing.assert_allclose(made.scales[name].offset.reshape(-1), w.offset)
        assert np.abs((1 - w.keep_v) * 4096 - p.dv).max() <= (0.5 if w.keep_v.min() > 0 else 1)
        if w.keep_c is None:
            assert p.du.tolist() == [4095] * p.size
        else:
            assert np.abs((1 - w.keep_c) * 4096 - p.du - 1).max() <= 0.5
        assert p.spiking == (w.threshold is not None)
        if w.threshold is not None:
            assert np.abs(w.threshold * scale / 64 - p.vth).max() <= 0.5 + 1e-6
        assert np.abs(w.initial * scale - p.v_init).max() <= 0.5 + 1e-6
        assert np.all(np.abs(w.constant * scale - p.bias) <= 2.0 ** (p.bias_exp - 1) + 1e-6)
        found = {(q.source, q.delay): q for q in integers.into(name)}
        assert set(found) == set(w.weights)
        for key, weights in w.weights.items():
            units = weights * scale[:, None] / 64
            error = np.abs(units - found[key].weights.toarray()).max()
            part = found[key].parts[0]
            if len(found[key].parts) == 1:
                assert error <= 2.0 ** (part.weight_exp + part.mixed) / 2 + 1e-6
            else:  # windows behind the weights: each sum of up to 4 of them has 4 roundings
                assert error <= np.abs(units).max() / 64
        assert set(p.drives) == set(w.drives)
        for first, drive in w.drives.items():
            assert np.abs(drive * scale / 64 - p.drives[first]).max() <= 0.5 + 1e-6


def check_volts(made: QuantisedNetwork) -> None:
    """The graph in volts has exactly what the registers stand for."""
    integers = made.integers
    found = updates(fuse(lower(made.dequantised(), timing=made.timing)), made.input_scales)
    assert set(found) == set(integers.populations)
    for name, f in found.items():
        p, scale = integers.populations[name], made.scales[name].scale.reshape(-1)
        close = lambda one, other: np.testing.assert_allclose(one, other, rtol=EXACT, atol=EXACT)  # noqa: E731
        close(f.keep_v, 1 - p.dv / 4096)
        close(0.0 if f.keep_c is None else f.keep_c, 1 - (p.du + 1) / 4096)
        assert (f.threshold is not None) == p.spiking
        if f.threshold is not None:
            close(f.offset, made.scales[name].offset.reshape(-1))
            close(f.threshold * scale, p.vth * 64)
        shift = f.offset - made.scales[name].offset.reshape(-1)  # a population without a threshold knows no offset
        close((f.initial + shift) * scale, p.v_init)
        close(f.constant * scale, p.bias)
        assert set(f.weights) == {(q.source, q.delay) for q in integers.into(name)}
        for q in integers.into(name):
            close(f.weights[q.source, q.delay] * scale[:, None] / 64, q.weights.toarray())
        assert set(f.drives) == set(p.drives)
        for first, drive in p.drives.items():
            close(f.drives[first] * scale / 64, drive)
