"""Networks that learn: rules, patterns, delays, loops, bounds, batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hasn.nodes import AdaptiveLIF, PoissonInput, SparseLinear
from hasn.plasticity import (
    BCM,
    STDP,
    Clopath,
    Hebb,
    InhibitorySTDP,
    MetaplasticSTDP,
    Oja,
    RewardSTDP,
    Rule,
    ShortTerm,
    SynapticScaling,
    TagAndCapture,
    Trace,
    TripletSTDP,
    attach,
    together,
)
from hasn.testing.layers import convolution

DT = 1e-3
Rng = np.random.Generator


@dataclass(frozen=True)
class LearningCase:
    """A network whose connections learn, and its input.

    Attributes:
        build: makes the graph.
        batch: samples, or None.
        rate: probability of an input spike; None: real numbers of both signs.
        modulators: names of what the rule reads from outside.
        steps: T.
        spikes: whether a run without any spike of the target would show nothing.
        moves: whether weights do.
    """

    build: Callable[[Rng], nir.NIRGraph]
    batch: int | None = None
    rate: float | None = 0.1
    modulators: tuple[str, ...] = ()
    steps: int = 1000
    spikes: bool = True
    moves: bool = True

    def graph(self) -> nir.NIRGraph:
        """The graph, made afresh."""
        return self.build(np.random.default_rng(5))

    def rules(self) -> set[str]:
        """What its connections' rules are called."""
        kept = [node.metadata["plasticity"] for node in self.graph().nodes.values() if "plasticity" in node.metadata]
        return {str(rule["name"]) for rule in kept}

    def inputs(self) -> dict[str, NDArray[Any]]:
        """{Input: (T[, batch], *shape)}."""
        rng = np.random.default_rng(6)
        lead = (self.steps,) if self.batch is None else (self.steps, self.batch)
        found: dict[str, NDArray[Any]] = {}
        for name, node in self.graph().nodes.items():
            if isinstance(node, nir.Input):
                shape = (*lead, *map(int, np.atleast_1d(node.input_type["input"])))
                found[name] = (
                    rng.standard_normal(shape) if self.rate is None else (rng.random(shape) < self.rate).astype(float)
                )
        return found

    def given(self) -> dict[str, NDArray[Any]]:
        """{modulator: (T[, batch])}: now and then a reward, now and then the opposite."""
        rng = np.random.default_rng(7)
        lead = (self.steps,) if self.batch is None else (self.steps, self.batch)
        return {name: rng.integers(-1, 2, lead) * (rng.random(lead) < 0.05) * 1.0 for name in self.modulators}


def lif(n: int | tuple[int, ...], threshold: float = 1.0) -> nir.LIF:
    return nir.LIF(np.full(n, 20e-3), np.full(n, 20.0), np.zeros(n), np.full(n, threshold), np.zeros(n))


def graph_of(connection: Any, target: Any, inputs: int, outputs: int, edges: Any = (), **more: Any) -> nir.NIRGraph:
    """input -> plastic -> cells -> output, and what a case adds."""
    nodes = {
        "input": nir.Input(np.array([inputs])),
        "plastic": connection,
        "cells": target,
        "output": nir.Output(np.array([outputs])),
        **more,
    }
    chain = [("input", "plastic"), ("plastic", "cells"), ("cells", "output"), *edges]
    return nir.NIRGraph(nodes, chain, metadata={"dt": DT}, type_check=False)


def dense(rule: Rule, low: float = 0.2, high: float = 0.8, target: Any = None) -> Callable[[Rng], nir.NIRGraph]:
    """12 inputs, 5 cells, all to all."""

    def build(rng: Rng) -> nir.NIRGraph:
        graph = graph_of(nir.Linear(rng.uniform(low, high, (5, 12))), lif(5) if target is None else target, 12, 5)
        return attach(graph, "plastic", rule)

    return build


