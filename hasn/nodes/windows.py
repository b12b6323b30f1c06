"""How many windows fit: the arithmetic that convolutions and pooling share."""

from __future__ import annotations

from collections.abc import Iterator

import nir

from hasn.errors import ParameterError, ShapeError
from hasn.finding import Finding
from hasn.nodes.kind import error
from hasn.nodes.values import pair
from hasn.program.maps import Pads, window_counts
from hasn.program.model import Shape


def windows(size: Shape, kernel: Shape, stride: Shape, padding: Pads, dilation: Shape, parameter: str) -> Shape:
    """Windows in each dimension; see :func:`hasn.program.maps.window_counts`.

    Raises:
        ShapeError: not even one fits.
    """
    spans = window_counts(size, kernel, stride, padding, dilation)
    if min(spans) < 1:
        raise ShapeError(
            "the kernel is larger than the padded input",
            parameter=parameter,
            got=tuple(kernel),
            wanted=f"a kernel that fits into {tuple(size)} with padding {padding}",
        )
    return tuple(int(span) for span in spans)


def integer_findings(name: str, node: nir.NIRNode, least: dict[str, int], dims: int) -> Iterator[Finding]:
    """Parameters that are not one integer for each dimension, or are too small."""
    for parameter, bound in least.items():
        try:
            values = pair(getattr(node, parameter), dims)
        except ParameterError as wrong:
            yield error(name, parameter, wrong.message, wrong.got, wrong.wanted or "")
            continue
        if min(values) < bound:
            yield error(name, parameter, "is too small", values, f"integers >= {bound}")
