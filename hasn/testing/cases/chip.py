"""Graphs in the chip's units, for precision "loihi": the ends of every register, and every kind of connection.

Each case is a builder of (graph, {Input: (T, batch, *shape)}). Where values are the point, an Input of integers goes
through a matrix of ones on the diagonal, so that each neuron gets the synaptic input that stands here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.testing.chip_graphs import DT, chip_node
from hasn.testing.graphs import graph, inp, out, spikes

Made = tuple[nir.NIRGraph, dict[str, NDArray[np.float64]]]
#: 64 * HALF = 2**23, where u turns round.
HALF = 2**17


@dataclass(frozen=True)
class ChipCase:
    """A network in the chip's units and its input.

    Attributes:
        build: makes both.
        timing: as in hasn.compile.
    """

    build: Callable[[], Made]
    timing: str = "synchronous"


CHIP_CASES: dict[str, ChipCase] = {}


def case(timing: str = "synchronous") -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Register a builder under its own name, or with the timing behind it."""

    def register(build: Callable[[], Made]) -> Callable[[], Made]:
        CHIP_CASES[build.__name__ + ("" if timing == "synchronous" else f"-{timing}")] = ChipCase(build, timing)
        return build

    return register


def fed(rows: Any, **populations: nir.NIRNode) -> Made:
    """Populations that all get an Input of integers (T, n), and in a second sample the same with the other sign."""
    x = np.array(rows, dtype=float)
    nodes: dict[str, Any] = {"input": inp(x.shape[1]), "w": nir.Linear(np.eye(x.shape[1]))}
    nodes |= {**populations, **{f"{name}_out": out(x.shape[1]) for name in populations}}
    paths = [f"input > w > {name} > {name}_out" for name in populations]
    return graph(nodes, *paths, dt=DT), {"input": np.stack([x, -x], axis=1)}


def matrix(seed: int, *shape: int, low: int = -90, high: int = 127) -> nir.Linear:
    """Even weights of both signs, which excite on the whole."""
    return nir.Linear(np.random.default_rng(seed).integers(low, high, shape) * 2.0)


@case()
def currents_that_turn_round() -> Made:
    """u meets 2**23, which stays, and -2**23, which becomes 2**23, at once and with what a decay has left of u."""
    keeps_most = [HALF, 32, 33, -33, 0, -HALF, 5]  # du = 0: 2**23 leaves 2**23 - 2048 = 2**23 - 64 * 32
    keeps_little = [HALF, HALF - 32, HALF - 31, 7, -HALF, 0, 0]  # du = 4094: 2**23 leaves 2048
    keeps_none = [HALF, HALF + 1, -HALF, 1 - HALF, -HALF - 1, 2 * HALF, -2 * HALF]
    rows = np.stack([keeps_most, keeps_little, keeps_none], axis=1)
    du = [0, 4094, 4095]
    return fed(
        rows,
        spiking=chip_node((3,), du=du, dv=2048, vth=[131071, 900, 70_000]),
        silent=chip_node((3,), du=du, dv=4095),
        bare=chip_node((3,), dv=4095, vth=600),
    )


@case()
def currents_that_do_not_come_back() -> Made:
    """One turn is too little for this input; what is left of u grows, and turns round in steps without input too."""
    rows = [[HALF, -HALF], [3 * HALF, 2 * HALF], [3 * HALF, 2 * HALF + 1], [-5 * HALF, 4 * HALF], [0, 0], [2, -1],
            [9, 5 * HALF], [-HALF, 1]]  # fmt: skip
    return fed(rows, pop=chip_node((2,), du=[1500, 3000], dv=[0, 300], vth=131071), bare=chip_node((2,), dv=1))


