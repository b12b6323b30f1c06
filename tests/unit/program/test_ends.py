"""Ends of ranges and orders of columns: small slips in the Program's passes that no network shows by its spikes."""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
import pytest

from hasn.errors import UnsupportedError
from hasn.ir.lower import lower
from hasn.program.draw import program_text
from hasn.program.fuse import fuse
from hasn.program.integers.lower import to_integers
from hasn.program.stages import cut
from tests import graphs
from tests.graphs import DT

TOP = 2**23 - 1


def chip(v_init: float = 0.0, bias: float = 0.0, drive: float | None = None) -> nir.NIRGraph:
    """One LIF in the chip's units, which takes all of an input into its voltage."""
    ones = np.ones(1)
    node = nir.LIF(tau=ones * DT * 4096 / 100, r=ones * 64 * 4096 / 100, v_leak=ones * bias * 4096 / 100,
                   v_threshold=ones * 64 * 100, v_reset=ones * 0, metadata={"v_init": v_init})  # fmt: skip
    linear = nir.Linear(ones.reshape(1, 1) * 2) if drive is None else nir.Affine(ones.reshape(1, 1) * 2, ones * drive)
    return graphs.chain(linear, node, given=(1,), result=(1,))


@pytest.mark.parametrize("v_init", [TOP, -TOP])
def test_a_voltage_starts_anywhere_in_its_register(v_init: int) -> None:
    made = to_integers(fuse(lower(chip(v_init=v_init), dt=DT)))
    assert made.populations["n2"].v_init.tolist() == [v_init]
    beyond = v_init + (1 if v_init > 0 else -1)
    with pytest.raises(UnsupportedError, match=rf"v_init: .*got {float(beyond)}; wanted an integer -{TOP}..{TOP}"):
        to_integers(fuse(lower(chip(v_init=beyond), dt=DT)))


@pytest.mark.parametrize("bias", [4095 << 7, -4096 << 7])
def test_a_bias_is_anything_that_its_register_holds(bias: int) -> None:
    made = to_integers(fuse(lower(chip(bias=bias), dt=DT)))
    population = made.populations["n2"]
    assert (population.bias_mant << population.bias_exp).tolist() == [bias]
    with pytest.raises(UnsupportedError, match="bias of v"):
        to_integers(fuse(lower(chip(bias=float(TOP + 1)), dt=DT)))


def test_columns_of_a_projection() -> None:
    """From, to, delay, synapses, weights: in this order."""
    nodes = {"input": graphs.inp(3), "w": nir.Linear(np.array([[2.0, 0.0, 2.0], [2.0, 2.0, 2.0]])),
             "delay": nir.Delay(np.full(2, 4 * DT)), "lif": graphs.Draw(1).lif(2), "output": graphs.out(2)}  # fmt: skip
    lines = program_text(lower(graphs.graph(nodes, "input > w > delay > lif > output"), dt=DT)).splitlines()
    network = lines[next(i for i, line in enumerate(lines) if line.startswith("Network: ")) :]
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in network if line.startswith("│")]
    assert cells[0] == ["from", "to", "delay", "synapses", "weights"]
    assert cells[1][:3] == ["input", "lif", "4 steps = 4 ms"]
    assert "5" in cells[1][3]
    assert cells[1][4] == "2"


def test_of_cuts_alike_the_one_that_fewest_numbers_cross() -> None:
    """Equal matrices, between which 2 or 9 numbers pass: stages part at the 2, where that makes no stage larger."""
    sizes = (9, 2, 9, 2)
    nodes = [nir.Linear(np.ones((after, before))) for before, after in pairwise(sizes)]
    program = lower(graphs.chain(*nodes, given=(9,), result=(2,)), dt=DT)
    first, second = cut(program, 2)
    assert first.outgoing == ("n1",)
    assert second.names == ("n2", "n3", "output")
    many = (2, 9, 2, 9, 2, 9)
    nodes = [nir.Linear(np.ones((after, before))) for before, after in pairwise(many)]
    program = lower(graphs.chain(*nodes, given=(2,), result=(9,)), dt=DT)
    assert [stage.names for stage in cut(program, 3)] == [("input", "n1", "n2"), ("n3", "n4"), ("n5", "output")]
