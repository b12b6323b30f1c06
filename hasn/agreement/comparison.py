"""The result of a comparison."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hasn.program.fuse import Network
from hasn.program.learning import weights_of
from hasn.program.model import Program
from hasn.recording import Array, Recording


@dataclass(frozen=True)
class Divergence:
    """The first spike at which a backend parts from the reference.

    Attributes:
        node, index: the neuron; ``index`` lies within the node's shape.
        sample: place in the batch.
        step: canonical step.
        reference, backend: the two labels.
        spiked: label -> whether it spiked.
        voltages: label -> recorded membrane potential (after the reset) in volts; empty for a Threshold node.
        threshold: the neuron's threshold in volts.
        tie: whether both voltages lie within rounding of the threshold.
        cause: one sentence.
        kind: the cause in a word or two (see :class:`hasn.agreement.cause.Cause`).
    """

    node: str
    index: tuple[int, ...]
    sample: int
    step: int
    reference: str
    backend: str
    spiked: dict[str, bool]
    voltages: dict[str, float]
    threshold: float
    tie: bool
    cause: str
    kind: str = ""

    def __str__(self) -> str:
        parts = [
            f"{label} {'spiked' if self.spiked[label] else 'was silent'}"
            + (f" at v = {self.voltages[label]:.12g}" if label in self.voltages else "")
            for label in (self.reference, self.backend)
        ]
        place = f"node '{self.node}' neuron {list(self.index)} sample {self.sample} step {self.step}"
        return f"{self.backend}: {place}: {', '.join(parts)}, threshold {self.threshold:.12g}: {self.cause}"


@dataclass(frozen=True)
class WeightDivergence:
    """The first weight that parts from the reference's, by more than rounding, and by no tie.

    Attributes:
        node: the connection.
        synapse: (target, source): flat numbers; of a convolution one position of the weight, () where it meets padding
            alone.
        sample, step: where; the weight is that after the step.
        reference, backend: the two labels.
        weights: label -> weight.
        term: the term of the rule, or what the rule reads; "" for none.
        cause: one sentence.
        index: place of the weight in its kernel; () where each synapse has its own.
    """

    node: str
    synapse: tuple[int, ...]
    sample: int
    step: int
    reference: str
    backend: str
    weights: dict[str, float]
    term: str
    cause: str
    index: tuple[int, ...] = ()

    def __str__(self) -> str:
        values = ", ".join(f"w = {self.weights[label]:.12g} on {label}" for label in (self.reference, self.backend))
        weight = f"weight {list(self.index)}" if self.index else ""
        synapse = "synapse {1} -> {0}".format(*self.synapse) if self.synapse else ""
        which = " of ".join(filter(None, [weight, synapse]))
        place = f"connection '{self.node}' {which} sample {self.sample} step {self.step}"
        return f"{self.backend}: {place}: {values}: {self.cause}"


@dataclass(frozen=True)
class Verdict:
    """One backend against the reference.

    Attributes:
        differing: differing spikes that no tie explains; from a sample's first on, all that still differ in it.
        ties: spikes that differ because a voltage lies within rounding of its threshold.
        after_ties: differing spikes that a tie can have caused: the same neuron later, or neurons that it reaches, from
            the step on in which its spike can arrive there.
        agreement: spikes that both have, over the spikes that either has (1.0 where neither has any).
        max_voltage_error: largest difference of recorded membrane potentials, in volts; in precision "loihi" of
            currents too, in the chip's units.
        first: the first divergence that no tie explains, else the first tie, else None.
        max_weight_error: largest difference of weights that learn, as a part of their connection's largest; where a tie
            explains it, it does not count.
        first_weight: the first of them beyond rounding, or None.
    """

    differing: int
    ties: int
    after_ties: int
    agreement: float
    max_voltage_error: float
    first: Divergence | None
    max_weight_error: float = 0.0
    first_weight: WeightDivergence | None = None


@dataclass(frozen=True)
class Comparison:
    """Several backends on the same network and input, against a reference.

    Labels are backend names, with ``:precision`` where it is not that of the call ("snntorch:float32").

    Attributes:
        program, network: what all of them ran.
        inputs: Input node -> (T, batch, *shape).
        reference: label of the backend that the others are held against.
        recordings: label -> recording of spikes and voltages, always with a batch axis.
        skipped: label -> why it did not run.
        verdicts: label -> verdict, for every backend that ran, the reference included.
    """

    program: Program
    network: Network
    inputs: dict[str, Array]
    reference: str
    recordings: dict[str, Recording]
    skipped: dict[str, str]
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    @property
    def differing(self) -> dict[str, int]:
        """Differing spikes that no tie explains, for each backend."""
        return {label: verdict.differing for label, verdict in self.verdicts.items()}

    @property
    def ties(self) -> dict[str, int]:
        """Ties at the threshold, for each backend."""
        return {label: verdict.ties for label, verdict in self.verdicts.items()}

    @property
    def after_ties(self) -> dict[str, int]:
        """Differing spikes that a tie can have caused, for each backend."""
        return {label: verdict.after_ties for label, verdict in self.verdicts.items()}

    @property
    def agreement(self) -> dict[str, float]:
        """Common spikes over all spikes, for each backend."""
        return {label: verdict.agreement for label, verdict in self.verdicts.items()}

    @property
    def max_voltage_error(self) -> dict[str, float]:
        """Largest difference of membrane potentials in volts, for each backend."""
        return {label: verdict.max_voltage_error for label, verdict in self.verdicts.items()}

    @property
    def max_weight_error(self) -> dict[str, float]:
        """Largest difference of weights that learn, as a part of their connection's largest, for each backend."""
        return {label: verdict.max_weight_error for label, verdict in self.verdicts.items()}

    def first_weight(self, backend: str) -> WeightDivergence | None:
        """The first weight that a backend has learned otherwise; None if there is none.

        Raises:
            KeyError: it did not run.
        """
        return self.verdicts[backend].first_weight

    def first_divergence(self, backend: str) -> Divergence | None:
        """Where a backend first parts from the reference; None if it never does.

        Raises:
            KeyError: it did not run.
        """
        return self.verdicts[backend].first

    @property
    def ok(self) -> bool:
        """Whether at least two backends ran and no spike differs, nor a weight that learns; ties and what they can have
        caused apart.

        In precision "loihi" currents and voltages must be the same integers too. It is about differences alone:
        :attr:`compared` says whether there was anything that could differ.
        """
        learned = any(verdict.first_weight for verdict in self.verdicts.values())
        if len(self.recordings) < 2 or any(self.differing.values()) or learned:
            return False
        integers = [label for label, recording in self.recordings.items() if recording.precision == "loihi"]
        return self.reference not in integers or not any(self.max_voltage_error[label] for label in integers)

    @property
    def compared(self) -> bool:
        """Whether there was anything to compare: at least two backends ran, and one of them spiked, or learned.

        Where it is False, no spike differs and nothing is shown by that.
        """
        runs = self.recordings.values()
        spiked = any(array.any() for recording in runs for array in recording.spikes.values())
        return len(self.recordings) > 1 and (spiked or any(map(self._learned, runs)))

    def _learned(self, recording: Recording) -> bool:
        """Whether some weight has moved, by more than float32 moves it when it takes it in."""
        starts = {plastic.name: weights_of(self.program.node(plastic.name)) for plastic in self.network.plastic}
        courses = recording.series.get("weights", {})
        ends = {name: (courses[name][-1], start) for name, start in starts.items() if name in courses}
        return any(not np.allclose(end, start, rtol=1e-6, atol=0.0) for end, start in ends.values())

    @property
    def silent(self) -> tuple[str, ...]:
        """Nodes of which no backend recorded a spike, so that nothing of them was compared."""
        nodes = dict.fromkeys(name for recording in self.recordings.values() for name in recording.spikes)
        return tuple(
            name
            for name in nodes
            if not any(r.spikes[name].any() for r in self.recordings.values() if name in r.spikes)
        )

    @property
    def zero_outputs(self) -> tuple[str, ...]:
        """Outputs of which every backend recorded zeros alone: nothing reached them in this run."""
        nodes = dict.fromkeys(name for recording in self.recordings.values() for name in recording.outputs)
        return tuple(
            name
            for name in nodes
            if not any(r.outputs[name].any() for r in self.recordings.values() if name in r.outputs)
        )

    def table(self) -> str:
        """The agreement as text: a row a backend, then the first divergences."""
        from hasn.report.table import comparison_table

        return comparison_table(self)

    def to_html(self, path: str | Path, *, force: bool = False) -> None:
        """Write a self-contained HTML report with rasters, membrane traces and the graph.

        Raises:
            FileError: the file exists and ``force`` is False, or cannot be written.
        """
        from hasn.report.html import write_report

        write_report(path, self, force=force)
