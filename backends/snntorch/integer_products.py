"""Synaptic sums as exact matrix products: CUDA has no product of integers, and the CPU's is slow."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hasn.program.integers.model import ALIGN_BITS, IntegerProjection

#: A sum of integers is exact in float32, in any order, while the absolute values add up to less than this (IEEE 754).
FLOAT32_EXACT = 1 << 24
#: Sparse is faster on the CPU below this density, and for matrices of more than this many entries. Measured with torch
#: 2.13 on one thread at 400 rows: 5408 x 784 takes 25 ms against 35 at 0.1, 53 against 37 at 0.3; 64 x 64 is always
#: faster dense.
SPARSE_DENSITY, SPARSE_SIZE = 0.1, 1 << 16
#: More entries than this are kept sparse on every device (256 MiB in float32).
DENSE_MOST = 1 << 26


class Product:
    """``(W x) << 6`` of a projection: (..., elements of source) to (..., elements of target), whole numbers."""

    def __init__(self, projection: IntegerProjection, device: torch.device) -> None:
        self._weights = projection.weights
        self._device = device
        self._made: dict[torch.dtype, Tensor] = {}

    def __call__(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """The product in float32 or float64, whichever the caller has found to be exact."""
        if dtype not in self._made:
            self._made[dtype] = self._matrix(dtype)
        matrix, x = self._made[dtype], x.to(dtype)
        if matrix.layout is torch.strided:
            return x @ matrix
        flat: Tensor = matrix @ x.reshape(-1, x.shape[-1]).T
        return flat.T.reshape(*x.shape[:-1], -1)

    def _matrix(self, dtype: torch.dtype) -> Tensor:
        """(source, target) if dense, (target, source) if sparse: what each multiplies fastest."""
        w = self._weights
        kind = np.float32 if dtype is torch.float32 else np.float64
        values = w.data.astype(kind) * (1 << ALIGN_BITS)  # a power of two costs no bits
        entries = w.shape[0] * w.shape[1]
        thin = self._device.type == "cpu" and entries > SPARSE_SIZE and w.nnz < SPARSE_DENSITY * entries
        if not thin and entries <= DENSE_MOST:
            scaled = w.astype(kind)
            scaled.data = values
            return torch.from_numpy(scaled.toarray().T.copy()).to(self._device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
            rows, columns = (torch.from_numpy(part.astype(np.int64)) for part in (w.indptr, w.indices))
            make: Any = torch.sparse_csr_tensor
            found: Tensor = make(rows, columns, torch.from_numpy(values), size=w.shape, check_invariants=True)
        return found.to(self._device)
