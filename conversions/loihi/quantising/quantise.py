"""`hasn.quantise`: a float graph becomes one in the chip's integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np

from hasn.conversions.loihi.network import QuantisedNetwork, Scale
from hasn.conversions.loihi.profiles import profile
from hasn.conversions.loihi.quantising.build import build
from hasn.conversions.loihi.quantising.cone import Cone, cone_into, shares_rows
from hasn.conversions.loihi.quantising.connect import Real, Synapses, Weights, real_weights, rounded
from hasn.conversions.loihi.quantising.decay import check_decays
from hasn.conversions.loihi.quantising.equation import Equation, equation_of
from hasn.conversions.loihi.quantising.inputs import input_scales, scaled
from hasn.conversions.loihi.quantising.plan import Registers, registers
from hasn.conversions.loihi.quantising.report import report_on
from hasn.conversions.loihi.quantising.rounding import Rounding
from hasn.conversions.loihi.quantising.simulate import Trace, run_float, run_integers
from hasn.errors import OptionError, ParameterError, UnsupportedError
from hasn.ir.lower import lower
from hasn.ir.structure import flatten
from hasn.ir.typed import with_types
from hasn.nodes.lookup import neuron_kind
from hasn.nonfinite import all_finite
from hasn.program.fuse import Network, fuse
from hasn.program.integers.lower import refuse_structure, to_integers
from hasn.program.model import Floats, Neurons, Program, Source, Threshold
from hasn.signals import signals

#: How often scales are halved where the integers still wrap or clip, though the floats did not.
ATTEMPTS = 8

Progress = Callable[[str, int, int], None]
"""(what is being done, steps done, steps in all)."""


def quantise(
    graph: nir.NIRGraph,
    target: str = "loihi2",
    *,
    calibrate: Any,
    dt: float | None = None,
    method: str | None = None,
    reset: str | None = None,
    timing: str | None = None,
    rounding: str = "nearest",
    weight_bits: int = 8,
    headroom: float = 2.0,
    input_bits: int = 8,
    largest_exponent: int = 7,
    seed: int = 0,
    train: Any = None,
    progress: Progress | None = None,
) -> QuantisedNetwork:
    """Bring a graph into the chip's integers.

    Every population gets one scale (chip units a volt): the largest at which nothing wraps or clips on the calibration
    data with ``headroom`` to spare, and within that octave the one at which its weights, 8 bits with one exponent a
    connection, lose least. R, w_in, dt and real-valued inputs' scale are folded into the weights, v_leak and the biases
    of populations without a current into the bias register; v_reset becomes 0 by shifting the voltage. A node that
    leads into two populations becomes two. What the chip does not have is refused.

    Args:
        graph: the float network; not changed.
        target: "loihi1" (binary spikes) or "loihi2" (graded spikes of 24 bits at the Inputs).
        calibrate: input data as for ``Executable.run``: typical, and as strong as inputs get.
        dt, method, reset, timing: as for :func:`hasn.compile`.
        rounding: of weights: "nearest", "truncate" (towards 0) or "stochastic" (drawn with ``seed``). Thresholds,
            biases and decays are rounded to the nearest.
        weight_bits: 2..8.
        headroom: factor by which currents and voltages may exceed those of the calibration, at least 1.
        input_bits: bits of real-valued Inputs, a sign among them; spikes and integers are taken as they are.
        largest_exponent: 0..7, of the weights' exponents; NetX's files have 0 alone.
        seed: of stochastic rounding and of training.
        train: :class:`hasn.conversions.loihi.train.Training`, or (inputs, labels): train on with the integers in the
            forward pass (quantisation-aware).
        progress: called during the calibration run and the training.

    A time constant that rounding moves by more than a tenth is warned of (RuntimeWarning), with both numbers.

    Returns:
        The quantised network; ``.graph`` compiles on every backend with ``precision="loihi"``.

    Raises:
        InputError: calibration data of the wrong shape, not finite, or all zero.
        NotFiniteError: a voltage is not finite on the calibration data; names the node and the step.
        ParameterError: weights that are all zero, are beyond float64 with their gains, or need more range than 8 bits
            and an exponent have.
        UnsupportedError: a time constant under dt in an Euler step, a reset by subtraction, method "exact" with a
            current, a voltage that goes to other neurons, an Output that sums, real-valued inputs on Loihi 1, a graph
            without Inputs.
        OptionError: unknown target, rounding, or a number out of range.
    """
    chip = profile(target)
    number = isinstance(headroom, int | float) and not isinstance(headroom, bool)
    if not number or not 1.0 <= headroom < 1e6:
        raise OptionError("no such headroom", parameter="headroom", got=headroom, wanted="a factor of at least 1")
    options = Rounding(rounding, weight_bits, seed, largest_exponent)
    program = lower(graph, dt=dt, method=method, reset=reset, timing=timing)
    network = fuse(program)
    refuse_structure(network)
    for source in program.of(Source):
        if source.drawn is not None:
            raise UnsupportedError(
                f"a {source.drawn.kind} draws on the host, and its scale is not known to the chip",
                node=source.name,
                way_out="Put an Input in its place and give it what it drew (hasn.lower(graph).drawn_values).",
            )
    if not program.inputs:
        raise UnsupportedError(
            "the graph has no Input, so there is nothing to calibrate its scales with",
            way_out="Put a nir.Input where its drive comes from, or write it in the chip's units yourself.",
        )
    given = signals(program, calibrate)
    scales = input_scales(given, chip, input_bits)
    task = _Task(program, network, dict(flatten(with_types(graph)).nodes), scales, options, headroom)
    heard = None if progress is None else lambda done, total: progress("calibrating", done, total)
    floats = run_float(network, given.values, heard)
    integer_inputs = scaled(given.values, scales)
    made, integers = _fitting(task, floats, integer_inputs)
    made = replace(made, target=target)
    if train is not None:
        from hasn.conversions.loihi.train import trained

        task.synapses, task.registers = trained(
            made, train, task.weights, task.synapses, task.registers, options, seed=seed, progress=progress
        )
        made = replace(task.assembled(), target=target)
        integers = run_integers(made.integers, integer_inputs)
        _refuse_saturated(integers, trained=True)
    return replace(made, _report=report_on(made, task.synapses, task.registers, floats, integers, task.cones))


@dataclass
class _Task:
    """What is to be quantised, and the last attempt at it."""

    program: Program
    network: Network
    originals: Mapping[str, nir.NIRNode]
    input_scales: dict[str, float]
    rounding: Rounding
    headroom: float

    def __post_init__(self) -> None:
        self.equations: dict[str, Equation] = {}
        self.cones: dict[str, Cone] = {}
        self.real: dict[str, dict[tuple[str, str, int], Real]] = {}
        self.synapses: dict[str, Synapses] = {}
        self.registers: dict[str, Registers] = {}
        self.weights: dict[str, Weights] = {}  # node of the graph in the chip's units -> what is in it
        for p in self.network.populations:
            if isinstance(p, Neurons | Threshold):
                with np.errstate(over="ignore", invalid="ignore"):  # looked at there
                    self._read(p)

    def _read(self, p: Neurons | Threshold) -> None:
        drives = self.network.drives.get(p.name, {})
        no_current = isinstance(p, Threshold) or len(p.rows) == 1
        # Nothing lies between input and voltage: the bias register takes what acts from step 0 on, and is finer.
        into_bias = no_current and set(drives) <= {0}
        equation = equation_of(p, drives.get(0) if into_bias else None)
        kind = neuron_kind(self.originals[p.name])
        check_decays(equation, () if kind is None else kind.taus, self.program.dt)
        cone = cone_into(self.program, p.name, equation.gain, self.input_scales, not into_bias)
        if shares_rows(cone, equation.gain) and np.all(equation.gain > 0):
            equation = equation.in_units_of_gain()
            cone = cone_into(self.program, p.name, equation.gain, self.input_scales, not into_bias)
        self.equations[p.name], self.cones[p.name] = equation, cone
        real = real_weights(cone, equation, self.network, self.input_scales, not into_bias)
        self.real[p.name] = real
        for (kind, name, _), found in real.items():
            _refuse_beyond(p.name if kind == "composed" else name, "weight", found.values)
        for projection in self.network.into(p.name):
            _refuse_beyond(p.name, "weight", projection.weights.data)
        for what in ("threshold", "bias", "initial"):
            _refuse_beyond(p.name, what, getattr(equation, what))

    def attempt(self, floats: Mapping[str, Trace], extra: Mapping[str, float]) -> QuantisedNetwork:
        """Choose scales, round, and build both graphs."""
        for name, equation in self.equations.items():
            values = {f"{key[1]}": real.values for key, real in self.real[name].items()}
            headroom = self.headroom * extra.get(name, 1.0)
            self.registers[name] = registers(equation, values, floats[name], self.rounding, headroom)
            self.synapses[name] = rounded(name, self.real[name], self.registers[name].scale, self.rounding)
        return self.assembled()

    def assembled(self) -> QuantisedNetwork:
        """Build both graphs from the present synapses and registers."""
        graph = self._same_delays()
        scales = {
            name: Scale(r.units_a_volt.reshape(r.equation.shape), r.equation.offset.reshape(r.equation.shape))
            for name, r in self.registers.items()
        }
        return QuantisedNetwork(
            graph, "", self.program.dt, self.program.timing, scales, dict(self.input_scales), self._build(chip=False)[0]
        )

    def _build(self, chip: bool) -> tuple[nir.NIRGraph, dict[str, Weights]]:
        return build(
            self.program, self.originals, self.cones, self.synapses, self.registers, self.network.outputs, chip
        )  # fmt: skip

    def _same_delays(self) -> nir.NIRGraph:
        """The graph in the chip's units, in which every connection takes the steps that it took in the float graph.

        A composed connection may close a loop and so be a feedback edge, which brings a step of its own.
        """
        wanted = _delays(self.network)
        for _ in range(2):
            graph, self.weights = self._build(chip=True)
            found = _delays(fuse(lower(graph, dt=self.program.dt, timing=self.program.timing)))
            wrong = {pair for pair in wanted | found if pair not in wanted or pair not in found}
            if not wrong:
                return graph
            for source, target, delay in sorted(wrong & wanted):
                if (source, delay) in self.synapses[target].composed:
                    self.synapses[target].feedback[source, delay] = 1
        source, target, delay = min(wrong)
        raise UnsupportedError(
            "composing its connections would change their delays",
            node=target,
            parameter=f"connection from {source}",
            got=f"{delay} step(s)",
            way_out="Put neurons between the nodes that lead into it.",
        )


def _refuse_beyond(node: str, parameter: str, values: Floats | None) -> None:
    """Refuse numbers that are none, in volts or divided by a gain, though each of the graph's is one."""
    if values is not None and not all_finite(values):
        raise ParameterError(
            "with the gains and weights that it is multiplied or divided by, it is beyond the numbers of float64",
            node=node,
            parameter=parameter,
            got="inf or NaN",
            wanted="up to 1.8e+308",
            way_out="Scale weights, resistance and voltages so that they are comparable.",
        )


