"""Float graphs, one for every way of leading into a population, with the data that calibrate them."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from tests.graphs import graph, inp, out
from tests.unit.conversions.loihi.nets import DT, chain, cuba, lif, spikes, weights

Nodes = dict[str, nir.NIRNode]
N3 = np.array([0.5, 1.0, 3.0])


def conv(channels: int, ins: int, size: int, bias: bool = False, seed: int = 0, **how: Any) -> nir.Conv2d:
    kernel = weights(channels * ins * 9, 1, seed).reshape(channels, ins, 3, 3)
    options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **how}
    return nir.Conv2d((size, size), kernel, bias=weights(channels, 1, seed + 1)[:, 0] * bias, **options)


def pool(kind: type, size: int = 2, padding: int = 0) -> Any:
    return kind(np.array([size, size]), np.array([size, size]), np.array([padding, padding]))


def flat(*shape: int) -> nir.Flatten:
    return nir.Flatten({"input": np.array(shape)}, 0, -1)


def net(nodes: Nodes, *paths: str) -> nir.NIRGraph:
    return graph(nodes, *paths, dt=DT)


def lin(rows: int, columns: int, seed: int = 0) -> nir.Linear:
    return nir.Linear(weights(rows, columns, seed))


def li(n: int, tau: float = 20e-3, **values: Any) -> nir.LI:
    full = {"r": 2.0, "v_leak": 0.0, **values}
    return nir.LI(tau=np.full(n, tau), **{key: np.full(n, value) for key, value in full.items()})


def real(shape: Any, seed: int = 3) -> Any:
    return np.random.default_rng(seed).normal(0.4, 0.6, (40, 3, *np.atleast_1d(shape)))


CHAINS: dict[str, tuple[nir.NIRGraph, Any]] = {
    "lif, R and rest": (chain((5,), lin(3, 5), lif(3, r=0.3, leak=-0.07, reset=-0.07,
                                                                   threshold=-0.05, v_init=np.full(3, -0.06))),
                                                                   spikes(5)),
    "lif, rest is not reset": (chain((5,), lin(3, 5), lif(3, leak=-0.06, reset=-0.065,
                                                                         threshold=-0.05, r=0.3)), spikes(5)),
    "lif, a neuron's own gain": (chain((5,), nir.Affine(weights(3, 5), N3 / 9), lif(3, tau=5e-3 * N3, r=N3[::-1])),
                                 spikes(5)),
    "if": (chain((5,), lin(3, 5), nir.IF(100 * N3, N3, np.zeros(3) - 0.2)), spikes(5)),
    "integrator": (chain((5,), lin(3, 5), nir.I(np.array([7.0, 8.0, 9.0]))), real(5)),
    "readout": (chain((5,), nir.Affine(weights(3, 5), N3 / 9), li(3, v_leak=0.3)), real(5)),
    "cuba": (chain((5,), lin(3, 5), cuba(3, w_in=1.7, r=0.6, leak=0.2)), spikes(5)),
    "cuba with a bias": (chain((5,), nir.Affine(weights(3, 5), N3 / 5), cuba(3, w_in=1.7, r=0.6)), spikes(5)),
    "cuba, gains of its own": (chain((5,), nir.Affine(weights(3, 5), np.array([0.2, 0.0, 0.6])), nir.CubaLIF(
        tau_syn=4e-3 * N3 + 2e-3, tau_mem=20e-3 * N3, w_in=N3[::-1].copy(), r=N3 + 1, v_leak=np.zeros(3),
        v_threshold=np.ones(3), v_reset=np.zeros(3))), spikes(5)),
    "cuba readout": (chain((5,), lin(3, 5), nir.CubaLI(
        tau_syn=np.full(3, 5e-3), tau_mem=np.full(3, 20e-3), w_in=np.full(3, 1.5), r=np.full(3, 2.0),
        v_leak=np.full(3, 0.4))), real(5)),
    "threshold": (chain((5,), nir.Affine(weights(3, 5), N3 / 9), lif(3)), spikes(5)),
    "one scale": (chain((5,), nir.Scale(np.full(5, 0.3)), lin(3, 5), nir.Scale(np.full(3, -7.0)),
                        lif(3)), real(5)),
    "scales behind a bias": (chain((5,), nir.Affine(weights(3, 5), N3 / 5), nir.Scale(np.full(3, 2.5)), cuba(3)),
                             spikes(5)),
    "scale of each": (chain((3,), nir.Scale(N3 - 2.2), lif(3)), real(3)),
    "scale of each, gains of their own": (chain((3,), nir.Scale(N3), lif(3, tau=9e-3 * N3, r=4.0)), spikes(3)),
    "scale of each, sums, gains of their own": (
        chain((1, 4, 4), nir.Scale(np.linspace(0.5, 2.0, 16).reshape(1, 4, 4)), pool(nir.SumPool2d),
              lif((1, 2, 2), tau=np.linspace(5e-3, 30e-3, 4).reshape(1, 2, 2), r=5.0)), spikes((1, 4, 4))),
    "scale of each, sums, flat, gains of their own": (
        chain((1, 4, 4), nir.Scale(np.linspace(0.5, 2.0, 16).reshape(1, 4, 4)), pool(nir.SumPool2d), flat(1, 2, 2),
              lif(4, tau=np.linspace(5e-3, 30e-3, 4), r=5.0)), spikes((1, 4, 4))),
    "one neuron, one scale": (chain((1,), nir.Scale(np.array([2.5])), lin(1, 1), lif(1)), spikes(1)),
    "direct": (chain((3,), lif(3, tau=9e-3 * N3, r=4.0)), real(3)),
    "direct through a scale": (chain((3,), nir.Scale(np.full(3, 0.4)), lif(3)), spikes(3)),
    "grid of neurons": (chain((2, 3), lif((2, 3), tau=np.linspace(5e-3, 30e-3, 6).reshape(2, 3), r=5.0)), real((2, 3))),
    "convolution": (chain((2, 6, 6), conv(4, 1, 6, True, groups=2, padding=1, stride=2), lif((4, 3, 3))), real((2, 6,
        6))),
    "convolution, mean before": (chain((1, 8, 8), pool(nir.AvgPool2d), conv(2, 1, 4), lif((2, 2, 2))), real((1, 8, 8))),
    "convolution, mean behind": (chain((1, 6, 6), conv(2, 1, 6, True), pool(nir.AvgPool2d), nir.Scale(np.full((2, 2,
        2), 3.0)),
                                       lif((2, 2, 2))), spikes((1, 6, 6))),
    "convolution, sums": (chain((1, 8, 8), pool(nir.SumPool2d), conv(2, 1, 4), pool(nir.SumPool2d), flat(2, 1, 1),
                                nir.Scale(np.array([-1.5, -1.5])), lif(2)), spikes((1, 8, 8))),
    "convolution, gains of their own": (chain((1, 5, 5), conv(2, 1, 5), lif(
        (2, 3, 3), tau=np.linspace(5e-3, 40e-3, 18).reshape(2, 3, 3), r=10.0, leak=0.1, reset=0.05)), real((1, 5, 5))),
    "convolution of a current": (chain((1, 5, 5), conv(2, 1, 5, True), flat(2, 3, 3), cuba(18, w_in=2.0)), spikes((1,
        5, 5))),
    "one dimension": (chain((2, 9), nir.Conv1d(9, weights(12, 1).reshape(3, 2, 2), 2, 1, 2, 1, N3 / 9), lif((3, 5))),
                      real((2, 9))),
    "pool alone": (chain((2, 4, 4), pool(nir.AvgPool2d), lif((2, 2, 2))), real((2, 4, 4))),
    "dense over blocks": (chain((2, 4), nir.Linear(weights(6, 4).reshape(2, 3, 4)), lif((2, 3), tau=np.linspace(5e-3,
        30e-3, 6).reshape(2, 3), r=5.0)), spikes((2, 4))),
    "weights times weights": (chain((5,), nir.Affine(weights(4, 5), N3[[0, 1, 2, 0]] / 5), lin(3, 4, 2),
                                    lif(3)), real(5)),
    "weights times weights into a current": (chain((5,), nir.Affine(weights(4, 5), N3[[0, 1, 2, 0]] / 5),
                                                   nir.Affine(weights(3, 4, 2), N3 / 9), cuba(3, w_in=2.0)), spikes(5)),
    "composed from a grid": (chain((2, 3), flat(2, 3), lin(4, 6), lin(3, 4, 2),
                                   lif(3, tau=9e-3 * N3, r=4.0)), real((2, 3))),
    "pool behind weights, gains of their own": (
        chain((1, 6, 6), conv(2, 1, 6), pool(nir.AvgPool2d), flat(2, 2, 2), lif(8, tau=np.linspace(5e-3, 40e-3, 8))),
        spikes((1, 6, 6))),
    "shared weights, gains of either sign": (
        chain((1, 4, 4), conv(2, 1, 4, True), flat(2, 2, 2), lif(8, r=np.linspace(-9.0, 12.5, 8))), spikes((1, 4, 4))),
}  # fmt: skip


def shared() -> Nodes:
    """Two populations, of other gains and heights."""
    return {"input": inp(5), "w": nir.Affine(weights(3, 5), N3 / 9), "a": lif(3, r=7.0), "b": lif(3, threshold=0.3),
            "oa": out(3), "ob": out(3)}  # fmt: skip


SHARED = ("input > w > a > oa", "w > b > ob")
ENDS = {"oa": out(3), "ob": out(3)}
TOPOLOGIES: dict[str, tuple[nir.NIRGraph, Any]] = {
    "a node into two populations": (net(shared(), *SHARED), real(5)),
    "a chain into two populations": (
        net({**shared(), "s": nir.Scale(np.full(3, 2.0))}, "input > w > s > a > oa", "s > b > ob"), real(5)),
    "names that are taken": (net({**shared(), "input": inp(3), "w": lin(3, 3, 7), "w_b": lin(3, 3), "w_b_": lin(3, 3,
        4)},
                                 *SHARED, "a > w_b > b", "b > w_b_ > a"), real(3)),
    "skip": (net({**shared(), "x": lin(3, 3, 4)}, "input > w > a > oa", "a > x > b > ob", "w > b"), real(5)),
    "direct beside weights": (net({"input": inp(3), "w": lin(3, 3), "a": lif(3), "oa": out(3)},
                                  "input > w > a > oa", "input > a"), real(3)),
    "direct into two": (net({"input": inp(3), "a": lif(3), "b": lif(3, r=9.0), **ENDS}, "input > a > oa",
        "input > b > ob",
                            "a > b"), real(3)),
    "a scale into two": (net({"input": inp(3), "s": nir.Scale(np.full(3, 0.5)), "a": lif(3), "b": lif(3, r=9.0),
                              **ENDS}, "input > s > a > oa", "s > b > ob"), real(3)),
    "direct, name taken": (net({"input": inp(3), "input_a": lin(3, 3), "a": lif(3), "oa": out(3)},
                               "input > a > oa", "a > input_a > a"), spikes(3)),
    "two inputs of one kind": (net({"i": inp(3), "j": inp(3), "w": lin(3, 3), "x": lin(3, 3, 2),
                                    "a": lif(3), "oa": out(3)}, "i > w > a > oa", "j > x > a"),
                               {"i": real(3), "j": spikes(3, 40, 3)}),
    "inputs of several scales through one node": (
        net({"i": inp(3), "j": inp(3), "w": lin(3, 3), "a": lif(3), "oa": out(3)}, "i > w > a > oa", "j > w"),
        {"i": real(3), "j": spikes(3, 40, 3)}),
    "several factors through one node": (
        net({"input": inp(3), "s": nir.Scale(np.full(3, 4.0)), "w": lin(3, 3), "a": lif(3), "oa": out(3)},
            "input > s > w > a > oa", "input > w"), spikes(3)),
    "several factors behind one node": (
        net({"input": inp(3), "s": nir.Scale(np.full(3, 4.0)), "w": nir.Affine(weights(3, 3), N3 / 9), "a": cuba(3),
             "oa": out(3)}, "input > w > s > a > oa", "w > a"), spikes(3)),
    "weighted and not, through one node": (
        net({"input": inp(3), "w": lin(3, 3), "f": nir.Scale(np.full(3, 2.0)), "a": lif(3), "oa": out(3)},
            "input > w > f > a > oa", "input > f"), spikes(3)),
    "a bias without input": (net({**shared(), "d": nir.Affine(weights(3, 3), N3 / 20)}, *SHARED, "d > b"), real(5)),
    "a bias without input into a current": (
        net({**shared(), "b": cuba(3), "d": nir.Affine(weights(3, 3), N3 / 3)}, *SHARED, "d > b"), spikes(5)),
    "a loop": (net({"input": inp(5), "w": lin(3, 5), "x": lin(3, 3, 4), "a": lif(3), "oa": out(3)},
                   "input > w > a > oa", "a > x > a"), spikes(5)),
    "a composed loop": (net({"input": inp(3), "v": lin(3, 3, 3), "x": lin(4, 3, 4),
                             "y": nir.Affine(weights(3, 4, 5), N3 / 5), "a": cuba(3, w_in=2.0), "oa": out(3)},
                            "input > v > a > oa", "a > x > y > a"), spikes(3)),
    "composed, late": (net({"input": inp(3), "x": lin(4, 3, 4), "d": nir.Delay(np.full(4, 3 * DT)),
                            "y": lin(3, 4, 5), "a": lif(3), "oa": out(3)}, "input > x > d > y > a > oa"),
                       real(3)),
    "composed, late, into a current": (
        net({"input": inp(3), "x": nir.Affine(weights(4, 3, 4), np.ones(4) / 3), "d": nir.Delay(np.full(4, 2 * DT)),
             "y": lin(3, 4, 5), "a": cuba(3), "oa": out(3)}, "input > x > d > y > a > oa"), spikes(3)),
    "late for each neuron": (net({"input": inp(3), "x": lin(3, 3, 4), "d": nir.Delay(DT * np.array([0, 2, 5])),
                                  "a": lif(3), "oa": out(3)}, "input > x > d > a > oa"), real(3)),
    "a drive that comes late": (net({"input": inp(3), "x": nir.Affine(weights(3, 3, 4), N3 / 9),
        "d": nir.Delay(np.full(3, 2 * DT)),
                                     "a": lif(3), "oa": out(3)}, "input > x > d > a > oa"), spikes(3)),
    "two populations of one composed": (
        net({"input": inp(3), "x": lin(4, 3, 4), "y": lin(3, 4, 5), "a": lif(3),
             "b": lif(3, r=9.0), **ENDS}, "input > x > y > a > oa", "y > b > ob"), real(3)),
    "a nested graph": (net({"input": inp(3), "part": net({"in": inp(3), "w": lin(3, 3), "a": lif(3),
                                                         "out": out(3)}, "in > w > a > out"),
                            "x": lin(3, 3, 2), "b": lif(3), "ob": out(3)},
                           "input > part > x > b > ob"), real(3)),
    "an output of two": (net({"input": inp(3), "w": lin(3, 3), "a": lif(3), "oa": out(3), "ob": out(3)},
                             "input > w > a > oa", "a > ob"), spikes(3)),
    "an output of an input": (net({"input": inp(3), "w": lin(3, 3), "a": lif(3), "oa": out(3), "ob": out(3)},
                                  "input > w > a > oa", "input > ob"), spikes(3)),
}  # fmt: skip
