"""Inference, one sample, without gradients: microseconds a step of 784-1000-1000-10.

Whole sequences of 100 steps: snnTorch's loop, SpikingJelly's multi-step mode, Norse, and hasn's ``executable.run``.
Streams, one step a call with the state kept: snnTorch's loop body, SpikingJelly's single-step mode and hasn's
``executable.step``. Everyone gets input that it takes without conversion: hasn arrays, the others tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from benchmarks.agreement import Agreement, differing, first_differences
from benchmarks.network import Network, dense, spikes
from benchmarks.peers import Peer, hasn, snntorch
from benchmarks.results import JELLY, LOOP, NORSE, Result, Target
from benchmarks.speed.training import F32, F64, TOOLS
from benchmarks.timing import Settings, interleaved

SIZES, STEPS, RATE = (784, 1000, 1000, 10), 100, 0.2
#: --quick.
FEW_SIZES, FEW_STEPS = (60, 40, 30, 10), 30
RUN, STREAM = "hasn, run", "hasn, step by step"
LOOP_STREAM, JELLY_STREAM = "snnTorch, step by step", "SpikingJelly, step by step"
ORDER = (LOOP, JELLY, NORSE, RUN, LOOP_STREAM, JELLY_STREAM, STREAM)
TARGETS = (
    Target(JELLY, RUN, "at least", 3.0),
    Target(LOOP, RUN, "at least", 10.0),
    Target(LOOP_STREAM, STREAM, "at least", 8.0),
    Target(JELLY_STREAM, STREAM),
    Target(NORSE, RUN),
)
#: A way to run: float32 or float64, to the output's spikes.
Way = Callable[[], Tensor]


def run(settings: Settings) -> Result:
    """Measure it."""
    sizes, steps = (FEW_SIZES, FEW_STEPS) if settings.quick else (SIZES, STEPS)
    spec = dense(sizes)
    x = spikes(spec, steps, 1, RATE)
    setting = {"sizes": sizes, "batch": 1, "steps": steps, "rate": RATE}
    title = f"Inference, one sample, {'-'.join(map(str, sizes))}, {steps} steps: time of a step"
    result = Result("latency", title, "us", setting)
    ways, doubles = _ways(spec, x, F32, settings, result), _ways(spec, x.double(), F64, settings, result)
    works = {name: ways[name] for name in ORDER if name in ways}
    settings.bar(0, 1, "comparing")
    wanted, wanted_double = ways[RUN](), doubles[RUN]()
    for name, way in works.items():
        double = differing(wanted_double, doubles[name]())
        found = Agreement(name, int((wanted > 0).sum()), wanted.numel(), differing(wanted, way()), double)
        ties, wrong = _judged(found, spec, x)
        result.agreements.append(replace(found, ties=ties, wrong=wrong))
    times = interleaved(works, settings, max(settings.pairs, 1) * (1 if settings.quick else 2))
    result.rows = {name: [1e6 * value / steps for value in values] for name, values in times.items()}
    result.hold_against(TARGETS)
    return result


def _judged(found: Agreement, spec: Network, x: Tensor) -> tuple[int | None, str]:
    """(ties, what is wrong): snnTorch and hasn find the same in float64, and in float32 but for ties."""
    if not found.spikes:
        return None, "no output spike: nothing is compared"
    if found.differ_float64 and found.name in (LOOP, LOOP_STREAM, STREAM):
        return None, f"{found.differ_float64} spikes differ from hasn's run in float64"
    if found.differ and found.name == LOOP:
        return first_differences(hasn.network(spec), snntorch.network(spec), x, spec)
    return None, ""


def _ways(spec: Network, x: Tensor, dtype: torch.dtype, settings: Settings, result: Result) -> dict[str, Way]:
    """Everyone's, in a precision; tools that are not there, or fail, are named in ``result``."""
    loop = snntorch.network(spec, dtype)
    ways: dict[str, Way] = {LOOP: _whole(loop, x), LOOP_STREAM: _stream(loop, x), **_of_hasn(spec, x, dtype)}
    for name in (JELLY, NORSE):
        tool = TOOLS[name][0]
        if tool not in settings.tools:
            result.missing[name] = settings.missing[tool]
            continue
        try:
            ways[name] = _tried(_whole(settings.tools[tool].network(spec, dtype), x))
            if name == JELLY:
                ways[JELLY_STREAM] = _tried(_stream(settings.tools[tool].stream(spec, dtype), x))
        except Exception as error:  # whatever another tool may raise
            result.missing[name] = f"{type(error).__name__}: {error}"
    return ways


def _tried(way: Way) -> Way:
    way()
    return way


def _whole(peer: Peer, x: Tensor) -> Way:
    @torch.no_grad()
    def run() -> Tensor:
        return peer(x)  # type: ignore[no-any-return]

    return run


def _stream(peer: Peer, x: Tensor) -> Way:
    @torch.no_grad()
    def run() -> Tensor:
        peer.start()
        return torch.stack([peer.step(now) for now in x])

    return run


def _of_hasn(spec: Network, x: Tensor, dtype: torch.dtype) -> dict[str, Way]:
    executable: Any = hasn.compiled(spec, dtype)
    array = x.numpy()

    def whole() -> Tensor:
        return torch.from_numpy(executable.run(array, record=()).outputs["output"])

    def stream() -> Tensor:
        executable.reset()
        return torch.stack([torch.from_numpy(executable.step(now).output) for now in array])

    return {RUN: whole, STREAM: stream}
