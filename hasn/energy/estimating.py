"""`hasn.energy.estimate`: a run's counts times a profile's constants."""

from __future__ import annotations

import math
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasn.counts import Counts
from hasn.energy.profile import Constant, Profile
from hasn.energy.profile import profile as profile_of
from hasn.energy.report import EnergyReport, Price
from hasn.energy.terms import TERMS, Numbers, Priced
from hasn.errors import OptionError
from hasn.recording import Recording

if TYPE_CHECKING:
    from hasn.conversions.loihi.placement import Placement

#: Free energy of ATP hydrolysis in cells: about 50 kJ/mol.
JOULES_PER_MOL = 50e3
NO_PLACEMENT = "no placement was given (hasn place)"
NO_METER = "nothing was measured (hasn.energy.Meter), or the machine does not let us"


def estimate(
    recording: Recording,
    profile: str | Path | Profile = "loihi1",
    placement: Placement | None = None,
    *,
    steps: tuple[int, int] | None = None,
    bound: bool = False,
    static: bool = False,
    release_probability: float = 0.25,
    joules_per_mol: float = JOULES_PER_MOL,
    synchrony: float = 0.0,
    measured: float | None = None,
) -> EnergyReport:
    """Price a run.

    Args:
        recording: of any backend; its counts say what was done.
        profile: a name of :func:`hasn.energy.profiles`, a .toml file, or a profile.
        placement: what :func:`hasn.conversions.loihi.placement.place` gives: for messages and hops between cores.
        steps: (first, behind the last): these steps alone.
        bound: let the profile that the profile names stand in for what is unknown, as a labelled bound.
        static: count static power too where the profile has it apart: what the chip takes whatever it does.
        release_probability: of a vesicle, at a synapse that an action potential reaches (tissue).
        joules_per_mol: of ATP (tissue).
        synchrony: ATP/s a neuron for network synchrony (tissue): a model choice, no source gives it.
        measured: joules that a meter read over the run ("gpu", "cpu").

    Returns:
        The report. What is unknown is left out and named, never 0.

    Raises:
        OptionError: there is no such profile, or a number makes no sense.
        InputError: the recording did not keep what is to be counted; the placement is of another network.
        ParameterError, FileError: see :func:`hasn.energy.profile`.
    """
    _check(release_probability, joules_per_mol, synchrony, measured)
    counts = recording.counts if steps is None else recording.counts.during(*steps)
    counted(counts)
    found = profile if isinstance(profile, Profile) else profile_of(profile)
    label = ""
    if bound and found.bounded_by and any(constant.value is None for constant in found.constants):
        label, found = found.bounded_by, _bounded(found)
    run = Priced(counts, recording.dt, placement, release_probability, measured)
    left_out: dict[str, str] = {}
    prices: list[Price] = []
    for account in found.accounts:
        constants = [constant for constant in found.of(account) if static or not constant.optional]
        left_out |= {TERMS[c.term].what: _not_asked(c) for c in found.of(account) if c not in constants}
        if synchrony:
            constants.append(_synchrony(synchrony, account, found))
        prices += _prices(run, constants, joules_per_mol, left_out)
        _note_missing(run, constants, left_out)
    left_out |= dict.fromkeys(found.leaves_out, "the profile has no price for it")
    grades = tuple(dict.fromkeys(price.grade for price in prices))
    title = found.title if not label else f"{found.title}, by {label}'s constants as a bound"
    return EnergyReport(
        found.name, title, tuple(prices), left_out, grades, counts.steps, counts.samples, recording.dt, label
    )


def counted(counts: Counts) -> None:
    """Refuse counts that lack what a node did.

    Raises:
        InputError: spikes of a node were not recorded, or nothing but spikes was counted.
    """
    _ = counts.total


def _not_asked(constant: Constant) -> str:
    return (
        f"{constant.value:g} {constant.unit}, {constant.grade}; counted where it is asked for (static=True, --static)"
    )


