"""What a run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hasn.counts import Counts
from hasn.recordings.events import Events, SpikeTrains
from hasn.recordings.histograms import WeightHistogram

if TYPE_CHECKING:
    import nir

Array: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class Recording:
    """Spikes, voltages and outputs of a run: time first, then the batch if the input had one, then the node's shape.

    All arrays are in canonical time: index t is what SEMANTICS calls step t, whatever the backend's own latency.

    Attributes:
        outputs: Output node -> values (T[, batch], *shape).
        spikes: spiking node -> bool (T[, batch], *shape); empty unless "spikes" was recorded.
        voltages: neuron node -> membrane potential after the reset, in volts; empty unless "voltages" was recorded.
        dt: seconds a step.
        shifts: node -> steps that the backend ran it late; already taken out of the arrays.
        counts: spikes, synaptic operations and more, worked out when they are first read; until then the run's inputs
            are kept for them.
        backend: who ran it.
        precision: in which arithmetic.
        seconds: wall time of the run, without compilation.
        batched: whether the arrays have a batch axis.
        currents: neuron node -> synaptic current u; empty unless "currents" was recorded (precision "loihi"). In that
            precision voltages and currents are integers in the chip's units.
        more: further groups, such as "rates".
        every: steps between two records of voltages, currents, rates and weights.
        length: T, or 0 where the arrays say it.
        neurons: group -> node -> flat numbers of the neurons that were recorded, where it was not all of them: their
            arrays are (T[, batch], neurons).
        own_rule: in a sentence, how connections learned where not as SEMANTICS says; empty: as it says.
    """

    outputs: dict[str, Array]
    spikes: Mapping[str, NDArray[np.bool_]]
    voltages: dict[str, Array]
    dt: float
    shifts: dict[str, int]
    counts: Counts
    backend: str = ""
    precision: str = ""
    seconds: float = 0.0
    batched: bool = False
    currents: dict[str, Array] = field(default_factory=dict)
    more: dict[str, dict[str, Array]] = field(default_factory=dict)
    every: int = 1
    length: int = 0
    neurons: dict[str, dict[str, NDArray[np.int64]]] = field(default_factory=dict)
    own_rule: str = ""

    @property
    def series(self) -> dict[str, Mapping[str, Array]]:
        """All groups: group -> node -> values. The fields of these names are its views."""
        own = {"outputs": self.outputs, "spikes": self.spikes, "voltages": self.voltages, "currents": self.currents}
        return {**own, **self.more}

    @property
    def rates(self) -> dict[str, Array]:
        """Spiking node -> running mean of its rate in Hz; empty unless "rates" was recorded."""
        return self.more.get("rates", {})

    @property
    def histograms(self) -> dict[str, WeightHistogram]:
        """Connection that learns -> its weights over time; empty unless "histograms" was recorded."""
        return {name: WeightHistogram.of(table) for name, table in self.more.get("histograms", {}).items()}

    @property
    def events(self) -> dict[str, Events]:
        """Spiking node -> its spikes as (step, sample, neuron)."""
        if isinstance(self.spikes, SpikeTrains):
            return self.spikes.events
        made = {}
        for name, dense in self.spikes.items():
            chosen = self.neurons.get("spikes", {}).get(name)
            found = Events.of(dense if self.batched else dense[:, np.newaxis], chosen)
            made[name] = replace(found, batched=self.batched)
        return made

    @property
    def steps(self) -> int:
        """Number of steps T."""
        if self.length:
            return self.length
        for group in (self.outputs, self.spikes, self.voltages, self.currents):
            for array in group.values():
                return int(array.shape[0])
        return 0

    @property
    def recorded_steps(self) -> NDArray[np.int64]:
        """The steps of which voltages, currents, rates and weights were kept: all, unless ``every`` said otherwise."""
        return np.arange(0, self.steps, self.every)

    @property
    def times(self) -> NDArray[np.float64]:
        """Start of each step, in seconds."""
        return np.arange(self.steps, dtype=np.float64) * np.float64(self.dt)

    @property
    def output(self) -> Array:
        """The values of the only Output.

        Raises:
            KeyError: the graph has none, or several.
        """
        if len(self.outputs) != 1:
            raise KeyError(f"the graph has {len(self.outputs)} Outputs: {', '.join(self.outputs)}")
        return next(iter(self.outputs.values()))

    # --- on the way to other tools

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write the recording as a ``.npz`` file; see :func:`hasn.recordings.npz.save_npz`."""
        from hasn.recordings.npz import save_npz

        save_npz(self, path, force=force)

    @classmethod
    def load(cls, path: str | Path, *, mapped: bool = False) -> Recording:
        """Read what :meth:`save` wrote; see :func:`hasn.recordings.npz.load_npz`."""
        from hasn.recordings.npz import load_npz

        return cls(**load_npz(path, mapped=mapped))

    def to_nir(self, form: Literal["gridded", "event"] = "gridded") -> nir.NIRGraphData:
        """The recording as NIR data; see :func:`hasn.recordings.nir_data.to_nir_data`."""
        from hasn.recordings.nir_data import to_nir_data

        return to_nir_data(self, form)

    @classmethod
    def from_nir(
        cls,
        data: nir.NIRGraphData,
        *,
        dt: float | None = None,
        shapes: Mapping[str, tuple[int, ...]] | None = None,
        batched: bool = True,
    ) -> Recording:
        """The recording that NIR data holds; see :func:`hasn.recordings.nir_data.from_nir_data`."""
        from hasn.recordings.nir_data import from_nir_data

        return cls(**from_nir_data(data, dt=dt, shapes=shapes, batched=batched))

    def to_neo(self) -> Any:
        """The recording as a ``neo.Block``; see :func:`hasn.recordings.neo.to_neo`."""
        from hasn.recordings.neo import to_neo

        return to_neo(self)
