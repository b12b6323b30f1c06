"""Fan-out by arithmetic, against torch that is shown one element at a time, and all windows counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hasn.program.fan_out import Stored, fan_out, reached
from hasn.program.maps import Convolution, Dense, Identity, Pooling, Scaling

RNG = np.random.default_rng(5)


def holed(*shape: int) -> Any:
    """Weights, a third of them 0."""
    return RNG.normal(size=shape) * (RNG.random(shape) > 1 / 3)


def convolution(weight: Any, stride: Any, pads: Any, dilation: Any, groups: int = 1) -> Convolution:
    return Convolution(weight, None, stride, pads, dilation, groups)


MAPS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "one dimension": (convolution(holed(3, 2, 3), (1,), ((0, 0),), (1,)), (2, 7)),
    "stride leaves a rest": (convolution(holed(2, 1, 2), (3,), ((0, 0),), (1,)), (1, 9)),
    "two dimensions, all different": (convolution(holed(4, 3, 2, 3), (2, 1), ((1, 1), (0, 0)), (1, 2)), (3, 5, 8)),
    "groups": (convolution(holed(6, 2, 3, 2), (1, 2), ((1, 1), (1, 1)), (1, 1), 3), (6, 4, 5)),
    "unequal pads": (convolution(holed(2, 2, 4, 2), (1, 1), ((1, 2), (0, 1)), (1, 1)), (2, 6, 4)),
    "pool": (Pooling((2, 3), (2, 1), ((1, 1), (0, 0)), False), (2, 5, 4)),
    "pool with gaps": (Pooling((2, 2), (3, 3), ((0, 0), (0, 0)), True), (1, 8, 7)),
    "dense": (Dense(holed(4, 6)), (6,)),
    "blocks": (Dense(holed(3, 4, 6)), (3, 6)),
    "scale": (Scaling(holed(3, 4)), (3, 4)),
    "identity": (Identity(), (3, 4)),
}


def by_torch(of: Any, x: torch.Tensor) -> torch.Tensor:
    """Each result as the number of elements that reach it over a weight that is not 0."""
    if isinstance(of, Convolution | Pooling):
        pads = [side for pair in reversed(of.pads) for side in pair]
        if isinstance(of, Pooling):
            weight, groups, dilation = np.ones((x.shape[1], 1, *of.kernel)), x.shape[1], 1
        else:
            weight, groups, dilation = of.weight, of.groups, of.dilation
        convolve = torch.nn.functional.conv1d if x.ndim == 3 else torch.nn.functional.conv2d
        padded = torch.nn.functional.pad(x, pads)
        return convolve(padded, torch.tensor(weight != 0).double(), None, of.stride, 0, dilation, groups)
    if isinstance(of, Dense):
        return torch.einsum("...oi,b...i->b...o", torch.tensor(of.weight != 0).double(), x)
    return x * torch.tensor(of.scale != 0) if isinstance(of, Scaling) else x


@pytest.mark.parametrize("name", MAPS)
def test_each_element_reaches_what_torch_says(name: str) -> None:
    """An element and a result share one weight at most, so the sum over results is the number of those reached."""
    of, shape = MAPS[name]
    size = int(np.prod(shape))
    wanted = by_torch(of, torch.eye(size, dtype=torch.float64).reshape(size, *shape)).reshape(size, -1).sum(1)
    found = fan_out(of, shape)
    assert found.tolist() == wanted.tolist()
    assert found.sum() == of.matrix(shape).nnz
    assert len(set(found.tolist())) > 1 or name in ("identity", "stride leaves a rest")


@pytest.mark.parametrize("name", MAPS)
def test_events_reach_what_torch_says(name: str) -> None:
    of, shape = MAPS[name]
    events = RNG.random((40, *shape)) < np.linspace(0, 0.3, 40).reshape(-1, *[1] * len(shape))
    wanted = by_torch(of, torch.tensor(events).double()).reshape(40, -1) > 0
    found = reached(of, events)
    np.testing.assert_array_equal(found, wanted.numpy())
    assert 0 < found.mean() < 1


def test_synapses_that_are_stored_answer_from_their_matrix() -> None:
    """One of weight 0 is a synapse, too."""
    from scipy.sparse import csr_array

    entries = csr_array(([2.0, 0.0, -1.0, 3.0], ([0, 0, 1, 2], [0, 1, 0, 2])), shape=(3, 4))
    assert fan_out(Stored(entries), (4,)).tolist() == [2, 1, 1, 0]
    events = np.eye(4, dtype=bool)
    assert reached(Stored(entries), events).astype(int).tolist() == [[1, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]]


def test_the_large_convolution_is_counted_and_not_unrolled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Along an axis of 32, a kernel of 3 with a padding of 1 has 3 * 32 - 2 taps inside; 18.1 million synapses."""
    monkeypatch.setattr(Convolution, "matrix", None)
    of = convolution(np.ones((64, 32, 3, 3)), (1, 1), ((1, 1), (1, 1)), (1, 1))
    found = fan_out(of, (32, 32, 32)).reshape(32, 32, 32)
    assert found.sum() == 32 * 64 * (3 * 32 - 2) ** 2 == 18_096_128
    assert (found[0, 0, 0], found[0, 0, 5], found[0, 5, 5]) == (64 * 4, 64 * 6, 64 * 9)
