"""Integers at the edges of what is taken to be exact, and where currents wrap."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from hasn.program.integers.encode import chip_neuron
from hasn.testing.chip_graphs import DT
from tests.unit.backends.snntorch.integers import assert_run, chip_graph, inp, out
from tests.unit.backends.snntorch.test_integers import arithmetic

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")


def one(weight: float, du: int) -> nir.NIRGraph:
    """An input, a weight, a readout that keeps a half of v."""
    neuron = chip_neuron((1,), dt=DT, du=du, dv=2048)
    nodes = {"in": inp(1), "w": nir.Linear(np.array([[weight]])), "pop": neuron, "out": out(1)}
    return chip_graph(nodes, ("in", "w"), ("w", "pop"), ("pop", "out"))


# 128 << 6 is 2^13: 1024 of them are 2^23, where a current wraps, and 2048 a whole turn.
@pytest.mark.parametrize(
    ("most", "wraps"),
    [
        (1023, ("NEVER", "MODULAR", "MODULAR")),
        (1024, ("MODULAR", "MODULAR", "MODULAR")),
        (2048, ("MODULAR", "MODULAR", "MODULAR")),
        (2049, ("ONCE", "ONCE", "ONCE")),
        (4096, ("ONCE", "ONCE", "ONCE")),
    ],
)
def test_currents_wrap_beyond_2_to_the_23_and_at_its_negative(most: int, wraps: tuple[str, ...]) -> None:
    x = np.array([0, 1023, 1024, 1025, -1023, -1024, -1025, 2047, 2048, 2049, -2047, -2048, -2049, 4096, -4096, 1, -1])
    x = np.clip(np.concatenate([x, np.repeat(x, 2)]), -most, most)[:, np.newaxis, np.newaxis]
    for du, wanted in zip((4095, 900, 0), wraps, strict=True):
        executable, _ = assert_run(one(128.0, du), {"in": x})
        assert arithmetic(executable)["pop"].wrap.name == wanted
    u = executable.run(x[:, 0], record=("currents",)).currents["pop"]
    assert most < 1024 or (abs(u) >= 2**23 - 2**13).any()


@pytest.mark.parametrize(("most", "dtype"), [(131071, torch.float32), (131072, torch.float64)])
def test_sums_of_less_than_2_to_the_24_are_float32s(most: int, dtype: torch.dtype) -> None:
    executable, _ = assert_run(one(128.0, 900), {"in": np.array([most, -1, 1, -most, 0])[:, np.newaxis, np.newaxis]})
    assert arithmetic(executable)["pop"].dtype == dtype


def test_a_current_that_may_just_stay_below_2_to_the_23() -> None:
    """Of x at every step, u comes near 4096 x / (du + 1): with du = 1023, 2^23 for x = 2^21."""
    for most, wanted in ((255, "NEVER"), (256, "MODULAR")):
        x = np.full((60, 1, 1), most)
        assert arithmetic(assert_run(one(128.0, 1023), {"in": x})[0])["pop"].wrap.name == wanted
