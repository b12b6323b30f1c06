"""A tool's numbers as one float64 for each neuron."""

from __future__ import annotations

import numpy as np
import pytest

from hasn.conversions.values import just_below, spread
from hasn.errors import UnsupportedError

torch = pytest.importorskip("torch", reason="the snntorch extra is not installed")


def test_what_is_no_value_for_each_neuron() -> None:
    assert spread(torch.tensor([1.0, 2.0]), "tau", "a", (3, 2)).tolist() == [[1, 2]] * 3
    assert spread(2, "tau", "a", (2,)).dtype == np.float64
    with pytest.raises(UnsupportedError, match="is not one value for each neuron") as error:
        spread(np.ones(2), "tau", "a", (3,))
    assert (error.value.node, error.value.parameter) == ("a", "tau")
    assert (error.value.got, error.value.wanted) == ((2,), "a number or shape (3,)")


def test_just_below_is_the_next_float32() -> None:
    below = just_below(np.array([1.0, 0.0, 0.1]))
    assert below.tolist() == [1 - 2**-24, -(2**-149), float(np.float32(0.1)) - 2**-27]
    assert (below.astype(np.float32) < np.array([1.0, 0.0, 0.1], np.float32)).all()
