"""NeuroBench's metrics (Yik et al., Nature Communications 16, 2025; package neurobench 2.3) for any backend."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.compiler import compile as compile_graph
from hasn.energy.layers import arriving, layers, reaches, weights
from hasn.executable import Executable
from hasn.program.model import Neurons, Program
from hasn.recording import Recording
from hasn.signals import modulated, signals

if TYPE_CHECKING:
    import nir

Array: TypeAlias = NDArray[Any]
#: Bytes of a number in the model's footprint, whatever arithmetic runs it: float32, as torch has it.
BYTES = 4


class Metrics(dict[str, Any]):
    """Metric -> value, in NeuroBench's names."""

    def to_json(self) -> str:
        """As NeuroBench writes its results."""
        return json.dumps(self, indent=4, allow_nan=False)


def neurobench(
    network: nir.NIRGraph | Executable | Any, inputs: Any = None, *, backend: str = "snntorch", **how: Any
) -> Metrics:
    """Run a network and give NeuroBench's metrics of it.

    Args:
        network: a graph, or an executable that is compiled already.
        inputs: as :meth:`hasn.Executable.run` takes them: (T, batch, *shape). NeuroBench's data have the batch first.
        backend: who runs it.
        **how: as for :func:`hasn.compile`, and ``steps`` for a graph without Inputs.

    Returns:
        Footprint (bytes of weights and biases), ParameterCount, ConnectionSparsity; ActivationSparsity, MembraneUpdates
        a sample, SynapticOperations a sample: Effective_MACs, Effective_ACs, Dense.

    Raises:
        UnsupportedError: connections learn, or values go round without any population.
    """
    steps = how.pop("steps", None)
    if isinstance(network, Executable):
        return measured(network, inputs, steps)
    with compile_graph(network, backend, **how) as executable:
        return measured(executable, inputs, steps)


def measured(executable: Executable, inputs: Any, steps: int | None = None) -> Metrics:
    """The metrics of one run of an executable."""
    program = executable.program
    layers(program)  # refused before it runs
    recording = executable.run(inputs, record=("spikes", "voltages"), steps=steps)
    sent = sent_by(program, inputs, recording, steps)
    operations = synaptic_operations(program, sent)
    samples = recording.counts.samples
    return Metrics(
        **static(program),
        ActivationSparsity=activation_sparsity(program, sent),
        MembraneUpdates=membrane_updates(program, recording) / samples,
        SynapticOperations={name: value / samples for name, value in operations.items()},
    )


def static(program: Program) -> dict[str, float]:
    """The metrics of the network itself."""
    stored = [weights(layer) for layer in layers(program)]
    biases = [np.size(layer.map.bias) for layer in layers(program) if layer.map.bias is not None]
    count, zeros = sum(w.size for w in stored), sum(int(np.count_nonzero(w == 0)) for w in stored)
    parameters = count + sum(biases)
    sparsity = round(zeros / count, 4) if count else 0.0
    return {"Footprint": BYTES * parameters, "ParameterCount": parameters, "ConnectionSparsity": sparsity}


def sent_by(program: Program, inputs: Any, recording: Recording, steps: int | None = None) -> dict[str, Array]:
    """Input, drawn input and population -> what it sent in a run, (T, batch, *shape)."""
    given = signals(program, modulated(program, inputs, None), steps)
    found: dict[str, Array] = dict(given.values)
    for node in program.nodes:
        group: Mapping[str, Array] = recording.spikes if node.name in program.recorded_spikes else recording.voltages
        if node.name in group:
            array = np.asarray(group[node.name])
            found[node.name] = array if recording.batched else array[:, np.newaxis]
    return found


def synaptic_operations(program: Program, sent: Mapping[str, Array]) -> dict[str, float]:
    """Of all samples together. A layer's step is one of ACs if all that arrives in it, of any sample, is 0, 1 or -1."""
    total = {"Effective_MACs": 0.0, "Effective_ACs": 0.0, "Dense": 0.0}
    found = arriving(program, sent)
    for layer in layers(program):
        if layer.name not in found:
            continue
        x = found[layer.name]
        shape, flat = x.shape[2:], x.reshape(len(x), x.shape[1], -1)
        each = np.count_nonzero(flat, axis=1) @ reaches(layer, shape, weights_of_0=False)
        spiking = ((flat == 0) | (np.abs(flat) == 1)).all(axis=(1, 2))
        total["Effective_ACs"] += float(each[spiking].sum())
        total["Effective_MACs"] += float(each[~spiking].sum())
        total["Dense"] += float(reaches(layer, shape, weights_of_0=True).sum()) * flat.shape[0] * flat.shape[1]
    return total


def activation_sparsity(program: Program, sent: Mapping[str, Array]) -> float:
    """Of all that spiking nodes send, the share that is 0."""
    active = sum(int(np.count_nonzero(sent[name])) for name in program.recorded_spikes)
    every = sum(sent[name].size for name in program.recorded_spikes)
    return (every - active) / every if every else 0.0


def membrane_updates(program: Program, recording: Recording) -> int:
    """Steps at which a spiking neuron's potential is another than after the step before; the first step counts."""
    found = 0
    for population in program.of(Neurons):
        if population.spiking:
            v = np.asarray(recording.voltages[population.name])
            found += v[0].size + int(np.count_nonzero(v[1:] != v[:-1]))
    return found
