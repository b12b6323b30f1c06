"""The energy of the reference's run, as a part of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hasn.energy.comparing import COLUMNS, EnergyTable, compare_profiles
from hasn.errors import InputError
from hasn.report.section import Section, caption, html_table

if TYPE_CHECKING:
    from hasn.agreement import Comparison

NOTE = (
    "From what the reference's run did, times constants that each have a source and a grade (docs/energy.md); counts "
    "are the same on every backend. An inference is one sample. The band follows from the grades; where sources "
    "contradict each other it covers them all. The ANN of equal shape does one dense pass through the same "
    "synapses, without time."
)


def energy_of(comparison: Comparison) -> EnergyTable | str | None:
    """The reference's run by several profiles; why not, or None where nothing was counted.

    Args:
        comparison: of backends; counts are the same on each that agrees.
    """
    recording = comparison.recordings[comparison.reference]
    if not recording.counts.steps:
        return None
    try:
        return compare_profiles(recording)
    except InputError as error:
        return f"Not priced: {error}"


def energy_section(comparison: Comparison) -> Section | None:
    """The same for the report; None where nothing was counted."""
    table = energy_of(comparison)
    if not isinstance(table, EnergyTable):
        return None if table is None else Section("Energy", caption(table))
    text = html_table(COLUMNS, table.rows, left=1, kind="energy")
    return Section("Energy", text + caption(f"{table.break_even} {NOTE}"))
