"""Networks, batches and options that a pipeline and one process must train alike."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np

from hasn.backends.snntorch.training import first_spike
from tests.graphs import DT, Draw, graph, inp, out, spikes

INPUTS, CLASSES = 6, 4


def net(last: str = "LIF") -> nir.NIRGraph:
    """A layer, a recurrent layer behind a Delay, and a path from the first past the second to the last."""
    d = Draw(3)
    nodes = {
        "in": inp(INPUTS), "w1": d.affine(8, INPUTS), "one": d.lif(8, tau=6e-3),
        "late": nir.Delay(np.arange(8) % 3 * DT), "w2": d.linear(7, 8), "two": d.lif(7, tau=7e-3),
        "back": d.linear(7, 7, mean=-0.1), "past": d.linear(CLASSES, 8),
        "w3": d.linear(CLASSES, 7), "last": d.neuron(last, (CLASSES,), tau=5e-3), "out": out(CLASSES),
    }  # fmt: skip
    paths = ("in > w1 > one > late > w2 > two > w3 > last > out", "two > back > two", "one > past > last")
    return graph(nodes, *paths, dt=DT)


def two_outputs() -> nir.NIRGraph:
    """Its hidden layer is shown as well, and so is its Input; the first layer has nothing to train."""
    g = net()
    g.nodes |= {"hidden": out(8), "echo": out(INPUTS)}
    g.edges = [*g.edges, ("one", "hidden"), ("in", "echo")]
    return g


def both(outputs: Any, labels: Any) -> Any:
    """A loss of several Outputs, the mean over the batch."""
    from torch.nn.functional import cross_entropy

    rates = outputs["hidden"].mean((0, 2)) + 0.3 * outputs["echo"].mean((0, 2))
    return cross_entropy(outputs["out"].sum(0), labels.long()) + (rates * (1 + labels)).mean()


def batches() -> list[tuple[Any, Any]]:
    """Of 8 samples and 12 steps; one of 5 samples, one of 7 steps, one of 3 samples; then as before."""
    sizes = ((12, 8), (12, 8), (12, 5), (7, 8), (12, 3), (12, 8))
    rng = np.random.default_rng(4)
    return [(spikes((INPUTS,), t, n, seed=i), rng.integers(0, CLASSES, n)) for i, (t, n) in enumerate(sizes)]


def momentum(groups: Any) -> Any:
    import torch

    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def halving(optimizer: Any) -> Any:
    import torch

    return torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)


LEARNED = dict.fromkeys(("tau", "threshold", "delay"), "neuron")

#: What both are called with: (graph, options of both, options of the pipeline).
CASES: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "Adam, float32": (net, {"learning_rate": 1e-2}, {}),
    "Delay behind the cut": (net, {"optimizer": momentum, "precision": "float64"}, {"stages": ["late"]}),
    "Delay before the cut": (net, {"optimizer": momentum, "precision": "float64"}, {"stages": ["w2"]}),
    "all forwards first": (net, {"optimizer": momentum}, {"pipeline": "gpipe", "micro_batches": 3}),
    "one micro-batch": (net, {"optimizer": momentum}, {"pipeline": "gpipe", "micro_batches": 1}),
    "clip and schedule": (net, {"clip": 0.05, "schedule": halving, "optimizer": momentum}, {}),
    "all that is learned": (net, {"learn": LEARNED, "precision": "float64", "learning_rate": 1e-2}, {}),
    "voltages": (lambda: net("LI"), {"loss": "membrane", "optimizer": momentum, "method": "exact"}, {}),
    "first spikes": (net, {"loss": first_spike(2.0), "reset": "subtract"}, {"balance": "synapses"}),
    "hardware's time": (net, {"timing": "hardware", "precision": "float64"}, {}),
    "several Outputs": (two_outputs, {"loss": both, "optimizer": momentum}, {}),
    "step by step": (net, {"engine": "steps", "optimizer": momentum}, {"stages": ["two"]}),
    "nothing to train in a stage": (net, {"optimizer": momentum}, {"stages": ["last"]}),
}  # fmt: skip

#: The same for three processes.
OF_THREE: dict[str, tuple[Any, dict[str, Any], dict[str, Any]]] = {
    "a path past a stage": (net, {"optimizer": momentum, "precision": "float64"}, {"stages": ["late", "w3"]}),
    "several Outputs past stages": (two_outputs, {"loss": both, "learning_rate": 1e-2}, {"micro_batches": 3}),
}


def weights(graph: nir.NIRGraph) -> dict[str, Any]:
    """Every trained array of a graph."""
    return {
        f"{name}.{parameter}": np.asarray(getattr(node, parameter))
        for name, node in graph.nodes.items()
        for parameter in ("weight", "bias", "tau", "v_threshold", "delay")
        if hasattr(node, parameter)
    }


#: The checks of two processes, in their order: one of them dies in the last.
TWO = (*CASES, "errors", "options", "death")
