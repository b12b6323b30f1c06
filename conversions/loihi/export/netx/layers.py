"""IntegerNetwork -> the layers of a NetX file: a chain of populations, each with the connection that leads into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hasn.conversions.loihi.export.netx.weights import as_read
from hasn.conversions.loihi.export.netx.windows import window_of
from hasn.errors import UnsupportedError
from hasn.program.integers.model import (
    ALIGN_BITS,
    BIAS_MANTISSA,
    IntegerNetwork,
    IntegerPopulation,
    IntegerProjection,
    Integers,
)
from hasn.program.maps import Convolution

WAY_OUT = "Export it with --target loihi2, which takes any network that is on the chip's grid."
#: Lava's delays have 6 bits; NetX clips them at 62.
LONGEST_DELAY = 62
#: NetX holds a dense layer's weights as int64: this many are 1 GiB.
MOST_WEIGHTS = 1 << 27


@dataclass(frozen=True)
class Layer:
    """One block of NetX: a connection and the LIF neurons behind it, as the file says them.

    Attributes:
        name: the population.
        shift: steps that it runs late in Lava.
        shape: (n,) of a dense layer, (C, H, W) of a convolution.
        weight: (n, inputs), or (C, C_in / groups, kernel height, kernel width), in weight units.
        recurrent: (n, n) weights of the layer's own spikes of the step before; None for none.
        delay: (n, inputs) steps on top of the step that every layer takes; None for none.
        bias: in weight units (a bias mantissa with NetX's exponent 6), (n,) or (W, H, C); None for none.
        du, dv, vth: the registers, one of each.
        window: stride, padding, dilation (each (vertical, horizontal)) and groups; None for a dense layer.
    """

    name: str
    shift: int
    shape: tuple[int, ...]
    weight: Integers
    recurrent: Integers | None
    delay: Integers | None
    bias: Integers | None
    du: int
    dv: int
    vth: int
    window: Convolution | None


def refused(node: str | None, parameter: str | None, message: str, **more: Any) -> UnsupportedError:
    """What NetX lacks; the way out is another target unless ``more`` has one."""
    return UnsupportedError(message, node=node, parameter=parameter, **{"way_out": WAY_OUT, **more})


def layers_of(integers: IntegerNetwork) -> tuple[str, list[Layer]]:
    """The Input, and the layers behind it in order.

    Raises:
        UnsupportedError: NetX has no words for something; names it, what is missing and the way out.
    """
    first, names = _chain(integers)
    hops = [[p for p in integers.into(name) if p.source != name] for name in names]
    # A layer takes a step. Where every connection has a step of delay anyway, that is it; else layers run late.
    own = min(p.delay for hop in hops for p in hop) >= 1
    layers: list[Layer] = []
    grid = integers.inputs[first].shape  # a layer's neurons as (C, H, W), or flat behind a dense layer
    for i, (name, hop) in enumerate(zip(names, hops, strict=True), start=1):
        layer = _layer(integers, integers.populations[name], hop, 0 if own else i, int(own), grid)
        layers.append(layer)
        grid = layer.shape
    _check_start(layers)
    return first, layers


def _check_start(layers: list[Layer]) -> None:
    """Neurons with a bias run ahead until NetX resets them: what they sent must not arrive after that."""
    ahead = False
    for layer in layers:
        early = "delay" if ahead and layer.delay is not None else None
        ahead = ahead or (layer.bias is not None and layer.shift > 0)
        early = "recurrent connection" if ahead and layer.recurrent is not None else early
        if early:
            raise refused(
                layer.name,
                early,
                "neurons with a bias run ahead until NetX resets them, and it does not clear the spikes under way here",
            )


# --- the chain


def _chain(network: IntegerNetwork) -> tuple[str, list[str]]:
    for what, found in (("Input", list(network.inputs)), ("Output", list(network.outputs))):
        if len(found) != 1:
            raise refused(None, what, f"NetX has one {what}", got=", ".join(found) or "none")
    (first,), (output,) = network.inputs, network.outputs
    names: list[str] = []
    last = first
    while targets := [n for n in network.populations if n != last and any(p.source == last for p in network.into(n))]:
        _alone(network, last, targets)
        last = targets[0]
        names.append(last)
    for name in network.populations:
        if name not in names:
            raise refused(name, None, "no connection leads into it; NetX has only layers behind a connection")
    shown = network.outputs[output]
    if not names or shown != last:
        raise refused(
            output, "Output", "NetX gives the spikes of the last layer", got=shown, wanted=names[-1] if names else None
        )
    if not network.populations[last].spiking:
        raise refused(
            last, "v_threshold", "it is read by its voltage; a NetX network gives spikes alone", got="no threshold"
        )
    return first, names


def _alone(network: IntegerNetwork, source: str, targets: list[str]) -> None:
    """``source`` feeds one population, which nothing else feeds."""
    if len(targets) > 1:
        raise refused(source, "edges", "it feeds several populations; NetX has chains", got=", ".join(targets))
    sources = {p.source for p in network.into(targets[0])} - {targets[0]}
    if len(sources) > 1:
        raise refused(
            targets[0],
            "edges",
            "several populations feed it; NetX has chains, without skips, and feedback within a layer only",
            got=", ".join(sorted(sources)),
        )


# --- one layer


def _layer(
    network: IntegerNetwork,
    population: IntegerPopulation,
    hop: list[IntegerProjection],
    shift: int,
    own: int,
    grid: tuple[int, ...],
) -> Layer:
    (registers,) = _registers(population)
    recurrent = _recurrent(network, population.name)
    one = len(hop) == 1 and hop[0].delay == own and recurrent is None
    window = window_of(network, population, hop[0], grid) if one else None
    if window is not None:
        weight, delay = np.rint(window.weight).astype(np.int64), None
    else:
        weight, delay = _summed(population.name, hop, own)
        _check_weights(population.name, weight, recurrent)
    if delay is not None and recurrent is not None:
        raise refused(population.name, "delay", "a recurrent NetX layer has none", got=f"{int(delay.max())} step(s)")
    shape = (population.size,) if window is None else population.shape
    bias = _bias(population, window)
    return Layer(population.name, shift, shape, weight, recurrent, delay, bias, *registers, window)


def _recurrent(network: IntegerNetwork, name: str) -> Integers | None:
    found = [p for p in network.into(name) if p.source == name]
    for projection in found:
        if projection.delay != 1:
            raise refused(
                name, "delay of its recurrent connection", "NetX has one step", got=projection.delay, wanted="1 step"
            )
    return _summed(name, found, 1)[0] if found else None


def _registers(population: IntegerPopulation) -> list[tuple[int, int, int]]:
    kinds = list(population.registers())
    if len(kinds) > 1:
        raise refused(
            population.name,
            "du, dv, vth",
            "a NetX layer has one of each",
            got=f"{len(kinds)} combinations",
            way_out="Give its neurons the same time constants and threshold, or export it with --target loihi2.",
        )
    if np.any(population.v_init):
        raise refused(
            population.name, "v_init", "NetX starts at 0", got=int(population.v_init[population.v_init != 0][0])
        )
    if population.drives:
        raise refused(
            population.name,
            "a constant input (bias of a connection)",
            "NetX adds a bias to the voltage from its first step on, not to the current or from a later step on",
        )
    return kinds


def _bias(population: IntegerPopulation, window: Convolution | None) -> Integers | None:
    bias = population.bias
    if not np.any(bias):
        return None
    mantissa = bias >> ALIGN_BITS
    bad = (mantissa << ALIGN_BITS != bias) | (mantissa < -BIAS_MANTISSA) | (mantissa >= BIAS_MANTISSA)
    if np.any(bad):
        raise refused(
            population.name,
            "bias",
            f"NetX's bias is a 13-bit mantissa with exponent {ALIGN_BITS}",
            got=int(bias[bad][0]),
            wanted=f"a multiple of 64 within {-BIAS_MANTISSA << ALIGN_BITS}..{(BIAS_MANTISSA - 1) << ALIGN_BITS}",
        )
    return mantissa if window is None else mantissa.reshape(population.shape).transpose(2, 1, 0)


def _summed(name: str, hop: list[IntegerProjection], own: int) -> tuple[Integers, Integers | None]:
    """All synapses into a population, and each one's delay beyond what the layer takes by itself."""
    size = int(np.prod(hop[0].weights.shape))
    if size > MOST_WEIGHTS:
        raise refused(
            name, "weights", "as a dense layer it has too many weights", got=size, wanted=f"<= {MOST_WEIGHTS}"
        )
    weights = np.zeros(hop[0].weights.shape, dtype=np.int64)
    delay = np.zeros_like(weights)
    for projection in hop:
        some = projection.weights.toarray()
        if np.any((some != 0) & (weights != 0)):
            raise refused(
                name, "delay", f"two synapses of different delay join the same neurons of {projection.source} and it"
            )
        weights += some
        delay[some != 0] = projection.delay - own
    if delay.max() > LONGEST_DELAY:
        longest = LONGEST_DELAY + own
        raise refused(name, "delay", "longer than NetX keeps", got=int(delay.max()) + own, wanted=f"<= {longest} steps")
    return weights, delay if np.any(delay) else None


def _check_weights(name: str, weights: Integers, recurrent: Integers | None) -> None:
    given = [weights] if recurrent is None else [weights, recurrent]
    made = as_read(weights, recurrent)
    if made is None:
        low, high = min(int(w.min()) for w in given), max(int(w.max()) for w in given)
        raise refused(
            name,
            "weights",
            "more than NetX's 8 bits without an exponent",
            got=f"{low}..{high}",
            wanted="0..255, -255..-1, or -256..254 and even above 127",
            way_out="Quantise the float network with largest_exponent=0 (hasn export FILE --target netx does so with a "
            "float network), or export with --target loihi2.",
        )
    for ours, theirs in zip(given, made, strict=True):
        wrong = theirs != ours
        if np.any(wrong):
            raise refused(
                name,
                "weights",
                f"lava-dl 0.6 would read {ours[wrong][0]} as {theirs[wrong][0]:g}: it misreads a matrix with no weight "
                "above 0 if its largest magnitude is a power of two",
            )
