"""Regularisers of activity: spikes are what a spiking network costs. Each is a mean over the batch's samples, so that
parts of a batch add up to the whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from hasn.errors import OptionError

if TYPE_CHECKING:
    from hasn.backends.snntorch.training.network import Activity


class Regulariser(Protocol):
    """What ``regularisers`` takes: also a function of an Activity."""

    def __call__(self, activity: Activity) -> Any:
        """A scalar tensor to add to the loss, the mean over the samples."""
        ...


@dataclass(frozen=True)
class RateTarget:
    """``L = weight * sum_p mean_n (r[p, n] - target[p])^2`` with ``r[p, n] = sum_t,i z[p, i, n, t] / (T |p|)``.

    ``r`` is the spikes for each neuron and step of population p in sample n. After the activity regularisers of Zenke &
    Vogels, Neural Computation 33, 2021, with a target in place of an upper bound.

    Attributes:
        target: spikes for each neuron and step, for every population or {population: target}.
        weight: of the term.
    """

    target: float | Mapping[str, float]
    weight: float = 1.0

    def __call__(self, activity: Activity) -> Any:
        """The term for one batch."""
        targets = self.target if isinstance(self.target, Mapping) else dict.fromkeys(activity.counts, self.target)
        rates = {name: activity.counts[name].flatten(1).mean(1) / activity.steps for name in targets}
        return self.weight * sum(((rates[name] - target) ** 2).mean() for name, target in targets.items())

    def check(self, populations: Iterable[str]) -> None:
        """Refuse populations that do not spike or are not there."""
        known = tuple(populations)
        for name in self.target if isinstance(self.target, Mapping) else ():
            if name not in known:
                raise OptionError(
                    "no such spiking population",
                    parameter="regularisers",
                    got=repr(name),
                    wanted=", ".join(known) or "a graph with spiking neurons",
                )


@dataclass(frozen=True)
class SynapticCost:
    """``L = weight * mean_n sum_p,i f[p, i] sum_t z[p, i, n, t]``: synaptic operations of a sample.

    ``f`` is the fan-out, the synapses that a neuron's spike reaches at the next connections
    (:mod:`hasn.program.operations`); an Input's events are left out, since training does not change them. After Sorbaro
    et al., Frontiers in Neuroscience 14, 2020.

    Attributes:
        weight: loss for each synaptic operation of a sample.
    """

    weight: float

    def __call__(self, activity: Activity) -> Any:
        """The term for one batch."""
        costs = [(activity.counts[name] * fan_out).flatten(1).sum(1) for name, fan_out in activity.fan_out.items()]
        return self.weight * sum(cost.mean() for cost in costs)
