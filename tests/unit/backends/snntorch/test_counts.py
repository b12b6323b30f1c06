"""What torch's own modules are seen to do, step by step, is what a recording counts."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import nir
import numpy as np
import torch

import hasn
from tests.graphs import DT, Draw, graph, inp, out, spikes


def net() -> nir.NIRGraph:
    """A convolution and what follows it, a recurrence, a readout; no bias, which would act where nothing arrives."""
    d = Draw(6)
    conv = nir.Conv2d(None, d.weight(3, 2, 3, 2), (2, 1), (1, 0), 1, 1, np.zeros(3))
    mean = nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 0]))
    half, linear = d.weight(3, 1, 2, 1, mean=1.0), d.weight(5, 9, mean=1.0)
    linear[d.rng.random((5, 9)) < 0.4] = 0
    nodes = {"i": inp(2, 5, 7), "conv": conv, "a": d.lif(3, 3, 6), "mean": mean,
             "half": nir.Conv2d(None, half, 1, 0, 1, 3, np.zeros(3)), "flat": nir.Flatten(None, 0, -1),
             "w": nir.Linear(linear), "b": d.lif(5), "r": d.linear(5, 5, mean=-0.2), "s": nir.Scale(d.weight(5)),
             "o": out(5)}  # fmt: skip
    return graph(nodes, "i > conv > a > mean > half > flat > w > b > r > b", "b > s > o")


def test_hooks_on_the_modules_see_as_many_products() -> None:
    """Each module is run again on 1 where its input is not 0, with 1 for every weight that is not."""
    executable: Any = hasn.compile(net(), "snntorch", dt=DT, engine="steps")
    seen: Counter[str] = Counter()

    def watch(name: str, module: torch.nn.Module) -> None:
        ones = copy.deepcopy(module)
        for parameter in ones.parameters():
            parameter.data = (parameter.data != 0).double()
        if getattr(ones, "bias", None) is not None:
            ones.bias.data.zero_()
        taps = 4 if name == "mean" else 1  # a mean over 2 x 2 divides by them

        def hook(module: Any, given: Any, result: Any) -> None:
            seen[name] += round(float(ones((given[0] != 0).double()).sum()) * taps)

        module.register_forward_hook(hook)

    for name in ("conv", "mean", "half", "w", "r", "s"):
        watch(name, executable.module.node(name))
    counts = executable.run(spikes((2, 5, 7), 30, 3, rate=0.2)).counts
    assert {name: done.effective for name, done in counts.connections.items()} == seen
    assert min(seen.values()) > 30
    assert {name for name, done in counts.connections.items() if done.multiply_accumulates} == {"half", "w"}
