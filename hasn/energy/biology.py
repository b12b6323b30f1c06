"""What brain tissue would spend, in ATP: by rate alone here, from a run's spikes by :func:`hasn.energy.estimate`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from hasn.energy.estimating import JOULES_PER_MOL, check_number
from hasn.energy.profile import AVOGADRO, Profile, profile, profiles
from hasn.energy.terms import TERMS
from hasn.errors import OptionError

#: Group of the published split -> its terms.
GROUPS = {
    "action potentials": ("action_potential",),
    "postsynaptic": ("postsynaptic",),
    "rest": ("resting_neuron", "resting_glia"),
    "presynaptic and glutamate": ("presynaptic_calcium", "vesicle_cycling", "glutamate_recycling"),
    "network synchrony": ("network_synchrony",),
}


@dataclass(frozen=True)
class TissueBudget:
    """What a neuron and its synapses spend.

    Attributes:
        model: the profile.
        terms: term -> ATP/s a neuron.
        all_in: whether it is one figure for everything.
        joules_per_mol: of ATP.
    """

    model: str
    terms: dict[str, float]
    all_in: bool = False
    joules_per_mol: float = JOULES_PER_MOL

    @property
    def total(self) -> float:
        """ATP/s a neuron."""
        return sum(self.terms.values())

    @property
    def watts(self) -> float:
        """Of a neuron."""
        return self.total * self.joules_per_mol / AVOGADRO

    @property
    def split(self) -> dict[str, float]:
        """Group -> its share of the total, as the papers split it; groups that are in nothing are left out. Of one
        figure for everything there is no split."""
        if self.all_in:
            return {}
        found = {group: sum(self.terms.get(term, 0.0) for term in terms) for group, terms in GROUPS.items()}
        return {group: value / self.total for group, value in found.items() if value}

    def __add__(self, other: TissueBudget) -> TissueBudget:
        """Of both together.

        Raises:
            OptionError: one of them has everything in one figure, or they count ATP at different prices.
        """
        if self.all_in or other.all_in:
            name = self.model if self.all_in else other.model
            raise OptionError(f"{name} has everything in one figure: it is not added to parts", parameter="budget")
        if self.joules_per_mol != other.joules_per_mol:
            raise OptionError("they count ATP at different prices", parameter="joules_per_mol")
        terms = {term: self.terms.get(term, 0.0) + other.terms.get(term, 0.0) for term in {**self.terms, **other.terms}}
        names = dict.fromkeys([self.model, other.model])
        return TissueBudget(" + ".join(names), terms, False, self.joules_per_mol)


def budget(
    model: str | Path = "attwell-laughlin-2001",
    *,
    rate_hz: float,
    synapses: float = 8000,
    release_probability: float = 0.25,
    synchrony: float = 0.0,
    joules_per_mol: float = JOULES_PER_MOL,
) -> TissueBudget:
    """ATP/s a neuron, term by term, without a run.

    Args:
        model: "attwell-laughlin-2001", "howarth-2012", "lennie-2003", or a .toml file of your own.
        rate_hz: action potentials a second.
        synapses: that an action potential of the neuron reaches.
        release_probability: of a vesicle at each.
        synchrony: ATP/s for network synchrony: a model choice, no source gives it.
        joules_per_mol: of ATP.

    Raises:
        OptionError: there is no such model, a number makes no sense, or something is added to an all-in figure.
    """
    for name, value, most in (
        ("rate_hz", rate_hz, math.inf), ("synapses", synapses, math.inf), ("synchrony", synchrony, math.inf),
        ("release_probability", release_probability, 1.0), ("joules_per_mol", joules_per_mol, math.inf),
    ):  # fmt: skip
        check_number(name, value, most)
    found = _tissue(model)
    vesicles = rate_hz * synapses * release_probability
    times = {"action_potential": rate_hz, "resting_neuron": 1.0, "resting_glia": 1.0, "network_synchrony": 1.0}
    terms: dict[str, float] = {}
    for constant in found.constants:
        if constant.value is None:
            raise OptionError(f"{found.name} does not say what {TERMS[constant.term].what} costs", parameter="model")
        each = times.get(constant.term, vesicles)
        terms[constant.term] = constant.value * each
    all_in = any(constant.all_in for constant in found.constants)
    if synchrony and all_in:
        raise OptionError(f"{found.name} has everything in one figure: nothing is added to it", parameter="synchrony")
    if synchrony:
        terms["network_synchrony"] = terms.get("network_synchrony", 0.0) + synchrony
    return TissueBudget(found.name, terms, all_in, joules_per_mol)


def _tissue(model: str | Path) -> Profile:
    names = [name for name in profiles() if profile(name).kind == "tissue"]
    own = str(model).endswith(".toml")
    found = profile(model) if own or str(model) in profiles() else None
    if found is None or found.kind != "tissue":
        raise OptionError(
            "there is no such profile of tissue" if found is None else "not a profile of tissue",
            parameter="model",
            got=repr(model),
            wanted=", ".join(names),
            way_out="Or name a .toml file of your own (docs/energy.md).",
        )
    if len(found.accounts) > 1:
        raise OptionError("its accounts disagree: there is no one budget", parameter="model", got=repr(model))
    return found
