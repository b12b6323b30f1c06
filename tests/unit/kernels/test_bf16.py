"""Products of bf16 parts against float64: as exact as their bound says, whatever the sizes, orders and values."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import sys
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hasn.kernels import Implementation, Product, product, product_available
from hasn.kernels.implementation import built

Floats = NDArray[np.float32]

MODULE = sys.modules["hasn.kernels.bf16"]
needs_tiles = pytest.mark.skipif(not product_available(), reason=f"no bf16 products here: {product_available().why}")

#: Around tiles (16), panels (32), blocks (512 k's; 256 rows; 1024 columns; 2048 k's) and layers of networks.
SIZES = [
    *itertools.product((1, 15, 17, 33), (1, 16, 31, 100), (1, 2, 16, 31, 33, 100)),
    *((32, 32, 32), (64, 48, 512), (31, 65, 513), (100, 10, 784), (257, 33, 40), (300, 288, 64), (3, 1025, 70)),
    *((5, 1100, 2049), (40, 20, 4100), (1, 1000, 784), (784, 1, 3)),
]


def normal(rng: np.random.Generator, *shape: int) -> Floats:
    return rng.standard_normal(shape, dtype=np.float32)


def spikes(rng: np.random.Generator, *shape: int) -> Floats:
    return (rng.random(shape) < 0.3).astype(np.float32)


def multiply(sizes: Product, a: Floats, b: Floats, bias: Floats | None = None) -> Floats:
    """The product of a (m, k) and b (k, n), which lie in memory as ``sizes`` says; nothing but C is written."""
    guard, area = 80, sizes.m * sizes.n
    room = np.full(area + 2 * guard, 123456.0, np.float32)
    room[guard : guard + area] = np.nan
    given_a = np.ascontiguousarray(a.T if sizes.transpose_a else a)
    given_b = np.ascontiguousarray(b.T if sizes.transpose_b else b)
    at = room.ctypes.data + 4 * guard
    product(sizes, given_a.ctypes.data, given_b.ctypes.data, at, 0 if bias is None else bias.ctypes.data)
    assert (room[:guard] == 123456.0).all()
    assert (room[guard + area :] == 123456.0).all()
    return room[guard : guard + area].reshape(sizes.m, sizes.n)


def error(c: Floats, a: Floats, b: Floats, bias: Floats | None = None) -> float:
    """The largest ``|c - a b - bias| / (|a| |b| + |bias|)``, in float64 (its own error: k 2^-53)."""
    x, y, z = a.astype(float), b.astype(float), np.zeros(b.shape[1]) if bias is None else bias.astype(float)
    size = abs(x) @ abs(y) + abs(z)
    return float(np.max(abs(c - (x @ y + z)) / np.where(size > 0, size, 1)))


@needs_tiles
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("transpose_b", [False, True])
@pytest.mark.parametrize("transpose_a", [False, True])
def test_products_stay_within_the_bound(transpose_a: bool, transpose_b: bool, parts: int) -> None:
    rng = np.random.default_rng(1)
    for m, n, k in SIZES:
        sizes = Product(m, n, k, transpose_a, transpose_b, parts)
        bias = normal(rng, n)
        for a, b in ((normal(rng, m, k), normal(rng, k, n)), (spikes(rng, m, k), normal(rng, k, n))):
            assert error(multiply(sizes, a, b, bias), a, b, bias) <= sizes.error_bound, sizes
            assert error(multiply(sizes, a, b), a, b) <= sizes.error_bound, sizes


@needs_tiles
def test_the_second_part_counts() -> None:
    """Random signs let errors cancel: what is left is far under the bound, and tells the kinds of products apart."""
    rng = np.random.default_rng(2)
    m, n, k = 64, 96, 800
    real_a, real_b, binary_a, binary_b = normal(rng, m, k), normal(rng, k, n), spikes(rng, m, k), spikes(rng, k, n)
    for a, b in ((real_a, real_b), (binary_a, real_b), (real_a, binary_b)):
        rough, fine = (error(multiply(Product(m, n, k, parts=parts), a, b), a, b) for parts in (1, 2))
        assert fine < 2e-6  # one kind of product left out: 1e-4 and more
        assert rough > 50 * fine
    one, two = (multiply(Product(m, n, k, parts=parts), binary_a, binary_b) for parts in (1, 2))
    assert (one == binary_a @ binary_b).all()
    assert (two == one).all()


@needs_tiles
def test_a_panel_without_lo_does_not_hide_its_neighbours() -> None:
    """One number that is no bf16, anywhere among spikes, is enough."""
    rng = np.random.default_rng(3)
    m, n, k = 70, 70, 600
    for row, depth, flip in itertools.product((0, 31, 32, 69), (0, 40, 511, 599), (False, True)):
        a, b = spikes(rng, m, k), spikes(rng, k, n)
        a[row, depth] = b[depth, row] = 1.0
        (a if flip else b)[(row, depth) if flip else (depth, row)] = 1 + 2**-12
        assert (multiply(Product(m, n, k), a, b) == (a.astype(float) @ b).astype(np.float32)).all()


@needs_tiles
@pytest.mark.parametrize(("parts", "limit"), [(1, 2**8), (2, 2**16)])
def test_small_whole_numbers_are_exact(parts: int, limit: int) -> None:
    rng = np.random.default_rng(4)
    for m, n, k, (ta, tb) in itertools.product(
        (33, 100), (20, 64), (100, 700), itertools.product((False, True), repeat=2)
    ):
        a = rng.integers(-limit, limit + 1, (m, k)).astype(np.float32) * (rng.random((m, k)) < 100 / limit)
        b = rng.integers(-8, 9, (k, n)).astype(np.float32)
        exact = a.astype(np.int64) @ b.astype(np.int64)
        assert abs(exact).max() < 2**24
        assert (multiply(Product(m, n, k, ta, tb, parts), a.astype(np.float32), b) == exact).all()


@needs_tiles
def test_threads_do_not_change_a_bit() -> None:
    rng = np.random.default_rng(5)
    for m, n, k in ((700, 200, 300), (40, 1200, 600), (300, 1100, 2500), (1, 3000, 900)):
        a, b, bias = normal(rng, m, k), normal(rng, k, n), normal(rng, n)
        one, *others = (multiply(Product(m, n, k, threads=t), a, b, bias).view(np.int32) for t in (1, 2, 3))
        assert all((one == other).all() for other in others), (m, n, k)
        rows = multiply(Product(m, n, k, threads=2), a, b, bias)[-1:]
        assert (multiply(Product(1, n, k), a[-1:], b, bias) == rows).all()  # nor do other rows


@needs_tiles
@pytest.mark.parametrize("parts", [1, 2])
def test_what_is_not_finite_spreads_as_in_float32(parts: int) -> None:
    rng = np.random.default_rng(6)
    m, n, k = 40, 50, 600
    a, b = normal(rng, m, k), normal(rng, k, n)
    a[3, 7], a[5, 100], a[35, 599], b[520, 9], b[0, 11] = np.inf, -np.inf, np.nan, np.inf, np.nan
    a[6, 8], a[6, 9], b[8, 20], b[9, 20], b[7, 21] = np.inf, np.inf, 1.5, -1.5, 0.0
    with np.errstate(invalid="ignore"):
        wanted = a.astype(float) @ b
    found = multiply(Product(m, n, k, parts=parts), a, b)
    assert np.isfinite(wanted).sum() > 1000
    assert np.isinf(wanted).sum() > 50
    assert (np.isnan(found) == np.isnan(wanted)).all()
    assert (np.isinf(wanted) == np.isinf(found)).all()
    assert (found[np.isinf(wanted)] == wanted[np.isinf(wanted)]).all()
    there = ~np.isfinite(a).all(1), ~np.isfinite(b).all(0)
    a[there[0]], b[:, there[1]] = 0, 0
    found[there[0]], found[:, there[1]] = 0, 0
    assert error(found, a, b) <= Product(m, n, k, parts=parts).error_bound


@needs_tiles
@pytest.mark.parametrize("parts", [1, 2])
def test_the_largest_and_the_smallest_numbers(parts: int) -> None:
    """bf16 would round the largest to infinity; under 2^-126 all is zero."""
    largest = np.finfo(np.float32).max
    a = np.array([[largest, -largest, 3.3895e38, 2.0**-126, 2.0**-127]], np.float32)
    c = multiply(Product(5, 5, 1, True, False, parts), a.T, np.array([[0.5, -0.5, 0.25, 0.75, 0]], np.float32))
    wanted = a.T.astype(float) @ [[0.5, -0.5, 0.25, 0.75, 0]]
    bound = Product(5, 5, 1, parts=parts).error_bound
    assert (abs(c - wanted) <= bound * abs(wanted) + 2.0**-126).all()
    assert (c[4] == 0).all()


@needs_tiles
def test_nothing_to_sum_and_nothing_to_write() -> None:
    bias = np.arange(5, dtype=np.float32)
    none = np.zeros((3, 0), np.float32), np.zeros((0, 5), np.float32)
    assert (multiply(Product(3, 5, 0), *none, bias) == bias).all()
    assert (multiply(Product(3, 5, 0), *none) == 0).all()
    assert multiply(Product(0, 5, 4), np.zeros((0, 4), np.float32), np.ones((4, 5), np.float32)).size == 0
    assert multiply(Product(3, 0, 4), np.ones((3, 4), np.float32), np.zeros((4, 0), np.float32)).size == 0


def fenced(values: Floats, at_end: bool) -> tuple[Floats, Any]:
    """The values beside a page that must not be touched: before them, or behind them."""
    page = mmap.PAGESIZE
    inside = -(-values.nbytes // page) * page
    room = mmap.mmap(-1, inside + 2 * page)
    start = ctypes.addressof(ctypes.c_char.from_buffer(room))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for fence in (start, start + page + inside):
        assert protect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0
    offset = page + (inside - values.nbytes if at_end else 0)
    kept = np.frombuffer(room, np.float32, values.size, offset).reshape(values.shape)
    kept[...] = values
    return kept, room


@needs_tiles
@pytest.mark.parametrize("at_end", [False, True])
def test_nothing_outside_the_operands_is_touched(at_end: bool) -> None:
    rng = np.random.default_rng(7)
    for (m, n, k), ta, tb in itertools.product(((1, 1, 1), (17, 33, 47), (40, 10, 530)), (False, True), (False, True)):
        a, b = normal(rng, m, k), normal(rng, k, n)
        (given_a, _), (given_b, _) = fenced(a.T.copy() if ta else a, at_end), fenced(b.T.copy() if tb else b, at_end)
        (c, _), (bias, _) = fenced(np.zeros((m, n), np.float32), at_end), fenced(normal(rng, n), at_end)
        sizes = Product(m, n, k, ta, tb)
        product(sizes, given_a.ctypes.data, given_b.ctypes.data, c.ctypes.data, bias.ctypes.data)
        assert error(c, a, b, bias) <= sizes.error_bound


def test_sizes_and_parts_that_cannot_be_are_refused() -> None:
    for sizes, said in (((-1, 2, 3), "m = -1"), ((1, -2, 3), "n = -2"), ((1, 2, -3), "k = -3")):
        with pytest.raises(ValueError, match=f"sizes are not negative: .*{said}"):
            Product(*sizes)
    assert Product(0, 0, 0).parts == 2
    for parts in (0, 3):
        with pytest.raises(ValueError, match=f"1 or 2 bf16 parts, not {parts}"):
            replace(Product(1, 2, 3), parts=parts)


@pytest.mark.parametrize(
    ("k", "parts", "additions"),  # 18, one for each 32 k's and kind of product, one for each 2048 k's
    [(0, 2, 18), (1, 2, 22), (32, 2, 22), (33, 2, 25), (2048, 2, 211), (2049, 2, 215), (33, 1, 21), (2049, 1, 85)],
)
def test_the_bound_by_hand(k: int, parts: int, additions: int) -> None:
    kept = {1: 0.0078125 + 0.0000152587890625, 2: 0.000030517578125 + 5.820766091346741e-11}[parts]
    assert Product(3, 3, k, parts=parts).error_bound == pytest.approx(kept + additions * 1.02 / 16777216, rel=1e-14)


def test_every_argument_arrives_where_c_expects_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module, why = built("_product", MODULE.INTERFACE)
    if module is None:
        pytest.skip(f"no C was built here: {why}")
    calls: list[tuple[int, ...]] = []
    other = ModuleType("other")
    other.__dict__.update(product=lambda *given: calls.append(given), openmp=0, why_not="")
    monkeypatch.setattr(MODULE, "_extension", lambda: (other, ""))
    monkeypatch.delenv("HASN_KERNELS", raising=False)
    product(Product(2, 3, 5, False, True, 1, 7), 11, 13, 17, 19)
    product(Product(2, 3, 5, True), 11, 13, 17)
    assert product_available() == Implementation("c", False, ("amx-bf16",))
    names = module.product.__doc__.partition("(")[2].partition(")")[0].split(", ")
    first, second = (dict(zip(names, call, strict=True)) for call in calls)
    assert first == {
        "m": 2, "n": 3, "k": 5, "transpose_a": False, "transpose_b": True, "parts": 1, "threads": 7,
        "a": 11, "b": 13, "c": 17, "bias": 19,
    }  # fmt: skip
    assert second == first | {"transpose_a": True, "transpose_b": False, "parts": 2, "threads": 1, "bias": 0}


@pytest.mark.skipif(bool(product_available()), reason="this processor has the instructions")
def test_c_refuses_by_itself_what_the_processor_cannot() -> None:
    module, why = built("_product", MODULE.INTERFACE)
    if module is None:
        pytest.skip(f"no C was built here: {why}")
    assert product_available().why == module.why_not != ""
    room = np.zeros(1, np.float32).ctypes.data
    with pytest.raises(RuntimeError, match=module.why_not):
        module.product(1, 1, 1, False, False, 2, 1, room, room, room, 0)


def test_it_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASN_KERNELS", "0")
    assert (product_available().name, product_available().why) == ("none", "HASN_KERNELS=0")
    with pytest.raises(RuntimeError, match="no bf16 product here"):
        product(Product(1, 1, 1), 1, 1, 1)


def test_other_processors_and_old_builds_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HASN_KERNELS", raising=False)
    monkeypatch.setattr(MODULE, "_extension", MODULE._extension.__wrapped__)
    monkeypatch.setitem(sys.modules, "hasn.kernels._product", None)
    assert "not built when hasn was installed" in product_available().why
    other = ModuleType("other")
    monkeypatch.setitem(sys.modules, "hasn.kernels._product", other)
    assert product_available().why == "built from older sources: install hasn again"
    other.__dict__.update(interface=MODULE.INTERFACE, openmp=1, why_not="the processor has no AMX tiles for bf16")
    assert product_available().why == "the processor has no AMX tiles for bf16"
    with pytest.raises(RuntimeError, match="no AMX tiles"):
        product(Product(1, 1, 1), 1, 1, 1)
