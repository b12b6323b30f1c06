"""The few hot loops in C, built where a compiler is at hand.

Whoever uses a kernel has another way to the same numbers, and asks :func:`available` which to take:

    >>> from hasn.kernels import available
    >>> available().name in ("c", "none")
    True
"""

from hasn.kernels.bf16 import Product, product, product_available
from hasn.kernels.implementation import Implementation, available
from hasn.kernels.rows import Line, RowProgram, RowScan, RowStates, rows_backward, rows_call, rows_forward
from hasn.kernels.scan import Reset, Rows, Scan, Slope, States, forward_call, scan_backward, scan_forward

__all__ = [
    "Implementation",
    "Line",
    "Product",
    "Reset",
    "RowProgram",
    "RowScan",
    "RowStates",
    "Rows",
    "Scan",
    "Slope",
    "States",
    "available",
    "forward_call",
    "product",
    "product_available",
    "rows_backward",
    "rows_call",
    "rows_forward",
    "scan_backward",
    "scan_forward",
]
