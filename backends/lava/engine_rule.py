"""A learning rule as Lava's learning engine takes it: products, impulses and time constants (docs/plasticity.md).

Every step the engine adds to its traces ``x <- x exp(-1/tau) + impulse`` where the neuron spikes, and then evaluates
``dw``: a product with ``x0`` counts where the source spiked, one with ``y0`` where the target did, one with ``u0``
always. Numbers in products are ``m * 2^e``; a real number can be an impulse alone. A target's spike comes to the
synapse a step after the source's spike that it answers to (the connection takes a step), and traces hold the spikes of
their own step. So that every pair of spikes counts as SEMANTICS says:

    x1, x2   the trace of the source, and one that forgets at once: x1 - x2 is without this step's spike
    t        the synapse's tag, set to x1 - x2: the trace as it was when the target's spike was caused
    y1 ...   traces of the target; what lags by a step has decayed by a step less, which the impulse takes out
    y2, y3   where free, one that forgets at once: a real number in products with y0, as x2 is in those with x0

Of one step, what the source's spike brings is in the weight a step before what the target's does. With two steps of the
engine for one of the network, and epochs of two, sources spike in the first and targets in the second of an epoch: then
both are there before the next spike is sent, and the tag is x1 of the epoch before.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from hasn.errors import UnsupportedError
from hasn.plasticity.rule import KEY
from hasn.program.learning import OWN, PLAIN, Learning, Product, Trace

#: Steps: exp(-1/tau) is 0, so that the trace is its neuron's spike of this step.
AT_ONCE = 1e-3
#: Numbers in a product are m * 2^e, |m| <= 7, -7 <= e <= 8: equal to the wanted one but for rounding.
_MANTISSAS, _EXPONENTS, _ROUNDING = (1, 3, 5, 7), range(-7, 9), 1e-13
_PRE, _POST = ("x1", "x2"), ("y1", "y2", "y3")
_WAY_OUT = "Take learning='process', which has every rule and is not deployable, or change the rule."


@dataclass(frozen=True)
class EngineRule:
    """What a ``Loihi2FLearningRule`` is made of.

    Attributes:
        dw, dt: how the weight and the tag change; dt None: there is no tag.
        impulses, taus: trace -> number; taus in steps. A trace that is not there is not used.
        epoch: steps from update to update.
    """

    dw: str
    dt: str | None
    impulses: dict[str, float]
    taus: dict[str, float]
    epoch: int = 1

    def settings(self) -> dict[str, Any]:
        """Arguments of Lava's learning rule."""
        found: dict[str, Any] = {f"{name}_impulse": value for name, value in self.impulses.items()}
        found |= {f"{name}_tau": value for name, value in self.taus.items()}
        return {"dw": self.dw, "t_epoch": self.epoch, **found} | ({} if self.dt is None else {"dt": self.dt})


def engine_rule(node: str, learning: Learning, scale: float = 1.0, stride: int = 1) -> EngineRule:
    """Translate a rule.

    Args:
        node: the connection, for errors.
        learning: its rule.
        scale: the engine's weights are this times the graph's, > 0.
        stride: steps of the engine that a step of the graph takes.

    Raises:
        UnsupportedError: the engine has no place for a term, which it names, or for a trace, epoch or batch.
    """
    if learning.every != 1:
        raise refusal(node, "changes weights by all spikes of an epoch, this rule by those of every Kth step",
                  f"every = {learning.every}", "every=1")  # fmt: skip
    if learning.transmits != PLAIN:
        sent = " + ".join(map(str, learning.transmits))
        raise refusal(node, "sends the weight of a spike and no more", f"transmits = {sent}", "w * pre")
    if learning.normal is not None:
        raise refusal(node, "does not normalise weights", f"normalise = {learning.normal:g}", "none")
    if learning.shared:
        raise refusal(node, "has no weights that a batch shares", "batch_learning='mean'", "own")
    traces = tuple(replace(trace, decay=trace.decay ** (1 / stride)) for trace in learning.traces)
    return _Translation(node, replace(learning, traces=traces), scale, stride).rule()