@case()
def currents_of_spikes_alone() -> Made:
    """The largest sum of weights is 2**17 exactly, and one more: whether u may turn round is a matter of one unit."""
    signs = np.array([1.0, -1.0])
    nodes: dict[str, Any] = {"input": inp(9), "edge": nir.Linear(np.outer(signs, [HALF / 8] * 8 + [0]))}
    nodes |= {"beyond": nir.Linear(np.outer(signs, [HALF / 8] * 8 + [1]))}
    nodes |= {f"p{name}": chip_node((2,), du=4095, dv=4095, vth=100_000) for name in ("edge", "beyond")}
    nodes |= {f"n{name}": chip_node((2,), dv=4095) for name in ("edge", "beyond")}
    nodes |= {f"o{name}": out(2) for name in ("edge", "beyond")}
    paths = [f"input > {name} > {kind}{name}" for name in ("edge", "beyond") for kind in "pn"]
    x = spikes((9,), 8, 2, rate=0.7, seed=3)
    x[:4] = 1
    return graph(nodes, *paths, "pedge > oedge", "pbeyond > obeyond", dt=DT), {"input": x}


@case()
def voltages_at_the_ends() -> Made:
    """Without input: v clips at -(2**23 - 1), meets its threshold exactly, and decays towards 0 from both sides."""
    top = 131071 * 64
    kinds = [  # dv, vth, bias, v_init
        (0, 131071, -1, 2 - 2**23),
        (0, 131071, -3, 2 - 2**23),
        (0, 100, 1, 6399),
        (0, 0, 1, -2),
        (0, 131071, 1, top - 1),
        (0, 131071, 4095 << 7, 2**23 - 3),
        (4095, 131071, 0, -4097),
        (4095, 0, 0, 8191),
        (1, 9, 0, -2),
        (2048, 9, 0, -5),
        (4094, 131071, -4096 << 7, 1 - 2**23),
    ]
    dv, vth, bias, v_init = np.array(kinds).T
    highest = [(0, 1, top - 1), (0, -1, 3 - 2**23), (7, 0, top), (0, 4095 << 7, 0)]  # dv, bias, v_init
    dv_r, bias_r, v_init_r = np.array(highest).T
    nodes = {
        "input": inp(1), "echo": out(1), "pop": chip_node((11,), dv=dv, vth=vth, bias=bias, v_init=v_init),
        "read": chip_node((4,), dv=dv_r, bias=bias_r, v_init=v_init_r), "out": out(11), "shown": out(4),
    }  # fmt: skip
    paths = ("pop > out", "read > shown", "input > echo")
    return graph(nodes, *paths, dt=DT), {"input": spikes((1,), 20, 2)}


@case()
def thresholds_met_by_input() -> Made:
    """v comes to its threshold exactly, which is no spike, and one unit beyond, with and without a current."""
    rows = [[100, 6], [0, 100], [1, -100], [-300, 100], [400, 94], [101, 100], [100, 0]]
    return fed(
        rows,
        bare=chip_node((2,), dv=[0, 4095], vth=100, bias=[0, 1]),
        current=chip_node((2,), du=[4095, 2047], dv=[0, 1], vth=[100, 94], v_init=[0, 64]),
    )


@case()
def decays_at_the_ends() -> Made:
    """Registers 0 and 4095 of both decays, with small numbers of both signs that rounding brings to 0."""
    du, dv = (side.reshape(-1) for side in np.meshgrid([0, 1, 4094, 4095], [0, 1, 4095]))
    rows = np.random.default_rng(5).integers(-3, 4, (14, 12)) * np.tile([1, 0, 300, 0, -1, 0, 7], 2)[:, np.newaxis]
    return fed(rows, pop=chip_node((12,), du=du, dv=dv, vth=40, bias=3))


@case()
def biases_at_the_ends() -> Made:
    """The registers' ends; a connection's bias that the register takes, that it cannot take, and that comes late."""
    ends = np.array([4095, -4096, 4095 << 7, -4096 << 7, 1, 4095 << 3])
    fits = np.array([1, -4096, 0, 64 << 7, -1, 8]) / 64.0  # sums that a mantissa and an exponent hold
    late = nir.Delay(np.array([0, 1, 2, 3, 0, 5]) * DT)
    nodes = {
        "input": inp(6), "w": matrix(1, 6, 6), "plain": chip_node((6,), dv=300, vth=9000, bias=ends),
        "fits": nir.Affine(np.eye(6) * 8, fits), "taken": chip_node((6,), dv=200, vth=9000, bias=ends),
        "odd": nir.Affine(np.eye(6) * 8, np.array([4097, 1, -1, -40_001, 65, 9000.0])),
        "through": chip_node((6,), dv=100, vth=9000, bias=ends), "current": chip_node((6,), du=0, dv=99, vth=90_000),
        "late": late, "behind": chip_node((6,), dv=77, vth=700, bias=5), "out": out(6), "o2": out(6), "o3": out(6),
        "o4": out(6), "o5": out(6),
    }  # fmt: skip
    paths = ["input > w > plain > out", "input > fits > taken > o2", "input > odd > through > o3"]
    paths += ["input > odd > current > o4", "input > odd > late > behind > o5"]
    return graph(nodes, *paths, dt=DT), {"input": spikes((6,), 16, 2, seed=4)}


