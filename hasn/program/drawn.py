"""Drawn inputs: numbers from a counter, the same on every backend, in whatever order they are asked for.

Philox4x32-10 (Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC 2011) makes four words of
32 bits of a counter (element, sample, step's low half, step's high half) and a key (the halves of ``seed XOR
FNV-1a-64(name)``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Words: TypeAlias = NDArray[np.uint64]
Counter: TypeAlias = tuple[Words, Words, Words, Words]

_HALF = np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
#: Numbers drawn at a time: the words of so many fit into a processor's cache.
_BLOCK = 1 << 16
#: The largest mean of a step's events: exp(-mean), where the inversion starts, still has all its digits.
MOST_EVENTS = 700.0


def fnv1a(text: str) -> int:
    """FNV-1a of 64 bits (Fowler, Noll & Vo) of a text in UTF-8."""
    found = 0xCBF29CE484222325
    for byte in text.encode("utf8"):
        found = ((found ^ byte) * 0x100000001B3) % (1 << 64)
    return found


def philox(counter: Counter, key: tuple[int, int]) -> Counter:
    """Philox4x32-10 of arrays of 32-bit words, which are kept in 64 bits."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        left, right = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1 = (right >> _HALF) ^ c1 ^ np.uint64(k0), right & _LOW
        c2, c3 = (left >> _HALF) ^ c3 ^ np.uint64(k1), left & _LOW
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def uniform(high: Words, low: Words) -> Floats:
    """A number in [0, 1) with 53 bits: the upper 27 of one word and 26 of the other."""
    whole = ((high >> np.uint64(5)) << np.uint64(26)) + (low >> np.uint64(6))
    return whole.astype(np.float64) * 2.0**-53


@dataclass(frozen=True)
class Drawn(ABC):
    """What a Source draws: a number for each element, sample and step.

    Attributes:
        kind: what people know it by.
        name: flat name of the node, which is a part of the key.
        seed: 0 .. 2^64 - 1.
    """

    kind: ClassVar[str]
    name: str
    seed: int

    @property
    def key(self) -> tuple[int, int]:
        """The halves of ``seed XOR FNV-1a-64(name)``, low first."""
        both = self.seed ^ fnv1a(self.name)
        return both & 0xFFFFFFFF, both >> 32

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of the node."""

    @abstractmethod
    def _made(self, words: Counter, element: NDArray[np.int64]) -> Floats:
        """The values of these words; ``element``: flat place in the node of each."""

    def values(self, first: int, steps: int, batch: int) -> Floats:
        """The values of some steps, (steps, batch, *shape).

        Args:
            first: number of the first step.
            steps: how many.
            batch: samples; a sample's numbers depend on its place alone.
        """
        size = int(np.prod(self.shape))
        found = np.empty(steps * batch * size)
        for start in range(0, found.size, _BLOCK):
            place = np.arange(start, min(start + _BLOCK, found.size))
            lead, element = np.divmod(place, size)
            step, sample = np.divmod(lead, batch)
            step = step.astype(np.uint64) + np.uint64(first)
            counter = (element.astype(np.uint64), sample.astype(np.uint64), step & _LOW, step >> _HALF)
            found[start : start + place.size] = self._made(philox(counter, self.key), element)
        return found.reshape(steps, batch, *self.shape)


@dataclass(frozen=True)
class Poisson(Drawn):
    """Independent Poisson trains: each event adds its weight.

    Attributes:
        mean: events a step for each element.
        weight: of an event.
    """

    kind = "PoissonInput"
    mean: Floats
    weight: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the node."""
        return self.mean.shape

    def _made(self, words: Counter, element: NDArray[np.int64]) -> Floats:
        u = uniform(words[0], words[1])
        return _counts(u, self.mean.reshape(-1)[element]) * self.weight.reshape(-1)[element]


def _counts(u: Floats, mean: Floats) -> Floats:
    """The smallest k with ``P(X <= k) > u``, by the sum of ``P(X = k)`` from k = 0 on."""
    count, term = np.zeros(u.shape), np.exp(-mean)
    total = term
    open_ = np.flatnonzero(total <= u)
    u, mean, term, total = u[open_], mean[open_], term[open_], total[open_]
    k = 0
    while open_.size:
        k += 1
        count[open_] = k
        term = term * (mean / k)
        more = total + term
        # Where rounding leaves the sum under u for ever, the first k that adds nothing any more is the last.
        going = (more <= u) & ((more > total) | (k < mean))
        open_, u, mean, term, total = open_[going], u[going], mean[going], term[going], more[going]
    return count


@dataclass(frozen=True)
class Gaussian(Drawn):
    """Independent Gaussian numbers (Box & Muller, Annals of Mathematical Statistics 29, 1958).

    Attributes:
        mean, std: for each element.
    """

    kind = "NoiseInput"
    mean: Floats
    std: Floats

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the node."""
        return self.mean.shape

    def _made(self, words: Counter, element: NDArray[np.int64]) -> Floats:
        radius = np.sqrt(-2.0 * np.log(1.0 - uniform(words[0], words[1])))
        normal = radius * np.cos(2.0 * np.pi * uniform(words[2], words[3]))
        mean, std = self.mean.reshape(-1)[element], self.std.reshape(-1)[element]
        return np.asarray(mean + std * normal)
