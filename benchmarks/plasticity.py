"""What connections that learn cost on snnTorch: against spikes, against synapses, and a million synapses at 5 Hz.

    python -m benchmarks.plasticity [--out docs/plasticity] [--json FILE] [--pairs N] [--quick] [--brian2]

    rate    pair STDP, 1,000 x 1,000, dense: time of a step's sending and learning against the rate of both sides
    size    pair STDP, 100 synapses a target with delays of 1 to 20 steps: the same against the number of synapses, with
            25 sources and 25 targets spiking in each step whatever the size
    million whole runs of a network (an Input -> plastic -> LIF cells that a teacher drives, all at 5 Hz, dt 1 ms,
            float32): seconds for a second of the network, by events, by tensors (HASN_KERNELS=0), on Brian2

Everything is measured in turns; a figure is a median, of processor time and of wall-clock. Brian2 has its own
event-driven Synapses, compiled by Cython, whose order inside a step is another one (docs/plasticity.md): a peer in
time, not in numbers. From its time that of a run of one step is taken off, which starts as long a run does.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import nir
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array

import hasn
from benchmarks.common import machine, machine_line, stage, write_json, write_whole
from benchmarks.timing import WARM, Settings, interleaved
from hasn.backends.snntorch.learned import Learned
from hasn.backends.snntorch.lines import Line
from hasn.backends.snntorch.plastic import Plastic
from hasn.kernels.implementation import SWITCH
from hasn.nodes import SparseLinear
from hasn.plasticity import STDP, attach
from hasn.program.maps import Dense, Sparse
from hasn.program.model import Connection

DT, RATE = 1e-3, 5.0
#: A run of one step of Brian2.
START = "start of Brian2"
#: Of a sparse network: synapses that a target has, and their longest delay in steps.
FAN_IN, LONGEST = 100, 20
#: Weights so small that the teacher alone decides who spikes, whatever they learn.
RULE = STDP(1e-6, 1.1e-6, w_min=0.0, w_max=1.0)
Array = NDArray[Any]


def weights(n: int, dense: bool) -> nir.NIRNode:
    """The plastic connection of n sources and n targets."""
    rng = np.random.default_rng(0)
    if dense:
        return nir.Linear(rng.random((n, n), dtype=np.float32) * 1e-5)
    columns = np.concatenate([np.sort(rng.choice(n, FAN_IN, replace=False)) for _ in range(n)])
    values = rng.random(n * FAN_IN, dtype=np.float32) * 1e-5
    matrix = csr_array((values, columns, np.arange(0, n * FAN_IN + 1, FAN_IN)), shape=(n, n))
    return SparseLinear(matrix, rng.integers(1, LONGEST + 1, n * FAN_IN), dtype="float32")


def events(steps: int, n: int, chance: float, seed: int) -> Array:
    """(steps, 1, n): spikes."""
    return np.random.default_rng(seed).random((steps, 1, n), dtype=np.float32) < chance


class Clocked:
    """Work that notes the processor time of each call, in ``seconds``."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work, self.seconds = work, list[float]()

    def __call__(self) -> None:
        start = time.process_time()
        self.work()
        self.seconds.append(time.process_time() - start)


class Bare:
    """A connection alone, to which sources and targets spike as they are told.

    Attributes:
        touched: synapses that a step touched, on average.
        learned: what it knows at the end.
    """

    def __init__(self, node: Any, x: Array, post: Array) -> None:
        n = x.shape[2]
        sparse = isinstance(node, SparseLinear)
        spec = Sparse(node.data, node.indices, node.indptr, n, n, delay=node.delay) if sparse else Dense(node.weight)
        step = Connection("fc1", spec, (n,), learning=RULE.discrete(DT, "cells", {}))
        self.module = Plastic(step, torch.float32)
        self._x, self._post = (torch.tensor(value, dtype=torch.float32) for value in (x, post))
        self.touched, self.learned = 0.0, self.module.start(1)

    @torch.no_grad()
    def __call__(self) -> None:
        learned, line, touched = self.module.start(1), Line(self.module.longest), 0
        for x, post in zip(self._x, self._post, strict=True):
            _, learned = self.module.arrive(x, learned, line)
            learned = self.module.learn(learned, post, post, {})
            touched += 0 if self.module.events is None else self.module.events.touched
        self.touched, self.learned = touched / len(self._x), learned

    def bytes(self) -> float:
        """Of memory a synapse, beyond its weight: the pattern, its own traces, marks."""
        return footprint(self.module, self.learned)


def footprint(module: Plastic, learned: Learned) -> float:
    """Bytes a synapse that are neither a weight nor grow with neurons alone."""
    own = sum(learned.traces[name].numel() * learned.traces[name].element_size() for name in learned.scales)
    marks = 0 if learned.marks is None else learned.marks.nbytes
    pattern = 0 if module.events is None else module.events.pattern_bytes
    return (own + marks + pattern) / module.weight.numel()


