"""The shape of every signal, inferred from the nodes themselves (nir 1.0.8 uses one kernel side for both)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import nir
import numpy as np

from hasn.errors import ParameterError, ShapeError
from hasn.ir.finding import Finding, finding_of
from hasn.ir.structure import FlatGraph
from hasn.ir.values import pads, pair, single

Shape = tuple[int, ...]
_MOST_ELEMENTS = 2**62


def shape_of(value: Any) -> Shape | None:
    """A shape as NIR stores it (array, list, None) as a tuple of int."""
    return None if value is None else tuple(int(n) for n in np.atleast_1d(np.asarray(value)))


def _parameter_shape(name: str) -> Callable[[nir.NIRNode], Shape]:
    return lambda node: tuple(np.shape(getattr(node, name)))


def _matrix_in(node: nir.NIRNode) -> Shape:
    shape = np.shape(node.weight)
    return (*shape[:-2], shape[-1])


#: Input shape, for the nodes whose parameters fix it.
_FIXED_INPUT: dict[type[nir.NIRNode], Callable[[nir.NIRNode], Shape | None]] = {
    nir.Input: lambda node: shape_of(node.input_type["input"]),
    nir.Output: lambda node: shape_of(node.output_type["output"]),
    nir.Affine: _matrix_in,
    nir.Linear: _matrix_in,
    nir.Scale: _parameter_shape("scale"),
    nir.Threshold: _parameter_shape("threshold"),
    nir.Delay: _parameter_shape("delay"),
    nir.I: _parameter_shape("r"),
    nir.IF: _parameter_shape("v_threshold"),
    nir.LI: _parameter_shape("v_leak"),
    nir.LIF: _parameter_shape("v_threshold"),
    nir.CubaLI: _parameter_shape("v_leak"),
    nir.CubaLIF: _parameter_shape("v_threshold"),
    nir.Flatten: lambda node: shape_of(node.input_type["input"]),
    nir.Conv1d: lambda node: _conv_in(node, 1),
    nir.Conv2d: lambda node: _conv_in(node, 2),
    nir.SumPool2d: lambda node: None,
    nir.AvgPool2d: lambda node: None,
}


def _conv_in(node: nir.NIRNode, dims: int) -> Shape | None:
    if node.input_shape is None:
        return None
    spatial = shape_of(node.input_shape)
    assert spatial is not None
    return (int(node.weight.shape[1]) * single(node.groups), *spatial[-dims:])


def output_shape(node: nir.NIRNode, shape: Shape) -> Shape:
    """Shape that ``node`` gives for an input of ``shape``, both without time and batch.

    Raises:
        ShapeError: the node cannot take this shape.
    """
    if isinstance(node, nir.Affine | nir.Linear):
        return (*shape[:-1], int(np.shape(node.weight)[-2]))
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        return _conv_out(node, shape)
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        return _pool_out(node, shape)
    if isinstance(node, nir.Flatten):
        return _flatten_out(node, shape)
    return shape


def _conv_out(node: nir.NIRNode, shape: Shape) -> Shape:
    weight = np.shape(node.weight)
    dims = len(weight) - 2
    channels = weight[1] * single(node.groups)
    if len(shape) != dims + 1 or shape[0] != channels:
        raise ShapeError(
            "the convolution cannot take this input",
            got=shape,
            parameter="weight",
            wanted=f"(channels, {'length' if dims == 1 else 'height, width'}) with {channels} channels "
            f"= weight.shape[1] * groups",
        )
    stride, dilation = pair(node.stride, dims), pair(node.dilation, dims)
    padding = pads(node.padding, weight[2:], dilation)
    return (weight[0], *_windows(shape[1:], weight[2:], stride, padding, dilation, "weight"))


def _pool_out(node: nir.NIRNode, shape: Shape) -> Shape:
    if len(shape) != 3:
        raise ShapeError("pooling cannot take this input", got=shape, wanted="(channels, height, width)")
    kernel, stride = pair(node.kernel_size, 2), pair(node.stride, 2)
    padding = pads(node.padding, kernel, (1, 1))
    return (shape[0], *_windows(shape[1:], kernel, stride, padding, (1, 1), "kernel_size"))


def _windows(
    size: Shape, kernel: Shape, stride: Shape, padding: tuple[tuple[int, int], ...], dilation: Shape, parameter: str
) -> Shape:
    spans = [
        (n + low + high - d * (k - 1) - 1) // s + 1
        for n, k, s, (low, high), d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    if min(spans) < 1:
        raise ShapeError(
            "the kernel is larger than the padded input",
            parameter=parameter,
            got=tuple(kernel),
            wanted=f"a kernel that fits into {tuple(size)} with padding {padding}",
        )
    return tuple(int(span) for span in spans)


def _flatten_out(node: nir.NIRNode, shape: Shape) -> Shape:
    start, end = single(node.start_dim), single(node.end_dim)
    first = start + len(shape) if start < 0 else start
    last = end + len(shape) if end < 0 else end
    if not 0 <= first <= last < len(shape):
        raise ShapeError(
            "Flatten has no such dimensions; they are counted without the batch",
            parameter="start_dim",
            got=f"start_dim={start}, end_dim={end} for shape {shape}",
            wanted=f"0 <= start_dim <= end_dim < {len(shape)} (negative: from the end)",
        )
    return (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :])


def infer_shapes(flat: FlatGraph) -> tuple[dict[str, tuple[Shape, Shape]], list[Finding]]:
    """(input shape, output shape) of every node, and what is wrong with them.

    A node whose shapes cannot be known is missing from the mapping and has a finding.
    """
    before: dict[str, list[str]] = {name: [] for name in flat.nodes}
    after: dict[str, list[str]] = {name: [] for name in flat.nodes}
    for source, target in flat.edges:
        before[target].append(source)
        after[source].append(target)
    known: dict[str, tuple[Shape, Shape]] = {}
    findings: dict[str, Finding] = {}
    queue = sorted(flat.nodes, key=lambda name: name not in flat.inputs)
    while queue:
        name = queue.pop(0)
        if name in known or name in findings:
            continue
        try:
            shapes = _node_shapes(flat.nodes[name], [known[source][1] for source in before[name] if source in known])
        except (ShapeError, ParameterError) as error:
            findings[name] = finding_of(error, name)
            continue
        if shapes is not None:
            known[name] = shapes
            queue.extend(after[name])
    for name in flat.nodes:
        if name not in known and name not in findings and not any(source in findings for source in before[name]):
            findings[name] = Finding(
                "error",
                name,
                "",
                "its input shape is nowhere given",
                "Give the graph an Input with a shape, or the node its input_shape.",
                error=ShapeError,
            )
    return known, [*findings.values(), *_edge_findings(flat, known)]


def _node_shapes(node: nir.NIRNode, incoming: list[Shape]) -> tuple[Shape, Shape] | None:
    fixed = _FIXED_INPUT[type(node)](node)
    if fixed is None and not incoming:
        return None
    shape = fixed if fixed is not None else incoming[0]
    result = output_shape(node, shape)
    for found in (shape, result):
        if math.prod(found) > _MOST_ELEMENTS:
            raise ShapeError("has more elements than can be counted", got=found, wanted="at most 2^62")
    return shape, result


def _edge_findings(flat: FlatGraph, known: dict[str, tuple[Shape, Shape]]) -> Iterator[Finding]:
    for source, target in flat.edges:
        if source not in known or target not in known:
            continue
        given, taken = known[source][1], known[target][0]
        if given != taken:
            yield Finding(
                "error",
                target,
                "",
                f"shape mismatch along the edge from '{source}'",
                _mismatch_repair(given, taken),
                given,
                f"{taken}, which {type(flat.nodes[target]).__name__} takes",
                ShapeError,
            )


def _mismatch_repair(given: Shape, taken: Shape) -> str:
    if int(np.prod(taken)) == 1:
        return f"Broadcast its parameters to shape {given} (hasn.repair does it), or reduce the input."
    if int(np.prod(given)) == int(np.prod(taken)):
        return f"Put a nir.Flatten between them, or give its parameters the shape {given}."
    return "Give both ends one shape."
