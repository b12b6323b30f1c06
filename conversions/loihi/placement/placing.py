"""`place`: a quantised network onto the cores of a chip."""

from __future__ import annotations

from typing import Any

import numpy as np

from hasn.conversions.loihi.network import QuantisedNetwork
from hasn.conversions.loihi.placement.activity import Activity, activity
from hasn.conversions.loihi.placement.mesh import arranged, distances, slots
from hasn.conversions.loihi.placement.problem import RESOURCES, Problem, problem
from hasn.conversions.loihi.placement.result import Baseline, Placement, Sent
from hasn.conversions.loihi.placement.search import Progress, search
from hasn.conversions.loihi.placement.state import State
from hasn.conversions.loihi.profiles import Profile, profile
from hasn.errors import GraphError, OptionError
from hasn.program.integers.model import IntegerNetwork, Integers


def place(
    network: QuantisedNetwork | IntegerNetwork,
    calibration: Any = None,
    *,
    target: str | Profile | None = None,
    cores: int | None = None,
    seed: int = 0,
    steps: int | None = None,
    progress: Progress | None = None,
) -> Placement:
    """Assign neurons to cores under the chip's limits, with few spikes between cores, and cores to the mesh.

    Minimises the sum over neurons of spikes x other cores that the neuron reaches, with METIS and moves and swaps of
    single neurons (:mod:`.partition`, :mod:`.improve`); then the sum of messages x hops, with swaps of cores
    (:mod:`.mesh`). The assignment never sends more messages than the greedy mapper's. Inputs are outside the cores:
    they take in-axons, and their messages are counted apart. Spikes that an Output shows cost no axon here.

    Args:
        network: a quantised network, or its registers.
        calibration: a recording with spikes; or inputs to run the network on, as for ``Executable.run`` (for a
            QuantisedNetwork in the float network's units).
        target: "loihi1" or "loihi2", or a profile; default: the network's own.
        cores: spread evenly over so many (none gets more than its share, rounded up); default: the count with the
            fewest messages.
        seed: of the partitioner and of the order of swaps. The same seed gives the same placement.
        steps: T, for a network without Inputs.
        progress: called with what is being done.

    Returns:
        Cores, mesh positions, resources, traffic, hops, and the greedy baseline.

    Raises:
        PlacementError: it does not fit: the limit, the node, and how much is over.
        OptionError: no such target or number of cores.
        InputError: the calibration does not fit the network.
        GraphError: there is no neuron to place.
        BackendUnavailable: pymetis is not installed.
    """
    chip = _chip(network, target)
    integers = network.integers if isinstance(network, QuantisedNetwork) else network
    if not sum(p.size for p in integers.populations.values()):
        raise GraphError("there is no neuron to place")
    if progress:
        progress("Counting spikes")
    active = activity(network, calibration, steps)
    task = problem(integers, chip)
    spikes = _numbered(task, active)
    found = search(task, spikes, cores, seed, progress)
    if progress:
        progress("Arranging cores on the mesh")
    return _placement(task, integers, found.state, found.baseline, found.method, active, seed)


def _chip(network: QuantisedNetwork | IntegerNetwork, target: str | Profile | None) -> Profile:
    if isinstance(target, Profile):
        return target
    if target is not None:
        return profile(target)
    if isinstance(network, QuantisedNetwork):
        return profile(network.target)
    raise OptionError("registers alone do not say which chip", parameter="target", wanted="loihi1 or loihi2")


def _numbered(task: Problem, active: Activity) -> Integers:
    """Events of every source, by its number; drives send nothing to other cores."""
    spikes = np.zeros(task.sources, dtype=np.int64)
    for name, (first, end) in task.populations.items():
        spikes[first:end] = active.spikes[name]
    for name, (first, end) in task.inputs.items():
        spikes[first:end] = 0 if active.inputs is None else active.inputs[name]
    return spikes


def _placement(
    task: Problem,
    network: IntegerNetwork,
    state: State,
    baseline: State | None,
    method: str,
    active: Activity,
    seed: int,
) -> Placement:
    messages = state.messages()
    where = arranged(messages, task.profile, seed)
    positions = slots(task.profile)[where]
    hops = distances(positions)
    usage = state.usage()
    neurons = {
        name: state.core[first:end].reshape(network.populations[name].shape)
        for name, (first, end) in task.populations.items()
    }
    return Placement(
        profile=task.profile,
        neurons=neurons,
        positions=positions,
        slots=where,
        resources={name: usage[:, place] for place, name in enumerate(RESOURCES)},
        traffic_matrix=messages,
        hops=hops,
        input_messages=None if active.inputs is None else state.arriving(),
        populations=_sent(task, state, hops),
        baseline=None if baseline is None else _baseline(task, baseline),
        method=method,
        steps=active.steps,
        samples=active.samples,
    )


def _sent(task: Problem, state: State, hops: Integers) -> dict[str, Sent]:
    made = {}
    for name, (first, end) in task.populations.items():
        reached = state.reach[first:end] > 0
        home, spikes = state.core[first:end], state.spikes[first:end]
        local = int(spikes @ reached[np.arange(end - first), home])
        travelled = int((spikes[:, None] * reached * hops[home]).sum())
        made[name] = Sent(int(spikes @ reached.sum(axis=1)) - local, travelled, local, int(spikes.sum()))
    return made


def _baseline(task: Problem, state: State) -> Baseline:
    if state.cores > task.profile.cores:
        return Baseline(state.cores, state.traffic, None, False)
    hops = distances(slots(task.profile)[: state.cores])
    return Baseline(state.cores, state.traffic, int((state.messages() * hops).sum()), True)