def sparse(rule: Rule, delays: bool) -> Callable[[Rng], nir.NIRGraph]:
    """15 inputs, 6 cells, some 40 of 90 synapses."""

    def build(rng: Rng) -> nir.NIRGraph:
        weight = csr_array(np.where(rng.random((6, 15)) < 0.45, rng.uniform(0.3, 0.9, (6, 15)), 0.0))
        late = rng.integers(0, 7, weight.nnz) if delays else None
        return attach(graph_of(SparseLinear(weight, late), lif(6), 15, 6), "plastic", rule)

    return build


def recurrent(rule: Rule) -> Callable[[Rng], nir.NIRGraph]:
    """Cells that feed themselves through weights that learn, beside an input whose weights do not."""

    def build(rng: Rng) -> nir.NIRGraph:
        graph = graph_of(
            nir.Affine(rng.uniform(0.2, 0.8, (6, 10)), rng.uniform(0.0, 0.1, 6)),
            lif(6),
            10,
            6,
            edges=[("cells", "loop"), ("loop", "cells")],
            loop=nir.Linear(rng.uniform(-0.1, 0.4, (6, 6))),
        )
        return attach(graph, "loop", rule)

    return build


def two_layers(rule: Rule) -> Callable[[Rng], nir.NIRGraph]:
    """Both layers learn, by rules of their own; between them spikes."""

    def build(rng: Rng) -> nir.NIRGraph:
        graph = graph_of(
            nir.Affine(rng.uniform(0.2, 0.8, (8, 10)), rng.uniform(0.0, 0.05, 8)),
            lif(8),
            10,
            4,
            edges=[("cells", "second"), ("second", "more")],
            second=nir.Linear(rng.uniform(0.3, 0.9, (4, 8))),
            more=lif(4),
        )
        graph.edges = [edge for edge in graph.edges if edge != ("cells", "output")] + [("more", "output")]
        return attach(attach(graph, "plastic", rule), "second", STDP(0.02, 0.012, 20e-3, 20e-3, 0.0, 1.0))

    return build


def convolved(rule: Rule, made: Any, size: tuple[int, ...], late: float = 0.0) -> Callable[[Rng], nir.NIRGraph]:
    """A convolution that learns, of ``size`` = (channels, *spatial); with ``late``, behind a Delay of so many steps.

    Args:
        rule: of the convolution.
        made: makes it from random numbers.
        size: what it takes.
        late: steps.
    """

    def build(rng: Rng) -> nir.NIRGraph:
        connection = made(rng)
        shape = convolution(connection, np.zeros((1, *size))).shape[1:]
        graph = graph_of(connection, lif(shape), 1, 1)
        graph.nodes["input"] = nir.Input(np.array(size))
        graph.nodes["output"] = nir.Output(np.array(shape))
        if late:
            graph.nodes["late"] = nir.Delay(np.full(size, late * DT))
            graph.edges = [("input", "late"), ("late", "plastic"), *graph.edges[1:]]
        return attach(graph, "plastic", rule)

    return build


def recurrent_convolution(rule: Rule) -> Callable[[Rng], nir.NIRGraph]:
    """Three channels of cells that excite their neighbours by a kernel that learns."""

    def build(rng: Rng) -> nir.NIRGraph:
        graph = graph_of(
            kernel((3, 2, 3), 8, padding="same")(rng),
            lif((3, 8)),
            1,
            1,
            edges=[("cells", "loop"), ("loop", "cells")],
            loop=nir.Conv1d(8, rng.uniform(-0.1, 0.15, (3, 3, 3)), 1, "same", 1, 1, np.zeros(3)),
        )
        graph.nodes["input"], graph.nodes["output"] = nir.Input(np.array([2, 8])), nir.Output(np.array([3, 8]))
        return attach(graph, "loop", rule)

    return build


