"""The plain meaning of precision "loihi" against neurons worked out by hand: everything else is held against it."""

from __future__ import annotations

import pytest

from hasn.testing.integers import interpret
from tests.edges import CASES, EDGES


@pytest.mark.parametrize(("name", "spiking"), CASES)
def test_the_ends_of_the_registers(name: str, spiking: bool) -> None:
    edge = EDGES[name]
    found = interpret(edge.graph(spiking), {"in": edge.inputs[:, None]})
    u, v, z = edge.wanted
    assert found.u["n"][:, 0, 0].tolist() == u
    assert found.v["n"][:, 0, 0].tolist() == v
    assert found.resets["n"][:, 0, 0].astype(int).tolist() == z
