"""Projections as Lava connections: stock Dense, DelayDense or Sparse where they fit, a process of ours where not.

Every stock connection takes one step (it sends what it computed in the step before), DelayDense as many more as each
synapse asks for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasn.program.fuse import Network, Projection, has_spikes
from hasn.program.maps import Matrix
from hasn.program.model import Floats, Source

#: Larger matrices become Sparse, which is slow (it slices CSR columns at every step) but does not fill the memory.
DENSE_ENTRIES = 16_000_000
#: DelayDense builds (longest delay + 1) copies of its weights at every step.
DELAY_DENSE_ENTRIES = 1_000_000
#: Loihi 2 has 6 bits for a synapse's delay.
LONGEST_DELAY = 63


@dataclass(frozen=True)
class Link:
    """All synapses between two populations that one process carries.

    Attributes:
        source, target: populations.
        kind: "dense", "delay_dense" or "sparse" (stock), "instant" or "delayed" (ours).
        why_not: why the chip could not run it; empty if it could.
        graded: whether the source sends other numbers than 0 and 1.
        settings, arrays: the process's own.
    """

    source: str
    target: str
    kind: str
    why_not: str
    graded: bool
    size_in: int
    size_out: int
    settings: dict[str, Any]
    arrays: dict[str, NDArray[Any]] = field(repr=False)

    @property
    def stock(self) -> bool:
        """Whether Lava brings the process."""
        return self.kind in ("dense", "delay_dense", "sparse")


def links(network: Network, delays: tuple[int, ...], scales: Mapping[str, Floats | None], stock: bool) -> list[Link]:
    """One process for the synapses between two populations, or two where some deliver within the step.

    Args:
        network: with the projections.
        delays: steps that each projection takes, in the network's order.
        scales: population -> what its incoming weights are multiplied with.
        stock: whether Lava's own processes may be chosen.
    """

    def between(pair: tuple[int, Projection]) -> tuple[str, str]:
        return pair[1].source, pair[1].target

    result = []
    for _, group in groupby(sorted(zip(delays, network.projections, strict=True), key=between), key=between):
        pairs = [(delay, p, _scaled(p.weights, scales[p.target])) for delay, p in group]
        graded = _graded(network, pairs[0][1])
        for instant in (True, False):
            parts = {delay: weights for delay, _, weights in pairs if (delay == 0) == instant}
            if parts:
                result.append(_link(pairs[0][1], parts, graded, stock))
    return result


def _graded(network: Network, projection: Projection) -> bool:
    source = network.by_name[projection.source]
    return not (has_spikes(source) or isinstance(source, Source))


def _scaled(weights: Matrix, scale: Floats | None) -> Matrix:
    """In float64, as all of Lava's floating-point models compute."""
    if scale is None:
        return weights.astype(np.float64, copy=False)
    scaled = weights.astype(np.float64)
    alike = np.all(scale == scale.reshape(-1)[0])
    with np.errstate(over="ignore"):  # see map_network
        scaled.data *= scale.reshape(-1)[0] if alike else np.repeat(scale, np.diff(scaled.indptr))
    return scaled


def _link(projection: Projection, parts: dict[int, Matrix], graded: bool, stock: bool) -> Link:
    size_out, size_in = next(iter(parts.values())).shape
    entries = size_in * size_out
    longest = max(parts)
    settings: dict[str, Any] = {}
    if 0 in parts:
        kind, why = "instant", "it delivers within the step, which no connection on the chip does"
        arrays = _matrix("weights", parts[0])
    elif stock and longest == 1:
        kind, why = ("dense", "") if entries <= DENSE_ENTRIES else ("sparse", "")
        arrays = _matrix("weights", parts[1], kind == "dense")
    elif stock and not (why := _why_not_delay_dense(parts, entries)):
        kind = "delay_dense"
        arrays = _delay_dense(parts)
        settings = {"slots": int(arrays["delays"].max()) + 1}
    else:
        kind, why = "delayed", why if stock else "every cell of a stream is a process of ours"
        settings = {"delays": sorted(parts)}
        arrays = {name: array for delay in parts for name, array in _matrix(f"weights{delay}", parts[delay]).items()}
    if graded and not why:
        why = "its source sends real numbers at every step, not spikes"
    return Link(projection.source, projection.target, kind, why, graded, size_in, size_out, settings, arrays)


def _why_not_delay_dense(parts: dict[int, Matrix], entries: int) -> str:
    longest = max(parts)
    if longest - 1 > LONGEST_DELAY:
        return f"a delay of {longest - 1} steps beyond its own; the chip has {LONGEST_DELAY}"
    if entries * longest > DELAY_DENSE_ENTRIES:
        return f"stock DelayDense would copy {entries * longest:,} weights at every step"
    if sum((weights != 0).astype(np.int64) for weights in parts.values()).max() > 1:
        return "two neurons are joined by several synapses of different delay; stock DelayDense has one"
    return ""


def _delay_dense(parts: dict[int, Matrix]) -> dict[str, NDArray[Any]]:
    """Weights and, for each synapse, its delay beyond the connection's own step."""
    shape = next(iter(parts.values())).shape
    weights, delays = np.zeros(shape), np.zeros(shape, dtype=np.int64)
    for delay, part in parts.items():
        dense = part.toarray()
        weights += dense
        delays[dense != 0] = delay - 1
    return {"weights": weights, "delays": delays}


def _matrix(name: str, matrix: Matrix, dense: bool | None = None) -> dict[str, NDArray[Any]]:
    """A matrix in the bundle: dense, or the three parts of csr; by its density where ``dense`` is None."""
    entries = matrix.shape[0] * matrix.shape[1]
    if dense is None:
        dense = entries <= DENSE_ENTRIES and matrix.nnz * 4 > entries
    if dense:
        return {name: matrix.toarray()}
    csr = matrix.tocsr()
    parts = {"data": csr.data, "indices": csr.indices, "indptr": csr.indptr, "shape": np.array(csr.shape)}
    return {f"{name}.{part}": value for part, value in parts.items()}
