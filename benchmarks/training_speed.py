"""Time of a training step: the fused engine against snnTorch's own loop and the bare matrix products.

    OMP_NUM_THREADS=2 python benchmarks/training_speed.py [--pairs 15] [--batch 128] [--steps 25] [--json FILE]

784-1000-1000-10 Leaky (beta 0.9, threshold 1, reset to zero in the same step), float32, 20 % of the inputs spike,
forward and backward; the loss is the sum of the output's spikes. snnTorch's loop is written as its users write it; all
have the same weights. The bare products are those that no engine can leave out: each Linear over all steps, gradients
by its weights and its inputs. Measured in turns; medians of each, and of the ratios of neighbours. Where outputs or
gradients are not the same this stops with 1.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np
import snntorch
import torch
from common import machine, machine_line, stage, write_json
from torch import Tensor, nn

import hasn
from hasn.cli.console import add_row, show, table
from hasn.kernels import available

SIZES, BETA, RATE, DT = (784, 1000, 1000, 10), 0.9, 0.2, 1e-3
#: Relative difference of a gradient that float32 explains: sums of some 3,000 products, in another order.
SAME = 1e-4


class Loop(nn.Module):
    """snnTorch's own loop, as its tutorials write it."""

    def __init__(self) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(SIZES))
        self.leakies = nn.ModuleList(
            snntorch.Leaky(BETA, reset_mechanism="zero", reset_delay=False) for _ in self.linears
        )

    def forward(self, x: Tensor) -> Tensor:
        """(T, batch, inputs) to spikes (T, batch, outputs)."""
        mems = [torch.zeros(x.shape[1], size) for size in SIZES[1:]]
        spikes = []
        for now in x:
            for i, (linear, leaky) in enumerate(zip(self.linears, self.leakies, strict=True)):
                now, mems[i] = leaky(linear(now), mems[i])
            spikes.append(now)
        return torch.stack(spikes)


def as_graph(loop: Loop) -> nir.NIRGraph:
    """The same network; tau and R such that v <- 0.9 v + x."""
    tau = DT / (1 - BETA)
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(SIZES[:1])})}
    for i, linear in enumerate(loop.linears):
        size = np.ones(linear.out_features)
        nodes[f"fc{i}"] = nir.Affine(linear.weight.detach().numpy(), linear.bias.detach().numpy())
        nodes[f"lif{i}"] = nir.LIF(size * tau, size * tau / DT, size * 0, size, size * 0)
    nodes["output"] = nir.Output({"output": np.array(SIZES[-1:])})
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)), metadata={"dt": DT})


def network(seed: int) -> Loop:
    """Weights by which every layer spikes."""
    torch.manual_seed(seed)
    loop = Loop()
    with torch.no_grad():
        for linear in loop.linears:
            linear.weight.mul_(4.0)
    return loop


def products(loop: Loop, x: Tensor) -> Callable[[], None]:
    """The bare matrix products, forward and backward, on values of the right size."""
    rows = x.flatten(0, 1)
    values = [rows, *((torch.rand(len(rows), size) < RATE).float() for size in SIZES[1:-1])]
    grads = [torch.randn(len(rows), size) for size in SIZES[1:]]

    def run() -> None:
        with torch.no_grad():
            for i, linear in enumerate(loop.linears):
                nn.functional.linear(values[i], linear.weight, linear.bias)
            for i in reversed(range(len(grads))):
                grads[i].T @ values[i]
                if i:
                    grads[i] @ loop.linears[i].weight

    return run


def training(module: nn.Module, x: Tensor) -> Callable[[], None]:
    """Forward and backward of a training step."""

    def run() -> None:
        for parameter in module.parameters():
            parameter.grad = None
        module(x).sum().backward()

    return run


def seconds(work: Callable[[], None]) -> float:
    """Wall-clock time of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def differences(loop: Loop, module: Any, x: Tensor) -> dict[str, float]:
    """Spikes that differ, of all; the largest relative difference of a gradient; firing rates."""
    with torch.no_grad():
        ours, theirs = module(x), loop(x)
    training(module, x)()
    training(loop, x)()
    pairs = zip(module.parameters(), loop.parameters(), strict=True)
    worst = max(float((a.grad - b.grad).norm() / b.grad.norm()) for a, b in pairs)
    return {
        "output_spikes_that_differ": int((ours != theirs).sum()),
        "output_spikes": int(theirs.sum()),
        "gradients_differ_by": worst,
    }


def measure(works: dict[str, Callable[[], None]], pairs: int) -> dict[str, list[float]]:
    """Seconds of each, in turns."""
    found: dict[str, list[float]] = {name: [] for name in works}
    with stage("Measuring in turns") as bar:
        for turn in range(pairs + 2):
            for name, work in works.items():
                bar(turn, pairs + 2, name)
                found[name].append(seconds(work))
    return {name: values[2:] for name, values in found.items()}  # the first two warm up


def ratio(found: dict[str, list[float]], above: str, below: str) -> float:
    """Median of the ratios of neighbouring measurements."""
    return statistics.median(a / b for a, b in zip(found[above], found[below], strict=True))


def report(found: dict[str, list[float]]) -> dict[str, float]:
    """Print the times; the ratios."""
    made = table("", "median", "smallest", "largest", numbers=("median", "smallest", "largest"))
    for name, values in found.items():
        times = (statistics.median(values), min(values), max(values))
        add_row(made, name, *(f"{1e3 * value:.1f} ms" for value in times))
    show(made)
    ratios = {
        "snntorch_over_fused": ratio(found, "snnTorch's loop", "hasn, fused"),
        "fused_over_products": ratio(found, "hasn, fused", "matrix products"),
        "snntorch_over_steps": ratio(found, "snnTorch's loop", "hasn, steps"),
    }
    show(", ".join(f"{name.replace('_', ' ')}: {value:.2f}" for name, value in ratios.items()))
    return ratios


def main() -> int:
    """Run the benchmark; 1 where results differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=15, help="measurements of each, in turns")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    loop = network(0)
    x = (torch.rand(options.steps, options.batch, SIZES[0]) < RATE).float()
    fused, steps = (hasn.compile(as_graph(loop), "snntorch", precision="float32", engine=engine).module
                    for engine in ("fused", "steps"))  # fmt: skip
    compared = differences(loop, fused, x)
    works = {
        "snnTorch's loop": training(loop, x),
        "hasn, fused": training(fused, x),
        "matrix products": products(loop, x),
        "hasn, steps": training(steps, x),
    }
    found = measure(works, options.pairs)
    ratios, where = report(found), machine() | {"torch_threads": torch.get_num_threads(), "kernels": available().name}
    show(f"{compared}, kernels: {available()}, {torch.get_num_threads()} threads")
    show(machine_line(where))
    sizes = {"batch": options.batch, "steps": options.steps, "sizes": SIZES}
    write_json(options.json, {"machine": where, **sizes, **compared, "ratios": ratios, "seconds": found})
    return int(compared["gradients_differ_by"] > SAME or compared["output_spikes_that_differ"] > 0)


if __name__ == "__main__":
    sys.exit(main())
