"""Permuted digits, two tasks: how much of the first is forgotten while the second is learned.

    python -m benchmarks.forgetting                   # docs/plasticity/forgetting.svg and its numbers

MNIST-5k as the demo has it; task A is the digits, task B the same digits with their pixels in one other order, both on
the same ten outputs (Goodfellow et al. 2013; Kirkpatrick et al. 2017, figure 2). Each way trains the network of A on B
alike; forgetting is the accuracy on A's held-out digits that is lost. Strengths were chosen on another seed (10).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, cast

import nir
import numpy as np
from numpy.typing import NDArray

import hasn
from hasn.demo.digits import Digits, encode, load_digits
from hasn.demo.network import digit_network
from hasn.training import ElasticWeights, SynapticIntelligence

STEPS, EPOCHS, SEEDS = 25, 4, (0, 1, 2)
ELASTIC, SAMPLES = 1000.0, 300
INTELLIGENCE, XI = 0.5, 1e-3
WAYS = ("plain", "EWC", "SI")
Data = tuple[Any, NDArray[np.int64]]


def task(images: NDArray[np.float32], labels: NDArray[np.int64], order: NDArray[Any], seed: int) -> Data:
    """Spikes of the images with their pixels in an order, and their classes."""
    return encode(images[:, order], STEPS, seed).astype(np.float32), labels


def accuracy(graph: nir.NIRGraph, data: Data) -> float:
    """By the largest spike count."""
    with hasn.compile(graph, "snntorch", precision="float32") as executable:
        counts = executable.run(data[0], record={"outputs": None}).output.sum(axis=0)
    return float(np.mean(counts.argmax(axis=1) == data[1]))


def trained(graph: nir.NIRGraph, data: Data, seed: int, regularisers: Any = ()) -> nir.NIRGraph:
    """The same training for all."""
    found = hasn.train(graph, data, epochs=EPOCHS, batch_size=64, seed=seed, regularisers=tuple(regularisers))
    return cast("nir.NIRGraph", found.graph)


def measured(seed: int, digits: Digits, elastic: float = ELASTIC, intelligence: float = INTELLIGENCE) -> dict[str, Any]:
    """Accuracy on A after A, and way -> accuracy on A and on B after B."""
    plain = np.arange(digits.train_images.shape[1])
    order = np.random.default_rng(seed).permutation(plain)
    first, second = (task(digits.train_images, digits.train_labels, o, seed + 1) for o in (plain, order))
    held = [task(digits.test_images, digits.test_labels, o, seed + 2) for o in (plain, order)]
    synaptic = SynapticIntelligence(intelligence, XI)
    graph = trained(digit_network(seed=seed), first, seed, [synaptic])
    weights = ElasticWeights.of(graph, first, strength=elastic, samples=SAMPLES, seed=seed)
    found: dict[str, Any] = {"seed": seed, "A": accuracy(graph, held[0])}
    for way, terms in zip(WAYS, ([], [weights], [synaptic]), strict=True):
        ended = trained(graph, second, seed, terms)
        found[way] = [accuracy(ended, data) for data in held]
    return found


def drawn(rows: list[dict[str, Any]], path: Path) -> None:
    """Accuracy on both tasks after the second, each way and each seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for i, (name, colour) in enumerate((("task A", "#2b6cb0"), ("task B", "#dd8452"))):
        values = np.array([[row[way][i] for way in WAYS] for row in rows])
        places = np.arange(len(WAYS)) + (i - 0.5) * 0.35
        axes.bar(places, values.mean(axis=0), 0.33, color=colour, label=f"{name}, after B")
        for row in values:
            axes.plot(places, row, "k.", markersize=4)
    axes.axhline(float(np.mean([row["A"] for row in rows])), color="#2b6cb0", linestyle=":", label="task A, after A")
    axes.set(xticks=range(len(WAYS)), xticklabels=WAYS, ylabel="accuracy, held-out digits", ylim=(0, 1))
    axes.legend(loc="lower right", fontsize=8)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    """Measure, print, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/plasticity/forgetting.svg"))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--elastic", type=float, default=ELASTIC)
    parser.add_argument("--intelligence", type=float, default=INTELLIGENCE)
    given = parser.parse_args()
    digits = load_digits()
    rows = []
    for seed in given.seeds:
        rows.append(measured(seed, digits, given.elastic, given.intelligence))
        sys.stdout.write(json.dumps(rows[-1]) + "\n")
        sys.stdout.flush()
    for way in WAYS:
        kept, learned = np.mean([row[way] for row in rows], axis=0)
        lost = np.mean([row["A"] - row[way][0] for row in rows])
        sys.stdout.write(f"{way}: A {kept:.3f}, forgotten {lost:.3f}, B {learned:.3f}\n")
    drawn(rows, given.out)


if __name__ == "__main__":
    main()
