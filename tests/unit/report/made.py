"""Comparisons with a known answer: an interpreter's recording for every backend, with spikes flipped by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import nir
import numpy as np

from hasn.agreement import Comparison, Divergence, judge
from hasn.agreement.comparison import Verdict
from hasn.ir.lower import lower
from hasn.program.fuse import fuse
from hasn.program.model import Source
from hasn.recording import Counts, Recording
from hasn.testing.interpreter import ProgramInterpreter
from tests import graphs

LABELS = ("brian2", "snntorch", "snntorch:float32", "lava")
#: node, sample, step, flat neuron
Flip = tuple[str, int, int, int]


def comparison(
    graph: nir.NIRGraph | None = None,
    inputs: Any = None,
    *,
    labels: Sequence[str] = LABELS,
    flips: Sequence[Flip] = (),
    flipped: str = "lava",
    dt: float = graphs.DT,
    **lowering: Any,
) -> Comparison:
    """Run the interpreter once; ``flipped`` gets its spikes turned over at ``flips``, and voltages that are off by 1 %.

    The voltages are off from the first flip on, at all nodes, so that no flip can pass for a tie.
    """
    graph = graphs.small_net() if graph is None else graph
    inputs = graphs.spikes((6,), 30, 3) if inputs is None else inputs
    program = lower(graph, dt=dt, **lowering)
    run = ProgramInterpreter(program).run(inputs, record=("spikes", "voltages"))
    recordings = {}
    for place, label in enumerate(labels):
        spikes = {name: array.copy() for name, array in run.spikes.items()}
        voltages = {name: array.copy() for name, array in run.voltages.items()}
        if label == flipped and flips:
            for node, sample, step, neuron in flips:
                place_in = spikes[node][step, sample].reshape(-1)
                place_in[neuron] = not place_in[neuron]
            for array in voltages.values():
                array[min(flip[2] for flip in flips) :] *= 1.01
        recordings[label] = dataclasses.replace(
            run,
            spikes=spikes,
            voltages=voltages,
            backend=label.split(":")[0],
            precision="float32" if "float32" in label else "float64",
            seconds=0.25 + place,
            shifts={"n2": 1, "n4": 2} if label == "lava" else {},
        )
    given = {source.name: inputs for source in program.of(Source)}
    return judge(program, fuse(program), given, recordings, labels[0], {"nest": "not installed"})


#: Five spikes of small_net that lava gets wrong, all in sample 1.
FLIPS: tuple[Flip, ...] = (("n2", 1, 9, 3), ("n2", 1, 11, 0), ("n4", 1, 12, 2), ("n4", 1, 14, 0), ("n4", 1, 29, 1))


def by_hand(
    spikes: dict[str, dict[str, Any]],
    voltages: dict[str, dict[str, Any]] | None = None,
    inputs: dict[str, Any] | None = None,
    graph: nir.NIRGraph | None = None,
    skipped: dict[str, str] | None = None,
    dt: float = 1e-3,
    **verdicts: Verdict,
) -> Comparison:
    """A comparison of just these arrays, label -> node -> (T, batch, *shape), the first label being the reference."""
    program = lower(graph or graphs.small_net(), dt=dt)
    recordings = {
        label: Recording({}, dict(nodes), dict((voltages or {}).get(label, {})), dt, {}, Counts(), label, "float64",
                         batched=True)
        for label, nodes in spikes.items()
    }  # fmt: skip
    given = {label: verdicts.get(label, Verdict(0, 0, 0, 1.0, 0.0, None)) for label in spikes}
    return Comparison(program, fuse(program), inputs or {}, next(iter(spikes)), recordings, skipped or {}, given)


def parting(**given: Any) -> Divergence:
    """A divergence of "lava" from "brian2" at n2."""
    plain: dict[str, Any] = {
        "node": "n2", "index": (3,), "sample": 1, "step": 9, "reference": "brian2", "backend": "lava",
        "spiked": {"brian2": True, "lava": False}, "voltages": {"brian2": 0.25, "lava": 0.75}, "threshold": 0.5,
        "tie": False, "cause": "a swapped weight",
    }  # fmt: skip
    return Divergence(**{**plain, **given})


def judged(**changes: dict[str, Any]) -> Comparison:
    """Three backends with a figure of its own in every place; ``changes`` (label -> fields) are of the recordings."""
    spikes = {"n2": np.ones((7, 2, 4), dtype=bool)}
    found = by_hand(
        {"brian2": spikes, "snntorch:float32": spikes, "lava": spikes},
        skipped={"nest": "not\n  installed"},
        **{
            "snntorch:float32": Verdict(0, 1, 0, 1.0, 0.0, None),
            "lava": Verdict(1234, 5678, 9012, 0.75, 0.00123, parting()),
        },
    )
    made: dict[str, dict[str, Any]] = {
        "brian2": {"counts": Counts({"n2": 4000, "n4": 321}, {"n2": 70000, "n4": 654}), "seconds": 0.1234},
        "snntorch:float32": {"precision": "float32", "seconds": 12.345, "shifts": {"n2": 2, "n4": 2}},
        "lava": {"shifts": {"n2": 3, "n4": 1}, "seconds": 123.4},
    }
    recordings = {
        label: dataclasses.replace(recording, **{**made[label], **changes.get(label, {})})
        for label, recording in found.recordings.items()
    }
    return dataclasses.replace(found, recordings=recordings)


def sparse(steps: int, batch: int, size: int, rate: float, seed: int = 3) -> np.ndarray[Any, Any]:
    """Random input spikes."""
    return (np.random.default_rng(seed).random((steps, batch, size)) < rate).astype(float)
