"""Matrix products of float32 operands from bf16 products, on processors with AMX: ``_product.c``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cache
from types import ModuleType

from hasn.kernels.implementation import SWITCH, Implementation, built

#: What the C function's arguments mean; the same number stands in ``_product.c``.
INTERFACE = 1


@dataclass(frozen=True)
class Product:
    """Sizes of ``C = op(A) op(B) + bias``. Arrays are float32, C-contiguous, and do not overlap C.

    Attributes:
        m, n, k: C is (m, n), op(A) is (m, k), op(B) is (k, n).
        transpose_a: A is (k, m), and op(A) its transpose.
        transpose_b: B is (n, k), and op(B) its transpose.
        parts: 2: each operand counts as the sum of two bf16 numbers, which keeps accuracy near float32's;
            1: as one bf16 number.
        threads: at most so many; fewer where there is little to do. The result is the same, bit by bit.
    """

    m: int
    n: int
    k: int
    transpose_a: bool = False
    transpose_b: bool = False
    parts: int = 2
    threads: int = 1

    def __post_init__(self) -> None:
        if min(self.m, self.n, self.k) < 0:
            raise ValueError(f"a product's sizes are not negative: m = {self.m}, n = {self.n}, k = {self.k}")
        if self.parts not in (1, 2):
            raise ValueError(f"an operand has 1 or 2 bf16 parts, not {self.parts}")

    @property
    def error_bound(self) -> float:
        """The largest ``|C - exact| / (sum_k |a| |b| + |bias|)`` there can be, for any operands.

        x_hi = bf16(x) misses at most ``2^-8 |x|``, and x_hi + x_lo at most ``2^-17 |x|``; the product that is left out,
        of both x_lo, is at most ``2^-16 |a b|``. Together ``2^-7 + 2^-16`` for one part, ``2^-15 + 2^-34`` for two;
        where an operand is exact in bf16, as spikes are, ``2^-8`` and ``2^-17``. Sums in float32 add ``2^-24`` for each
        addition that a product goes through: 17 in a tile, one for each 32 k's and kind of product, one for each 2048
        k's, one for the bias (times 1.02: the parts are together a little larger than the product). It holds where
        nothing overflows; a part, product or sum under ``2^-126`` counts as zero, which the bound leaves out.
        """
        kept, kinds = (2.0**-15 + 2.0**-34, 3) if self.parts == 2 else (2.0**-7 + 2.0**-16, 1)
        additions = 18 + kinds * -(-self.k // 32) + -(-self.k // 2048)
        return kept + additions * 1.02 * 2.0**-24


def product_available() -> Implementation:
    """Whether :func:`product` runs here: "c", else "none" and why.

    It needs a processor with AMX tiles for bf16 (Intel Sapphire Rapids or later) and Linux 5.16 or later.
    """
    if os.environ.get(SWITCH) == "0":
        return Implementation("none", why=f"{SWITCH}=0")
    module, why = _extension()
    if module is None:
        return Implementation("none", why=why)
    return Implementation("c", bool(module.openmp), ("amx-bf16",))


def product(sizes: Product, a: int, b: int, c: int, bias: int = 0) -> None:
    """``C = op(A) op(B) + bias`` from products of bf16 numbers, summed in float32.

    With two parts ``a = a_hi + a_lo``, a product is ``a_lo b_hi + a_hi b_hi + a_hi b_lo``; parts that are all zeros, as
    a_lo where A has spikes, cost nothing. :attr:`Product.error_bound` says how exact it is. Small whole numbers
    (under 2^8 with one part, 2^16 with two where the other operand is under 2^8) give exact sums up to 2^24.
    Infinities and NaN spread as in float32; a finite number has finite parts, however large it is. Subnormal numbers,
    and the products and sums that are, count as zero.

    Memory for packed operands, at most 12 MiB and 2 MiB a thread, stays with the process for the next call.

    Args:
        sizes: sizes, order of the axes, parts, threads.
        a, b, c: addresses of A, B and C.
        bias: address of n numbers, added to each row of C; 0: none.

    Raises:
        RuntimeError: there is no implementation, see :func:`product_available`.
        MemoryError: no room for the packed operands.
    """
    module, why = _extension()
    if module is None or not product_available():
        raise RuntimeError(f"hasn.kernels has no bf16 product here: {why or product_available().why}")
    order = (sizes.transpose_a, sizes.transpose_b)
    module.product(sizes.m, sizes.n, sizes.k, *order, sizes.parts, sizes.threads, a, b, c, bias)


@cache
def _extension() -> tuple[ModuleType | None, str]:
    module, why = built("_product", INTERFACE)
    return (None, module.why_not) if module is not None and module.why_not else (module, why)
