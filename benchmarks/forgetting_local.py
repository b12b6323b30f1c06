"""Two tasks, one after the other, learned by a local rule: what tagging and capture keeps of the first.

A unit for each digit gets ``-w x`` from its image and 1 from a teacher where the digit is its own; what is left is its
error, and each synapse goes against what it sees of it: ``dw = -eta pre v`` (the delta rule of Widrow & Hoff 1960,
written with the two values that a synapse has). In the second task all pixels are permuted. Proteins are there during
the first.

python -m benchmarks.forgetting_local
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

import hasn
from benchmarks.signatures import DT, Array
from hasn.demo.digits import Digits, load_digits
from hasn.plasticity import Rule, TagAndCapture, attach, together

ETA = 0.1


@dataclass(frozen=True)
class Tasks:
    """Shares of held-out digits that are right: of each task after the first one, and after both."""

    first: float
    after: float
    second: float

    @property
    def forgotten(self) -> float:
        """What the second task cost the first."""
        return self.first - self.after


def rule(captured: bool) -> Rule:
    """The delta rule, alone or with tagging and capture."""
    delta = Rule("-eta * pre * v", constants={"eta": ETA}, name="delta rule", source="Widrow & Hoff 1960")
    return together(delta, TagAndCapture(tau_early=5.0, tau_late=0.5)) if captured else delta


def network(captured: bool) -> nir.NIRGraph:
    """784 pixels, 10 units, a teacher."""
    nodes: dict[str, Any] = {
        "input": nir.Input(np.array([784])),
        "teacher": nir.Input(np.array([10])),
        "fc1": nir.Linear(np.zeros((10, 784))),
        "one": nir.Linear(np.eye(10)),
        "error": nir.LI(np.full(10, DT), np.ones(10), np.zeros(10)),
        "output": nir.Output(np.array([10])),
    }
    edges = [("input", "fc1"), ("fc1", "error"), ("teacher", "one"), ("one", "error"), ("error", "output")]
    return attach(nir.NIRGraph(nodes, edges, metadata={"dt": DT}, type_check=False), "fc1", rule(captured))


def two_tasks(captured: bool, epochs: int = 2, seed: int = 1) -> Tasks:
    """Digits, then the same with their pixels in another order; a step an image."""
    digits, rng = load_digits(), np.random.default_rng(seed)
    orders = np.arange(784), rng.permutation(784)
    state, right = None, []
    with hasn.compile(network(captured)) as executable:
        for task, order in enumerate(orders):
            for _ in range(epochs):
                shown = rng.permutation(len(digits.train_labels))
                inputs = {
                    "input": _unit(digits.train_images[shown])[:, order],
                    "teacher": np.eye(10)[digits.train_labels[shown]],
                }
                proteins = {"protein": np.full(len(shown), float(task == 0))} if captured else None
                executable.run(inputs, modulators=proteins, state=state, keep_state=True)
                state = executable.state()
            right.append([_right(executable.weights("fc1"), digits, each) for each in orders])
    return Tasks(right[0][0], right[1][0], right[1][1])


def _unit(images: Array) -> Array:
    """Each image as a vector of length 1."""
    return np.asarray(images / np.linalg.norm(images, axis=1, keepdims=True), dtype=np.float64)


def _right(weight: Array, digits: Digits, order: Array) -> float:
    sent = _unit(digits.test_images)[:, order] @ weight.T
    return float((sent.argmin(1) == digits.test_labels).mean())


def main() -> int:
    """The figures, as text."""
    plain, kept = two_tasks(captured=False), two_tasks(captured=True)
    for name, found in (("plain", plain), ("tagging and capture", kept)):
        sys.stdout.write(
            f"{name}: first task {found.first:.1%}, after the second {found.after:.1%}; second {found.second:.1%}\n"
        )
    sys.stdout.write(f"forgotten: {kept.forgotten:.3f} of {plain.forgotten:.3f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
