"""What the tests of every tool share: run its module, run hasn on its graph, compare spike by spike."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

import hasn


def drive(*shape: int, seed: int = 5, high: float = 2.0) -> np.ndarray[Any, Any]:
    """Uniform numbers in 0..high, float32 as the tools want them."""
    return np.random.default_rng(seed).uniform(0, high, shape).astype(np.float32)


def require_same_spikes(graph: nir.NIRGraph, x: np.ndarray[Any, Any], wanted: np.ndarray[Any, Any]) -> None:
    """The graph's output on ``x`` (T, batch, *shape) is ``wanted``, in float32 and float64, and neither dull."""
    assert 0.02 < wanted.mean() < 0.98, f"{wanted.mean():.3f} spikes: a silent or saturated net proves nothing"
    for precision in ("float32", "float64"):
        got = hasn.compile(graph, "snntorch", precision=precision).run(x).outputs["output"] > 0
        assert np.array_equal(got, wanted), f"{precision}: {np.sum(got != wanted)} of {wanted.size} spikes differ"


def excite(module: Any) -> Any:
    """Move all weights up, so that neurons deep in the net fire."""
    import torch

    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("weight") and parameter.ndim > 1:
                parameter.add_(1.2 / parameter[0].numel())
    return module
