"""Unsupervised learning of digits in the small: one excitatory layer, lateral inhibition, moving thresholds, STDP.

Diehl & Cook, Unsupervised learning of digit recognition using spike-timing-dependent plasticity, Frontiers in
Computational Neuroscience 9, 2015. What is theirs and what is not stands at each number.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.errors import GraphError, OptionError
from hasn.ir.typed import copy_graph, set_types
from hasn.nodes import AdaptiveLIF
from hasn.plasticity import Rule, Trace, attach, detach

#: Seconds a step (theirs: 0.5 ms).
DT = 1e-3
#: Of the excitatory neurons, as theirs: membrane time constant and refractory period in s, and how far above the
#: rest -65 mV the threshold -52 mV lies. Voltages are counted from the rest.
TAU, REFRACTORY, THRESHOLD = 100e-3, 5e-3, 13e-3
#: Time constant of the moving threshold in s, as theirs, and what a spike adds to it in V: theirs is 0.05 mV for
#: several passes over 60,000 images; a few thousand images leave the threshold far less time.
TAU_THRESHOLD, JUMP = 1e4, 1e-3
#: What a spike takes from all other neurons in the next step, in units of a weight. Theirs goes through a layer of
#: inhibitory neurons and conductances.
INHIBITION = 60.0
#: Sum of a neuron's weights, as theirs: 0.1 for each of 784 pixels; :func:`normalised`.
TOTAL = 78.4
#: Of the rule: rate, time constant of the trace of a source in s, and the trace that leaves a weight as it is.
ETA, TAU_TRACE, OFFSET = 0.02, 20e-3, 0.02


def post_stdp(eta: float = ETA, offset: float = OFFSET, tau: float = TAU_TRACE) -> Rule:
    """``dw = eta (x - offset)`` at each spike of the target, 0 <= w <= 1 (their equation 3 with mu = 0).

    ``x`` is 1 after a spike of the source, and decays: sources that spiked just before gain, those that did not lose.
    """
    return Rule(
        "eta * (x - offset) * post",
        traces={"x": Trace("pre", tau, sets=True)},
        constants={"eta": eta, "offset": offset},
        w_min=0.0,
        w_max=1.0,
        batch_learning="mean",
        name="post-triggered STDP",
        source="Diehl & Cook 2015",
    )


def diehl_cook(
    neurons: int = 400,
    inputs: int = 784,
    *,
    seed: int = 0,
    total: float | None = None,
    inhibition: float = INHIBITION,
    rule: Rule | None = None,
) -> nir.NIRGraph:
    """``inputs`` spike trains, all to all onto ``neurons`` adaptive LIF neurons that silence each other.

    A spike adds its weight in mV to the voltage: with R = 1e-3 tau/dt, ``v <- (1 - dt/tau) v + 1e-3 w``. A neuron
    spikes above ``13 mV + theta``, which grows by 1 mV then and hardly decays, so that no neuron takes all images; one
    step later it takes ``inhibition`` mV from every other one. The Output shows the spikes.

    Args:
        neurons, inputs: sizes.
        seed: of the weights, uniform in 0 .. 0.3 (theirs) and then :func:`normalised`.
        total: sum of a neuron's weights; default: 0.1 for each input.
        inhibition: in mV a spike.
        rule: what "fc1" learns by; default: :func:`post_stdp`.

    Raises:
        OptionError: no such sizes, or a total that weights of at most 1 do not reach.
    """
    if neurons < 1 or inputs < 1:
        raise OptionError("no such network", parameter="neurons, inputs", got=(neurons, inputs), wanted=">= 1")
    wanted = TOTAL * inputs / 784 if total is None else total
    weight = normalised(0.3 * np.random.default_rng(seed).random((neurons, inputs)), wanted)

    def full(value: float) -> NDArray[np.float64]:
        return np.full(neurons, value)

    cells = AdaptiveLIF(
        tau=full(TAU),
        r=full(1e-3 * TAU / DT),
        v_leak=full(0.0),
        v_threshold=full(THRESHOLD),
        v_reset=full(0.0),
        tau_adaptation=full(TAU),
        a=full(0.0),
        b=full(0.0),
        tau_threshold=full(TAU_THRESHOLD),
        threshold_jump=full(JUMP),
    )
    cells.metadata = {"refractory": REFRACTORY}
    nodes = {
        "input": nir.Input(np.array([inputs])),
        "fc1": nir.Linear(weight),
        "excitatory": cells,
        "inhibition": nir.Linear(-inhibition * (1.0 - np.eye(neurons))),
        "output": nir.Output(np.array([neurons])),
    }
    edges = [("input", "fc1"), ("fc1", "excitatory"), ("excitatory", "output")]
    edges += [("excitatory", "inhibition"), ("inhibition", "excitatory")]
    graph = set_types(nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False))
    return attach(graph, "fc1", post_stdp() if rule is None else rule)


def normalised(weight: NDArray[Any], total: float) -> NDArray[Any]:
    """Each neuron's weights (..., neurons, inputs) times what makes their sum ``total``, and none above 1.

    Raises:
        OptionError: weights of at most 1 do not reach it, or a neuron has none that could grow.
    """
    sums = weight.sum(axis=-1, keepdims=True)
    if not 0 < total <= weight.shape[-1] or not np.all(sums > 0):
        got, wanted = f"{total:g}, of sums from {sums.min():g} on", f"0 < total <= {weight.shape[-1]}, sums > 0"
        raise OptionError("the weights have no such sum", parameter="total", got=got, wanted=wanted)
    return np.asarray(np.minimum(weight * (total / sums), 1.0), dtype=weight.dtype)


def frozen(learned: nir.NIRGraph, theta: NDArray[Any]) -> nir.NIRGraph:
    """What was learned, as a plain NIR graph that learns and adapts no more: LIF neurons of v_threshold + theta.

    Args:
        learned: a graph of :func:`diehl_cook` with its present weights (:meth:`hasn.Executable.to_nir`).
        theta: what spikes have added to each neuron's threshold, V: ``state.states["excitatory"]["theta"]``.

    Raises:
        GraphError: it is no such graph.
        OptionError: theta is not one number a neuron.
    """
    cells = learned.nodes.get("excitatory")
    if not isinstance(cells, AdaptiveLIF):
        raise GraphError("not a graph of diehl_cook", node="excitatory", wanted="AdaptiveLIF neurons")
    if np.shape(theta) != np.shape(cells.v_threshold):
        raise OptionError("not one threshold a neuron", parameter="theta", got=np.shape(theta))
    made = copy_graph(detach(learned, "fc1"))
    fixed = nir.LIF(cells.tau, cells.r, cells.v_leak, cells.v_threshold + theta, cells.v_reset)
    fixed.metadata = dict(cells.metadata)
    made.nodes["excitatory"] = fixed
    return set_types(made)
