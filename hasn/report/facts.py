"""What a comparison says, as rows and plain data: the text table, the page and `--json` all read these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hasn.program.describe import counted

if TYPE_CHECKING:
    from hasn.agreement import Comparison, Divergence

Extra = Mapping[str, Mapping[str, str]]
DASH = "–"


@dataclass(frozen=True)
class Table:
    """The agreement table.

    Attributes:
        columns: headings, the backend's first.
        rows: label -> one cell a column.
        skipped: label -> why it did not run.
    """

    columns: tuple[str, ...]
    rows: dict[str, tuple[str, ...]]
    skipped: dict[str, str]


COLUMNS = (
    "backend", "precision", "steps shifted", "spikes", "differing", "ties", "agreement", "max |ΔV| (V)",
    "synaptic operations", "seconds",
)  # fmt: skip


def agreement_table(comparison: Comparison, extra: Extra | None = None) -> Table:
    """One row a backend that ran; ``extra`` ({label: {column: text}}) adds columns behind the precision."""
    given = extra or {}
    more = tuple(dict.fromkeys(column for cells in given.values() for column in cells))
    rows = {
        label: _row(comparison, label, tuple(given.get(label, {}).get(column, DASH) for column in more))
        for label in comparison.recordings
    }
    return Table((*COLUMNS[:2], *more, *_in_units(comparison)), rows, dict(comparison.skipped))


def _in_units(comparison: Comparison) -> tuple[str, ...]:
    """The columns behind the precision; the chip's integers have no volts."""
    volts = unit_of(comparison) == "V"
    return tuple(column if volts else column.replace("|ΔV| (V)", "|Δu|, |Δv| (units)") for column in COLUMNS[2:])


def unit_of(comparison: Comparison) -> str:
    """ "V", or "units" where a recording has the chip's integers."""
    integers = any(recording.precision == "loihi" for recording in comparison.recordings.values())
    return "units" if integers else "V"


def _row(comparison: Comparison, label: str, more: tuple[str, ...]) -> tuple[str, ...]:
    recording = comparison.recordings[label]
    shifts = recording.shifts.values()
    low, high = min(shifts, default=0), max(shifts, default=0)
    if label == comparison.reference:
        found: tuple[str, ...] = ("reference", *[DASH] * 3)
    else:
        found = (
            f"{comparison.differing[label]:,}",
            _ties_text(comparison, label),
            _agreement_text(comparison, label),
            error_text(comparison.max_voltage_error[label]),
        )
    return (
        backend_of(label),
        recording.precision or DASH,
        *more,
        str(low) if low == high else f"{low} to {high}",
        f"{recording.counts.total_spikes:,}",
        *found,
        f"{recording.counts.total_synaptic_operations:,}",
        seconds_text(recording.seconds),
    )


def shared(comparison: Comparison, label: str) -> float | None:
    """Common spikes over all spikes of a run and the reference; None where neither has any."""
    runs = (comparison.recordings[comparison.reference], comparison.recordings[label])
    share = float(comparison.agreement[label])
    silent = not any(array.any() for run in runs for array in run.spikes.values())
    return None if silent and share == 1 else share


def _agreement_text(comparison: Comparison, label: str) -> str:
    share = shared(comparison, label)
    return DASH if share is None else percent(share)


def _ties_text(comparison: Comparison, label: str) -> str:
    after = comparison.after_ties[label]
    return f"{comparison.ties[label]:,}{f' (+{after:,} after)' if after else ''}"


def backend_of(label: str) -> str:
    """ "snntorch:float32" -> "snntorch": the precision has a column of its own."""
    return label.split(":", 1)[0]


def percent(share: float) -> str:
    """A share of 1 in percent, with so many digits that nothing but 1 itself reads 100 %."""
    for digits in range(2, 9):
        text = f"{100 * share:.{digits}f}"
        if float(text) < 100:
            return f"{text} %"
    return "100 %" if share >= 1 else "< 100 %"


def error_text(volts: float) -> str:
    """A voltage error: 0 only where it is exactly 0."""
    return "0" if volts == 0 else f"{volts:.1e}"


def seconds_text(seconds: float) -> str:
    """Wall time to two digits or more."""
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}" if seconds < 100 else f"{seconds:.0f}"


def others(comparison: Comparison) -> list[str]:
    """Labels that ran, without the reference."""
    return [label for label in comparison.recordings if label != comparison.reference]


def neuron_text(divergence: Divergence) -> str:
    """ "lif[3, 2]"; the node alone where it is one neuron without dimensions."""
    inside = ", ".join(map(str, divergence.index))
    return f"{divergence.node}[{inside}]" if inside else divergence.node


