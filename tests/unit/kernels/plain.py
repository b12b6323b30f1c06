"""The scan in plain torch, an operation at a time, with autograd's gradients: what the kernel is compared with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hasn.kernels import Line, Reset, RowProgram, Rows, Slope


class Spike(torch.autograd.Function):
    """1[u > 0] in the type of u, with the slopes of snntorch.surrogate's formulas."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, slope: Slope, p: float) -> Tensor:
        """Spikes."""
        ctx.save_for_backward(u)
        ctx.kind = slope, p
        return (u > 0).to(u.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        """The gradient by u."""
        (u,), (slope, p) = ctx.saved_tensors, ctx.kind
        d = {
            Slope.ATAN: lambda: p / 2 / (1 + (torch.pi / 2 * p * u) ** 2),
            Slope.FAST_SIGMOID: lambda: 1 / (p * u.abs() + 1) ** 2,
            Slope.SIGMOID: lambda: p * torch.sigmoid(p * u) * torch.sigmoid(-p * u),
            Slope.TRIANGULAR: lambda: p - 2 * p * (u >= 0).to(u.dtype),
            Slope.STRAIGHT_THROUGH: lambda: torch.ones_like(u),
        }[slope]()
        return gradient * d.to(u.dtype), None, None


def plain_scan(
    x: Tensor, v: Tensor, c: Tensor, k: Tensor, rows: Rows, reset: Reset, slope: Slope, p: float
) -> dict[str, Tensor]:
    """All steps: out, before, after (T, batch, n) and the final v and c (batch, n)."""
    keep_v, gain_v, bias, keep_c, gain_c, weight, threshold, jump = k
    found: dict[str, list[Tensor]] = {"out": [], "before": [], "after": []}
    for now in x:
        if rows is Rows.ONE:
            v = keep_v * v + gain_v * now + bias
        elif rows is Rows.CURRENT_FIRST:
            c = keep_c * c + gain_c * now
            v = keep_v * v + weight * c + bias
        else:
            v = keep_v * v + weight * c + gain_v * now + bias
            c = keep_c * c + gain_c * now
        found["before"].append(v)
        z = v
        if reset is not Reset.NONE:
            z = Spike.apply(v - threshold, slope, p)
            v = v * (1 - z) + jump * z if reset is Reset.ZERO else v - z * jump
        found["out"].append(z)
        found["after"].append(v)
    return {**{name: torch.stack(values) for name, values in found.items()}, "v": v, "c": c}


def plain_rows(
    x: Tensor, states: list[Tensor], k: Tensor, program: RowProgram, slope: Slope, p: float
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """All steps of a program: out and v after the reset (T, batch, n), and the final states (batch, n)."""
    out, after = [], []
    for given in x:
        before, now = states, list(states)
        free = before[-1] <= 0 if program.held >= 0 else torch.ones_like(given, dtype=torch.bool)
        for line in program.rows:
            made = written(line, before if line.before else now, k, given)
            now[line.state] = torch.where(free, made, before[program.v]) if line.state == program.v else made
        z = now[program.v]
        if program.condition is not None:
            z = Spike.apply(written(program.condition, now, k), slope, p) * free
            if program.held >= 0:
                now[-1] = torch.where(z > 0, k[program.held], (before[-1] - 1).clamp(min=0))
            for line in program.resets:
                old = now[line.state]
                to = written(line, now, k)
                now[line.state] = old + z * k[line.bias] if line.moves else old * (1 - z) + to * z
        out.append(z)
        after.append(now[program.v])
        states = now
    return torch.stack(out), torch.stack(after), states


def written(line: Line, states: list[Tensor], k: Tensor, x: Tensor | None = None) -> Tensor:
    """What a line writes."""
    parts = [states[state] if number < 0 else k[number] * states[state] for state, number in line.terms]
    parts += [k[line.gain] * x] if line.gain >= 0 and x is not None else []
    parts += [k[line.bias] + torch.zeros_like(states[0])] if line.bias >= 0 else []
    total = torch.zeros_like(states[0])
    for part in parts:
        total = total + part
    return total
