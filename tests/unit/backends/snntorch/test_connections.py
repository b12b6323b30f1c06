"""Maps that torch has no module for, and parameters that a node does not have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from hasn.errors import UnsupportedError
from hasn.program.maps import Dense, Map
from hasn.program.model import Connection

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")
pytest.importorskip("snntorch", reason="pip install 'hasn[snntorch]'")
from hasn.backends.snntorch.connections import connection_module, hold  # noqa: E402


@dataclass(frozen=True)
class Turned(Map):
    """``y[j, i] = (j + 1) x[i, j] + bias[j, i]`` for x of (2, 3)."""

    bias: Any = None

    def matrix(self, shape: tuple[int, ...]) -> Any:
        assert shape == (2, 3)
        return csr_array(([1.0, 1.0, 2.0, 2.0, 3.0, 3.0], [0, 3, 1, 4, 2, 5], range(7)), shape=(6, 6))


@dataclass(frozen=True)
class Late(Turned):
    def parts(self, shape: tuple[int, ...]) -> Any:
        return ((0, self.matrix(shape)), (2, self.matrix(shape)))


X = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[0.0, 1.0, 0.0], [0.0, 0.0, -1.0]]]
Y = [[[1.0, 4.0], [4.0, 10.0], [9.0, 18.0]], [[0.0, 0.0], [2.0, 0.0], [0.0, -3.0]]]


@pytest.mark.parametrize("bias", [None, np.arange(6.0).reshape(3, 2) / 8])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_map_of_another_package_runs_by_its_matrix(bias: Any, dtype: str) -> None:
    module = connection_module(Connection("n", Turned(bias), (3, 2), given=(2, 3)), getattr(torch, dtype))
    x = torch.tensor(X, dtype=getattr(torch, dtype), requires_grad=True)
    y = module(x)
    assert y.dtype == x.dtype
    assert y.tolist() == (np.array(Y) + (0 if bias is None else bias)).tolist()
    (gradient,) = torch.autograd.grad(y[1, 2, 1], x)
    assert gradient.nonzero().tolist() == [[1, 1, 2]]
    assert gradient[1, 1, 2] == 3
    assert not list(module.parameters())


def test_delays_of_its_own_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"node 'n'.*map with delays of its own.*got Late.*Sparse"):
        connection_module(Connection("n", Late(), (3, 2), given=(2, 3)))


@pytest.mark.parametrize("trained", [(), ("bias",), ("weight", "bias")])
def test_what_a_node_does_not_have_is_held(trained: tuple[str, ...]) -> None:
    module = connection_module(Connection("n", Dense(np.array([[1.0, 2.0]]), np.array([0.5])), (1,)))
    keys = set(module.state_dict())
    hold(module, trained)
    assert {name for name, _ in module.named_parameters()} == set(trained)
    assert set(module.state_dict()) == keys
    assert module(torch.tensor([[3.0, 4.0]], dtype=torch.float64)).tolist() == [[11.5]]
