"""What the rules of voltage, of single spikes and of seconds to hours are known for: the second figure of
docs/plasticity.md, drawn by ``python -m benchmarks.signatures``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import nir
import numpy as np

import hasn
from benchmarks.forgetting_local import two_tasks
from benchmarks.signatures import BLUE, DT, GREY, ORANGE, Array, follower, graph_of, lif
from hasn.plasticity import (
    STDP,
    Clopath,
    MetaplasticSTDP,
    ShortTerm,
    SynapticScaling,
    TagAndCapture,
    detach,
    homeostatic,
    together,
)

#: Volts at which the target is held.
CLAMPED = tuple(np.linspace(-80e-3, -38e-3, 22).tolist())
#: Seconds of the homeostatic experiments: the input doubles in the middle.
SECONDS, DOUBLED = 32, 16


def clamped(volts: Array) -> Array:
    """dw of 25 spikes of the source at 50 Hz while the target is held at each voltage (as in Clopath et al. 2010)."""
    unit = nir.LI(np.full(1, DT), np.full(1, 1e-9), np.zeros(1))  # follows what holds it; a synapse moves it by nothing
    extra = {"held": nir.Input(np.array([1])), "one": nir.Linear(np.full((1, 1), 1e9))}
    graph = graph_of(np.full((1, 1), 0.5), unit, Clopath(), extra, [("held", "one"), ("one", "cells")])
    steps = 900
    x, held = np.zeros((steps, len(volts), 1)), np.broadcast_to(volts, (steps, len(volts)))[..., np.newaxis].copy()
    x[200:700:20] = 1.0
    with hasn.compile(graph) as executable:
        executable.run({"input": x, "held": held})
        return np.asarray(executable.weights("fc1")[:, 0, 0] - 0.5)


def depressing(rate: float = 20.0, spikes: int = 10) -> dict[str, Array]:
    """What each spike of a train sends over a depressing and a facilitating synapse of weight 1."""
    unit = nir.LI(np.full(1, DT), np.ones(1), np.zeros(1))
    at = 10 + np.round(np.arange(spikes) / (rate * DT)).astype(int)
    x = np.zeros((at[-1] + 10, 1))
    x[at] = 1.0
    found = {}
    for name, rule in (("depressing", ShortTerm(0.5, 0.8)), ("facilitating", ShortTerm(0.03, 0.13, 0.53))):
        with hasn.compile(graph_of(np.ones((1, 1)), unit, rule, {})) as executable:
            found[name] = executable.run(x, record=("voltages",)).voltages["cells"][at, 0]
    return found


def history(rate: float) -> tuple[float, float]:
    """dw of 10 pairs, source first and target first, after 4 s in which the target spiked at this rate (Hz)."""
    steps = 5_400
    x, y = np.zeros((steps, 2, 1)), np.zeros((steps, 2, 1))
    if rate:
        y[10 : 4_000 : round(1 / (rate * DT))] = 1.0
    pairs = 4_200 + 100 * np.arange(10)
    x[pairs], y[pairs + 5, 0], y[pairs - 5, 1] = 1.0, 1.0, 1.0
    with hasn.compile(follower(1, 1, 0.5, MetaplasticSTDP(rate=10.0, tau_history=2.0))) as executable:
        executable.run({"input": x, "teacher": y})
        first, last = (executable.weights("fc1")[:, 0, 0] - 0.5).tolist()
    return first, last


def doubled() -> dict[str, Array]:
    """Rates (Hz) in each second, by nothing, by scaled synapses and by moving thresholds; the input doubles."""
    rng = np.random.default_rng(6)
    steps = round(SECONDS / DT)
    x = rng.random((steps, 20)) < np.where(np.arange(steps) < DOUBLED / DT, 0.01, 0.02)[:, np.newaxis]
    found = {}
    learns = graph_of(np.full((1, 20), 0.22), lif(), SynapticScaling(8.0, 0.6, 1.0, every=10), {})
    still = detach(learns, "fc1")
    moving = homeostatic(still, "cells", 8.0, 0.02)
    for name, graph in (("neither", still), ("synaptic scaling", learns), ("threshold", moving)):
        with hasn.compile(graph) as executable:
            found[name] = executable.run(x.astype(float)).spikes["cells"].reshape(SECONDS, -1).sum(1)
    return found


def tagged() -> dict[str, Array]:
    """The course of a weight that 50 pairs moved from 0.5 s on: proteins from 1 s on, too late, or never."""
    steps = 6_000
    x, y = np.zeros((steps, 3, 1)), np.zeros((steps, 3, 1))
    at = 500 + 10 * np.arange(50)
    x[at], y[at + 2] = 1.0, 1.0
    protein = np.zeros((steps, 3))
    protein[1_000:2_000, 0] = protein[4_500:5_500, 1] = 1.0
    rule = together(replace(STDP(), w_max=1.0), TagAndCapture(tau_early=0.8, tau_late=0.2, tag=0.05))
    with hasn.compile(follower(1, 1, 0.3, rule)) as executable:
        got = executable.run({"input": x, "teacher": y}, record=("weights",), modulators={"protein": protein})
    course = got.series["weights"]["fc1"][:, :, 0, 0]
    return {"proteins in time": course[:, 0], "too late": course[:, 1], "none": course[:, 2]}


# --- figures


def _short(axis: Any) -> None:
    for (name, sent), colour in zip(depressing().items(), (BLUE, ORANGE), strict=True):
        axis.plot(np.arange(1, len(sent) + 1), sent, "o-", color=colour, label=name, markersize=3)
    axis.set(title="Short-term plasticity, 20 Hz", xlabel="spike", ylabel="sent, of the weight")
    axis.legend(frameon=False)


def _clamped(axis: Any) -> None:
    axis.plot(np.array(CLAMPED) * 1e3, clamped(np.array(CLAMPED)), ".-", color=BLUE, linewidth=1, markersize=3)
    for threshold in (-70.6, -45.3):
        axis.axvline(threshold, color=GREY, linewidth=0.5)
    axis.axhline(0, color=GREY, linewidth=0.5)
    axis.set(title="Voltage-based STDP", xlabel="voltage at which the target is held (mV)", ylabel="Δw of 25 spikes")


def _history(axis: Any) -> None:
    rates = (0, 2, 5, 10, 15, 20, 25)
    change = np.array([history(rate) for rate in rates])
    axis.plot(rates, change[:, 0], "o-", color=BLUE, label="source 5 ms before", markersize=3)
    axis.plot(rates, change[:, 1], "o-", color=ORANGE, label="source 5 ms behind", markersize=3)
    axis.axhline(0, color=GREY, linewidth=0.5)
    axis.set(title="Metaplastic STDP", xlabel="rate of the last 4 s (Hz)", ylabel="Δw of 10 pairs")
    axis.legend(frameon=False)


def _doubled(axis: Any) -> None:
    for (name, rates), colour in zip(doubled().items(), (GREY, BLUE, ORANGE), strict=True):
        smooth = rates.reshape(-1, 2).mean(1)
        axis.plot(2 * np.arange(len(smooth)) + 1, smooth, "o-", color=colour, label=name, markersize=3)
    axis.axvline(DOUBLED, color=GREY, linewidth=0.5)
    axis.set(title="Homeostasis, target 8 Hz", xlabel=f"time (s); the input doubles at {DOUBLED}", ylabel="rate (Hz)")
    axis.legend(frameon=False)


def _tagged(axis: Any) -> None:
    for (name, course), colour in zip(tagged().items(), (BLUE, ORANGE, GREY), strict=True):
        dashes = ":" if name == "none" else "-"  # it lies on another one
        axis.plot(np.arange(0, len(course), 10) * DT, course[::10], dashes, color=colour, label=name)
    axis.set(title="Tagging and capture", xlabel="time (s)", ylabel="weight")
    axis.legend(frameon=False)


def _forgotten(axis: Any) -> None:
    for i, (name, captured, colour) in enumerate(
        (("delta rule", False, GREY), ("with tagging and capture", True, BLUE))
    ):
        found = two_tasks(captured)
        shares = np.array([found.first, found.after, found.second])
        axis.bar(np.arange(3) + 0.4 * i, 100 * shares, 0.36, color=colour, label=name)
    axis.set_xticks(np.arange(3) + 0.2, ["first task", "first task\nafter the second", "second task"])
    axis.set(title="Permuted digits", ylabel="right of 1,000 (%)", ylim=(50, 100))
    axis.legend(frameon=False, loc="upper right")


PANELS = (_short, _clamped, _history, _doubled, _tagged, _forgotten)