def divergence_line(divergence: Divergence, unit: str = "V") -> str:
    """The first divergence of a backend in one line: where, both sides, and why."""
    sides = [_side(divergence, label, unit) for label in (divergence.reference, divergence.backend)]
    tie = " (a tie)" if divergence.tie else ""
    return (
        f"{divergence.backend}: first differs{tie} at node '{divergence.node}', neuron {index_text(divergence.index)}, "
        f"sample {divergence.sample}, step {divergence.step}: {sides[0]}; {sides[1]}; "
        f"threshold {divergence.threshold:.17g} {unit}. {sentence(divergence.cause)}"
    )


def sentence(text: str, stop: str = ".") -> str:
    """With a capital letter and a full stop."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else stop}" if text else ""


def index_text(index: tuple[int, ...]) -> str:
    """(3,) -> "3"; (3, 2) -> "(3, 2)"."""
    return str(index[0]) if len(index) == 1 else str(tuple(index))


def _side(divergence: Divergence, label: str, unit: str) -> str:
    fired = "spikes" if divergence.spiked.get(label) else "is silent"
    volts = divergence.voltages.get(label)
    return f"{label} {fired}" if volts is None else f"{label} {fired}, then at {volts:.17g} {unit}"


def sized(comparison: Comparison) -> str:
    """ "3 samples of 100 steps"."""
    steps, batch = extent(comparison)
    return f"{counted(batch, 'sample')} of {counted(steps, 'step')}"


def extent(comparison: Comparison) -> tuple[int, int]:
    """(steps, samples) of the recordings, which have a batch axis always."""
    for recording in comparison.recordings.values():
        for group in (recording.spikes, recording.voltages, recording.outputs):
            for array in group.values():
                return int(array.shape[0]), int(array.shape[1])
    return 0, 0


def listed(names: list[str]) -> str:
    """ "a, b and c", each once."""
    unique = list(dict.fromkeys(names))
    return unique[0] if len(unique) == 1 else f"{', '.join(unique[:-1])} and {unique[-1]}"


def comparison_data(comparison: Comparison) -> dict[str, Any]:
    """The result as plain values for JSON."""
    labels = others(comparison)
    firsts = {label: comparison.first_divergence(label) for label in labels}
    steps, batch = extent(comparison)
    return {
        "ok": bool(comparison.ok),
        "compared": bool(comparison.compared),
        "silent": list(comparison.silent),
        "zero_outputs": list(comparison.zero_outputs),
        "reference": comparison.reference,
        "steps": steps,
        "samples": batch,
        "dt": comparison.program.dt,
        "method": comparison.program.method,
        "timing": comparison.program.timing,
        "backends": {label: _backend_data(comparison, label) for label in comparison.recordings},
        "differing": {label: int(comparison.differing[label]) for label in labels},
        "ties": {label: int(comparison.ties[label]) for label in labels},
        "after_ties": {label: int(comparison.after_ties[label]) for label in labels},
        "agreement": {label: shared(comparison, label) for label in labels},
        "max_voltage_error": {label: float(comparison.max_voltage_error[label]) for label in labels},
        "first_divergences": {label: first and divergence_data(first) for label, first in firsts.items()},
        **_learned_data(comparison, labels),
        "skipped": dict(comparison.skipped),
    }


def _learned_data(comparison: Comparison, labels: list[str]) -> dict[str, Any]:
    """What networks that learn have besides."""
    if not comparison.network.plastic:
        return {}
    firsts = {label: comparison.first_weight(label) for label in labels}
    return {
        "max_weight_error": {label: float(comparison.max_weight_error[label]) for label in labels},
        "first_weights": {label: first and asdict(first) for label, first in firsts.items()},
    }


def _backend_data(comparison: Comparison, label: str) -> dict[str, Any]:
    recording = comparison.recordings[label]
    return {
        "precision": recording.precision,
        "spikes": recording.counts.total_spikes,
        "synaptic_operations": recording.counts.total_synaptic_operations,
        "shifts": {name: int(shift) for name, shift in recording.shifts.items()},
        "seconds": recording.seconds,
    }


def divergence_data(divergence: Divergence) -> dict[str, Any]:
    """A divergence as plain values."""
    return {
        "node": divergence.node,
        "index": [int(i) for i in divergence.index],
        "sample": int(divergence.sample),
        "step": int(divergence.step),
        "reference": divergence.reference,
        "backend": divergence.backend,
        "spiked": {label: bool(fired) for label, fired in divergence.spiked.items()},
        "voltages": {label: float(volts) for label, volts in divergence.voltages.items()},
        "threshold": float(divergence.threshold),
        "tie": bool(divergence.tie),
        "cause": divergence.cause,
    }
