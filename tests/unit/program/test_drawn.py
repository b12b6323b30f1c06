"""Philox against its published answers; what is drawn from it against the distributions that it claims."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from hasn.nodes import NoiseInput, PoissonInput
from hasn.program.drawn import Gaussian, Poisson, fnv1a, philox, uniform
from hasn.testing.drawn import DrawnInput
from hasn.testing.drawn import philox as plain_philox

#: Random123's kat_vectors, philox4x32 10: counter, key, answer.
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text: str) -> list[int]:
    return [int(word, 16) for word in text.split()]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_its_published_answers(counter: str, key: str, answer: str) -> None:
    low, high = words(key)
    arrays = tuple(np.array([word, 1], dtype=np.uint64) for word in words(counter))
    found = philox(arrays, (low, high))  # type: ignore[arg-type]  # four of them
    assert [int(word[0]) for word in found] == words(answer)
    assert plain_philox(words(counter), low + (high << 32)) == words(answer)


def test_the_name_is_hashed_by_fnv_1a() -> None:
    """The first two from the FNV authors' test vectors; the last two bytes of UTF-8 by hand."""
    assert fnv1a("") == 0xCBF29CE484222325
    assert fnv1a("foobar") == 0x85944171F73967E8
    once = (0xCBF29CE484222325 ^ 0xC3) * 0x100000001B3 % 2**64
    assert fnv1a("é") == (once ^ 0xA9) * 0x100000001B3 % 2**64


def test_the_key_is_the_hash_and_the_seed_low_half_first() -> None:
    drawn = Gaussian("", 0x1_0000_0002, np.zeros(1), np.ones(1))
    assert drawn.key == (0x84222325 ^ 2, 0xCBF29CE4 ^ 1)


def test_a_uniform_number_takes_27_bits_and_26() -> None:
    def of(high: int, low: int) -> float:
        return float(uniform(np.array([high], dtype=np.uint64), np.array([low], dtype=np.uint64))[0])

    assert of(31, 63) == 0.0
    assert of(32, 64) == 2**-27 + 2**-53
    assert of(0xFFFFFFFF, 0xFFFFFFFF) == 1 - 2**-53


@pytest.mark.parametrize("name", ["PoissonInput", "NoiseInput"])
@pytest.mark.parametrize("first", [0, 2**32 - 2])
def test_each_number_is_that_of_its_element_sample_and_step(name: str, first: int) -> None:
    """Against one number at a time, over the carry of the step's low half too."""
    one, two = np.array([[0.5, 3.0], [40.0, 0.0]]), np.array([[1.5, -2.0], [0.25, 1.0]])
    if name == "PoissonInput":
        drawn, node = Poisson("a.b", 2**64 - 3, one, two), PoissonInput(one / 0.5, two, 2**64 - 3)
    else:
        drawn, node = Gaussian("a.b", 7, one, np.abs(two)), NoiseInput(one, np.abs(two), 7)  # type: ignore[assignment]
    plain = DrawnInput("a.b", node, 0.5)
    plain.step = first
    wanted = np.stack([plain(np.zeros((3, 2, 2)), None) for _ in range(4)])
    # The two take logarithms and cosines from other libraries, each right to the last digit but one.
    np.testing.assert_allclose(drawn.values(first, 4, 3), wanted, rtol=1e-14, atol=1e-14)


def test_a_part_of_the_steps_is_a_part_of_the_numbers() -> None:
    """Whatever block the number falls into, and however many samples there are."""
    drawn = Gaussian("n", 3, np.zeros(300), np.ones(300))
    whole = drawn.values(0, 120, 3)
    assert whole.size > 1 << 16
    np.testing.assert_array_equal(drawn.values(50, 70, 3), whole[50:])
    np.testing.assert_array_equal(drawn.values(0, 120, 1), whole[:, :1])


@pytest.mark.parametrize("change", ["name", "seed", "element", "sample", "step"])
def test_numbers_of_another_place_have_nothing_to_do_with_each_other(change: str) -> None:
    def of(name: str = "n", seed: int = 1) -> Gaussian:
        return Gaussian(name, seed, np.zeros(200), np.ones(200))

    values = of().values(0, 201, 2)
    left, right = {
        "name": (values[1:, 0], of(name="m").values(1, 200, 1)[:, 0]),
        "seed": (values[1:, 0], of(seed=1 << 40).values(1, 200, 1)[:, 0]),
        "element": (values[:, :, 1:], values[:, :, :-1]),
        "sample": (values[:, 0], values[:, 1]),
        "step": (values[1:], values[:-1]),
    }[change]
    # A correlation of n independent pairs has a standard deviation of 1/sqrt(n).
    correlation = float(np.corrcoef(left.reshape(-1), right.reshape(-1))[0, 1])
    assert abs(correlation) < 5 / math.sqrt(left.size)


@pytest.mark.parametrize("mean", [0.03, 1.7, 30.0, 700.0])
def test_counts_are_poisson(mean: float) -> None:
    counts = Poisson("p", 5, np.full(50, mean), np.ones(50)).values(0, 2000, 1).reshape(-1)
    edges = np.unique(stats.poisson.ppf(np.linspace(0, 1, 21)[1:-1], mean))
    places = np.concatenate([[0.0], stats.poisson.cdf(edges, mean), [1.0]])
    observed = np.bincount(np.searchsorted(edges, counts), minlength=edges.size + 1)
    # The numbers are always the same, so this either holds for good or never.
    assert stats.chisquare(observed, np.diff(places) * counts.size).pvalue > 1e-3


def test_the_count_is_the_smallest_that_is_enough() -> None:
    """By hand, of mean ln 2: P(X <= 0) = 1/2, P(X <= 1) = 0.8466, P(X <= 2) = 0.9667."""
    drawn = Poisson("p", 9, np.full(1, math.log(2)), np.full(1, -3.0))
    values = drawn.values(0, 400, 1).reshape(-1)
    key = sum(half << shift for half, shift in zip(drawn.key, (0, 32), strict=True))
    u = [((w[0] >> 5) * 2**26 + (w[1] >> 6)) / 2**53 for w in (plain_philox([0, 0, t, 0], key) for t in range(400))]
    few = np.array([0.0 if x < 0.5 else -3.0 if x < 0.8466 else -6.0 if x < 0.9667 else -9.0 for x in u])
    np.testing.assert_array_equal(np.maximum(values, -9.0), few)
    assert set(few) == {0.0, -3.0, -6.0, -9.0}


def test_the_inversion_ends_where_rounding_keeps_the_sum_below_u() -> None:
    """The largest u there is: with a mean of 700 the cumulated sum never reaches it."""
    from hasn.program.drawn import _counts

    found = _counts(np.full(2, 1 - 2.0**-53), np.array([700.0, 0.0]))
    assert 900 < found[0] < 1200  # the mean and some 8 to 19 standard deviations
    assert found[1] == 0


def test_gaussian_numbers_are_normal() -> None:
    drawn = Gaussian("n", 5, np.array([0.0, 3.0]), np.array([1.0, 0.5]))
    values = drawn.values(0, 50_000, 1)[:, 0]
    for column, mean, std in ((0, 0.0, 1.0), (1, 3.0, 0.5)):
        assert stats.kstest(values[:, column], "norm", args=(mean, std)).pvalue > 1e-3