def kernel(weight: tuple[int, ...], spatial: tuple[int, ...] | int, *, bias: float = 0.0, **how: Any) -> Any:
    """Makes a Conv1d or Conv2d."""
    kind: Any = nir.Conv1d if len(weight) == 3 else nir.Conv2d
    plain = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **how}

    def make(rng: Rng) -> Any:
        return kind(spatial, rng.uniform(0.2, 0.8, weight), bias=np.full(weight[0], bias), **plain)

    return make


def rewarded(source: str, rule: Rule | None = None) -> Callable[[Rng], nir.NIRGraph]:
    """Two layers that learn, each modulated by the mean of ``source``: "cells", "more" (behind both), "output" (the sum
    of both), "readout" (of what "more" spikes), "signal" (an Input of 2 x 2), or "noise" (drawn)."""

    def build(rng: Rng) -> nir.NIRGraph:
        graph = graph_of(
            nir.Affine(rng.uniform(0.2, 0.8, (4, 10)), rng.uniform(0.0, 0.05, 4)),
            lif(4),
            10,
            4,
            edges=[("cells", "second"), ("second", "more"), ("more", "output"), ("more", "read"), ("read", "readout")],
            second=nir.Linear(rng.uniform(0.3, 0.9, (4, 4))),
            more=lif(4),
            read=nir.Linear(rng.uniform(-2.0, 2.0, (2, 4))),
            readout=nir.LI(np.full(2, 30e-3), np.full(2, 10.0), np.zeros(2)),
        )
        if source == "signal":
            graph.nodes["signal"] = nir.Input(np.array([2, 2]))
        if source == "noise":
            graph.nodes["noise"] = PoissonInput(np.full(3, 20.0), np.array([1.0, -1.0, 2.0]), seed=3)
        used = REWARD if rule is None else rule
        for node in ("plastic", "second"):
            graph = attach(graph, node, used, modulators={"reward": source})
        return graph

    return build


PAIR = STDP(0.01, 0.011, 17e-3, 34e-3, 0.0, 1.0)
SOFT = STDP(0.05, 0.05, w_min=0.0, w_max=1.0, dependence="multiplicative")
ADAPTIVE = AdaptiveLIF(
    **{
        name: np.full(5, value)
        for name, value in {
            "tau": 20e-3,
            "r": 20.0,
            "v_leak": 0.0,
            "v_threshold": 1.0,
            "v_reset": 0.0,
            "tau_adaptation": 0.1,
            "a": 0.0,
            "b": 0.01,
            "tau_threshold": 0.2,
            "threshold_jump": 0.1,
        }.items()
    }
)
RATE = nir.LI(np.full(5, 10e-3), np.full(5, 1.0), np.zeros(5))
REWARD = RewardSTDP(0.05, 0.05, w_min=0.0, w_max=1.0, tau_eligibility=0.1)
#: One modulator from a node, one from outside.
TWO = replace(REWARD, update="(reward + boost) * e", modulators=("boost", "reward"), every=2)
#: As a kernel learns: many positions move one weight.
WIDE = STDP(0.002, 0.001, 17e-3, 34e-3, 0.0, 1.0)
SAME = kernel((2, 1, 4), 7, padding="same", dilation=2, groups=2, bias=0.05)
#: An eligibility that a spike sets, a rule that reads the membrane, and one that acts at every seventh step.
ODD = Rule(
    "eta * (e - decay * w) + slope * v * x",
    traces={"x": Trace("pre", 15e-3, sets=True), "e": Trace("x * post", 40e-3, sets=True)},
    constants={"eta": 0.02, "decay": 0.3, "slope": 1e-3},
    w_min=-0.5,
    w_max=1.5,
    every=7,
    name="a rule of all parts",
)