@case()
def weights_of_every_form() -> Made:
    """One sign and both, odd and even, the ends of a mantissa and of its exponent, and more than 8 bits."""
    rng = np.random.default_rng(6)
    forms = {
        "positive": [[255, 1, 0, 254], [3, 0, 128, 255]],
        "negative": [[-255, -1, 0, -254], [0, -3, -128, -255]],
        "mixed": [[-256, 254, 2, -2], [254, 0, -256, 128]],
        "odd": [[-255, 255, 1, -1], [127, -3, 0, 255]],
        "high": [[254 << 7, -(254 << 7), 2 << 7, 0], [-256 << 7, 254 << 7, 0, 1 << 7]],
        "wide": [[40_001, -1, 32_767, -32_768], [65_535, 3, -40_000, 1 << 16]],
    }
    nodes: dict[str, Any] = {"input": inp(4)}
    nodes |= {name: nir.Linear(np.array(rows, dtype=float)) for name, rows in forms.items()}
    nodes |= {
        f"p_{name}": chip_node((2,), du=1500, dv=500, vth=min(2 * np.abs(w).max(), 131071)) for name, w in forms.items()
    }
    nodes |= {"mix": matrix(7, 3, 2), "read": chip_node((3,), du=100, dv=100), "out": out(3)}
    paths = [f"input > {name} > p_{name} > mix > read > out" for name in forms]
    return graph(nodes, *paths, dt=DT), {"input": (rng.random((14, 2, 4)) < 0.5).astype(float)}


@case()
@case("hardware")
def paths_that_add_up() -> Made:
    """Two Inputs of one shape, not in the alphabet's order; bare edges, matrices, scales and delays side by side."""
    nodes = {
        "z": inp(3), "a": inp(3), "wz": matrix(8, 3, 3), "wa": matrix(9, 3, 3),
        "n": chip_node((3,), du=800, dv=300, vth=90),
        "s": nir.Scale(np.array([7.0, -3.0, 100.0])), "w1": matrix(10, 3, 3), "w2": matrix(11, 3, 3),
        "d": nir.Delay(np.array([0.0005, 0.0015, 0.0025])), "w3": matrix(12, 3, 3),
        "m": chip_node((3,), dv=[0, 9, 300], vth=700, bias=[-9, 0, 5]), "out": out(3), "first": out(3),
    }  # fmt: skip
    paths = ("z > wz > n > s > m > out", "a > wa > n > w1 > m", "n > w2 > m", "n > m", "n > d > w3 > m", "n > first")
    x = {"z": spikes((3,), 16, 2, seed=5), "a": spikes((3,), 16, 2, rate=0.2, seed=6)}
    return graph(nodes, *paths, dt=DT), x


@case()
@case("hardware")
def loops_with_delays() -> Made:
    """A population on itself with a late bias, two in a loop, and a nested graph with a loop of its own."""
    inner = {"input": inp(4), "lif": chip_node((4,), dv=100, vth=60, v_init=[0, 9, -300, 64]),
             "rec": matrix(13, 4, 4, high=60), "output": out(4)}  # fmt: skip
    block = graph(inner, "input > lif > output", "lif > rec > lif")
    back = nir.Affine(np.random.default_rng(14).integers(-60, 20, (4, 4)) * 2.0, np.array([2.0, 64.0, -4.0, 0.0]))
    nodes = {
        "input": inp(5), "w": matrix(15, 4, 5), "e": chip_node((4,), du=1200, dv=200, vth=120), "block": block,
        "ei": matrix(16, 4, 4), "ie": matrix(17, 4, 4, low=-60, high=10), "own": back,
        "wait": nir.Delay(np.array([1, 2, 4, 1]) * DT), "out": out(4), "read": chip_node((4,), dv=400),
        "wr": matrix(18, 4, 4), "shown": out(4),
    }  # fmt: skip
    paths = ("input > w > e > ei > block > out", "block > ie > wait > e", "e > own > e", "block > wr > read > shown")
    return graph(nodes, *paths, dt=DT), {"input": spikes((5,), 20, 2, rate=0.5, seed=7)}


