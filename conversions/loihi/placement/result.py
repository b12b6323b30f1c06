"""A placement: who is where, what each core holds, what travels and how far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hasn.conversions.loihi.placement.problem import RESOURCES
from hasn.conversions.loihi.profiles import Profile
from hasn.program.integers.model import Integers


@dataclass(frozen=True)
class Baseline:
    """What the greedy mapper does: cores filled in node order, numbered along the rows of the mesh.

    Attributes:
        cores: that it fills.
        traffic: messages between cores.
        message_hops: messages times the hops each travels; None where it does not fit.
        fits: whether the chip has so many cores.
    """

    cores: int
    traffic: int
    message_hops: int | None
    fits: bool


@dataclass(frozen=True)
class Sent:
    """What a population sends: messages to other cores, the hops they travel in all, and messages that stay.

    ``spikes`` are its neurons' own, whether they lead to another neuron or not.
    """

    messages: int
    message_hops: int
    local: int
    spikes: int


@dataclass(frozen=True)
class Placement:
    """Every neuron on a core, every core on the mesh. Estimated from the profile; nothing here was measured on a chip.

    A *message* is a spike to one other core; it reaches all neurons there. Counts are over the whole calibration.

    Attributes:
        profile: the chip.
        neurons: population -> core of each neuron, in the population's shape.
        positions: (cores, 2) the router (x, y) of each core.
        slots: (cores,) which of the chip's cores it is, counted router after router.
        resources: resource -> (cores,) in use (see :class:`Profile` for each).
        traffic_matrix: (cores, cores) messages from row to column; the diagonal, which stays on a core, is not traffic.
        hops: (cores, cores) hops between two cores, |x - x'| + |y - y'| of their routers.
        input_messages: (cores,) messages that arrive from Inputs; None where the calibration does not say.
        populations: what each sends.
        baseline: the greedy mapper's; None where it found no assignment on any number of cores.
        method: how the assignment was found.
        steps, samples: of the calibration.
    """

    profile: Profile
    neurons: dict[str, Integers]
    positions: Integers
    slots: Integers
    resources: dict[str, Integers]
    traffic_matrix: Integers
    hops: Integers
    input_messages: Integers | None
    populations: dict[str, Sent]
    baseline: Baseline | None
    method: str
    steps: int
    samples: int

    @property
    def cores(self) -> int:
        """Cores in use."""
        return len(self.positions)

    @property
    def between(self) -> Integers:
        """(cores, cores) messages from core to core, 0 on the diagonal."""
        made = self.traffic_matrix.copy()
        np.fill_diagonal(made, 0)
        return made

    @property
    def traffic(self) -> int:
        """Messages between cores."""
        return int(self.between.sum())

    @property
    def counted(self) -> bool:
        """Whether a spike led to another neuron on the calibration: without any, every placement has no traffic."""
        return any(sent.messages or sent.local for sent in self.populations.values())

    @property
    def message_hops(self) -> int:
        """Messages times hops, summed over all pairs of cores."""
        return int((self.between * self.hops).sum())

    @property
    def shares(self) -> dict[str, Any]:
        """Resource -> (cores,) share of the limit in use; resources without a limit left out."""
        limits = {name: getattr(self.profile, name) for name in RESOURCES}
        return {name: self.resources[name] / limit for name, limit in limits.items() if limit is not None}

    @property
    def fullest(self) -> tuple[int, str, float]:
        """(core, resource, share) of the largest share in use on any core."""
        shares = self.shares
        name = max(shares, key=lambda key: float(shares[key].max()))
        core = int(shares[name].argmax())
        return core, name, float(shares[name][core])

    @property
    def saving(self) -> float | None:
        """Share of the greedy mapper's messages that are not sent; None where that does not fit or sends none."""
        if self.baseline is None or not self.baseline.fits or self.baseline.traffic == 0:
            return None
        return 1.0 - self.traffic / self.baseline.traffic

    def table(self, *, width: int | None = None) -> str:
        """The summary and one row a core, as text."""
        from hasn.conversions.loihi.placement.text import placement_text

        return placement_text(self, width)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        from hasn.conversions.loihi.placement.text import placement_data

        return placement_data(self)

    def to_html(self, path: str | Path, *, force: bool = False) -> None:
        """Write a page with the mesh as a heat map.

        Raises:
            FileError: the file exists and ``force`` is False, or cannot be written.
        """
        from hasn.conversions.loihi.placement.page import write_page

        write_page(path, self, force=force)
