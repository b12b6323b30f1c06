"""Small networks in the chip's units to place, small chips, and a count of resources that shares nothing with ours."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import nir
import numpy as np

from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.profiles import LOIHI1, Profile
from hasn.program.integers.encode import chip_neuron
from hasn.program.integers.model import IntegerNetwork

DT = 1e-3
#: Loihi with fewer and smaller cores, so that small networks need several.
SMALL = replace(LOIHI1, name="small", title="a small chip", cores=8, compartments=12, in_axons=60, out_axons=40,
                memory_bits=40 * 64, mesh=(2, 2), cores_per_router=2)  # fmt: skip


def network(nodes: dict[str, Any], edges: list[tuple[str, str]]) -> QuantisedNetwork:
    return QuantisedNetwork.of_graph(nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False))


def layers(*weights: Any, bias: Any = None, vth: Any = 10) -> QuantisedNetwork:
    """Input, then a population for each matrix: l0, l1, ..."""
    nodes: dict[str, Any] = {"in": nir.Input(np.array([weights[0].shape[1]]))}
    edges, last = [], "in"
    for i, weight in enumerate(weights):
        w = np.asarray(weight, dtype=float)
        nodes[f"w{i}"] = nir.Linear(w) if bias is None else nir.Affine(w, np.asarray(bias, dtype=float))
        nodes[f"l{i}"] = chip_neuron((len(w),), dt=DT, du=1000, dv=4095, vth=vth)
        edges += [(last, f"w{i}"), (f"w{i}", f"l{i}")]
        last = f"l{i}"
    nodes["out"] = nir.Output(np.array([len(weights[-1])]))
    return network(nodes, [*edges, (last, "out")])


def random_layers(seed: int, *sizes: int, density: float = 0.5) -> QuantisedNetwork:
    rng = np.random.default_rng(seed)
    return layers(*[
        np.where(rng.random((b, a)) < density, 2 * rng.integers(-20, 40, (b, a)), 0)
        for a, b in pairwise(sizes)
    ])  # fmt: skip


def communities(group: Any, seed: int) -> QuantisedNetwork:
    """A recurrent population whose neurons are connected within their group only; each has an input of its own."""
    rng = np.random.default_rng(seed)
    n = len(group)
    inside = (group[:, None] == group[None, :]) & (rng.random((n, n)) < 0.7)
    nodes = {
        "in": nir.Input(np.array([n])),
        "w": nir.Linear(np.diag(np.full(n, 100.0))),
        "pop": chip_neuron((n,), dt=DT, du=4095, dv=0, vth=50),
        "rec": nir.Linear(np.where(inside, 2.0, 0.0)),
        "out": nir.Output(np.array([n])),
    }
    return network(nodes, [("in", "w"), ("w", "pop"), ("pop", "rec"), ("rec", "pop"), ("pop", "out")])


def convolution(pool: bool = False) -> QuantisedNetwork:
    """A 2 x 6 x 6 image, 3 x 3 kernels to 4 channels, perhaps a 2 x 2 pool behind it."""
    kernels = 2.0 * np.arange(1, 4 * 2 * 9 + 1).reshape(4, 2, 3, 3)
    nodes: dict[str, Any] = {
        "in": nir.Input(np.array([2, 6, 6])),
        "c": nir.Conv2d((6, 6), kernels, (1, 1), (1, 1), (1, 1), 1, np.zeros(4)),
    }
    edges, last, side = [("in", "c")], "c", 6
    if pool:
        nodes["p"] = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
        edges, last, side = [("in", "c"), ("c", "p")], "p", 3
    nodes["l0"] = chip_neuron((4, side, side), dt=DT, dv=4095, vth=2000)
    nodes["out"] = nir.Output(np.array([4, side, side]))
    return network(nodes, [*edges, (last, "l0"), ("l0", "out")])


def counted(integers: IntegerNetwork, core: dict[str, Any], profile: Profile, cores: int) -> dict[str, list[int]]:
    """Resources of each core in plain loops, sparse or dense lists as the profile's documentation says. No sharing."""
    used: dict[str, list[int]] = {
        key: [0] * cores for key in ("compartments", "in_axons", "out_axons", "memory_bits", "decay_groups",
                                     "threshold_groups")
    }  # fmt: skip
    arriving: list[set[tuple[str, int]]] = [set() for _ in range(cores)]
    leaving: set[tuple[str, int, int]] = set()
    decays: list[set[tuple[int, int]]] = [set() for _ in range(cores)]
    thresholds: list[set[int]] = [set() for _ in range(cores)]
    for name, p in integers.populations.items():
        for i, c in enumerate(core[name].reshape(-1).tolist()):
            used["compartments"][c] += 1
            decays[c].add((int(p.du[i]), int(p.dv[i])))
            thresholds[c].add(int(p.vth[i]))
    for p in integers.projections:
        home = core[p.target].reshape(-1).tolist()
        for part in p.parts:
            w = part.mantissas.toarray()
            extra = profile.delay_bits if p.delay else 0
            dense_pairs = int((w != 0).any(axis=1).sum() * (w != 0).any(axis=0).sum())
            sparse_bits = profile.weight_bits + profile.index_bits + extra
            dense = dense_pairs * (profile.weight_bits + extra) < (w != 0).sum() * sparse_bits
            for s in range(w.shape[1]):
                there = [0] * cores
                for t in range(w.shape[0]):
                    if (w[t].any() and w[:, s].any()) if dense else w[t, s] != 0:
                        there[home[t]] += 1
                    if w[t, s]:
                        arriving[home[t]].add((p.source, s))
                        leaving.add((p.source, s, home[t]))
                for c, synapses in enumerate(there):
                    each = profile.weight_bits + extra if dense else sparse_bits
                    while synapses > 0:  # groups of 64 behind a header, padded to 64-bit words
                        bits = min(synapses, 64) * each + 10
                        used["memory_bits"][c] += (bits + 63) // 64 * 64
                        synapses -= 64
    for source, s, _ in leaving:
        if source in integers.populations:
            used["out_axons"][int(core[source].reshape(-1)[s])] += 1
    used["in_axons"] = [len(found) for found in arriving]
    used["decay_groups"] = [len(found) for found in decays]
    used["threshold_groups"] = [len(found) for found in thresholds]
    return used
