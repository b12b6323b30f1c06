"""A Recording as a Neo block (https://neo.readthedocs.io), the electrophysiologists' common form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hasn.errors import BackendUnavailable

if TYPE_CHECKING:
    from hasn.recording import Array, Recording


def to_neo(recording: Recording) -> Any:
    """A ``neo.Block``: a segment for each sample; a SpikeTrain for each neuron, an AnalogSignal (V) for each node.

    Spike times are the starts of the steps, in seconds. Annotations: node, index (within the node; flat where
    neurons were chosen), sample.

    Raises:
        BackendUnavailable: neo is not installed; the message has the command.
    """
    try:
        import neo
        import quantities as pq
    except ImportError as error:
        raise BackendUnavailable("neo is not installed: pip install 'hasn[neo]'") from error
    block = neo.Block(name=f"hasn {recording.backend}".strip())
    groups = (recording.outputs, recording.spikes, recording.voltages, recording.currents)
    arrays = [_batch(array, recording) for group in groups for array in group.values()]
    for sample in range(arrays[0].shape[1] if arrays else 0):
        segment = neo.Segment(name=f"sample {sample}", index=sample)
        for node, spikes in recording.spikes.items():
            segment.spiketrains.extend(_trains(neo, pq, node, _batch(spikes, recording)[:, sample], recording, sample))
        for node, voltages in recording.voltages.items():
            flat = _batch(voltages, recording)[:, sample].reshape(len(voltages), -1)
            period = recording.dt * recording.every * pq.s
            segment.analogsignals.append(
                neo.AnalogSignal(flat, units="V", sampling_period=period, name=f"{node} v", node=node)
            )
        block.segments.append(segment)
    return block


def _batch(array: Array, recording: Recording) -> Array:
    return array if recording.batched else array[:, np.newaxis]


def _trains(neo: Any, pq: Any, node: str, spikes: Array, recording: Recording, sample: int) -> list[Any]:
    end = recording.steps * recording.dt * pq.s
    chosen = recording.neurons.get("spikes", {}).get(node)
    made = []
    for place in np.ndindex(*spikes.shape[1:]):
        index = place if chosen is None else (int(chosen[place[0]]),)
        times = np.flatnonzero(spikes[(slice(None), *place)]) * recording.dt * pq.s
        made.append(
            neo.SpikeTrain(times, t_stop=end, name=f"{node}{list(index)}", node=node, index=index, sample=sample)
        )
    return made