@dataclass
class _Translation:
    node: str
    learning: Learning
    scale: float
    epoch: int
    pre: Trace | None = None
    forgets: float | None = None  # the impulse of x1 and x2
    traces: dict[str, str] = field(default_factory=dict)  # the rule's trace of the target -> the engine's
    impulses: dict[str, float | None] = field(default_factory=dict)  # None: not chosen yet
    numbers: dict[str, float] = field(default_factory=dict)  # traces that are a number in products with y0
    tagged: bool = False
    terms: list[str] = field(default_factory=list)

    def rule(self) -> EngineRule:
        known = {trace.name: trace for trace in self.learning.traces}
        sides = [(self._side(product, known), product) for product in self.learning.update]
        for side, product in sides:
            self._place(product, known, side)
        for side in ("pre", "post"):  # impulses of the target's traces are free for the first alone
            for product in (product for found, product in sides if found == side):
                self._from_source(product, known) if side == "pre" else self._from_target(product, known)
        impulses = {name: 1.0 if value is None else value for name, value in self.impulses.items()} | self.numbers
        taus = {at: _tau(known[name].decay) for name, at in self.traces.items()} | dict.fromkeys(self.numbers, AT_ONCE)
        if self.pre is not None or self.forgets is not None:
            forgets = 1.0 if self.forgets is None else self.forgets
            impulses |= dict.fromkeys(_PRE, forgets)
            taus |= {"x1": AT_ONCE if self.pre is None else _tau(self.pre.decay), "x2": AT_ONCE}
        dw = " ".join(self.terms).removeprefix("+ ")
        tag = "u0 * x1 - u0 * x2 - u0 * t" if self.epoch == 1 else "u0 * x1 - u0 * t"
        return EngineRule(dw, tag if self.tagged else None, impulses, taus, self.epoch)

    # --- what there is no place for

    def _side(self, product: Product, known: dict[str, Trace]) -> str:
        """Whose spike lets a product count."""
        modulators = dict(self.learning.modulators)
        for name in product.names:
            if name == "v":
                raise self._refused(product, "reads spikes, not the membrane (v)")
            if name in modulators:
                raise self._refused(product, f"gets a third factor ({name}) from neurons that compute it alone")
            if name not in known and name not in OWN:
                raise self._refused(product, f"multiplies and adds, without {name}")
        spikes = [name for name in product.names if name in ("pre", "post")]
        if len(spikes) != 1:
            what = "has no products without a spike here" if not spikes else "has one spike in a product"
            raise self._refused(product, what)
        for trace in (known[name] for name in product.names if name in known):
            if trace.sets or len(trace.feed) != 1 or trace.feed[0].names not in (("pre",), ("post",)):
                how = "is set" if trace.sets else f"is fed by {' + '.join(map(str, trace.feed))}"
                raise self._refused(product, f"adds a number to a trace at each spike, and {trace.name} {how}")
            if trace.from_weight:
                raise self._refused(product, f"starts its traces at 0, and {trace.name} at the weight")
            if trace.feed[0].factor <= 0:
                raise self._refused(product, f"has impulses of 0 or more, and {trace.name} falls")
        return spikes[0]

    def _place(self, product: Product, known: dict[str, Trace], side: str) -> None:
        """Give the product's traces their places."""
        for name in product.names:
            if name not in known:
                continue
            trace = known[name]
            if trace.extent == "pre":
                if self.pre is not None and self.pre.name != name:
                    raise self._refused(product, f"has place for one trace of the source ({self.pre.name})")
                if product.names.count(name) > 1:
                    raise self._refused(product, f"has no square of {name}")
                self.pre = trace
            elif name not in self.traces:
                if len(self.traces) == len(_POST):
                    raise self._refused(product, f"has three traces of the target ({', '.join(self.traces)})")
                self.traces[name] = _POST[len(self.traces)]
                self.impulses[self.traces[name]] = None
            if trace.extent == "post" and side == "post":
                self.impulses[self.traces[name]] = 1.0  # its own spike is taken off as the number 1

    # --- products

    def _factor(self, product: Product, known: dict[str, Trace]) -> float:
        """In the engine's weights, for traces that grow by 1."""
        fed = math.prod(known[name].feed[0].factor for name in product.names if name in known)
        return product.factor * fed * self.scale ** (1 - product.names.count("w"))

    def _from_source(self, product: Product, known: dict[str, Trace]) -> None:
        wanted, factors, free = self._factor(product, known), [], ""
        own = False
        for name in product.names:
            if name == "w":
                factors.append("w")
            elif name in known and known[name].extent == "pre":
                own = True
            elif name in known:
                place = self.traces[name]
                factors.append(place)
                wanted *= known[name].decay  # it lags by a step
                if self.impulses[place] is None and product.names.count(name) == 1 and not free:
                    free = place
                else:
                    self.impulses[place] = self.impulses[place] or 1.0
                    wanted /= self.impulses[place] or 1.0
        if free:
            self.impulses[free] = abs(wanted)
            wanted = math.copysign(1.0, wanted)
        if own:
            wanted = self._by_forgetting(wanted)
        number = _literal(wanted)
        if number is None and not own:
            factors.append("x2")
            number = _literal(self._by_forgetting(wanted))
        if number is None:
            raise self._refused(product, f"has numbers m * 2^e, |m| <= 7, not {wanted:.6g}")
        for sign, trace in ((1, ["x1"]), (-1, ["x2"])) if own else ((1, []),):
            self._add(number, sign, ["x0", *trace, *factors])

    def _from_target(self, product: Product, known: dict[str, Trace]) -> None:
        wanted, factors = self._factor(product, known), []
        for name in product.names:
            if name == "w":
                factors.append("w")
            elif name in known and known[name].extent == "pre":
                self.tagged = True
                factors.append("t")
                # The tag of the last of two steps is to be read in the second one of the next two.
                wanted = self._by_forgetting(wanted * known[name].decay if self.epoch > 1 else wanted)
            elif name in known:
                factors.append(f"({self.traces[name]} - 1)")
        plain = _literal(wanted)
        number, places = self._number(product, wanted) if plain is None else (plain, [])
        self._add(number, 1, ["y0", *factors, *places])

    def _by_forgetting(self, wanted: float) -> float:
        """What is left of a factor beside x1, x2 or the tag."""
        if self.forgets is None:
            self.forgets = abs(wanted)
        return wanted / self.forgets

    def _number(self, product: Product, wanted: float) -> tuple[str, list[str]]:
        """(m * 2^e, the trace that is the rest)."""
        for place, value in self.numbers.items():
            number = _literal(wanted / value)
            if number is not None:
                return number, [place]
        free = [place for place in _POST if place not in {*self.traces.values(), *self.numbers}]
        if not free:
            raise self._refused(product, f"has no trace left to hold the number {wanted:.6g}")
        self.numbers[free[0]] = abs(wanted)
        return ("-1" if wanted < 0 else "1"), free[:1]

    def _add(self, number: str, sign: int, factors: list[str]) -> None:
        negative = number.startswith("-") == (sign > 0)
        size = number.removeprefix("-")
        self.terms.append(" ".join(["-" if negative else "+", " * ".join(([] if size == "1" else [size]) + factors)]))

    def _refused(self, product: Product, what: str) -> UnsupportedError:
        return refusal(self.node, what, f"the term {product}", "terms of spikes, traces that spikes feed, and w")


def refusal(node: str, what: str, got: str, wanted: str, way_out: str = _WAY_OUT) -> UnsupportedError:
    """What Lava's learning engine does not do, for the connection or node that asks for it."""
    return UnsupportedError(
        f"Lava's learning engine {what}",
        node=node,
        parameter=f"metadata['{KEY}']",
        got=got,
        wanted=wanted,
        way_out=way_out,
    )


def _literal(value: float) -> str | None:
    """The number as a product has it, or None."""
    for mantissa in _MANTISSAS:
        for exponent in _EXPONENTS:
            found = mantissa * 2.0**exponent
            if abs(abs(value) - found) <= _ROUNDING * found:
                size = f"{mantissa}*2^{exponent}" if exponent else f"{mantissa}"
                return f"-{size}" if value < 0 else size
    return None


def _tau(decay: float) -> float:
    """In steps."""
    if decay == 1.0:
        return math.inf
    return -1.0 / math.log(decay) if decay else AT_ONCE