SLOW = replace(ODD, constants={"eta": 0.004, "decay": 0.6, "slope": 1e-4})
#: Voltages of a few tenths of a volt; with and without an upswing and homeostasis.
VOLTAGE = Clopath(0.04, 1.0, 0.2, 0.6, w_min=0.0, w_max=1.0, v_rest=0.0)
UPSWING = Clopath(0.01, 0.03, 0.05, 0.5, w_min=0.0, w_max=1.0, spike=1.0, v_rest=0.0, u_ref=0.3)
TAGGED = together(PAIR, TagAndCapture(0.2, 0.1, 0.01))
#: A synapse that sends what only it knows, and half of what it would: an eligibility beside its weight.
OWN_SENT = Rule(
    "0.01 * x * post - 0.01 * y * pre",
    traces={"x": Trace("pre", 20e-3), "y": Trace("post", 30e-3), "e": Trace("x * post - y * pre", 50e-3, mean=True)},
    w_min=0.0,
    w_max=1.0,
    transmits="w * pre + e * pre * w",
    name="a rule that sends its eligibility",
)
SENT = replace(OWN_SENT, update="0.001 * x * post - 0.0005 * y * pre")
TAGGED_KERNEL = together(WIDE, TagAndCapture(0.2, 0.1, 0.01))

