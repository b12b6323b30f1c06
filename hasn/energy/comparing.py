"""One inference by several profiles, in one table."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasn.energy.breakeven import BreakEven, break_even
from hasn.energy.estimating import estimate
from hasn.energy.profile import Profile
from hasn.energy.profile import profile as profile_of
from hasn.energy.report import EnergyReport
from hasn.energy.text import joules_text, plain_table
from hasn.errors import OptionError

if TYPE_CHECKING:
    from hasn.recording import Recording

#: What reports show: chips, arithmetic of equal shape, brain tissue.
PROFILES_COMPARED = ("loihi1", "truenorth", "spinnaker1", "cmos45-ann", "cmos45-snn", "attwell-laughlin-2001")
COLUMNS = ("the same inference on", "energy", "from", "to", "grade", "not in it")
NOTHING = "nothing that was done"


@dataclass(frozen=True)
class EnergyTable:
    """A run by several profiles.

    Attributes:
        reports: profile -> report.
        break_even: the SNN against the ANN of equal shape, on 45 nm.
    """

    reports: dict[str, EnergyReport]
    break_even: BreakEven

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A row a profile, as text under :data:`COLUMNS`."""
        return [_row(report) for report in self.reports.values()]

    @property
    def text(self) -> str:
        """The table, what is not in each, and the rate below which the SNN wins."""
        table = plain_table(COLUMNS[:-1], [row[:-1] for row in self.rows], left=(0, 4))
        missing = [f"Not in {row[0]}: {row[-1]}" for row in self.rows if row[-1] != NOTHING]
        return "\n".join([table, *missing, str(self.break_even)])

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it."""
        even = {**vars(self.break_even), "wins": self.break_even.wins}
        return {"profiles": {name: report.to_dict() for name, report in self.reports.items()}, "break_even": even}

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)


def compare_profiles(
    recording: Recording, profiles: Iterable[str | Path | Profile] | str = PROFILES_COMPARED, **how: Any
) -> EnergyTable:
    """Price a run by several profiles.

    Args:
        recording: of any backend.
        profiles: their names, or files; one name is a list of one.
        **how: as for :func:`hasn.energy.estimate`; ``measured`` is {"cpu": joules, "gpu": joules} here, and
            ``synchrony`` is that of profiles of tissue that have no figure for everything.

    Raises:
        InputError: the recording did not keep what is to be counted.
        OptionError: there is no such profile, or none.
    """
    measured, synchrony = how.pop("measured", None) or {}, how.pop("synchrony", 0.0)
    named = [profiles] if isinstance(profiles, str | Path | Profile) else profiles
    found = [one if isinstance(one, Profile) else profile_of(one) for one in named]
    if not found:
        raise OptionError("nothing to price by", parameter="profiles", got="none")
    reports = {
        one.name: estimate(recording, one, measured=measured.get(one.name), synchrony=synchrony * _in_parts(one), **how)
        for one in found
    }
    return EnergyTable(reports, break_even(recording, steps=how.get("steps")))


def _in_parts(one: Profile) -> bool:
    """Whether it is tissue to which a term may be added."""
    return one.kind == "tissue" and not any(constant.all_in for constant in one.constants)


def _row(report: EnergyReport) -> tuple[str, ...]:
    band = report.band
    left_out = "; ".join(report.left_out) or NOTHING
    if band is None or report.per_inference is None:
        return report.title, "unknown", "–", "–", "unknown", left_out
    low, high = (joules_text(end / report.samples) for end in band)
    return report.title, joules_text(report.per_inference), low, high, ", ".join(report.grades), left_out
