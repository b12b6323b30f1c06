"""Products of integers: what they give in every layout, and where a matrix is kept sparse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from hasn.program.integers.model import IntegerProjection

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch import integer_products  # noqa: E402
from hasn.backends.snntorch.integer_products import Product  # noqa: E402

CPU = torch.device("cpu")
WEIGHTS = np.array([[3, 0, -7], [0, 254, 0]])  # of two targets, three sources


def product(weights: Any, device: Any = CPU) -> Any:
    return Product(IntegerProjection("a", "b", 0, sparse.csr_array(weights), ()), device)


@pytest.mark.parametrize("most", [0, 1 << 26], ids=["sparse", "dense"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_sums_are_shifted_by_six_bits(dtype: Any, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(integer_products, "DENSE_MOST", most)
    multiply = product(WEIGHTS)
    x = torch.tensor([[1, 2, 4], [0, -1, 1]])
    wanted = [[64 * -25, 64 * 508], [64 * -7, 64 * -254]]
    for given, expected in ((x, wanted), (x[0], wanted[0]), (x.reshape(2, 1, 3), [[row] for row in wanted])):
        found = multiply(given, dtype)
        assert found.dtype == dtype
        assert found.tolist() == expected


def test_each_type_has_a_matrix_of_its_own_made_once() -> None:
    multiply, large = product(np.array([[2**18 + 1]])), torch.tensor([1])
    first = multiply(large, torch.float32)
    assert multiply(large, torch.float64).tolist() == first.tolist() == [(2**18 + 1) * 64]
    made = dict(multiply._made)
    multiply(large, torch.float32)
    assert {dtype: matrix.dtype for dtype, matrix in made.items()} == {d: d for d in (torch.float32, torch.float64)}
    assert all(multiply._made[dtype] is matrix for dtype, matrix in made.items())


def of(rows: int, columns: int, nonzero: int) -> Any:
    flat = np.zeros(rows * columns, dtype=np.int64)
    flat[:nonzero] = 2
    return flat.reshape(rows, columns)


@pytest.mark.parametrize(
    ("weights", "device", "sparse_from", "dense_to", "is_sparse"),
    [
        (of(10, 11, 10), "cpu", 109, 1000, True),  # thin and large
        (of(10, 11, 11), "cpu", 109, 1000, False),  # a tenth
        (of(10, 11, 10), "cpu", 110, 1000, False),  # not large
        (of(10, 11, 10), "meta", 109, 1000, False),  # another device multiplies dense ones fast
        (of(10, 11, 110), "cpu", 109, 110, False),
        (of(10, 11, 110), "cpu", 109, 109, True),  # no room
        (of(10, 11, 110), "meta", 109, 109, True),
    ],
)
def test_where_a_matrix_is_kept_sparse(
    weights: Any, device: str, sparse_from: int, dense_to: int, is_sparse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integer_products, "SPARSE_SIZE", sparse_from)
    monkeypatch.setattr(integer_products, "DENSE_MOST", dense_to)
    found = product(weights, torch.device(device))._matrix(torch.float32)
    assert found.layout is (torch.sparse_csr if is_sparse else torch.strided)
    assert tuple(found.shape) == ((10, 11) if is_sparse else (11, 10))
    assert found.device.type == device