@case("hardware")
def a_loop_that_only_hardware_time_runs() -> Made:
    """Two populations in a loop with one feedback edge, and a chain of stateless nodes between them."""
    nodes = {
        "input": inp(4), "w": matrix(19, 3, 4), "b": chip_node((3,), du=900, dv=200, vth=110),
        "same": nir.Scale(np.ones(3)), "ba": matrix(20, 3, 3), "a": chip_node((3,), dv=300, vth=100, bias=[3, -40, 0]),
        "ab": matrix(21, 3, 3, high=70), "skip": matrix(22, 3, 4), "out": out(3), "in_b": out(3),
    }  # fmt: skip
    paths = ("input > w > b > same > ba > a > out", "a > ab > b > in_b", "input > skip > a")
    return graph(nodes, *paths, dt=DT), {"input": spikes((4,), 20, 2, rate=0.5, seed=8)}


@case()
def windows_of_spikes() -> Made:
    """Convolutions with an even kernel and 'same', groups, stride, dilation, padding; both pools; Flatten of a part."""
    rng = np.random.default_rng(23)
    conv = nir.Conv2d(None, rng.integers(-40, 90, (4, 1, 2, 3)) * 2.0, 1, "same", (1, 2), 2, np.array([2.0, 0, -4, 6]))
    mean = nir.AvgPool2d(np.array([2, 2]), np.array([2, 1]), np.array([0, 1]))
    strided = nir.Conv2d(None, rng.integers(-20, 60, (2, 4, 2, 2)) * 8.0, (1, 2), (1, 0), 1, 1, np.array([0.0, 4]))
    total = nir.SumPool2d(np.array([2, 3]), np.array([1, 1]), np.array([1, 0]))
    line = nir.Conv1d(None, rng.integers(-40, 60, (3, 2, 2)) * 2.0, 2, 1, 2, 1, np.array([0.0, 2, 0]))
    nodes = {
        "input": inp(2, 4, 4), "conv": conv, "a": chip_node((4, 4, 4), du=1100, dv=300, vth=150), "mean": mean,
        "strided": strided, "b": chip_node((2, 3, 2), dv=200, vth=200),
        "flat": nir.Flatten({"input": np.array([2, 3, 2])}, 1, 2), "line": line, "c": chip_node((3, 3), dv=100, vth=90),
        "total": total, "all": nir.Flatten({"input": np.array([4, 5, 2])}, 0, -1), "w": matrix(25, 2, 40),
        "read": chip_node((2,), du=700, dv=100), "out": out(3, 3), "shown": out(2),
    }  # fmt: skip
    paths = ("input > conv > a > mean > strided > b > flat > line > c > out", "a > total > all > w > read > shown")
    return graph(nodes, *paths, dt=DT), {"input": spikes((2, 4, 4), 8, 2, rate=0.4, seed=9)}


@case()
def integrators() -> Made:
    """IF and I, which keep all of v; a larger R is a larger weight. The last population's bias starts from above its
    threshold, had it acted before step 0.
    """
    r = np.array([64, 128, 32]) / DT
    nodes = {
        "input": inp(4), "w": matrix(26, 3, 4), "w2": matrix(27, 3, 3), "out": out(3), "shown": out(3), "o2": out(3),
        "if": nir.IF(r, np.array([10.0, 20.0, 100.0]) * 64, v_reset=np.zeros(3)),
        "i": nir.I(r, metadata={"v_init": np.array([5.0, 0, -900])}), "w3": matrix(28, 3, 3),
        "late": chip_node((3,), dv=[0, 200, 0], vth=3, bias=[-1000, -640, 7]),
    }  # fmt: skip
    paths = ("input > w > if > w2 > i > shown", "if > out", "if > w3 > late > o2")
    return graph(nodes, *paths, dt=DT), {"input": spikes((4,), 16, 2, seed=10)}
