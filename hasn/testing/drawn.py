"""Drawn inputs by SEMANTICS alone, one number at a time in Python's integers and floats, so that they can be judged."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.nodes import NoiseInput, PoissonInput

DRAWN = (PoissonInput, NoiseInput)


class DrawnInput:
    """The node, called once a step."""

    def __init__(self, name: str, node: Any, dt: float) -> None:
        self.node, self.dt, self.step = node, dt, 0
        self.key = int(node.seed) ^ hashed(name)

    def __call__(self, x: NDArray[Any], log: Any) -> NDArray[Any]:
        """(batch, *shape) of zeros to what is drawn."""
        y = np.zeros_like(x)
        for sample in range(len(x)):
            for element, place in enumerate(np.ndindex(x.shape[1:])):
                words = philox([element, sample, self.step % 2**32, self.step // 2**32], self.key)
                y[(sample, *place)] = self.value(words, place)
        self.step += 1
        return y

    def value(self, words: list[int], place: tuple[int, ...]) -> float:
        u = fraction(*words[:2])
        if isinstance(self.node, PoissonInput):
            return float(self.node.weight[place]) * poisson(u, float(self.node.rate[place]) * self.dt)
        normal = math.sqrt(-2 * math.log(1 - u)) * math.cos(2 * math.pi * fraction(*words[2:]))
        return float(self.node.mean[place]) + float(self.node.std[place]) * normal


def hashed(name: str) -> int:
    """FNV-1a, 64 bits."""
    found = 14695981039346656037
    for byte in name.encode():
        found = (found ^ byte) * 1099511628211 % 2**64
    return found


def philox(counter: list[int], key: int) -> list[int]:
    """Ten rounds of Philox4x32."""
    a, b, c, d = counter
    low, high = key % 2**32, key // 2**32
    for _ in range(10):
        left, right = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = right // 2**32 ^ b ^ low, right % 2**32, left // 2**32 ^ d ^ high, left % 2**32
        low, high = (low + 0x9E3779B9) % 2**32, (high + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def fraction(high: int, low: int) -> float:
    """Uniform in [0, 1): 53 bits of two words."""
    return ((high >> 5) * 2**26 + (low >> 6)) / 2**53


def poisson(u: float, mean: float) -> int:
    """The smallest k with ``P(X <= k) > u``."""
    k, term = 0, math.exp(-mean)
    total = term
    while total <= u:
        k += 1
        term *= mean / k
        total += term
    return k
