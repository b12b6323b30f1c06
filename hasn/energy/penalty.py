"""Joules an inference as a term of the loss, differentiable through the spikes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hasn.energy.estimating import JOULES_PER_MOL, check_number, is_number
from hasn.energy.profile import profile
from hasn.errors import OptionError

if TYPE_CHECKING:
    from hasn.backends.snntorch.training.network import Activity

#: Terms that grow with a synaptic operation that a spike causes; a vesicle is released by some of them alone.
_AT_A_SYNAPSE = ("synaptic_operation", "ac", "weight_read")
_VESICLE = ("postsynaptic", "presynaptic_calcium", "vesicle_cycling", "glutamate_recycling")


@dataclass(frozen=True)
class EnergyCost:
    """A regulariser for ``hasn.train(regularisers=...)``: what the populations' spikes cost, a sample.

    ``J = sum_p,i (s + f[p, i] o) sum_t z[p, i, t]``, with f the synapses that a spike reaches, o the price of an
    operation and s that of a spike. Without ``per_inference`` the term is ``weight * mean J``; with it
    ``weight * mean max(0, J / per_inference - 1)``. Updates of neurons and an Input's events are left out, since
    training does not change them.

    Attributes:
        profile: what operations cost.
        weight: loss for each joule of a sample; with ``per_inference``, for an excess of the whole budget.
        per_inference: joules of a sample that are free, or None.
        account: of a profile whose accounts disagree.
        release_probability: of a vesicle (tissue).
    """

    profile: str = "loihi1"
    weight: float = 1.0
    per_inference: float | None = None
    account: str = ""
    release_probability: float = 0.25

    def __post_init__(self) -> None:
        for name, value, wanted in (
            ("weight", self.weight, "a number > 0"),
            ("per_inference", self.per_inference, "joules > 0"),
        ):
            if value is not None and not (is_number(value) and 0 < value < math.inf):
                raise OptionError("makes no sense", parameter=name, got=repr(value), wanted=wanted)
        check_number("release_probability", self.release_probability, 1.0)
        found = profile(self.profile)
        if self.account not in found.accounts:
            raise OptionError("there is no such account", parameter="account", got=repr(self.account),
                              wanted=", ".join(found.accounts))  # fmt: skip
        if self.prices == (0.0, 0.0):
            raise OptionError("nothing in it grows with spikes", parameter="profile", got=repr(self.profile))

    @property
    def prices(self) -> tuple[float, float]:
        """Joules of (a spike, a synaptic operation that it causes)."""
        spike = operation = 0.0
        for constant in profile(self.profile).of(self.account):
            joules = constant.joules(JOULES_PER_MOL) or 0.0
            if constant.term in _VESICLE:
                operation += self.release_probability * joules
            elif constant.term in _AT_A_SYNAPSE:
                operation += joules
            elif constant.term == "action_potential":
                spike += joules
        return spike, operation

    def __call__(self, activity: Activity) -> Any:
        """The term for one batch."""
        spike, operation = self.prices
        costs = [
            (activity.counts[name] * (spike + operation * fan_out)).flatten(1).sum(1)
            for name, fan_out in activity.fan_out.items()
        ]
        joules = sum(costs[1:], costs[0])
        if self.per_inference is None:
            return self.weight * joules.mean()
        return self.weight * (joules / self.per_inference - 1).clamp(min=0).mean()
