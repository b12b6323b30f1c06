"""Digits without labels: a network that learns while it runs, one image after the other (hasn.models.diehl_cook).

The weights and the moving thresholds go on from image to image; voltages and traces start anew, in place of the 150 ms
of rest of Diehl & Cook 2015, and each neuron's weights are brought back to their sum, as there. Labels are looked at
once nothing learns any more: a neuron stands for the class to whose training images it answers most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nir
import numpy as np
from numpy.typing import NDArray

from hasn.compiler import compile as compile_graph
from hasn.demo.digits import encode
from hasn.errors import OptionError
from hasn.executable import Executable
from hasn.models.diehl_cook import TOTAL, frozen, normalised
from hasn.state import NetworkState, load_state

#: Spikes of a white pixel in a step: theirs are 255/4 Hz at most.
BRIGHT = 0.064
#: Images between two savings of the state, and images of a batch once nothing learns.
KEPT, BATCH = 100, 100

Told = Callable[[int, int, float], None]
"""(images done, of how many, spikes an image of late)."""


def learn(
    graph: nir.NIRGraph,
    images: NDArray[np.float32],
    *,
    passes: int = 1,
    steps: int = 250,
    bright: float = BRIGHT,
    seed: int = 0,
    backend: str = "snntorch",
    precision: str = "float32",
    keep: Path | None = None,
    told: Told | None = None,
) -> nir.NIRGraph:
    """Show the images one by one, in an order and with spikes that ``seed`` and an image's place say.

    Args:
        graph: of :func:`hasn.models.diehl_cook.diehl_cook`; not changed.
        images: (N, inputs) in 0..1.
        passes: how often all are shown, each time in another order.
        steps: time steps an image.
        bright: spikes of a white pixel in a step.
        seed: of the order and the spikes.
        backend, precision: who runs it.
        keep: a file that keeps the state as it learns; where it is there, learning goes on from it.
        told: called after every image.

    Returns:
        What was learned, frozen: :func:`hasn.models.diehl_cook.frozen`.

    Raises:
        OptionError: ``keep`` has seen more than there is, or stopped elsewhere than behind an image.
    """
    order = [seed_of(seed, turn).permutation(len(images)) for turn in range(passes)]
    shown = np.concatenate(order) if order else np.zeros(0, dtype=int)
    total = TOTAL * images.shape[1] / 784
    with compile_graph(graph, backend, precision=precision) as executable:
        state = load_state(keep) if keep is not None and keep.exists() else None
        done = _done(state, steps, len(shown))
        late = 0.0
        for k in range(done, len(shown)):
            state, spikes = show(executable, bright * images[shown[k]], steps, seed_of(seed, passes, k), state, total)
            late += (spikes - late) / min(100, k - done + 1)
            if keep is not None and ((k + 1) % KEPT == 0 or k + 1 == len(shown)):
                state.save(keep)
            if told is not None:
                told(k + 1, len(shown), late)
        if state is None:
            raise OptionError("nothing was shown", parameter="passes", got=passes, wanted=">= 1, of >= 1 image")
        executable.load_state(state)
        return frozen(executable.to_nir(), state.states["excitatory"]["theta"][0])


def seed_of(*numbers: int) -> np.random.Generator:
    """A generator of its own for each row of numbers."""
    return np.random.default_rng(list(numbers))


def _done(state: NetworkState | None, steps: int, images: int) -> int:
    done, rest = divmod(0 if state is None else state.step, steps)
    if rest or done > images:
        raise OptionError(
            "the state that was kept is of another learning",
            parameter="keep",
            got=f"{done * steps + rest:,} steps",
            wanted=f"a multiple of {steps}, {images * steps:,} at most",
            way_out="Give the options with which it began, or another file.",
        )
    return done


def show(
    executable: Executable,
    image: NDArray[np.float32],
    steps: int,
    rng: np.random.Generator,
    state: NetworkState | None,
    total: float,
) -> tuple[NetworkState, int]:
    """Run one image; the state for the next, and the spikes that there were."""
    spikes = encode(image[np.newaxis], steps, int(rng.integers(1 << 31)))[:, 0]
    recording = executable.run(spikes, record={"counts": True}, state=state, keep_state=True)
    return between(executable.state(), total), int(recording.counts.spikes["excitatory"])


def between(state: NetworkState, total: float) -> NetworkState:
    """What goes on to the next image: the thresholds, and weights that have their sum again; all else is at rest."""
    cells = state.states["excitatory"]
    states = {"excitatory": {name: kept if name == "theta" else np.zeros_like(kept) for name, kept in cells.items()}}
    learned = {
        "fc1": {
            n: normalised(kept, total) if n == "w" else np.zeros_like(kept) for n, kept in state.learned["fc1"].items()
        }
    }
    held = {node: np.zeros_like(kept) for node, kept in state.held.items()}
    past = {node: np.zeros_like(kept) for node, kept in state.past.items()}
    return replace(state, states=states, learned=learned, held=held, past=past)


# --- what it has learned


def answers(
    graph: nir.NIRGraph,
    images: NDArray[np.float32],
    *,
    steps: int = 250,
    bright: float = BRIGHT,
    seed: int = 0,
    backend: str = "snntorch",
    precision: str = "float32",
    told: Told | None = None,
) -> NDArray[np.int64]:
    """Spikes of each neuron of a frozen graph for each image, (N, neurons)."""
    found = []
    with compile_graph(graph, backend, precision=precision) as executable:
        for first in range(0, len(images), BATCH):
            now = images[first : first + BATCH]
            spikes = encode(bright * now, steps, int(seed_of(seed, first).integers(1 << 31)))
            found.append(executable.run(spikes, record=()).output.sum(axis=0).astype(np.int64))
            if told is not None:
                told(first + len(now), len(images), float(found[-1].sum() / len(now)))
    return np.concatenate(found)


def labelled(counts: NDArray[np.int64], labels: NDArray[np.int64], classes: int = 10) -> NDArray[np.int64]:
    """The class of each neuron: the one to whose images it answers most on average; -1: it answers to none.

    Args:
        counts: (N, neurons).
        labels: (N,).
    """
    mean = np.stack([_mean(counts[labels == c]) for c in range(classes)])
    return np.where(mean.max(axis=0) > 0, mean.argmax(axis=0), -1)


def said(counts: NDArray[np.int64], assigned: NDArray[np.int64], classes: int = 10) -> NDArray[np.int64]:
    """The class whose neurons answer most on average, (N,); -1: no neuron answers."""
    score = np.stack([_mean(counts.T[assigned == c]) for c in range(classes)])
    return np.where(counts.any(axis=1), score.argmax(axis=0), -1)


def _mean(rows: NDArray[np.int64]) -> NDArray[np.float64]:
    return np.asarray(rows.mean(axis=0)) if len(rows) else np.zeros(rows.shape[1])


@dataclass(frozen=True)
class Learned:
    """How well a network that learned without labels tells classes apart.

    Attributes:
        assigned: the class of each neuron, -1 for none.
        accuracy: share of held-out images whose class is said.
        silent: share of them to which no neuron answers.
    """

    assigned: NDArray[np.int64]
    accuracy: float
    silent: float


def judged(
    counts: NDArray[np.int64], labels: NDArray[np.int64], held_out: NDArray[np.int64], truth: NDArray[np.int64]
) -> Learned:
    """Neurons are labelled by their answers to training images, and judged on held-out ones."""
    assigned = labelled(counts, labels)
    return Learned(assigned, float((said(held_out, assigned) == truth).mean()), float((~held_out.any(axis=1)).mean()))
