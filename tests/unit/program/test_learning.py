"""Who has what of a connection that learns."""

from __future__ import annotations

import numpy as np
import pytest

from hasn.program.learning import gathered, sizes, spread
from hasn.program.maps import Sparse


def map_of(delay: list[int] | None) -> Sparse:
    """As many synapses as sources, out of order: 2 and 0 into the first target, 1 into the second, 0 into the last."""
    parts = (np.array(part, dtype=np.int32) for part in ([2, 0, 1, 0], [0, 2, 3, 4]))
    late = None if delay is None else np.array(delay, dtype=np.int32)
    return Sparse(np.array([0.1, 0.2, 0.3, 0.4]), *parts, 3, 4, None, late)


@pytest.mark.parametrize("delay", [None, [0, 0, 0, 0]])
def test_as_many_synapses_as_sources(delay: list[int] | None) -> None:
    """A source's trace goes to its synapses, whatever the numbers are, and comes back; 0 for one without a synapse."""
    of = map_of(delay)
    assert sizes(of) == {"all": (1,), "pre": (4,), "post": (3,), "synapse": (4,)}
    np.testing.assert_array_equal(spread(of, "pre", np.array([[5.0, 6.0, 7.0, 8.0]])), [[7.0, 5.0, 6.0, 5.0]])
    np.testing.assert_array_equal(gathered(of, "pre", np.array([[7.0, 5.0, 6.0, 5.0]])), [[5.0, 6.0, 7.0, 0.0]])
    np.testing.assert_array_equal(spread(of, "post", np.array([[1.0, 2.0, 3.0]])), [[1.0, 1.0, 2.0, 3.0]])


def test_with_delays_each_synapse_has_its_own_of_its_source() -> None:
    of, values = map_of([0, 1, 2, 0]), np.array([[7.0, 5.0, 6.0, 4.0]])
    np.testing.assert_array_equal(spread(of, "pre", values), values)
    np.testing.assert_array_equal(gathered(of, "pre", values), values)