def against_rate(settings: Settings) -> list[dict[str, float]]:
    """Milliseconds of a step at rates that double."""
    n, steps = (100, 20) if settings.quick else (1000, 200)
    works = {
        str(rate): Bare(weights(n, dense=True), *(events(steps, n, rate * DT, seed) for seed in (1, 2)))
        for rate in (0, 5, 10, 20, 40)
    }
    return _steps(works, settings, steps)


def against_size(settings: Settings) -> list[dict[str, float]]:
    """Milliseconds of a step at sizes that double, with as many spikes."""
    steps = 20 if settings.quick else 200
    works = {}
    for n in (200, 400) if settings.quick else (2500, 5000, 10000, 20000):
        rng = np.random.default_rng(1)
        x, post = np.zeros((2, steps, 1, n), dtype=np.float32)
        for t in range(steps):
            x[t, 0, rng.choice(n, 25, replace=False)] = 1.0
            post[t, 0, rng.choice(n, 25, replace=False)] = 1.0
        works[str(n * FAN_IN)] = Bare(weights(n, dense=False), x, post)
    return _steps(works, settings, steps)


def _steps(works: dict[str, Bare], settings: Settings, steps: int) -> list[dict[str, float]]:
    clocks = {name: Clocked(work) for name, work in works.items()}
    found = interleaved(clocks, settings)
    return [
        {
            "at": float(name),
            "ms": median(clocks[name].seconds[WARM:]) / steps * 1e3,
            "wall_ms": median(found[name]) / steps * 1e3,
            "touched": work.touched,
            "bytes": work.bytes(),
        }
        for name, work in works.items()
    ]


# --- whole runs


def network(n: int, dense: bool) -> nir.NIRGraph:
    """input -> fc1, which learns -> cells, which the input "teacher" makes spike -> output."""
    cells = nir.LIF(np.full(n, 20e-3), np.full(n, 20.0), np.zeros(n), np.ones(n), np.zeros(n))
    nodes = {
        "input": nir.Input(np.array([n])),
        "teacher": nir.Input(np.array([n])),
        "force": nir.Scale(np.full(n, 100.0)),
        "fc1": weights(n, dense),
        "cells": cells,
        "output": nir.Output(np.array([n])),
    }
    edges = [("input", "fc1"), ("fc1", "cells"), ("teacher", "force"), ("force", "cells"), ("cells", "output")]
    return attach(nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False), "fc1", RULE)


@contextmanager
def switched(kernels: str) -> Iterator[None]:
    """The kernels on ("1") or off ("0")."""
    before = os.environ.get(SWITCH, "")
    os.environ[SWITCH] = kernels
    try:
        yield
    finally:
        os.environ[SWITCH] = before


def by_hasn(n: int, dense: bool, steps: int, kernels: str) -> Callable[[], object]:
    """A run of so many steps."""
    executable = hasn.compile(network(n, dense), "snntorch", precision="float32")
    inputs = {name: events(steps, n, RATE * DT, seed)[:, 0] for seed, name in enumerate(("input", "teacher"), 1)}

    def work() -> object:
        with switched(kernels):
            return executable.run(inputs, record=("spikes",))

    return work


def by_brian2(n: int, dense: bool, steps: int) -> Callable[[int], object]:
    """Brian2's own: event-driven traces and on_pre, on_post, compiled by Cython, float32; a run of so many steps."""
    import brian2 as b2

    b2.prefs.codegen.target = "cython"
    b2.prefs.core.default_float_dtype = np.float32
    b2.defaultclock.dt = DT * b2.second
    ms = b2.ms
    groups = []
    for seed in (1, 2):
        at, who = np.nonzero(events(steps, n, RATE * DT, seed)[:, 0])
        groups.append(b2.SpikeGeneratorGroup(n, who, at * DT * b2.second, period=steps * DT * b2.second))
    source, teacher = groups
    cells = b2.NeuronGroup(n, "dv/dt = -v/(20*ms) : 1", threshold="v > 1", reset="v = 0", method="exact")
    model = "w : 1\ndx/dt = -x/(20*ms) : 1 (event-driven)\ndy/dt = -y/(20*ms) : 1 (event-driven)"
    on_pre = "v_post += w\nx += 1\nw = clip(w - 1.1e-6*y, 0, 1)"
    learning = b2.Synapses(source, cells, model, on_pre=on_pre, on_post="y += 1\nw = clip(w + 1e-6*x, 0, 1)")
    node: Any = weights(n, dense)
    if dense:
        learning.connect()
        learning.w = np.asarray(node.weight).T.reshape(-1)
    else:
        learning.connect(i=node.indices, j=np.repeat(np.arange(n), np.diff(node.indptr)))
        learning.w = node.data
        learning.pre.delay = np.asarray(node.delay) * ms
    force = b2.Synapses(teacher, cells, on_pre="v_post += 100")
    force.connect(j="i")
    net = b2.Network(source, teacher, cells, learning, force)
    return lambda many: net.run(many * DT * b2.second, namespace={"ms": ms})


