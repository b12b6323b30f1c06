"""How often every neuron spikes: the calibration that a placement is made for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.backend import list_backends
from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.quantising.simulate import run_integers
from hasn.errors import InputError
from hasn.program.integers.model import IntegerNetwork, Integers
from hasn.recording import Recording
from hasn.signals import signals

Counts: TypeAlias = dict[str, Integers]


@dataclass(frozen=True)
class Activity:
    """Spikes of every neuron, over all steps and samples.

    Attributes:
        spikes: population -> (neurons,) counts; 0 for those that do not spike.
        inputs: Input -> (elements,) events that are not 0; None where they are not known.
        steps, samples: over which they were counted.
    """

    spikes: Counts
    inputs: Counts | None
    steps: int
    samples: int


def activity(network: QuantisedNetwork | IntegerNetwork, given: Any, steps: int | None) -> Activity:
    """Count the spikes of a recording, or of a run on the given inputs.

    Raises:
        InputError: the inputs do not fit the network or are no integers, or the recording is of another network.
    """
    integers = network.integers if isinstance(network, QuantisedNetwork) else network
    if isinstance(given, Recording):
        return _recorded(integers, given)
    scaled = network.inputs(given) if isinstance(network, QuantisedNetwork) and given is not None else given
    checked = signals(integers.network.program, scaled, steps)
    for name, value in checked.values.items():
        if np.any(value != np.rint(value)):
            raise InputError("the chip takes integers", node=name, parameter="inputs", wanted="spikes 0/1 or integers")
    inputs = {name: _counts(value != 0) for name, value in checked.values.items()}
    if isinstance(network, QuantisedNetwork) and _has_executor():
        recording = network.compile("snntorch").run(scaled, steps=steps)
        return Activity(_recorded(integers, recording).spikes, inputs, checked.steps, checked.batch)
    if not checked.values:
        raise InputError(
            "a network without Inputs is run by snnTorch, which is not installed",
            parameter="inputs",
            way_out="Pass a Recording, or pip install 'hasn[snntorch]'.",
        )
    traces = run_integers(integers, checked.values)
    spikes = {
        name: np.asarray(traces[name].output.sum(axis=(0, 2)) if p.spiking else np.zeros(p.size)).astype(np.int64)
        for name, p in integers.populations.items()
    }
    return Activity(spikes, inputs, checked.steps, checked.batch)


def _has_executor() -> bool:
    found = list_backends().get("snntorch")
    return found is not None and found.available and "loihi" in found.precisions


def _recorded(network: IntegerNetwork, recording: Recording) -> Activity:
    counts = {}
    for name, p in network.populations.items():
        if not p.spiking:
            counts[name] = np.zeros(p.size, dtype=np.int64)
            continue
        if name not in recording.spikes or recording.spikes[name].shape[-len(p.shape) :] != p.shape:
            got = f"shape {recording.spikes[name].shape}" if name in recording.spikes else "no spikes"
            raise InputError(
                "the recording is not of this network", node=name, parameter="spikes", got=got,
                wanted=f"(T, batch, *{p.shape})", way_out="Record with run(..., record='spikes').",
            )  # fmt: skip
        counts[name] = _counts(recording.spikes[name].reshape(recording.steps, -1, *p.shape))
    samples = max((array.shape[1] for array in recording.spikes.values() if recording.batched), default=1)
    return Activity(counts, None, recording.steps, samples)


def _counts(events: NDArray[np.bool_]) -> Integers:
    """(T, batch, *shape) -> (neurons,)."""
    return np.asarray(events.sum(axis=(0, 1), dtype=np.int64).reshape(-1), dtype=np.int64)
