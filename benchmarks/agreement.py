"""Whether what is timed computes the same: spikes and gradients beside every figure.

Every tool is compared with hasn on the data that is timed, in float32, and in float64. In float32 tools round
differently (another order of sums, v - v/10 in place of 0.9 v), so a voltage within rounding of its threshold may spike
in one and not in the other, and all that follows in that sample may differ. Such ties are reported, not fatal. In
float64 rounding is a billion times smaller: what differs there is another network.

Against snnTorch's loop hasn must be right: the benchmark fails where spikes differ in float64, where gradients in
float64 differ by more than :data:`SAME`, or where in float32 the first difference of a sample is not a tie: one of the
two did not spike though its voltage lay further than :data:`TIE` from the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.network import Network
from benchmarks.peers import Peer
from benchmarks.peers.hasn import Compiled
from benchmarks.peers.snntorch import Loop

#: Relative difference of gradients, all in float64 but the spikes' own: snnTorch's surrogates give float32 spikes, so
#: what comes back through them is rounded to float32 (eps 1.2e-7) at every step and layer.
SAME = 1e-5
#: A voltage is a sum of up to 1,000 terms of size up to 0.3, in float32 (eps 1.2e-7), carried on for some ten steps:
#: rounding stays below 1,000 x 0.3 x 1.2e-7 = 4e-5 in the worst case, however the sum is ordered.
TIE = 4e-5


@dataclass(frozen=True)
class Agreement:
    """A tool, or a variant of hasn, against hasn in float32.

    Attributes:
        name: of the row.
        spikes: of the output, by hasn in float32.
        places: where the output could spike: steps x samples x outputs.
        differ: places (step, sample, output) at which only one of both spikes.
        differ_float64: the same with both in float64, where the tool computes in it.
        gradient: largest relative difference of a weight's gradient, both with the tool's surrogate; None: untested.
        ties: samples whose first difference is a voltage within rounding of its threshold, where it was looked at.
        wrong: why this is an error; "" if it is none.
    """

    name: str
    spikes: int
    places: int
    differ: int
    differ_float64: int | None = None
    gradient: float | None = None
    ties: int | None = None
    wrong: str = ""


def trained(peer: Peer, x: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Output spikes and gradients; the loss is the sum of the spikes."""
    peer.zero_grad(set_to_none=True)
    spikes = peer(x)
    spikes.sum().backward()
    return spikes.detach(), [gradient.clone() for gradient in peer.gradients()]


def run(peer: Peer, x: Tensor) -> Tensor:
    """Output spikes."""
    with torch.no_grad():
        return peer(x)  # type: ignore[no-any-return]


def largest(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> float:
    """Largest relative difference of gradients: |a - b| / |b|."""
    return max(float((a - b).norm() / b.norm()) for a, b in zip(ours, theirs, strict=True))


def differing(ours: Tensor, theirs: Tensor) -> int:
    """Places at which only one spikes."""
    return int(((ours > 0) != (theirs > 0)).sum())


def compare(
    name: str, ours: tuple[Peer, Peer], found: tuple[Tensor, list[Tensor]], double: Peer | None, x: Tensor
) -> Agreement:
    """A tool against hasn with the tool's surrogate.

    Args:
        name: of the row.
        ours: hasn in float32 and float64.
        found: the tool's spikes and gradients in float32.
        double: the tool in float64, if it has that.
        x: the input, float32.
    """
    spikes, wanted = trained(ours[0], x)
    differ_float64 = None if double is None else differing(run(ours[1], x.double()), run(double, x.double()))
    return Agreement(
        name, int(spikes.sum()), spikes.numel(), differing(spikes, found[0]), differ_float64, largest(found[1], wanted)
    )


def judged(name: str, ours: tuple[Compiled, Compiled], loops: tuple[Loop, Loop], x: Tensor, spec: Network) -> Agreement:
    """hasn against snnTorch's loop; ``wrong`` says what is."""
    (spikes, gradients), (wanted, right) = trained(ours[0], x), trained(loops[0], x)
    double, exact = trained(ours[1], x.double())
    wanted_double, right_double = trained(loops[1], x.double())
    differ, differ_float64 = differing(spikes, wanted), differing(double, wanted_double)
    apart, ties, wrong = largest(exact, right_double), None, ""
    if not spikes.any():
        wrong = "no output spike: nothing is compared"
    elif differ_float64:
        wrong = f"{differ_float64} spikes differ from snnTorch's loop in float64"
    elif apart > SAME:
        wrong = f"gradients differ from snnTorch's loop by {apart:.1e} in float64"
    elif differ:
        ties, wrong = first_differences(ours[0], loops[0], x, spec)
    single, total = largest(gradients, right), int(spikes.sum())
    return Agreement(name, total, spikes.numel(), differ, differ_float64, single, ties, wrong)


def first_differences(ours: Compiled, loop: Loop, x: Tensor, spec: Network) -> tuple[int, str]:
    """Samples whose first difference is a tie, and what is wrong with the others."""
    names = [f"lif{i}" for i in range(len(spec.stages))]
    done, trace = ours.executable.run(x.numpy(), record=("spikes", "voltages")), loop.trace(x)
    apart = [torch.from_numpy(done.spikes[n]) != (s > 0) for n, s in zip(names, trace.spikes, strict=True)]
    # Whoever spiked is at 0 again; the other one shows what it compared with the threshold.
    silent = [
        torch.maximum(torch.from_numpy(done.voltages[n]).float(), v.float())
        for n, v in zip(names, trace.voltages, strict=True)
    ]
    ties = 0
    for sample in range(x.shape[1]):
        at = first_of([stage[:, sample] for stage in apart])
        if at is None:
            continue
        step, i = at
        voltages = silent[i][step, sample][apart[i][step, sample]]
        if bool(((voltages - spec.threshold).abs() > TIE).any()):
            return ties, f"sample {sample}, step {step}, {names[i]}: spikes differ, and it is no tie"
        ties += 1
    return ties, "" if ties else "the module differs from its own recorded run"


def first_of(apart: Sequence[Tensor]) -> tuple[int, int] | None:
    """(step, stage) of the first difference; stages of (T, *shape), evaluated in order within a step."""
    steps = [stage.flatten(1).any(1).nonzero() for stage in apart]
    return min(((int(where[0]), i) for i, where in enumerate(steps) if len(where)), default=None)
