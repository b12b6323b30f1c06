"""Below which rate a spiking network beats the ANN of equal shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hasn.energy.estimating import JOULES_PER_MOL, estimate
from hasn.energy.profile import profile

if TYPE_CHECKING:
    from hasn.recording import Recording


@dataclass(frozen=True)
class BreakEven:
    """A spiking network and the ANN of equal shape, an inference each.

    Attributes:
        rate_hz: mean events a second of what sends spikes, over all synapses, at which both cost the same; None: the
            SNN costs more at any rate.
        present_hz: that of the run.
        snn, ann: joules an inference.
    """

    rate_hz: float | None
    present_hz: float
    snn: float
    ann: float

    @property
    def wins(self) -> bool:
        """Whether the SNN costs less in this run."""
        return self.snn < self.ann

    def __str__(self) -> str:
        if self.rate_hz is None:
            return "The SNN costs more than the ANN of equal shape at any rate: its neurons' updates alone do."
        now = "it does" if self.wins else "it does not"
        return (
            f"The SNN beats the ANN of equal shape below a mean rate of {self.rate_hz:.3g} Hz, over all synapses; here "
            f"it is {self.present_hz:.3g} Hz: {now}."
        )


def break_even(recording: Recording, snn: str = "cmos45-snn", ann: str = "cmos45-ann") -> BreakEven:
    """Compare a run with one dense pass a sample through the same synapses.

    What scales with the rate are the additions that spikes cause, and the weights read for them; updates of neurons and
    what real numbers cause stay.

    Raises:
        InputError: the recording did not keep what is to be counted.
    """
    spiking, dense = estimate(recording, snn), estimate(recording, ann)
    counts = recording.counts
    each = {constant.term: constant.joules(JOULES_PER_MOL) or 0.0 for constant in profile(snn).constants}
    seconds = counts.steps * counts.samples * recording.dt
    moved, reads, events, synapses = 0.0, 0, 0, 0
    for found in counts.connections.values():
        if found.multiply_accumulates:
            continue
        moved += found.accumulates * each["ac"] + found.weight_reads * each.get("weight_read", 0.0)
        events, reads, synapses = events + found.accumulates, reads + found.weight_reads, synapses + found.synapses
    fixed, target = (spiking.joules or 0.0) - moved, dense.joules or 0.0
    rate = events / (synapses * seconds) if synapses else 0.0
    one = moved / events if events else each["ac"] + each.get("weight_read", 0.0)
    even = (target - fixed) / (one * synapses * seconds) if synapses else 0.0
    samples = counts.samples
    return BreakEven(even if even > 0 else None, rate, (spiking.joules or 0.0) / samples, target / samples)
