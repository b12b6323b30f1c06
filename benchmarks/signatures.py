"""What each ready rule is known for, run on snnTorch: the figures of docs/plasticity.md, and what the tests hold it to.

python -m benchmarks.signatures [--out docs/plasticity]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

import hasn
from hasn.plasticity import BCM, STDP, InhibitorySTDP, Oja, RewardSTDP, Rule, TripletSTDP, attach

Array = NDArray[Any]

DT = 1e-3
#: Changes after 60 pairs 10 ms apart, source first, at a rate in Hz, and their standard errors: the data of Sjostrom,
#: Turrigiano & Nelson 2001 that Pfister & Gerstner 2006 fit.
SJOSTROM = {0.1: (-0.04, 0.05), 10: (0.14, 0.1), 20: (0.29, 0.14), 40: (0.53, 0.11), 50: (0.56, 0.26)}
#: Of the patterns that a BCM cell sees in turn: steps of each, and how often each is shown.
SHOWN, TURNS = 200, 25


def graph_of(weight: Array, cells: nir.NIRNode, rule: Rule, extra: dict[str, Any], edges: Any = ()) -> nir.NIRGraph:
    """input -> fc1, which learns -> cells -> output, and what an experiment adds."""
    outputs, inputs = weight.shape
    nodes = {"input": nir.Input(np.array([inputs])), "fc1": nir.Linear(weight), "cells": cells, **extra}
    nodes["output"] = nir.Output(np.array([outputs]))
    chain = [("input", "fc1"), ("fc1", "cells"), ("cells", "output"), *edges]
    return attach(nir.NIRGraph(nodes, chain, metadata={"dt": DT}, type_check=False), "fc1", rule)


def lif(threshold: float = 1.0, tau: float = 20e-3, n: int = 1) -> nir.LIF:
    """Cells whose voltage is moved by 1 by an input of 1 in one step."""
    return nir.LIF(np.full(n, tau), np.full(n, tau / DT), np.zeros(n), np.full(n, threshold), np.zeros(n))


def follower(inputs: int, outputs: int, weight: float, rule: Rule) -> nir.NIRGraph:
    """Cells that spike where the input "teacher" does, whatever the plastic connection brings (it is too weak)."""
    extra = {"teacher": nir.Input(np.array([outputs])), "force": nir.Linear(100.0 * np.eye(outputs))}
    edges = [("teacher", "force"), ("force", "cells")]
    return graph_of(np.full((outputs, inputs), weight), lif(50.0, DT, outputs), rule, extra, edges)


def learned(rule: Rule, pre: Sequence[int], post: Sequence[int], steps: int = 400, start: float = 0.5) -> float:
    """The change of a weight when its source spikes at these steps, and its target at those."""
    x, y = np.zeros((2, steps, 1))
    x[list(pre)], y[list(post)] = 1.0, 1.0
    with hasn.compile(follower(1, 1, start, rule)) as executable:
        executable.run({"input": x, "teacher": y})
        return float(executable.weights("fc1")[0, 0]) - start


def window(rule: Rule, apart: Sequence[int]) -> list[float]:
    """dw of one pair of spikes, the target's ``apart`` steps behind the source's."""
    return [learned(rule, [150], [150 + late]) for late in apart]


def triplets() -> tuple[tuple[int, ...], Array]:
    """Rates in Hz, and dw of 60 pairs: (source first or last, rate). At 1 Hz all traces are as gone as at 0.1 Hz."""
    rates = (1, 10, 20, 40, 50)
    x, y = np.zeros((2, 6600, 10, 1))
    for i, (rate, sign) in enumerate((rate, sign) for sign in (1, -1) for rate in rates):
        first = 200 + round(1 / (rate * DT)) * np.arange(5 if rate == 1 else 60)  # 5 lonely pairs count for 60
        x[first, i], y[first + sign * 10, i] = 1.0, 1.0
    with hasn.compile(follower(1, 1, 0.5, TripletSTDP())) as executable:
        executable.run({"input": x, "teacher": y})
        return rates, (executable.weights("fc1")[:, 0, 0] - 0.5).reshape(2, 5) * [12, 1, 1, 1, 1]


def component() -> tuple[Array, Array]:
    """Oja: the course of the weights of a unit, (T, 2), and the first principal component of its inputs."""
    rng = np.random.default_rng(1)
    turn = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
    x = (rng.standard_normal((6000, 2)) * [2.0, 0.5]) @ turn.T
    unit = nir.LI(np.full(1, DT), np.ones(1), np.zeros(1))
    with hasn.compile(graph_of(np.array([[0.3, -0.4]]), unit, Oja(2e-3), {})) as executable:
        return executable.run(x, record=("weights",)).series["weights"]["fc1"][:, 0], turn[:, 0]


def distal_reward() -> tuple[Array, Array]:
    """The course of two weights, (T, 2): pairs at the first are rewarded 0.3 to 0.5 s later, pairs at the other never.
    And the steps of the rewards."""
    rng, steps = np.random.default_rng(2), 20_000
    x, y, reward = np.zeros((steps, 2)), np.zeros((steps, 2)), np.zeros(steps)
    for start in range(100, steps - 1000, 1000):
        which = rng.integers(2)
        x[start, which], y[start + 5, which] = 1.0, 1.0
        if which == 0:
            reward[start + 300 + rng.integers(200)] = 1.0
    with hasn.compile(follower(2, 2, 0.5, RewardSTDP(0.1, 0.1, tau_eligibility=0.3))) as executable:
        got = executable.run({"input": x, "teacher": y}, record=("weights",), modulators={"reward": reward})
    return got.series["weights"]["fc1"][:, [0, 1], [0, 1]], np.flatnonzero(reward)


def selectivity(favoured: int) -> Array:
    """BCM: spikes for two patterns shown in turn, (turns, 2); the weights of one begin a little larger."""
    rng = np.random.default_rng(4)
    patterns = np.array([[0.2] * 5 + [0.0] * 5, [0.0] * 5 + [0.2] * 5])
    x = np.concatenate([rng.random((SHOWN, 10)) < patterns[i % 2] for i in range(2 * TURNS)]).astype(float)
    weight = 0.08 + 0.02 * rng.random((1, 10))
    weight[0, 5 * favoured : 5 * favoured + 5] += 0.01
    rule = BCM(4e-4, tau_rate=50e-3, tau_threshold=0.4, rate=40.0, w_min=0.0, w_max=2.0)
    with hasn.compile(graph_of(weight, lif(), rule, {})) as executable:
        return np.asarray(executable.run(x).spikes["cells"].reshape(TURNS, 2, SHOWN).sum(2))


def balance(drive: float, rate: float = 8.0) -> Array:
    """Spikes of a cell in each second of 20, whose inhibition learns; ``drive``: chance of an input's spike a step."""
    rng = np.random.default_rng(5)
    extra = {"excitation": nir.Input(np.array([20])), "excite": nir.Linear(np.full((1, 20), 0.12))}
    edges = [("excitation", "excite"), ("excite", "cells")]
    rule = InhibitorySTDP(-1e-2, rate=rate, w_max=0.0)
    graph = graph_of(np.full((1, 20), -0.01), lif(), rule, extra, edges)
    inputs = {name: (rng.random((20_000, 20)) < drive).astype(float) for name in ("excitation", "input")}
    with hasn.compile(graph) as executable:
        return np.asarray(executable.run(inputs).spikes["cells"].reshape(20, 1000).sum(1))


