"""What a run costs: by node, by term, for an inference and for a second, with a band and what it leaves out."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hasn.errors import FileError, InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Price:
    """What one node's operations of one kind cost.

    Attributes:
        node: whose they are.
        term: which operation.
        account: of which account.
        count: how many, or seconds of what goes on.
        joules: what they cost.
        low, high: its band, from the grade.
        grade, source: of the constant.
    """

    node: str
    term: str
    account: str
    count: float
    joules: float
    low: float
    high: float
    grade: str
    source: str


@dataclass(frozen=True)
class EnergyReport:
    """What a run costs by one profile.

    Attributes:
        profile, title: which.
        prices: what was priced.
        left_out: what was done and is not priced -> why.
        grades: of the constants that were used, in order.
        steps, samples, dt: of the run.
        bound: the profile whose constants stand in for unknown ones, as a bound; or nothing.
    """

    profile: str
    title: str
    prices: tuple[Price, ...]
    left_out: dict[str, str]
    grades: tuple[str, ...]
    steps: int
    samples: int
    dt: float
    bound: str = ""

    @property
    def accounts(self) -> tuple[str, ...]:
        """Accounts that disagree; one where none do."""
        return tuple(dict.fromkeys(price.account for price in self.prices))

    @property
    def known(self) -> bool:
        """Whether anything was priced."""
        return bool(self.prices)

    @property
    def joules(self) -> float | None:
        """All that was priced, of all samples; of accounts that disagree the geometric mean of the least and the most.
        None: unknown."""
        totals = self._totals(lambda price: price.joules)
        return math.sqrt(min(totals) * max(totals)) if totals else None

    @property
    def band(self) -> tuple[float, float] | None:
        """(low, high) of :attr:`joules`, from the grades of the constants and over the accounts."""
        low, high = self._totals(lambda price: price.low), self._totals(lambda price: price.high)
        return (min(low), max(high)) if low else None

    @property
    def per_inference(self) -> float | None:
        """Joules a sample."""
        return None if self.joules is None else self.joules / self.samples

    @property
    def per_second(self) -> float | None:
        """Watts: joules a second of model time."""
        return None if self.joules is None else self.joules / (self.samples * self.steps * self.dt)

    def by_node(self, account: str | None = None) -> dict[str, float]:
        """Node -> joules.

        Raises:
            InputError: there are several accounts and none is named, or there is no such account.
        """
        return self._by(lambda price: price.node, account)

    def by_term(self, account: str | None = None) -> dict[str, float]:
        """Term -> joules; see :meth:`by_node`."""
        return self._by(lambda price: price.term, account)

    def _by(self, key: Callable[[Price], str], account: str | None) -> dict[str, float]:
        if not self.prices:
            return {}
        if account is None and len(self.accounts) == 1:
            account = self.accounts[0]
        if account not in self.accounts:
            raise InputError(
                "the profile has several accounts that disagree" if account is None else "there is no such account",
                parameter="account",
                got=None if account is None else repr(account),
                wanted=", ".join(self.accounts),
            )
        found: dict[str, float] = {}
        for price in self.prices:
            if price.account == account:
                found[key(price)] = found.get(key(price), 0.0) + price.joules
        return found

    def _totals(self, value: Callable[[Price], float]) -> list[float]:
        return [sum(value(price) for price in self.prices if price.account == account) for account in self.accounts]

    # --- to look at

    def table(self) -> str:
        """Node by node and term by term, then the whole and what it leaves out."""
        from hasn.energy.text import report_text

        return report_text(self)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Stacked bars: a bar a node, a colour a term; accounts side by side.

        Args:
            path: where to write the picture, if anywhere; its ending says as what.

        Raises:
            FileError: it cannot be written there.
        """
        from hasn.energy.text import report_figure

        made = report_figure(self)
        if path is not None:
            try:
                made.savefig(path)
            except (OSError, ValueError) as error:
                raise FileError("the picture cannot be written", parameter=str(path), got=str(error)) from error
        return made

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON can say it; unknown is None."""
        band = self.band
        return {
            "profile": self.profile,
            "title": self.title,
            "bound": self.bound or None,
            "joules": self.joules,
            "low": None if band is None else band[0],
            "high": None if band is None else band[1],
            "joules_per_inference": self.per_inference,
            "joules_per_second": self.per_second,
            "grades": list(self.grades),
            "left_out": dict(self.left_out),
            "steps": self.steps,
            "samples": self.samples,
            "dt": self.dt,
            "prices": [vars(price) for price in self.prices],
        }

    def to_json(self) -> str:
        """The same as text."""
        import json

        return json.dumps(self.to_dict(), indent=2, allow_nan=False)