def _bounded(found: Profile) -> Profile:
    """What it knows itself, and of the other what pays for the rest."""
    other = profile_of(found.bounded_by)
    own = tuple(constant for constant in found.constants if constant.value is not None)
    paid = {TERMS[constant.term].part for constant in own}
    lent = tuple(constant for constant in other.constants if TERMS[constant.term].part not in paid)
    leaves_out = found.leaves_out + other.leaves_out
    return Profile(found.name, found.title, found.kind, own + lent, found.note, leaves_out)


def _synchrony(value: float, account: str, found: Profile) -> Constant:
    if found.kind != "tissue":
        raise OptionError("only tissue has it", parameter="synchrony", got=value, wanted="a profile of tissue")
    if any(constant.all_in for constant in found.of(account)):
        raise OptionError(
            f"{found.name} has everything in one figure: nothing is added to it", parameter="synchrony", got=value
        )
    source = "the caller's own: a model choice, no source gives it"
    return Constant("network_synchrony", value, "ATP/s", "per neuron", source, "estimate", account=account)


def _prices(run: Priced, constants: list[Constant], joules_per_mol: float, left_out: dict[str, str]) -> list[Price]:
    prices = []
    for constant in constants:
        term = TERMS[constant.term]
        each = 1.0 if constant.term == "measured" else constant.joules(joules_per_mol)
        counts: Numbers | None = term.count(run)
        if counts is None:
            left_out[term.what] = NO_METER if constant.term == "measured" else NO_PLACEMENT
            continue
        if each is None:
            if any(counts.values()):
                left_out[term.what] = constant.source
            continue
        low, high = (1.0, 1.0) if constant.term == "measured" else constant.factors
        grade = "measured" if constant.term == "measured" else constant.grade
        for node, count in counts.items():
            joules = count * each
            prices.append(
                Price(node, constant.term, constant.account, count, joules, joules * low, joules * high, grade,
                      constant.source)
            )  # fmt: skip
    return prices


def _did(run: Priced) -> dict[str, tuple[str, int]]:
    """Part of the work -> what it is called, and how much of it a run did."""
    total = run.counts.total
    return {
        "synapses": ("synaptic operations", total.multiply_accumulates + total.accumulates),
        "neurons": ("updates of neurons", sum(run.counts.neuron_updates.values())),
        "plasticity": ("updates of weights that learn", sum(run.counts.plastic_updates.values())),
    }


def _note_missing(run: Priced, constants: list[Constant], left_out: dict[str, str]) -> None:
    """Name the work that no constant pays for."""
    paid = {TERMS[constant.term].part for constant in constants}
    if any(constant.all_in for constant in constants) or "whole" in paid:
        paid |= {"synapses", "neurons"}
    for part, (what, number) in _did(run).items():
        if part not in paid and number:
            left_out[what] = "the profile has no price for it"
    vesicles = any(constant.term == "postsynaptic" for constant in constants)
    if vesicles and run.counts.total.multiply_accumulates:
        left_out["numbers at synapses"] = "a vesicle is released by a spike, and these send real numbers"


def _check(release_probability: float, joules_per_mol: float, synchrony: float, measured: float | None) -> None:
    for name, value, most in (
        ("release_probability", release_probability, 1.0),
        ("joules_per_mol", joules_per_mol, math.inf),
        ("synchrony", synchrony, math.inf),
        ("measured", 0.0 if measured is None else measured, math.inf),
    ):
        check_number(name, value, most)


def is_number(value: object) -> bool:
    """Whether it is a real number, of Python's or NumPy's."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_number(name: str, value: Any, most: float = math.inf) -> None:
    """Refuse what is no number from 0 to ``most``; a mole of ATP gives more than 0 J.

    Raises:
        OptionError: it is not.
    """
    above = name == "joules_per_mol"
    if not is_number(value) or not 0 <= value <= most or value == math.inf or (above and value == 0):
        wanted = "0 to 1" if most == 1 else f"a number {'>' if above else '>='} 0"
        raise OptionError("makes no sense", parameter=name, got=repr(value), wanted=wanted)
