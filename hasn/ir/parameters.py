"""Parameter values: which ones a node's equation gives a meaning to."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from hasn.errors import ParameterError
from hasn.ir.finding import Finding
from hasn.ir.structure import FlatGraph
from hasn.ir.values import array_of, numbers, pads, pair, single, text


@dataclass(frozen=True)
class Rule:
    """A parameter and the condition that every element of it must meet."""

    parameter: str
    holds: Callable[[np.ndarray[Any, Any]], Any]
    wanted: str


def _finite(name: str) -> Rule:
    return Rule(name, np.isfinite, "finite numbers")


def _tau(name: str) -> Rule:
    return Rule(name, lambda a: np.isfinite(a) & (a > 0), "a finite time constant > 0 s")


_R = Rule("r", lambda a: np.isfinite(a) & (a != 0), "a finite resistance that is not 0 ohm")
_LI = (_tau("tau"), _R, _finite("v_leak"))
_CUBA = (_tau("tau_syn"), _tau("tau_mem"), _R, _finite("v_leak"), _finite("w_in"))
_FIRES = (_finite("v_threshold"), _finite("v_reset"))

RULES: dict[type[nir.NIRNode], tuple[Rule, ...]] = {
    nir.Affine: (_finite("weight"), _finite("bias")),
    nir.Linear: (_finite("weight"),),
    nir.Conv1d: (_finite("weight"), _finite("bias")),
    nir.Conv2d: (_finite("weight"), _finite("bias")),
    nir.Scale: (_finite("scale"),),
    nir.Threshold: (_finite("threshold"),),
    nir.Delay: (Rule("delay", lambda a: np.isfinite(a) & (a >= 0), "a finite delay >= 0 s"),),
    nir.I: (_R,),
    nir.IF: (_R, *_FIRES),
    nir.LI: _LI,
    nir.LIF: (*_LI, *_FIRES),
    nir.CubaLI: _CUBA,
    nir.CubaLIF: (*_CUBA, *_FIRES),
}

_NEURONS = (nir.I, nir.IF, nir.LI, nir.LIF, nir.CubaLI, nir.CubaLIF)
RESETS = ("zero", "subtract")


def parameter_findings(flat: FlatGraph) -> Iterator[Finding]:
    """Values with no meaning (errors) and values that are likely a mistake (warnings)."""
    for name, node in flat.nodes.items():
        yield from _rule_findings(name, node)
        if all(numbers(getattr(node, rule.parameter, None)) is not None for rule in RULES.get(type(node), ())):
            yield from _extra_findings(name, node)


def _error(name: str, parameter: str, message: str, got: object, wanted: str, repair: str = "") -> Finding:
    return Finding("error", name, parameter, message, repair, got, wanted, ParameterError)


def _rule_findings(name: str, node: nir.NIRNode) -> Iterator[Finding]:
    for rule in RULES.get(type(node), ()):
        given = getattr(node, rule.parameter, None)
        value = numbers(given)
        if value is None:
            array = array_of(given)
            got = type(given).__name__ if array is None else array.dtype
            yield _error(name, rule.parameter, "is not numeric", got, rule.wanted)
            continue
        bad = ~np.asarray(rule.holds(value), dtype=bool)
        if np.any(bad):
            where = tuple(int(i) for i in np.argwhere(bad)[0])
            at = f" at index {where}" if value.ndim else ""
            more = f" ({int(bad.sum())} such values)" if bad.sum() > 1 else ""
            yield _error(name, rule.parameter, "has a value with no meaning", f"{value[where]}{at}{more}", rule.wanted)


def _extra_findings(name: str, node: nir.NIRNode) -> Iterator[Finding]:
    if isinstance(node, nir.Affine | nir.Linear):
        yield from _matrix_findings(name, node)
    elif isinstance(node, nir.Conv1d | nir.Conv2d):
        yield from _conv_findings(name, node)
    elif isinstance(node, nir.Input | nir.Output | nir.Flatten):
        parameter, key = ("output_type", "output") if isinstance(node, nir.Output) else ("input_type", "input")
        yield from _shape_findings(name, parameter, key, getattr(node, parameter, None))
    elif isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        yield from _integer_findings(name, node, {"kernel_size": 1, "stride": 1, "padding": 0}, 2)
    elif isinstance(node, _NEURONS):
        yield from _neuron_findings(name, node)


def _shape_findings(name: str, parameter: str, key: str, types: Any) -> Iterator[Finding]:
    """A shape that the node itself says, which may be None: not known yet."""
    if not isinstance(types, dict) or key not in types:
        yield _error(name, parameter, "does not say a shape", repr(types), f"{{{key!r}: shape}}")
        return
    shape = types[key]
    array = numbers(shape)
    whole = array is not None and array.dtype.kind in "iu" and array.ndim <= 1 and bool(np.all(array >= 1))
    if shape is not None and not whole:
        yield _error(name, parameter, "is not a shape", repr(shape), "integers >= 1")


def _matrix_findings(name: str, node: nir.NIRNode) -> Iterator[Finding]:
    shape = np.shape(node.weight)
    if len(shape) < 2:
        yield _error(name, "weight", "is not a matrix", shape, "(..., outputs, inputs)")
    elif isinstance(node, nir.Affine) and np.shape(node.bias) != shape[:-1]:
        yield _error(name, "bias", "does not fit the weight", np.shape(node.bias), f"{shape[:-1]}, one value an output")


def _integer_findings(name: str, node: nir.NIRNode, least: dict[str, int], dims: int) -> Iterator[Finding]:
    for parameter, bound in least.items():
        try:
            values = pair(getattr(node, parameter), dims)
        except ParameterError as error:
            yield _error(name, parameter, error.message, error.got, error.wanted or "")
            continue
        if min(values) < bound:
            yield _error(name, parameter, "is too small", values, f"integers >= {bound}")


def _conv_findings(name: str, node: nir.NIRNode) -> Iterator[Finding]:
    dims = 1 if isinstance(node, nir.Conv1d) else 2
    yield from _shape_findings(name, "input_shape", "input", {"input": node.input_shape})
    shape = np.shape(node.weight)
    if len(shape) != dims + 2:
        yield _error(
            name,
            "weight",
            "has the wrong number of dimensions",
            shape,
            f"(out channels, in channels / groups, {'kernel' if dims == 1 else 'kernel height, kernel width'})",
        )
        return
    if np.shape(node.bias) != shape[:1]:
        yield _error(name, "bias", "does not fit the weight", np.shape(node.bias), f"{shape[:1]}, one value a channel")
    integers = {"stride": 1, "dilation": 1, **({} if text(node.padding) else {"padding": 0})}
    bad = list(_integer_findings(name, node, integers, dims))
    yield from bad
    try:
        groups = single(node.groups)
        if groups < 1 or shape[0] % groups:
            yield _error(name, "groups", "does not divide the output channels", groups, f"a divisor of {shape[0]}")
        if not bad:
            pads(node.padding, shape[2:], pair(node.dilation, dims))
            if text(node.padding) == "same" and max(pair(node.stride, dims)) > 1:
                yield _error(
                    name,
                    "padding",
                    "'same' has no meaning with a stride",
                    node.stride,
                    "stride 1",
                    "Give the padding in numbers.",
                )
    except ParameterError as error:
        yield _error(name, error.parameter or "groups", error.message, error.got, error.wanted or "")


def _neuron_findings(name: str, node: nir.NIRNode) -> Iterator[Finding]:
    metadata = node.metadata if isinstance(node.metadata, dict) else {}
    shape = np.shape(node.r)
    for rule in RULES[type(node)]:
        if np.shape(getattr(node, rule.parameter)) != shape:
            yield _error(
                name,
                rule.parameter,
                "has another shape than r",
                np.shape(getattr(node, rule.parameter)),
                str(shape),
            )
            return
    if "reset" in metadata and text(metadata["reset"]) not in RESETS:
        yield _error(name, "metadata['reset']", "unknown reset", metadata["reset"], " or ".join(RESETS))
    if "v_init" in metadata:
        yield from _v_init_findings(name, metadata["v_init"], shape)
    if metadata.get("v_reset_assumed") is not None and "reset" not in metadata:
        yield Finding(
            "note",
            name,
            "v_reset",
            "is not in the file: it is older than NIR's v_reset, whose neurons were said to subtract the threshold",
            "hasn takes v_reset = 0 and the reset of the call; pass reset='subtract' if it was trained so.",
        )
    if hasattr(node, "v_reset") and np.any(node.v_reset > node.v_threshold):
        yield Finding(
            "warning",
            name,
            "v_reset",
            "lies above v_threshold, so the neuron fires at every step after a spike",
            "Swap them, if they were given in the wrong order.",
        )


def _v_init_findings(name: str, value: Any, shape: tuple[int, ...]) -> Iterator[Finding]:
    array = numbers(value)
    if array is None or not np.all(np.isfinite(array)):
        yield _error(name, "metadata['v_init']", "has a value with no meaning", value, "finite numbers")
    elif array.shape not in ((), shape):
        yield _error(name, "metadata['v_init']", "does not fit the neurons", array.shape, f"a number or shape {shape}")