CASES: dict[str, LearningCase] = {
    "pair": LearningCase(dense(PAIR)),
    "pair-batch": LearningCase(dense(PAIR), batch=3),
    "pair-mean": LearningCase(dense(replace(PAIR, batch_learning="mean")), batch=3),
    "pair-nearest": LearningCase(dense(STDP(0.01, 0.012, w_min=0, w_max=1, pairs="nearest"))),
    "pair-soft": LearningCase(dense(SOFT), batch=2),
    "pair-sparse": LearningCase(sparse(PAIR, delays=False), batch=2),
    "pair-delays": LearningCase(sparse(PAIR, delays=True)),
    "pair-delays-batch": LearningCase(sparse(SOFT, delays=True), batch=2),
    "pair-loop": LearningCase(recurrent(STDP(0.02, 0.02, w_min=-0.2, w_max=0.5)), batch=2),
    "pair-adaptive": LearningCase(dense(PAIR, target=ADAPTIVE)),
    "two-layers": LearningCase(two_layers(PAIR)),
    "reward": LearningCase(
        dense(RewardSTDP(0.05, 0.05, w_min=0.0, w_max=1.0, tau_eligibility=0.2)), modulators=("reward",), batch=2
    ),
    "reward-sparse": LearningCase(sparse(RewardSTDP(1e-3, 1e-3, w_min=0, w_max=1), True), modulators=("reward",)),
    "triplet": LearningCase(dense(TripletSTDP(w_min=0.0, w_max=1.0))),
    "triplet-delays": LearningCase(sparse(TripletSTDP(w_min=0.0, w_max=1.0), True)),
    "inhibitory": LearningCase(dense(InhibitorySTDP(-0.01, 8.0, w_min=-0.4, w_max=0.8), low=-0.2)),
    "bcm": LearningCase(dense(BCM(1e-4, rate=100.0, w_min=0.0, w_max=1.5), 0.1, 0.3)),
    "hebb": LearningCase(dense(Hebb(1e-4, -1.0, 1.0), target=RATE), rate=None, spikes=False),
    "oja": LearningCase(dense(Oja(1e-2), target=RATE), rate=None, spikes=False, batch=2),
    "conv2d": LearningCase(convolved(WIDE, kernel((3, 2, 3, 2), (4, 5), padding=(1, 0)), (2, 4, 5)), batch=2),
    "conv2d-groups-mean": LearningCase(
        convolved(
            replace(WIDE, every=3, batch_learning="mean"),
            kernel((4, 1, 2, 3), (5, 4), stride=(2, 1), dilation=(1, 1), padding=(0, 1), groups=2, bias=0.02),
            (2, 5, 4),
        ),
        batch=3,
    ),
    "conv1d-same": LearningCase(
        convolved(replace(SOFT, constants={"a_plus": 0.01, "a_minus": 0.01}), SAME, (2, 7)), batch=2
    ),
    "conv1d-late": LearningCase(convolved(SLOW, kernel((2, 3, 2), 5, stride=2), (3, 5), late=3)),
    "conv1d-reward": LearningCase(
        convolved(
            RewardSTDP(0.02, 0.02, w_min=0.0, w_max=1.0, tau_eligibility=0.2),
            kernel((2, 2, 3), 6, padding=2, dilation=2),
            (2, 6),
        ),
        modulators=("reward",),
        batch=2,
    ),
    "conv1d-padded": LearningCase(convolved(PAIR, kernel((2, 3, 3), 1, padding=1), (3, 1)), rate=0.3),
    "conv1d-loop": LearningCase(recurrent_convolution(STDP(0.004, 0.0035, w_min=-0.2, w_max=0.15)), batch=2, rate=0.06),
    "conv1d-sends": LearningCase(convolved(SENT, kernel((2, 2, 2), 5, bias=0.05), (2, 5)), batch=2),
    "conv1d-tagged": LearningCase(
        convolved(TAGGED_KERNEL, kernel((2, 1, 3), 6), (1, 6)), modulators=("protein",), batch=2
    ),
    "normal": LearningCase(dense(replace(PAIR, normalise=5.0, normalise_every=10)), batch=2),
    "normal-signs": LearningCase(
        sparse(replace(PAIR, w_min=-0.5, normalise=3.0, normalise_every=3, every=2, batch_learning="mean"), True),
        batch=2,
    ),
    "normal-bounds": LearningCase(dense(replace(PAIR, w_max=0.45, w_min=0.0, normalise=5.2), 0.1, 0.45)),
    "normal-kernel": LearningCase(
        convolved(replace(WIDE, normalise=4.0, normalise_every=4), kernel((2, 2, 4), 6), (2, 6)), batch=2
    ),
    "reward-cells": LearningCase(rewarded("cells"), batch=2),
    "reward-behind": LearningCase(rewarded("more")),
    "reward-output": LearningCase(rewarded("output", replace(REWARD, batch_learning="mean")), batch=2),
    "reward-readout": LearningCase(rewarded("readout"), batch=2),
    "reward-input": LearningCase(rewarded("signal", TWO), modulators=("boost",), batch=2),
    "reward-drawn": LearningCase(rewarded("noise")),
    "short-term": LearningCase(dense(ShortTerm(0.3, 0.2, 0.3), 0.5, 1.5), batch=2, moves=False),
    "depression": LearningCase(sparse(ShortTerm(0.6, 0.1), False), moves=False),
    "short-and-long": LearningCase(sparse(together(PAIR, ShortTerm(0.7, 0.1, 0.05)), True), batch=2),
    "short-and-long-loop": LearningCase(recurrent(together(STDP(w_min=-0.5, w_max=0.9), ShortTerm(0.4, 0.2))), batch=2),
    "sends-its-own": LearningCase(dense(OWN_SENT), batch=2),
    "voltage": LearningCase(dense(VOLTAGE)),
    "voltage-upswing": LearningCase(sparse(UPSWING, True), batch=2),
    "scaling": LearningCase(dense(SynapticScaling(20.0, 1.0, 0.2, every=5)), batch=2),
    "pair-and-scaling": LearningCase(dense(together(PAIR, SynapticScaling(20.0, 0.5, 0.2)))),
    "metaplastic": LearningCase(dense(MetaplasticSTDP(w_min=0.0, w_max=1.0, rate=50.0, tau_history=0.3))),
    "tagged": LearningCase(dense(TAGGED), modulators=("protein",), batch=2),
    "tagged-mean": LearningCase(sparse(replace(TAGGED, batch_learning="mean"), True), modulators=("protein",), batch=2),
    "odd-mean": LearningCase(sparse(replace(ODD, batch_learning="mean"), delays=True), batch=3),
    "odd": LearningCase(dense(ODD, target=lif(5, 3.0)), batch=2),
    "odd-delays": LearningCase(sparse(ODD, delays=True)),
}
