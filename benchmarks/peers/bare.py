"""No neurons: the products that no engine can leave out, forward and backward, on values of the right size.

Each dense layer and each convolution over all steps at once; gradients by its weights and by its inputs (not by the
network's input, which wants none). A recurrent product is one a step each way, its weights' gradient one for all steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.network import AveragePool, Convolution, Dense, Flat, Network

#: Share of ones in the inputs of inner layers; dense products cost the same at any.
RATE = 0.1


def products(spec: Network, x: Tensor) -> Callable[[], None]:
    """A function that does them all once."""
    works: list[Callable[[], None]] = []
    steps, batch = x.shape[:2]
    values, first = x.flatten(0, 1), True
    for stage in spec.stages:
        for one in stage.maps:
            if isinstance(one, Dense):
                works.append(_dense(one, values, first))
            elif isinstance(one, Convolution):
                works.append(_convolution(one, values, first))
            elif isinstance(one, AveragePool):
                values = functional.avg_pool2d(values, one.size)
            elif isinstance(one, Flat):
                values = values.flatten(1)
        if stage.loop is not None:
            works.append(_loop(stage.loop, steps, batch))
        values, first = (torch.rand(len(x.flatten(0, 1)), *stage.shape) < RATE).float(), False

    @torch.no_grad()
    def run() -> None:
        for work in works:
            work()

    return run


def _dense(one: Dense, values: Tensor, first: bool) -> Callable[[], None]:
    gradient = torch.randn(len(values), len(one.bias))

    def run() -> None:
        functional.linear(values, one.weight, one.bias)
        gradient.T @ values
        if not first:
            gradient @ one.weight

    return run


def _convolution(one: Convolution, values: Tensor, first: bool) -> Callable[[], None]:
    two, no, wanted = [one.padding, one.padding], [0, 0], [not first, True, True]
    gradient = torch.randn_like(functional.conv2d(values, one.weight, one.bias, padding=two))

    def run() -> None:
        functional.conv2d(values, one.weight, one.bias, padding=two)
        torch.ops.aten.convolution_backward(
            gradient, values, one.weight, [len(one.bias)], [1, 1], two, [1, 1], False, no, 1, wanted
        )

    return run


def _loop(weight: Tensor, steps: int, batch: int) -> Callable[[], None]:
    values, gradient = (torch.rand(steps, batch, len(weight)) < RATE).float(), torch.randn(steps, batch, len(weight))

    def run() -> None:
        for now in values:
            functional.linear(now, weight)
        for back in gradient:
            back @ weight
        gradient.flatten(0, 1).T @ values.flatten(0, 1)

    return run
