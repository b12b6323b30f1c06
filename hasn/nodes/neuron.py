"""What all kinds of neurons share: one value a neuron, v_init, the reset, the refractory period, dt against tau."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, Literal, cast

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.errors import ParameterError, TimeStepError
from hasn.finding import Finding
from hasn.nodes.kind import NodeKind, Parameter, Place, error, finite
from hasn.nodes.values import numbers, text
from hasn.program.model import Condition, Firing, Neurons, Row, Shape
from hasn.room import free_bytes, text_of

RESETS = ("zero", "subtract")
Rows = tuple[Row, ...]
#: Marks a neuron whose file is older than NIR's v_reset; :func:`hasn.check` explains it.
V_RESET_ASSUMED = "v_reset_assumed"
#: The most steps of a delay: simulators count them in 32 bits.
MOST_STEPS = 2**31 - 1
#: The most steps of a refractory period: some backends count them down in float32, which has all whole numbers so far.
MOST_HELD = 2**24
#: What a coefficient that is no number is told, and the way out.
NOT_FINITE = "its parameters and dt give a coefficient that is not finite"
SMALLER = "Take smaller values of r, v_threshold or v_reset, or a shorter dt."
#: Bytes under way that are worth a word.
NOTED = 10**9
#: What a neuron that spikes has.
FIRES = (finite("v_threshold", "V"), finite("v_reset", "V"))
RESISTANCE = Parameter("r", "ohm", lambda a: np.isfinite(a) & (a != 0), "a finite resistance that is not 0 ohm")


def time_constant(name: str) -> Parameter:
    """A parameter that is a time constant."""
    return Parameter(name, "s", lambda a: np.isfinite(a) & (a > 0), "a finite time constant > 0 s")


class NeuronKind(NodeKind):
    """A kind of neuron: :meth:`rows` and, if it spikes otherwise than by v_threshold and v_reset, :meth:`firing`.

    Attributes:
        taus: names of its time constants, the membrane's last: an Euler step is held against them.
        resets: the resets that it has; the first is taken where it has only one.
        can_be_refractory: whether ``metadata["refractory"]`` has a meaning for it.
    """

    elementwise = True
    taus: tuple[str, ...] = ()
    resets: tuple[str, ...] = RESETS
    can_be_refractory: bool = True

    @property
    def spikes(self) -> bool:
        """Whether it has a threshold."""
        return any(parameter.name == "v_threshold" for parameter in self.parameters)

    @abstractmethod
    def rows(self, node: nir.NIRNode, dt: float, method: str, xp: Any = np) -> Rows:
        """The update as coefficients, in float64.

        Args:
            node: the neuron.
            dt: seconds a step.
            method: "euler" or "exact".
            xp: numpy, or the same names for other arrays that the node holds (torch's: then the coefficients have
                gradients).
        """

    def firing(self, node: nir.NIRNode, reset: str, xp: Any = np) -> tuple[Condition, Rows]:
        """When it spikes, and what a spike changes; asked of kinds that spike."""
        threshold, v_reset = floats(node.v_threshold, xp), floats(node.v_reset, xp)
        how = cast(Literal["zero", "subtract"], reset)
        plain = Firing(threshold, how, v_reset if how == "zero" else threshold - v_reset)
        return plain.condition, plain.resets

    # --- NodeKind

    def input_shape(self, node: nir.NIRNode) -> Shape | None:
        """The shape of its parameters."""
        return tuple(np.shape(getattr(node, self.parameters[-1].name)))

    def meaning(self, node: nir.NIRNode, place: Place) -> Neurons:
        """The population."""
        shape, rows = place.result, self.rows(node, place.dt, place.method)
        metadata: dict[str, Any] = node.metadata if isinstance(node.metadata, dict) else {}
        states = tuple(sorted({row.state for row in rows}))  # whatever the order of the rows
        initial = {state: np.zeros(shape) for state in states}
        initial["v"] = initial["v"] + np.asarray(metadata.get("v_init", 0.0), dtype=np.float64)
        if not self.spikes:
            return Neurons(place.name, shape, states, rows, initial)
        condition, resets = self.firing(node, self._reset(place, metadata))
        held = refractory_steps(metadata, shape, place.dt)
        return Neurons(place.name, shape, states, rows, initial, condition, resets, held)

    def _reset(self, place: Place, metadata: dict[str, Any]) -> str:
        reset = str(text(metadata.get("reset", place.reset)))
        if reset not in self.resets:
            raise ParameterError(
                f"{self.name} has no such reset",
                node=place.name,
                parameter="reset",
                got=repr(reset),
                wanted=" or ".join(self.resets),
                way_out=f"Say metadata['reset'] = {self.resets[0]!r} on this node; the call's is for the others.",
            )
        return reset

    def findings(self, name: str, node: nir.NIRNode) -> Iterator[Finding]:
        """Shapes that differ, and metadata without meaning."""
        metadata = node.metadata if isinstance(node.metadata, dict) else {}
        first = self.parameters[0].name if not hasattr(node, "r") else "r"
        shape = np.shape(getattr(node, first))
        for parameter in self.parameters:
            got = np.shape(getattr(node, parameter.name))
            if got != shape:
                yield error(name, parameter.name, f"has another shape than {first}", got, str(shape))
                return
        if "reset" in metadata and text(metadata["reset"]) not in self.resets:
            yield error(name, "metadata['reset']", "unknown reset", metadata["reset"], " or ".join(self.resets))
        if "v_init" in metadata:
            yield from _value_findings(name, "v_init", metadata["v_init"], shape)
        yield from self._refractory_findings(name, metadata, shape)
        yield from _v_reset_findings(name, node, metadata)

    def _refractory_findings(self, name: str, metadata: dict[str, Any], shape: Shape) -> Iterator[Finding]:
        if "refractory" not in metadata:
            return
        value = metadata["refractory"]
        if not (self.spikes and self.can_be_refractory):
            why = "has no meaning for a neuron that does not spike" if not self.spikes else "has no meaning for it"
            way = f"Leave it out; {self.name} is never held."
            yield error(name, "metadata['refractory']", why, value, "no refractory period", way)
        yield from _value_findings(name, "refractory", value, shape, least=0.0)

    def time_findings(self, name: str, node: nir.NIRNode, dt: float, method: str) -> Iterator[Finding]:
        """Euler steps that oscillate (tau < dt <= 2 tau) or diverge (dt > 2 tau); a rounded refractory period."""
        if method == "euler":
            for parameter in self.taus:
                yield from _euler_findings(name, parameter, np.asarray(getattr(node, parameter), dtype=float), dt)
        metadata = node.metadata if isinstance(node.metadata, dict) else {}
        yield from self._coefficient_findings(name, node, dt, method, metadata)
        if "refractory" in metadata:
            value = np.asarray(metadata["refractory"], dtype=float)
            yield from whole_steps_findings(name, "metadata['refractory']", value, dt, "note", MOST_HELD)

    def _coefficient_findings(
        self, name: str, node: nir.NIRNode, dt: float, method: str, metadata: dict[str, Any]
    ) -> Iterator[Finding]:
        """Parameters that are numbers each and give a coefficient that is none (r = 1e308 and dt = 1e3 s)."""
        reset = text(metadata.get("reset", self.resets[0]))
        if reset not in self.resets:
            return
        with np.errstate(all="ignore"):
            rows = self.rows(node, dt, method)
            condition, resets = self.firing(node, reset) if self.spikes else (None, ())
        parts: list[Any] = [] if condition is None else [condition.constant]
        for row in (*rows, *resets):
            parts += [*(value for _, value in row.terms), row.gain, row.bias]
        if not all(np.isfinite(part).all() for part in parts if part is not None):
            yield error(name, "", NOT_FINITE, "inf or NaN", "a number up to 1.8e+308", SMALLER)

    def arguments(self, fields: dict[str, Any], metadata: dict[str, Any], name: str) -> dict[str, Any]:
        """As they are; a file older than v_reset is marked."""
        if self.spikes and "v_reset" not in fields and any(p.name == "v_reset" for p in self.parameters):
            metadata[V_RESET_ASSUMED] = True
        return fields


def element_types(node: nir.NIRNode) -> None:
    """Set what NIR keeps of shapes, for a node of ours with one value a neuron."""
    shape = np.array(np.shape(node.v_threshold))
    node.input_type, node.output_type = {"input": shape}, {"output": shape}


def floats(value: Any, xp: Any = np) -> Any:
    """``value`` as a float64 array of its own, or as the tensor that it is."""
    return np.array(value, dtype=np.float64) if xp is np else xp.asarray(value, dtype=xp.float64)


def unless_zero(value: Any, xp: Any = np) -> Any:
    """None for an array of zeros."""
    return value if xp.any(value) else None


def refractory_steps(metadata: dict[str, Any], shape: Shape, dt: float) -> NDArray[np.int64] | None:
    """``round(refractory / dt)`` for each neuron; None where nobody is held."""
    steps = np.rint(np.asarray(metadata.get("refractory", 0.0), dtype=np.float64) / dt).astype(np.int64)
    return np.broadcast_to(steps, shape).copy() if np.any(steps) else None


def whole_steps_findings(
    name: str,
    parameter: str,
    seconds: NDArray[Any],
    dt: float,
    severity: Literal["warning", "note"],
    most: int = MOST_STEPS,
) -> Iterator[Finding]:
    """Seconds that are no whole number of steps, or more of them than can be counted."""
    with np.errstate(over="ignore"):
        steps = seconds / dt
    if np.any(steps > most):
        got = f"{float(seconds.max()):g} s, {float(steps.max()):g} steps of dt = {dt:g} s"
        wanted = f"at most {most} steps"
        yield Finding("error", name, parameter, "is more steps than can be counted", "", got, wanted, TimeStepError)
        return
    lost = (seconds > 0) & (np.rint(steps) == 0)
    if np.any(lost):
        what, got = "is under half a step and rounds to 0, as if it were not there", f"{float(seconds[lost].max()):g} s"
        yield Finding("warning", name, parameter, what, f"Take a smaller dt than {dt:g} s, or leave it out.", got)
    # 1e-6 of a step is far above the rounding of seconds/dt and far below any delay that is meant.
    off = ~lost & (np.abs(steps - np.rint(steps)) > 1e-6)
    if np.any(off):
        what = "is no whole number of steps and is rounded to the nearest"
        got = f"{float(seconds[off].reshape(-1)[0]):g} s"
        yield Finding(severity, name, parameter, what, f"Give a multiple of dt = {dt:g} s.", got)


def under_way_findings(name: str, parameter: str, steps: int, elements: int) -> Iterator[Finding]:
    """Delays behind which much is under way: what a run keeps of it, which is no more than its own steps."""
    number = 8 * steps * elements
    if number < NOTED:
        return
    free = free_bytes()
    what = f"{steps:,} steps of {elements:,} element(s) are under way: {text_of(number)} for each sample"
    if number > free:
        what += f", and {text_of(free)} are free here"
    way = "A run keeps no more steps than it has; a stream on brian2 or lava, and a saved state, keep all of them."
    yield Finding("warning" if number > free else "note", name, parameter, what, way)


def _value_findings(name: str, key: str, value: Any, shape: Shape, least: float | None = None) -> Iterator[Finding]:
    parameter, array = f"metadata['{key}']", numbers(value)
    wanted = "finite numbers" if least is None else f"finite numbers >= {least:g} s"
    if array is None or not np.all(np.isfinite(array)) or (least is not None and np.any(array < least)):
        yield error(name, parameter, "has a value with no meaning", value, wanted)
    elif array.shape not in ((), shape):
        yield error(name, parameter, "does not fit the neurons", array.shape, f"a number or shape {shape}")


def _v_reset_findings(name: str, node: nir.NIRNode, metadata: dict[str, Any]) -> Iterator[Finding]:
    if metadata.get(V_RESET_ASSUMED) is not None and "reset" not in metadata:
        yield Finding(
            "note",
            name,
            "v_reset",
            "is not in the file: it is older than NIR's v_reset, whose neurons were said to subtract the threshold",
            "hasn takes v_reset = 0 and the reset of the call; pass reset='subtract' if it was trained so.",
        )
    if hasattr(node, "v_reset") and np.any(np.asarray(node.v_reset) > np.asarray(node.v_threshold)):
        yield Finding(
            "warning",
            name,
            "v_reset",
            "lies above v_threshold, so the neuron fires at every step after a spike",
            "Swap them, if they were given in the wrong order.",
        )


def _euler_findings(name: str, parameter: str, tau: NDArray[Any], dt: float) -> Iterator[Finding]:
    if tau.size == 0:
        return
    shortest = float(tau.min())
    if dt > 2 * shortest:
        yield Finding(
            "error",
            name,
            parameter,
            "is under dt/2, so an Euler step diverges",
            "Take a smaller dt, or method='exact'.",
            f"{shortest:g} s",
            f">= {dt / 2:g} s (dt = {dt:g} s)",
            TimeStepError,
        )
    elif dt > shortest:
        yield Finding(
            "warning",
            name,
            parameter,
            "is under dt, so an Euler step overshoots and oscillates",
            "Take a smaller dt, or method='exact'.",
            f"{shortest:g} s",
            f">= dt = {dt:g} s",
            TimeStepError,
        )