# --- figures

#: Told apart by people who see red and green alike (Okabe and Ito, 2008).
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"


def draw(path: Path, panels: Sequence[Any]) -> None:
    """Some of them in one SVG, readable on light and dark paper."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hasn", "font.size": 9}):
        figure = Figure(figsize=(10.5, 6.4), layout="constrained", facecolor="white")
        FigureCanvasSVG(figure)
        for axis, panel in zip(figure.subplots(2, 3).flat, panels, strict=False):
            panel(axis)
            axis.spines[["top", "right"]].set_visible(False)
        for axis in figure.axes[len(panels) :]:
            axis.set_visible(False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _window(axis: Any) -> None:
    apart = [*range(-80, 0, 4), -1, 0, 1, *range(4, 81, 4)]
    for label, rule, colour in (
        ("additive", STDP(), BLUE),
        ("multiplicative, w = 0.5", STDP(0.02, 0.024, w_min=0.0, w_max=1.5, dependence="multiplicative"), ORANGE),
    ):
        axis.plot(apart, window(rule, apart), ".-", color=colour, label=label, linewidth=1, markersize=3)
    axis.axhline(0, color=GREY, linewidth=0.5)
    axis.set(title="Pair STDP", xlabel="target after source (ms)", ylabel="Δw of one pair")
    axis.legend(frameon=False, loc="upper left")


def _triplet(axis: Any) -> None:
    rates, change = triplets()
    axis.plot(rates, change[0], "o-", color=BLUE, label="source 10 ms before")
    axis.plot(rates, change[1], "o-", color=ORANGE, label="source 10 ms behind")
    values, errors = zip(*SJOSTROM.values(), strict=True)
    axis.errorbar(list(SJOSTROM), values, errors, fmt="s", color=GREY, capsize=2, label="data, 10 ms before")
    axis.axhline(0, color=GREY, linewidth=0.5)
    axis.set(title="Triplet STDP", xlabel="pairs a second (Hz)", ylabel="Δw of 60 pairs")
    axis.legend(frameon=False)


def _oja(axis: Any) -> None:
    course, first = component()
    angle = np.degrees(np.arccos(np.abs(course @ first) / np.linalg.norm(course, axis=1)))
    axis.semilogy(np.arange(len(angle)) * DT, angle, color=BLUE, linewidth=0.8)
    axis.axhline(5, color=GREY, linewidth=0.5)
    axis.set(title="Oja", xlabel="time (s)", ylabel="angle to the first\nprincipal component (°)", ylim=(0.1, 120))


def _reward(axis: Any) -> None:
    course, rewards = distal_reward()
    time = np.arange(len(course)) * DT
    axis.plot(time, course[:, 0], color=BLUE, label="rewarded 0.3 to 0.5 s later")
    axis.plot(time, course[:, 1], color=ORANGE, label="never rewarded")
    axis.plot(rewards * DT, np.full(len(rewards), 0.495), "|", color=GREY, label="rewards")
    axis.set(title="Reward-modulated STDP", xlabel="time (s)", ylabel="weight", ylim=(0.48, 0.8))
    axis.legend(frameon=False)


def _bcm(axis: Any) -> None:
    spikes = selectivity(0) / (SHOWN * DT)
    axis.plot(spikes[:, 0], "o-", color=BLUE, label="pattern that began a little stronger", markersize=3)
    axis.plot(spikes[:, 1], "o-", color=ORANGE, label="the other", markersize=3)
    axis.set(title="BCM", xlabel="times that both were shown", ylabel="rate while it is shown (Hz)", ylim=(-4, 135))
    axis.legend(frameon=False, loc="upper right")


def _inhibition(axis: Any) -> None:
    for drive, colour in ((0.08, BLUE), (0.16, ORANGE)):
        axis.plot(
            np.arange(20) + 0.5, balance(drive), "o-", color=colour, label=f"input at {drive / DT:.0f} Hz", markersize=3
        )
    axis.axhline(8, color=GREY, linewidth=0.5)
    axis.set(title="Inhibitory STDP, target 8 Hz", xlabel="time (s)", ylabel="rate (Hz)", ylim=(0, 16))
    axis.legend(frameon=False)


_PANELS = (_window, _triplet, _reward, _bcm, _inhibition, _oja)


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.signatures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/plasticity"), help="folder of the figures")
    folder: Path = parser.parse_args(arguments).out
    folder.mkdir(parents=True, exist_ok=True)
    from benchmarks.slow_signatures import PANELS

    draw(folder / "signatures.svg", _PANELS)
    draw(folder / "signatures-slow.svg", PANELS)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
