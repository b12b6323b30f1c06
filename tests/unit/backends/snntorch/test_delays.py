"""Delays step by step and over many steps at once, and the gradients by learned ones, by hand."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install 'hasn[snntorch]'")

from hasn.backends.snntorch.lines import DelayLine, delayed, shifted  # noqa: E402

#: x[t] of three neurons with delays 0, 1 and 3; and what is due.
X = [[1, 10, 100], [2, 20, 200], [3, 30, 300], [4, 40, 400], [5, 50, 500], [6, 60, 600]]
DUE = [[1, 0, 0], [2, 10, 0], [3, 20, 0], [4, 30, 100], [5, 40, 200], [6, 50, 300]]


def values(rows: list[list[int]]) -> Any:
    """(T, 1, 3)."""
    return torch.tensor(rows, dtype=torch.float64).unsqueeze(1)


def test_a_line_by_hand() -> None:
    line = DelayLine([0, 1, 3])
    assert line.length == 3
    for now, due in zip(values(X), values(DUE), strict=True):
        assert torch.equal(line.push(now), due)
        assert len(line.past) <= 4
    assert torch.equal(torch.stack(line.past), values(X[:1:-1]))


@pytest.mark.parametrize("cuts", [[6], [1, 5], [2, 4], [3, 3], [4, 1, 1], [1] * 6, [5, 1]])
def test_many_steps_at_once_are_the_same_and_leave_the_same_past(cuts: list[int]) -> None:
    line, single, found = DelayLine([0, 1, 3]), DelayLine([0, 1, 3]), []
    for part in values(X).split(cuts):
        found.append(delayed(part, line))
        for now in part:
            single.push(now)
        assert torch.equal(torch.stack(line.past), torch.stack(single.past))
    assert torch.equal(torch.cat(found), values(DUE))


def test_a_line_goes_on_from_a_past_and_from_more_of_it_than_it_needs() -> None:
    for past in (X[2::-1], [[9, 90, 900], *X[2::-1]][1:]):
        line = DelayLine([0, 1, 3], list(values(past)))
        assert torch.equal(delayed(values(X[3:]), line), values(DUE[3:]))
    kept = list(values(X[2::-1]))
    DelayLine([0, 1, 3], kept).push(values(X)[3])
    assert len(kept) == 3  # the caller's list


@pytest.mark.parametrize("at_once", [False, True])
def test_gradients_by_learned_delays_are_the_slopes_around_them(at_once: bool) -> None:
    """x[t] = t^2, and zeros before: dy/d(steps) = (x[t-n-1] - x[t-n+1]) / 2, one-sided at n = 0."""
    learned = torch.tensor([0.4, 1.3, 1.6], dtype=torch.float64, requires_grad=True)  # 0, 1, 2 steps
    line = DelayLine(None, learned=learned)
    assert line.length == 3
    x = (torch.arange(6, dtype=torch.float64) ** 2).reshape(6, 1, 1).expand(6, 1, 3).clone().requires_grad_()
    due = delayed(x, line) if at_once else torch.stack([line.push(now) for now in x])
    assert due[:, 0].tolist() == [[0, 0, 0], [1, 0, 0], [4, 1, 0], [9, 4, 1], [16, 9, 4], [25, 16, 9]]
    weights = torch.tensor([[0.0], [0], [1], [0], [10], [0]], dtype=torch.float64).unsqueeze(1)
    by_delay, by_x = torch.autograd.grad((due * weights).sum(), [learned, x])
    # t = 2: (1 - 4), (0 - 4)/2, (0 - 1)/2;  t = 4: (9 - 16), (4 - 16)/2, (1 - 9)/2
    assert by_delay.tolist() == [-3 - 70, -2 - 60, -0.5 - 40]
    assert by_x[:, 0].T.tolist() == [[0, 0, 1, 0, 10, 0], [0, 1, 0, 10, 0, 0], [1, 0, 10, 0, 0, 0]]


def test_a_shift_by_a_step() -> None:
    previous = torch.tensor([[7.0, 70, 700]])
    found = shifted(previous, values(X))
    assert found.dtype == torch.float64
    assert torch.equal(found, values([[7, 70, 700], *X[:-1]]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_shifted_value_keeps_its_own_type(dtype: Any) -> None:
    """As where autocast gives 16 bits, and what was before the first step has more."""
    value = torch.tensor([[[1.0]], [[2.0]], [[3.0]]], dtype=dtype)
    found = shifted(torch.tensor([[0.5]], dtype=torch.float64), value)
    assert (found.dtype, found.flatten().tolist()) == (dtype, [0.5, 1, 2])
