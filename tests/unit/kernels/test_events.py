"""The event-driven product against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from hasn.kernels import available
from hasn.kernels.events import EventProduct, event_product, events_available

pytestmark = pytest.mark.skipif(not events_available(), reason=f"no kernels here: {available().why}")


def product(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None = None, threads: int = 1) -> np.ndarray:
    """x W + b by the kernel, between two guards that must stay."""
    batch, outputs = len(x), weights.shape[1]
    y = np.full((batch + 2, outputs), -7.5, x.dtype)
    sizes = EventProduct(batch, *weights.shape, x.dtype == np.float64, threads)
    given = 0 if bias is None else bias.ctypes.data
    event_product(sizes, x.ctypes.data, weights.ctypes.data, y[1:].ctypes.data, given)()
    assert (y[[0, -1]] == -7.5).all()
    return y[1:-1]


def plain(x: np.ndarray, weights: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    """The sum in the order of the inputs, one product after the other."""
    y = np.zeros((len(x), weights.shape[1]), x.dtype) + (0 if bias is None else bias)
    for i in range(x.shape[1]):
        active = x[:, i] != 0
        y[active] = y[active] + x[active, i : i + 1] * weights[i]
    return y


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("batch", "inputs", "outputs"), [(1, 1, 1), (1, 784, 1001), (3, 7, 33), (2, 130, 17), (1, 5, 0)]
)
@pytest.mark.parametrize("rate", [0.0, 0.2, 1.0])
def test_it_is_the_sum_in_the_order_of_the_inputs(
    dtype: type, batch: int, inputs: int, outputs: int, rate: float
) -> None:
    draw = np.random.default_rng(0)
    weights, bias = (draw.normal(size=shape).astype(dtype) for shape in ((inputs, outputs), outputs))
    x = ((draw.random((batch, inputs)) < rate) * draw.normal(size=(batch, inputs))).astype(dtype)
    for given in (bias, None):
        wanted = plain(x, weights, given)
        for threads in (1, 2, 3, 0):  # none is one
            np.testing.assert_array_equal(product(x, weights, given, threads), wanted)


def test_float32_on_one_thread_is_what_nobody_has_to_say() -> None:
    assert EventProduct(2, 3, 4) == EventProduct(2, 3, 4, double=False, threads=1)


def test_threads_share_few_outputs() -> None:
    """Ten by eight threads: a share of two each would end before the last threads begin."""
    draw = np.random.default_rng(0)
    x, weights = draw.normal(size=(2, 40000)), draw.normal(size=(40000, 10))
    wanted = np.add.accumulate(x[:, :, np.newaxis] * weights, axis=1)[:, -1]  # one after the other
    for threads in (1, 4, 7, 8, 100):
        np.testing.assert_array_equal(product(x, weights, threads=threads), wanted)


def test_what_is_not_finite_is_not_lost() -> None:
    weights = np.array([[1.0, 2.0], [np.inf, 3.0], [5.0, np.nan]])
    assert np.isnan(product(np.array([[np.nan, 0, 0]]), weights)).all()
    np.testing.assert_array_equal(product(np.array([[0.0, 1, 0]]), weights), [[np.inf, 3]])
    for silent in (0.0, -0.0):  # what is silent is not read
        np.testing.assert_array_equal(product(np.array([[1.0, silent, silent]]), weights), [[1, 2]])
    np.testing.assert_array_equal(product(np.array([[5e-324, 0, 0]]), weights), [[5e-324, 1e-323]])
