"""A network that has a bit of everything, for the tests that are not about meaning."""

import nir
import numpy as np

from tests.unit.backends.brian2.formulas import DT, graph, lif

T = 40


def loop(n=6, m=4, seed=0):
    """Two populations that excite each other over delayed, biased feedback; a graded integrator reads them out."""
    rng = np.random.default_rng(seed)
    nodes = {
        "in": n,
        "a": lif(n),
        "b": lif(m, tau=8e-3),
        "ab": nir.Linear(rng.normal(0, 1.2, (m, n))),
        "ba": nir.Affine(rng.normal(0, 0.9, (n, m)), rng.normal(0, 0.2, n)),
        "d": nir.Delay(DT * np.array([0, 2, 1, 3])),
        "slow": nir.LI(np.full(m, 0.02), np.ones(m), np.zeros(m)),
        "late": nir.Delay(DT * np.array([1, 0, 2, 4])),
        "outb": m,
        "outslow": m,
    }
    edges = [("in", "a"), ("a", "ab"), ("ab", "b"), ("b", "d"), ("d", "ba"), ("ba", "a"), ("b", "slow")]
    edges += [("b", "outb"), ("slow", "late"), ("late", "outslow")]
    return graph(nodes, edges)


def inputs(batch=None, n=6, seed=1):
    """Spike trains for :func:`loop`, (T, n) or (T, batch, n)."""
    rng = np.random.default_rng(seed)
    return (rng.random((T, n) if batch is None else (T, batch, n)) < 0.35) * 2.0