def million(settings: Settings, peer: bool) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds for a second of the network, of each way: processor time, and wall-clock."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for name, n, dense in (("1,000 x 1,000", 1000, True), ("10,000 x 10,000, 100 a target, delays", 10000, False)):
        n = 200 if settings.quick else n
        steps, few = (20, 5) if settings.quick else (1000, 20)
        works = {"hasn, by events": (by_hasn(n, dense, steps, "1"), steps)}
        works["hasn, by tensors"] = (by_hasn(n, dense, few, "0"), few)
        if peer:
            run = by_brian2(n, dense, steps)
            works |= {"Brian2": (partial(run, steps), steps), START: (partial(run, 1), steps)}
        clocks = {label: Clocked(work) for label, (work, _) in works.items()}
        wall = interleaved(clocks, settings, warm=1)
        found[name] = {
            label: {"cpu": median(clocks[label].seconds[1:]) / (many * DT), "wall": median(wall[label]) / (many * DT)}
            for label, (_, many) in works.items()
        }
        start = found[name].pop(START, {})
        found[name].setdefault("Brian2", {})
        found[name]["Brian2"] = {key: value - start[key] for key, value in found[name]["Brian2"].items()}
        found[name] = {label: taken for label, taken in found[name].items() if taken}
    return found


# --- figures

#: Told apart by people who see red and green alike (Okabe and Ito, 2008).
_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "#666666"


def draw(figures: dict[str, Any], path: Path) -> None:
    """All in one SVG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "hasn", "font.size": 9}):
        figure = Figure(figsize=(10.5, 3.4), layout="constrained", facecolor="white")
        FigureCanvasSVG(figure)
        rate, size, whole = figure.subplots(1, 3)
        for axis, key, label in ((rate, "rate", "rate of both sides (Hz)"), (size, "size", "synapses")):
            at, ms = zip(*((row["at"], row["ms"]) for row in figures[key]), strict=True)
            axis.plot(at, ms, "o-", color=_BLUE)
            axis.set(xlabel=label, ylabel="processor ms a step", ylim=(0, None))
        rate.set(title="Against spikes: 10⁶ synapses, dense")
        size.set(title="Against synapses: 50 spikes a step", xscale="log")
        for n, (name, row) in enumerate(figures["million"].items()):
            places = np.arange(len(row)) + 0.4 * n - 0.2
            whole.barh(places, [taken["cpu"] for taken in row.values()], 0.38, color=(_BLUE, _ORANGE)[n], label=name)
        whole.set(title="10⁶ synapses at 5 Hz", xlabel="processor seconds for a second", xscale="log")
        whole.set_yticks(range(len(row)), list(row))
        whole.axvline(1, color=_GREY, linewidth=0.8)
        whole.legend(frameon=False, fontsize=7, loc="lower center", bbox_to_anchor=(0.4, -0.5))
        for axis in (rate, size, whole):
            axis.spines[["top", "right"]].set_visible(False)
        write_whole(path, lambda temporary: figure.savefig(temporary, format="svg", metadata={"Date": None}))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, draw; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plasticity", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/plasticity"), help="folder of scale.svg")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--pairs", type=int, default=5, help="measured turns")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, to see that all works")
    parser.add_argument("--brian2", action="store_true", help="Brian2 beside it, which takes long to start a run")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    figures: dict[str, Any] = {"machine": machine()}
    with stage("plasticity") as bar:
        settings = Settings(1 if options.quick else options.pairs, options.quick, {}, {}, bar)
        figures |= {"rate": against_rate(settings), "size": against_size(settings)}
        figures["million"] = million(settings, peer=options.brian2)
    out = sys.stdout.write
    for key in ("rate", "size"):
        for row in figures[key]:
            line = f"{key} {row['at']:>9,.0f}: {row['ms']:.3f} ms a step ({row['wall_ms']:.3f} by the clock)"
            out(f"{line}, {row['touched']:,.0f} synapses touched, {row['bytes']:.1f} bytes a synapse\n")
    for name, row in figures["million"].items():
        shown = (f"{label} {taken['cpu']:.2f} ({taken['wall']:.2f} by the clock)" for label, taken in row.items())
        out(f"{name}: {', '.join(shown)} seconds for a second\n")
    out(machine_line(figures["machine"]) + "\n")
    write_json(options.json, figures)
    options.out.mkdir(parents=True, exist_ok=True)
    draw(figures, options.out / "scale.svg")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
