"""Small float networks to quantise, and how they are run."""

from itertools import pairwise

import nir
import numpy as np

from hasn.conversions.loihi.quantising.simulate import run_float
from hasn.ir.lower import lower
from hasn.program.fuse import fuse

DT = 1e-3


def chain(*nodes, dt=DT):
    """Input, nodes and an Output one after the other, named n0, n1, ...; the first node's input shape is given."""
    shape, *inner = nodes
    named = {"input": nir.Input(np.array(shape)), **{f"n{i}": node for i, node in enumerate(inner)}}
    last = inner[-1]
    size = np.shape(last.v_leak) if hasattr(last, "v_leak") else np.shape(last.r)
    named["output"] = nir.Output(np.array(size))
    return nir.NIRGraph(named, list(pairwise(named)), metadata={"dt": dt}, type_check=False)


def lif(shape, tau=20e-3, r=None, threshold=1.0, leak=0.0, reset=0.0, **metadata):
    """LIF neurons; R = tau/dt unless given, so that a spike adds its weight."""
    shape = (shape,) if isinstance(shape, int) else shape
    full = lambda value: np.array(np.broadcast_to(np.asarray(value, dtype=float), shape))  # noqa: E731
    tau = full(tau)
    node = nir.LIF(
        tau=tau, r=tau / DT if r is None else full(r), v_leak=full(leak), v_threshold=full(threshold),
        v_reset=full(reset),
    )  # fmt: skip
    node.metadata = dict(metadata)
    return node


def cuba(n, tau_syn=5e-3, tau_mem=20e-3, w_in=1.0, r=1.0, threshold=1.0, leak=0.0):
    """CubaLIF neurons."""
    full = lambda value: np.full(n, float(value))  # noqa: E731
    return nir.CubaLIF(
        tau_syn=full(tau_syn), tau_mem=full(tau_mem), w_in=full(w_in), r=full(r), v_leak=full(leak),
        v_threshold=full(threshold), v_reset=full(0),
    )  # fmt: skip


def weights(rows, columns, seed=0, size=0.4):
    """Random weights of both signs."""
    return np.random.default_rng(seed).normal(0.1, size, (rows, columns))


def spikes(shape, steps=60, batch=4, rate=0.3, seed=1):
    """Random input spikes (T, batch, *shape)."""
    return (np.random.default_rng(seed).random((steps, batch, *np.atleast_1d(shape))) < rate).astype(float)


def float_run(graph, inputs, **options):
    """{population: (T, n, batch)} of the float graph in plain numpy."""
    network = fuse(lower(graph, **options))
    given = inputs if isinstance(inputs, dict) else {"input": inputs}
    return {name: trace.output for name, trace in run_float(network, given).items()}
