"""Below which rate a spiking network beats the ANN of equal shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from hasn.energy.estimating import JOULES_PER_MOL, estimate
from hasn.energy.profile import profile
from hasn.energy.terms import TERMS
from hasn.errors import OptionError

if TYPE_CHECKING:
    from hasn.recording import Recording


@dataclass(frozen=True)
class BreakEven:
    """A spiking network and the ANN of equal shape, an inference each.

    Attributes:
        rate_hz: mean events a second of what sends spikes, over all synapses, at which both cost the same; None: there
            is none, the SNN costs more at any rate, or no synapse has a rate.
        present_hz: that of the run.
        snn, ann: joules an inference.
        synapses: that spikes or events may reach.
    """

    rate_hz: float | None
    present_hz: float
    snn: float
    ann: float
    synapses: int

    @property
    def wins(self) -> bool:
        """Whether the SNN costs less in this run."""
        return self.snn < self.ann

    def __str__(self) -> str:
        if not self.synapses:
            costs = "less" if self.wins else "no less"
            return (
                f"The SNN costs {costs} than the ANN of equal shape; no spikes arrive at synapses, so it has no rate."
            )
        if self.rate_hz is None:
            return (
                "The SNN costs more than the ANN of equal shape at any rate: the updates of its neurons and its "
                "multiply-accumulates alone do."
            )
        now = "it does" if self.wins else "it does not"
        return (
            f"The SNN beats the ANN of equal shape below a mean rate of {self.rate_hz:.3g} Hz, over all synapses; here "
            f"it is {self.present_hz:.3g} Hz: {now}."
        )


def break_even(
    recording: Recording, snn: str = "cmos45-snn", ann: str = "cmos45-ann", *, steps: tuple[int, int] | None = None
) -> BreakEven:
    """Compare a run with one dense pass a sample through the same synapses.

    What scales with the rate are the additions that spikes cause, and the weights read for them; updates of neurons and
    multiply-accumulates stay.

    Args:
        recording: of the SNN.
        snn, ann: profiles that price an accumulate, and a dense pass.
        steps: (first, behind the last): these steps alone.

    Raises:
        InputError: the recording did not keep what is to be counted.
        OptionError: a profile does not price what it is asked for.
    """
    each = _prices("snn", snn, "ac")
    _prices("ann", ann, "dense_pass")
    spiking, dense = (estimate(recording, name, steps=steps).joules or 0.0 for name in (snn, ann))
    counts = recording.counts if steps is None else recording.counts.during(*steps)
    seconds = counts.steps * counts.samples * recording.dt
    moved, events, synapses = 0.0, 0, 0
    for found in counts.connections.values():
        if found.multiply_accumulates:
            continue
        moved += found.accumulates * each["ac"] + found.weight_reads * each.get("weight_read", 0.0)
        events, synapses = events + found.accumulates, synapses + found.synapses
    rate = events / (synapses * seconds) if synapses else 0.0
    one = moved / events if events else each["ac"] + each.get("weight_read", 0.0)
    even = (dense - (spiking - moved)) / (one * synapses * seconds) if synapses else 0.0
    return BreakEven(even if even > 0 else None, rate, spiking / counts.samples, dense / counts.samples, synapses)


def _prices(parameter: str, name: str, term: str) -> dict[str, float]:
    """Term -> joules, of a profile that must price one of them."""
    found = {constant.term: constant.joules(JOULES_PER_MOL) for constant in profile(name).constants}
    if found.get(term) is None:
        raise OptionError(f"it has no price for {TERMS[term].what}", parameter=parameter, got=repr(name))
    return {term: joules or 0.0 for term, joules in found.items()}
