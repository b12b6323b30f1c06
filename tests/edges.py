"""The ends of the chip's registers: what one neuron does there, worked out by hand.

    u <- wrap(kept(u, 4095 - du) + 64 x);  v <- clip(kept(v, 4096 - dv) + u + bias);  z = v > 64 vth;  v <- 0 where z

with ``kept(a, k) = sign(a) * (|a| * k >> 12)``. Whatever computes this is held against these sequences in its tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.program.integers.encode import chip_neuron
from hasn.testing.graphs import DT, graph, inp, out

#: 64 * HALF = LIMIT: the edge of the range of u. The largest threshold lies 64 below it.
HALF, LIMIT, HIGHEST = 131072, 2**23, 131071


@dataclass(frozen=True)
class Edge:
    """One neuron behind one synapse of weight 1.

    Attributes:
        registers: du, dv, vth, bias and v_init, as ``chip_neuron`` takes them.
        steps: (input x, u after the wrap, v after the reset, z) of each step.
        wraps, clips: at how many steps u wraps and v clips.
    """

    registers: dict[str, int]
    steps: list[tuple[int, int, int, int]]
    wraps: int
    clips: int

    def graph(self, spiking: bool = True) -> nir.NIRGraph:
        """``in > w > n > out``; without spikes the neuron has the highest threshold, whatever ``registers`` say."""
        registers = self.registers if spiking else {**self.registers, "vth": None}
        nodes: dict[str, Any] = {"in": inp(1), "w": nir.Linear(np.ones((1, 1)))}
        nodes |= {"n": chip_neuron((1,), dt=DT, **registers), "out": out(1)}
        return graph(nodes, "in > w > n > out", dt=DT)

    @property
    def inputs(self) -> NDArray[np.float64]:
        """(T, 1)."""
        return np.array([[step[0]] for step in self.steps], dtype=float)

    @property
    def wanted(self) -> tuple[list[int], list[int], list[int]]:
        """u, v and z of each step."""
        u, v, z = (list(column) for column in list(zip(*self.steps, strict=True))[1:])
        return u, v, z


#: No current is kept, half of v is; 64 vth = 6400.
_PLAIN = {"du": 4095, "dv": 2048, "vth": 100}
#: Half of u is kept, and of v 1 of 4096.
_KEEPS = {"du": 2047, "dv": 4095, "vth": HIGHEST}

EDGES = {
    "no current kept, inputs within a turn": Edge(
        {**_PLAIN, "v_init": -3},
        [
            (0, 0, -1, 0),  # -1.5 goes towards 0
            (0, 0, 0, 0),
            (100, 6400, 6400, 0),  # the threshold itself does not spike
            (51, 3264, 0, 1),
            (HALF, LIMIT, 0, 1),  # 2**23 stays; v clips
            (HALF + 1, 64 - LIMIT, 64 - LIMIT, 0),  # one more turns round
            (-HALF, LIMIT, 0, 1),  # -2**23 becomes 2**23
            (1 - HALF, 64 - LIMIT, 64 - LIMIT, 0),
            (-2, -128, 32 - 128 - LIMIT // 2, 0),
            (1 - HALF, 64 - LIMIT, 1 - LIMIT, 0),  # v clips
            (0, 0, 1 - LIMIT // 2, 0),  # half of 2**23 - 1, towards 0
            (-1 - HALF, LIMIT - 64, 0, 1),
        ],
        wraps=3,
        clips=2,
    ),
    "no current kept, inputs that are the edge itself": Edge(
        {**_PLAIN, "dv": 0},
        [(HALF, LIMIT, 0, 1), (-HALF, LIMIT, 0, 1), (0, 0, 0, 0), (-HALF, LIMIT, 0, 1)],
        wraps=2,
        clips=3,
    ),
    "no current kept, inputs of several turns": Edge(
        _PLAIN,
        [
            (2 * HALF, 0, 0, 0),
            (-2 * HALF, 0, 0, 0),
            (HALF * 5 // 2, LIMIT // 2, 0, 1),  # one turn, and that is enough
            (3 * HALF, LIMIT, 0, 1),
            (3 * HALF + 1, LIMIT + 64, 0, 1),  # one turn is not enough, and there is no second
            (-3 * HALF, -LIMIT, 1 - LIMIT, 0),  # nor one back
            (-3 * HALF - 1, -LIMIT - 64, 1 - LIMIT, 0),
            (HALF, LIMIT, 0, 1),  # the edge as above
            (-HALF, LIMIT, 0, 1),
            (HALF + 1, 64 - LIMIT, 64 - LIMIT, 0),
            (1 - HALF, 64 - LIMIT, 1 - LIMIT, 0),
        ],
        wraps=9,
        clips=6,
    ),
    "a current kept, inputs within a turn": Edge(
        _KEEPS,
        [
            (HALF, LIMIT, 0, 1),
            (HALF // 2, LIMIT, 0, 1),  # half of it and as much again: 2**23 stays
            (HALF // 2 + 1, 64 - LIMIT, 64 - LIMIT, 0),
            (-HALF // 2, 32 - LIMIT, 1 - LIMIT, 0),  # half of 64 - 2**23, and -2**22; v would be 2047 lower
            (-HALF // 2 - 1, LIMIT - 48, LIMIT - 48 - 2047, 0),  # 16 - 2**22 - 2**22 - 64 turns round
            (-HALF // 2, -24, 2047 - 24, 0),
        ],
        wraps=2,
        clips=3,
    ),
    "a current kept that meets the lower edge": Edge(
        _KEEPS,
        [
            (-HALF // 2, -LIMIT // 2, -LIMIT // 2, 0),
            (-HALF // 4 * 3, LIMIT, LIMIT - 1024, 0),  # -2**21 - 3 * 2**21 = -2**23 becomes 2**23
            (0, LIMIT // 2, LIMIT // 2 + 2047, 0),  # of 2**23 - 1024, 2047.75 are kept
            (-HALF, -LIMIT // 4 * 3, 1024 - LIMIT // 4 * 3, 0),
            (1 - HALF // 8 * 5, 64 - LIMIT, 1 - LIMIT, 0),  # -3 * 2**20 - 5 * 2**20 + 64 stays; v is 1535 lower
        ],
        wraps=1,
        clips=1,
    ),
    "a current kept, inputs of several turns": Edge(
        _KEEPS,
        [
            (3 * HALF + 1, LIMIT + 64, 0, 1),  # one turn alone
            (0, LIMIT // 2 + 32, LIMIT // 2 + 32, 0),
            (-3 * HALF - 1, -(LIMIT // 4 * 3) - 48, 1024 - LIMIT // 4 * 3 - 48, 0),  # 2**21 + 16 - 3 * 2**23 - 64
            (-HALF // 8 * 5, LIMIT - 24, LIMIT - 24 - 1535, 0),  # -3 * 2**20 - 24 - 5 * 2**20 turns round
        ],
        wraps=3,
        clips=1,
    ),
    "a current kept that meets both edges, and an input of several turns": Edge(
        _KEEPS,
        [
            (HALF, LIMIT, 0, 1),
            (HALF // 2, LIMIT, 0, 1),
            (-HALF // 2 * 3, LIMIT, 0, 1),  # 2**22 - 3 * 2**22 = -2**23 becomes 2**23
            (3 * HALF + 1, LIMIT // 2 * 3 + 64, 0, 1),
            (-3 * HALF, 32 - LIMIT // 4, 32 - LIMIT // 4, 0),  # 3 * 2**21 + 32 - 3 * 2**23, and one turn
        ],
        wraps=3,
        clips=4,
    ),
    "a current kept, inputs that one turn might bring back but for what is kept": Edge(
        _KEEPS,
        [(HALF, LIMIT, 0, 1), (3 * HALF, LIMIT // 2 * 3, 0, 1), (-3 * HALF, -LIMIT // 4, -LIMIT // 4, 0)],
        wraps=2,
        clips=2,
    ),
    "a current that halves goes towards 0": Edge(
        _KEEPS,
        [(-1, -64, -64, 0), *((0, -half, -half, 0) for half in (32, 16, 8, 4, 2, 1, 0, 0))],
        wraps=0,
        clips=0,
    ),
    "the highest threshold and both ends of v": Edge(
        {"du": 4095, "dv": 0, "vth": HIGHEST},
        [
            (HIGHEST, LIMIT - 64, LIMIT - 64, 0),  # the threshold itself
            (0, 0, LIMIT - 64, 0),
            (1, 64, 0, 1),  # 2**23 clips to 2**23 - 1, above every threshold
            (-HIGHEST, 64 - LIMIT, 64 - LIMIT, 0),
            (-1, -64, 1 - LIMIT, 0),
            (0, 0, 1 - LIMIT, 0),
        ],
        wraps=0,
        clips=2,
    ),
    "one unit above the highest threshold": Edge(
        {"du": 4095, "dv": 0, "vth": HIGHEST, "bias": 1},
        [(HIGHEST, LIMIT - 64, 0, 1), (HIGHEST - 1, LIMIT - 128, LIMIT - 127, 0)],
        wraps=0,
        clips=0,
    ),
    "a voltage that loses most": Edge(
        {"du": 4095, "dv": 4095, "vth": 64},
        [(64, 4096, 4096, 0), (0, 0, 1, 0), (0, 0, 0, 0), (-64, -4096, -4096, 0), (0, 0, -1, 0), (-63, -4032, -4032, 0),
         (0, 0, 0, 0)],
        wraps=0,
        clips=0,
    ),
    "the least bias": Edge(
        {"du": 4095, "dv": 2048, "vth": HIGHEST, "bias": -4096 << 7},
        [(0, 0, -524288, 0), (0, 0, -786432, 0), (0, 0, -917504, 0)],
        wraps=0,
        clips=0,
    ),
    "the largest bias": Edge(
        {"du": 4095, "dv": 0, "vth": HIGHEST, "bias": 4095 << 7, "v_init": 7_000_000},
        [(0, 0, 7_524_160, 0), (0, 0, 8_048_320, 0), (0, 0, 0, 1), (0, 0, 524_160, 0)],
        wraps=0,
        clips=1,
    ),
}  # fmt: skip

#: The same for a population that does not spike: it has the highest threshold, and what it does is the same.
READOUTS = [name for name, edge in EDGES.items() if edge.registers["vth"] == HIGHEST]
#: (name, whether it spikes) of all.
CASES = [*((name, True) for name in EDGES), *((name, False) for name in READOUTS)]


def together() -> nir.NIRGraph:
    """All side by side as neurons of two populations, "n" that spikes and "r" that does not, with an Input each."""
    nodes: dict[str, Any] = {}
    for population, names in (("n", list(EDGES)), ("r", READOUTS)):
        rows = [{"bias": 0, "v_init": 0, **EDGES[name].registers} for name in names]
        registers: dict[str, Any] = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        if population == "r":
            del registers["vth"]
        size = len(names)
        nodes |= {f"in_{population}": inp(size), f"w_{population}": nir.Linear(np.eye(size))}
        nodes |= {population: chip_neuron((size,), dt=DT, **registers), f"out_{population}": out(size)}
    return graph(nodes, *(f"in_{p} > w_{p} > {p} > out_{p}" for p in "nr"), dt=DT)


def inputs_together() -> dict[str, NDArray[np.float64]]:
    """{Input: (T, neurons)}; after the end of a sequence nothing comes in."""
    longest = max(len(edge.steps) for edge in EDGES.values())

    def padded(names: list[str]) -> NDArray[np.float64]:
        columns = [np.pad(EDGES[name].inputs[:, 0], (0, longest - len(EDGES[name].steps))) for name in names]
        return np.stack(columns, axis=1)

    return {"in_n": padded(list(EDGES)), "in_r": padded(READOUTS)}


def assert_together(u: Any, v: Any, z: Any) -> None:
    """A run of :func:`together`: {population: (T, neurons)} of u, v and z, "n" alone of z."""
    for population, names in (("n", list(EDGES)), ("r", READOUTS)):
        for i, name in enumerate(names):
            for what, found, wanted in zip("uvz", (u, v, z), EDGES[name].wanted, strict=True):
                if population in found:
                    values = np.asarray(found[population])[: len(wanted), i].astype(int).tolist()
                    assert values == wanted, f"{what} of {name} in {population}"
    assert set(u) == set(v) == {"n", "r"}
    assert set(z) == {"n"}
