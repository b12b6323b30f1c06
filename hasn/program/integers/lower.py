"""Network -> IntegerNetwork: every coefficient is a register value, or the network is refused by name.

In the chip's own units, as :func:`hasn.quantise` writes a graph: a voltage of 64 is one unit of weight and threshold.
So a neuron that takes its input with gain 64 = 1 << 6 has weights that are integers as they stand.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from hasn.errors import UnsupportedError
from hasn.program.fuse import Network, Relay
from hasn.program.integers.model import (
    ACTIVATION_LIMIT,
    ALIGN_BITS,
    BIAS_EXPONENT_MAX,
    BIAS_MANTISSA,
    DECAY_BITS,
    DECAY_MAX,
    STATE_LIMIT,
    THRESHOLD_MAX,
    IntegerInput,
    IntegerNetwork,
    IntegerPopulation,
    IntegerProjection,
    Integers,
    WeightPart,
)
from hasn.program.integers.weights import weight_parts
from hasn.program.maps import Matrix
from hasn.program.model import Floats, Neurons, Row, Source, Threshold

#: How far a coefficient, in units of its register, may be from an integer: float64 has rounded it a few times
#: (values up to 2**31, so some 1e-6), and no two register values are nearer to each other than 1.
_ROUNDING = 1e-5
_WAY_OUT = "hasn.quantise(graph, ...) makes a network that is on the chip's grid."
_NEURON = "Take a nir.LIF or nir.CubaLIF, or compile with precision='float64'."
_UNITY = 1 << DECAY_BITS
#: The executors' sums have 32 bits, a sign among them.
_SUM_LIMIT = 1 << 31


def to_integers(network: Network) -> IntegerNetwork:
    """The registers and integer weights of a network that lies on the chip's grid.

    Args:
        network: of a graph in the chip's units.

    Raises:
        UnsupportedError: a coefficient is no value that its register can hold, or a population, a reset or an Output is
            none that the chip's LIF neuron has; names the node, the parameter, the value and the way out.
    """
    refuse_structure(network)
    populations = {
        p.name: _population(p, network.drives.get(p.name, {}))
        for p in network.populations
        if not isinstance(p, Source | Relay)
    }
    inputs = {p.name: IntegerInput(p.name, p.shape) for p in network.populations if isinstance(p, Source)}
    rounded = [
        (p, *_weights(p.target, f"weights from {p.source}", _aligned(p.weights, network.by_name[p.target])))
        for p in network.projections
    ]
    # Where all synapses round to 0 there is no connection, as there is none where all are 0.
    kept = [(p, whole, parts) for p, whole, parts in rounded if whole.nnz]
    network = replace(network, projections=tuple(p for p, _, _ in kept))
    projections = tuple(IntegerProjection(p.source, p.target, p.delay, whole, parts) for p, whole, parts in kept)
    made = IntegerNetwork(inputs, populations, projections, dict(network.outputs), network)
    for name, most in made.largest_activation({}).items():
        check_activation(name, most)
    return made


def check_activation(name: str, most: int) -> None:
    """Refuse synaptic sums for which the executors' 32 bits are few.

    Raises:
        UnsupportedError: ``most`` (in weight units) could arrive at the population within one step.
    """
    if most > ACTIVATION_LIMIT:
        raise UnsupportedError(
            "more input could arrive in one step than 32 bits hold, aligned by 6",
            node=name,
            parameter="weights",
            got=most,
            wanted=f"at most {ACTIVATION_LIMIT} units of weight",
            way_out="Quantise with a smaller scale (more headroom).",
        )


def check_current(name: str, peak: float) -> None:
    """Refuse a current that left the 32 bits it is added in: one turn of 24 bits a step was too little for it.

    Args:
        name: the population.
        peak: largest absolute value before the wrap.

    Raises:
        UnsupportedError: it is 2**31 or more.
    """
    if peak >= _SUM_LIMIT:
        raise UnsupportedError(
            "one turn of 24 bits a step was too little for its current, which has left the 32 bits it is added in",
            node=name,
            parameter="current",
            got=int(peak),
            wanted=f"at most {_SUM_LIMIT - 1}",
            way_out="Quantise with a smaller scale (more headroom), or give smaller inputs.",
        )


def current_bound(population: IntegerPopulation, most: int) -> float:
    """The largest current before the wrap that inputs of up to ``most`` weight units a step can build up.

    A turn takes 2**24 off; what a step adds beyond that piles up, and decays by (du + 1) / 4096 a step.
    """
    step = float(most << ALIGN_BITS)
    beyond = max(0.0, step - 2 * STATE_LIMIT)
    return beyond * _UNITY / (int(population.du.min(initial=DECAY_MAX)) + 1) + step + STATE_LIMIT


def refuse_structure(network: Network) -> None:
    """Refuse what no choice of registers can express.

    Raises:
        UnsupportedError: an Output shows a sum that no neuron holds (one into which nothing leads shows 0), a loop has
            no neuron, or a voltage goes to other neurons.
    """
    for plastic in network.plastic:
        raise UnsupportedError(
            "a connection that learns has no integers here yet",
            node=plastic.name,
            parameter="metadata['plasticity']",
            way_out="Run it in float64, or take the rule off: hasn.plasticity.detach(executable.to_nir(), ...).",
        )
    outputs = set(network.outputs)
    for p in network.populations:
        if isinstance(p, Relay) and p.name not in outputs:
            raise UnsupportedError(
                "a loop of stateless nodes; the chip has neurons only",
                node=p.name,
                way_out="Put a neuron into the loop.",
            )
        if isinstance(p, Relay) and (network.into(p.name) or network.drives.get(p.name) or network.out_of(p.name)):
            raise UnsupportedError(
                "it shows or passes on a sum that no neuron holds; the chip has neurons only",
                node=p.name,
                parameter="Output",
                way_out="Let the sum go into a neuron (nir.LI for its voltage), and the Output show that.",
            )
        if isinstance(p, Neurons) and not p.spiking and network.out_of(p.name):
            raise UnsupportedError(
                "it sends its voltage to other neurons; the chip's LIF neuron sends spikes",
                node=p.name,
                parameter=f"edge to {network.out_of(p.name)[0].target}",
                way_out="Give it a threshold, or let its voltage go to an Output alone.",
            )


# --- populations


def _population(p: Any, drives: dict[int, Floats]) -> IntegerPopulation:
    if isinstance(p, Threshold):
        raise UnsupportedError(
            "a Threshold keeps nothing from step to step; the chip's voltage keeps at least 1/4096",
            node=p.name,
            parameter="Threshold",
            way_out=_WAY_OUT,
        )
    if not isinstance(p, Neurons):
        raise UnsupportedError("it is no population of neurons", node=p.name)
    if p.held is not None:
        raise UnsupportedError(
            "it is held after a spike; Lava's bit-accurate LIF neuron, whose integers these are, has no such register",
            node=p.name,
            parameter="metadata['refractory']",
            got=f"{int(p.held.max())} step(s)",
            wanted="0",
            way_out="Leave the refractory period out, or compile with precision='float64'.",
        )
    du, voltage = _current(p)
    decay = _on_grid(p, "decay of v", (1.0 - voltage.terms[0][1]) * _UNITY, 0, DECAY_MAX)
    leak = np.zeros(p.shape) if voltage.bias is None else voltage.bias
    bias = _on_grid(p, "bias of v", leak, 1 - STATE_LIMIT, STATE_LIMIT - 1)
    driven = {
        first: _on_grid(p, "constant input", _gain(p) * value.reshape(p.shape), 1 - (1 << 31), (1 << 31) - 1)
        for first, value in drives.items()
    }
    if len(p.rows) == 1 and 0 in driven and _register(bias + driven[0]) is not None:
        bias = bias + driven.pop(0)  # nothing lies between the current and the voltage: the bias register is finer
    register = _register(bias)
    if register is None:
        raise _refused(p, "bias of v", bias, f"-4096..4095 times 2**0..2**{BIAS_EXPONENT_MAX}")
    parts = {first: _drive(p, value) for first, value in driven.items()}
    return IntegerPopulation(
        p.name,
        p.shape,
        du,
        decay,
        _threshold(p),
        *register,
        _on_grid(p, "v_init", p.initial["v"], 1 - STATE_LIMIT, STATE_LIMIT - 1),
        {first: value >> ALIGN_BITS for first, value in driven.items()},
        parts,
        p.spiking,
    )


def _current(p: Neurons) -> tuple[Integers, Row]:
    """du, and the row of the voltage."""
    if p.update == "one row":
        return np.full(int(np.prod(p.shape)), DECAY_MAX), p.rows[0]
    if p.update == "voltage first":
        raise UnsupportedError(
            "its voltage takes the current of the step before (method 'exact'); the chip's takes the new one",
            node=p.name,
            parameter="method",
            way_out="Quantise and compile with method='euler'.",
        )
    if p.update != "current first":
        raise UnsupportedError("its update is not that of the chip's LIF neuron", node=p.name, way_out=_NEURON)
    current, voltage = p.rows
    _on_grid(p, "weight of the current in v", voltage.terms[1][1], 1, 1)
    return _on_grid(p, "decay of c", (1.0 - current.terms[0][1]) * _UNITY, 1, _UNITY) - 1, voltage


def _gain(p: Any) -> Floats:
    gain = p.rows[0].gain if isinstance(p, Neurons) else None
    return np.zeros(p.shape) if gain is None else gain


def _threshold(p: Neurons) -> Integers:
    if p.threshold is None:
        return np.full(int(np.prod(p.shape)), THRESHOLD_MAX)
    if p.firing is None:
        raise UnsupportedError("it does not spike as the chip's LIF neuron does", node=p.name, way_out=_NEURON)
    if p.firing.reset != "zero" or np.any(p.firing.jump):
        got = p.reset if p.reset != "zero" else f"v_reset = {np.abs(p.firing.jump).max():g}"
        raise UnsupportedError(
            "the chip's LIF neuron resets to 0", node=p.name, parameter="reset", got=got, wanted="zero",
            way_out="hasn.quantise shifts v_reset to 0; a reset by subtraction is not to be had.",
        )  # fmt: skip
    return _on_grid(p, "v_threshold / 64", p.threshold / (1 << ALIGN_BITS), 0, THRESHOLD_MAX)


def _register(bias: Integers) -> tuple[Integers, Integers] | None:
    """(mantissa, exponent) of each bias, the smallest exponent that holds it, or None."""
    exponent = np.zeros_like(bias)
    for _ in range(BIAS_EXPONENT_MAX):
        exponent += ~_fits(bias >> exponent)
    mantissa = bias >> exponent
    return (mantissa, exponent) if np.all(_fits(mantissa)) and np.all(mantissa << exponent == bias) else None


def _fits(mantissa: Integers) -> Any:
    return (mantissa >= -BIAS_MANTISSA) & (mantissa < BIAS_MANTISSA)


# --- weights


def _aligned(weights: Matrix, population: Any) -> Matrix:
    """Weights in weight units: what arrives at the voltage, without the 6 bits of alignment."""
    scaled = weights.tocsr().copy()
    rows = np.repeat(np.broadcast_to(_gain(population), population.shape).reshape(-1), np.diff(scaled.indptr))
    scaled.data = scaled.data * rows / (1 << ALIGN_BITS)
    return scaled


def _weights(target: str, what: str, weights: Matrix) -> tuple[Matrix, tuple[WeightPart, ...]]:
    whole = weights.copy()
    whole.data = np.rint(weights.data).astype(np.int64)
    off = np.abs(weights.data - whole.data)
    if np.any(off > _ROUNDING):
        raise _refused_at(target, what, weights.data[int(off.argmax())], "integers")
    whole.eliminate_zeros()
    try:
        return whole, weight_parts(whole)
    except OverflowError as error:
        raise _refused_at(target, what, error.args[0], "at most 16 times 254 << 7") from None


def _drive(p: Neurons, value: Integers) -> tuple[WeightPart, ...]:
    """The weights of a neuron that always fires, for a constant input of these voltages."""
    from scipy.sparse import csr_array

    column = csr_array((value / (1 << ALIGN_BITS)).reshape(-1, 1))
    return _weights(p.name, "constant input", column)[1]


# --- the grid


def _on_grid(p: Neurons, parameter: str, value: Any, low: int, high: int) -> Integers:
    """``value``, flat, as integers.

    Raises:
        UnsupportedError: it is off the grid or out of the register's range.
    """
    flat = np.broadcast_to(np.asarray(value, dtype=np.float64), p.shape).reshape(-1)
    whole = np.rint(flat)
    if np.any(np.abs(flat - whole) > _ROUNDING) or np.any(whole < low) or np.any(whole > high):
        wrong = (np.abs(flat - whole) > _ROUNDING) | (whole < low) | (whole > high)
        raise _refused_at(p.name, parameter, flat[int(wrong.argmax())], f"an integer {low}..{high}")
    return whole.astype(np.int64)


def _refused(p: Neurons, parameter: str, value: Integers, wanted: str) -> UnsupportedError:
    return _refused_at(p.name, parameter, int(value[int(np.abs(value).argmax())]), wanted)


def _refused_at(node: str, parameter: str, got: Any, wanted: str) -> UnsupportedError:
    return UnsupportedError(
        "is no value of the chip's register", node=node, parameter=parameter, got=got, wanted=wanted, way_out=_WAY_OUT
    )