def _delays(network: Network) -> set[tuple[str, str, int]]:
    return {(p.source, p.target, p.delay) for p in network.projections}


def _fitting(
    task: _Task, floats: Mapping[str, Trace], inputs: Mapping[str, Floats]
) -> tuple[QuantisedNetwork, dict[str, Trace]]:
    """Scales at which the integers, too, neither wrap nor clip: recurrent nets may run elsewhere than the floats."""
    extra: dict[str, float] = {}
    for _ in range(ATTEMPTS):
        made = task.attempt(floats, extra)
        integers = run_integers(to_integers(fuse(lower(made.graph, dt=made.dt, timing=made.timing))), inputs)
        saturated = [name for name, trace in integers.items() if trace.wraps or trace.clips]
        if not saturated:
            return made, integers
        for name in saturated:
            extra[name] = 2.0 * extra.get(name, 1.0)
    _refuse_saturated(integers)
    return made, integers


def _refuse_saturated(integers: Mapping[str, Trace], trained: bool = False) -> None:
    when = "after training" if trained else "however small the scale"
    leave = "Quantise with more headroom, or train with a smaller learning rate."
    look = "Look at its inputs: the integer network runs away where the float network does not."
    for name, trace in integers.items():
        if trace.wraps or trace.clips:
            raise UnsupportedError(
                f"its current or voltage leaves 24 bits on the calibration data, {when}",
                node=name,
                got=f"{trace.wraps} wraps and {trace.clips} clips",
                way_out=leave if trained else look,
            )
