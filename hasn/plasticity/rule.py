"""A learning rule as data: traces, and an update of the weight that is a sum of products of them and of spikes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import numpy as np

from hasn.errors import OptionError
from hasn.plasticity.formula import formula, names_in
from hasn.program.learning import OWN, Extent, Learning, Products, Rectified, extent_of
from hasn.program.learning import Trace as DiscreteTrace

#: Where a node's metadata keep its rule.
KEY = "plasticity"
#: Names that are no trace, modulator or constant of a rule's own, and what they are.
GIVEN = {
    "pre": "the source's spike of this step, as the target sees it (or what an Input gives)",
    "post": "the target's spike of this step",
    "v": "the target's membrane potential after this step, in volts",
    "w": "the weight before the update",
    "dt": "seconds a step",
    "w_min": "the lower bound",
    "w_max": "the upper bound",
}


#: Steps over time constant of a running mean: what enters must be a number that a decay brings back.
_MOST_DECAY = 100
#: Formulas that are no trace: the update, and what is sent.
_NO_NAMES = ("", "transmits")


@dataclass(frozen=True)
class Trace:
    """A low-pass filter: ``tau dx/dt = -x``, and what is fed enters at once.

    In a step it decays by ``exp(-dt/tau)``, the weights change, and then ``feed`` enters: a pair of spikes in one step
    does not see itself. It belongs to the sources, the targets or the synapses, as what feeds it does.

    Attributes:
        feed: a formula, such as ``"pre"``, ``"post"``, or for an eligibility the pair rule's own.
        tau: seconds; ``math.inf`` for one that does not decay.
        sets: a spike sets the trace to what it feeds, in place of adding to it (nearest-neighbour rules).
        mean: what enters is scaled by ``exp(dt/tau) - 1``, so that formulas read the running mean of its feed.
        start: "zero", or "weight": the trace belongs to the synapses and starts as their weights do.
    """

    feed: str
    tau: float
    sets: bool = False
    mean: bool = False
    start: Literal["zero", "weight"] = "zero"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tau", _own(self.tau))

    def discrete(self, name: str, extent: Extent, feed: Products, dt: float) -> DiscreteTrace:
        """The trace in steps of ``dt`` seconds, with what feeds it as products."""
        decay = math.exp(-dt / self.tau)
        if self.mean:
            if not 0 < dt / self.tau < _MOST_DECAY:
                wanted = f"more than dt / {_MOST_DECAY}, and finite"
                raise OptionError("no running mean over this", parameter=f"{name}.tau", got=self.tau, wanted=wanted)
            feed = tuple(replace(product, factor=math.expm1(dt / self.tau) * product.factor) for product in feed)
        return DiscreteTrace(name, extent, decay, feed, bool(self.sets), self.start == "weight")


@dataclass(frozen=True)
class Rule:
    """``w <- clip(w + update, w_min, w_max)`` at every step, or at the last of every K steps.

    Attributes:
        update: a formula: a sum of products of ``pre``, ``post``, ``v``, ``w``, traces, modulators and constants.
        traces: name -> :class:`Trace`.
        constants: name -> value.
        w_min, w_max: hard bounds; formulas may read them, for soft ones: ``(w_max - w) * x * post``.
        every: K.
        batch_learning: "own": every sample of a batch has weights of its own, from the same start. "mean": all have
            one, moved by the mean of their updates.
        modulators: names of numbers that come from outside, one a step (a reward).
        transmits: a formula: what a synapse sends to its target, of ``w``, ``pre`` and traces as they have decayed in
            this step; each product has ``pre``. Short-term plasticity says more than ``w * pre``.
        normalise: after the bounds the weights of each target (a convolution: of each output channel) are multiplied
            so that their sizes ``|w|`` sum to this, and the bounds hold again; a sum of 0 stays 0. None: they are not.
        normalise_every: at the last of every so many steps (Diehl & Cook 2015: once a picture).
        name, source: what the rule is called, and the paper.

    Two rules for one connection are one: :func:`hasn.plasticity.together`.

    Raises:
        OptionError: a name that is not defined, or defined twice; a time constant, bound or number that makes no sense;
            a synapse that sends what is not known before its target's step.
    """

    update: str
    traces: Mapping[str, Trace] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    w_min: float = -math.inf
    w_max: float = math.inf
    every: int = 1
    batch_learning: Literal["own", "mean"] = "own"
    modulators: tuple[str, ...] = ()
    transmits: str = "w * pre"
    normalise: float | None = None
    normalise_every: int = 1
    name: str = "a rule"
    source: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "traces", dict(self.traces))
        object.__setattr__(self, "constants", {name: _own(value) for name, value in dict(self.constants).items()})
        for what in ("w_min", "w_max", "every", "normalise", "normalise_every"):
            object.__setattr__(self, what, _own(getattr(self, what)))
        object.__setattr__(self, "modulators", tuple(self.modulators))
        self._check_names()
        self._check_numbers()
        self._check_normalisation()
        self._terms(dt=1.0)

    # --- checks

    def _check_names(self) -> None:
        seen: set[str] = {*GIVEN, *_NO_NAMES, "pos"}
        for kind, names in (("trace", self.traces), ("constant", self.constants), ("modulator", self.modulators)):
            for name in names:
                if not isinstance(name, str) or not name.isidentifier():
                    raise OptionError(f"no name for a {kind}", parameter=self.name, got=repr(name), wanted="a word")
                if name in seen:
                    raise OptionError(f"the {kind}'s name is taken", parameter=self.name, got=repr(name))
                seen.add(name)

    def _check_numbers(self) -> None:
        for name, value in (*self.constants.items(), ("w_min", self.w_min), ("w_max", self.w_max)):
            if not _is_number(value) or math.isnan(value) or (name in self.constants and math.isinf(value)):
                raise OptionError("not a number", parameter=f"{self.name}: {name}", got=repr(value))
        if not self.w_min < self.w_max:
            raise OptionError(
                "the bounds leave no weight",
                parameter=self.name,
                got=f"{self.w_min} .. {self.w_max}",
                wanted="w_min < w_max",
            )
        for name, trace in self.traces.items():
            if not isinstance(trace, Trace):
                raise OptionError("not a Trace", parameter=f"{self.name}: {name}", got=type(trace).__name__)
            if trace.start not in ("zero", "weight"):
                wanted, got = "zero or weight", repr(trace.start)
                raise OptionError("no such start", parameter=f"{self.name}: {name}.start", got=got, wanted=wanted)
            if not _is_number(trace.tau) or not trace.tau > 0:
                raise OptionError(
                    "no time constant", parameter=f"{self.name}: {name}.tau", got=trace.tau, wanted="> 0 s"
                )
        if isinstance(self.every, bool) or not isinstance(self.every, int) or self.every < 1:
            raise OptionError(
                "no number of steps", parameter=f"{self.name}: every", got=repr(self.every), wanted=">= 1"
            )
        if self.batch_learning not in ("own", "mean"):
            wanted, got = "own or mean", repr(self.batch_learning)
            raise OptionError("no such learning", parameter=f"{self.name}: batch_learning", got=got, wanted=wanted)

    def _check_normalisation(self) -> None:
        to, every = self.normalise, self.normalise_every
        if to is not None and (not _is_number(to) or not 0 < to < math.inf):
            raise OptionError("no sum of weights", parameter=f"{self.name}: normalise", got=repr(to), wanted="> 0")
        if isinstance(every, bool) or not isinstance(every, int) or every < 1:
            where = f"{self.name}: normalise_every"
            raise OptionError("no number of steps", parameter=where, got=repr(every), wanted=">= 1")
        if to is None and every != 1:
            raise OptionError(
                "says when, and not to what, weights are normalised",
                parameter=f"{self.name}: normalise_every",
                got=every,
                way_out="Give normalise too.",
            )

    def _terms(self, dt: float) -> tuple[dict[str, Products], dict[str, Extent]]:
        """Formulas ("" is the update's own, "transmits" what is sent) as products, and who has each trace and
        ``pos(...)``, inner ones first.

        Raises:
            OptionError: see the class.
        """
        constants = {**self.constants, "dt": dt, "w_min": float(self.w_min), "w_max": float(self.w_max)}
        finite = {name: value for name, value in constants.items() if math.isfinite(value)}
        read = {name: formula(text, finite, _where(self.name, name)) for name, text in self._texts()}
        terms = {name: found.products for name, found in read.items()}
        for found in read.values():
            terms |= found.rectified
        known: dict[str, Extent] = {**OWN, **dict.fromkeys(self.modulators, "all")}
        self._check_known(terms, known)
        given = len(known)
        known |= {n: "synapse" if self._starts_as_weight(n) else "all" for n in terms if n not in _NO_NAMES}
        before: dict[str, Extent] = {}
        while before != known:  # who has one grows with who has what is read, until nothing does
            before = dict(known)
            for name in [*known][given:]:
                known[name] = extent_of({name, *_names(terms[name])}, known)
        self._check_sent(terms["transmits"])
        return terms, known

    def _starts_as_weight(self, name: str) -> bool:
        return name in self.traces and self.traces[name].start == "weight"

    def _check_known(self, terms: Mapping[str, Products], known: Mapping[str, Extent]) -> None:
        for name, found in terms.items():
            for unknown in sorted(_names(found) - {*known, *terms}):
                bound = unknown in ("w_min", "w_max")
                raise OptionError(
                    "the formula reads a bound that is not there" if bound else "the formula reads what is not defined",
                    parameter=_where(self.name, name),
                    got=repr(unknown),
                    wanted=", ".join([*GIVEN, *self.traces, *self.modulators, *self.constants]),
                    way_out=f"Give {unknown}." if bound else "Define it as a trace, a constant or a modulator.",
                )

    def _check_sent(self, sent: Products) -> None:
        """What is sent is known before the target has had its step, and nothing where nothing arrives."""
        for product in sent:
            wrong = sorted(set(product.names) - {"pre", "w", *self.traces})
            if wrong or "pre" not in product.names:
                raise OptionError(
                    "a synapse cannot send this",
                    parameter=_where(self.name, "transmits"),
                    got=str(product),
                    wanted="products of pre, w and traces, with pre in each",
                    way_out=f"Feed a trace with {wrong[0]} and send that." if wrong else "Multiply it with pre.",
                )

    def _texts(self) -> Iterator[tuple[str, str]]:
        yield "", self.update
        yield "transmits", self.transmits
        for name, trace in self.traces.items():
            yield name, trace.feed

    # --- what it means, and how it is written down

    def discrete(self, dt: float, target: str, modulators: Mapping[str, str]) -> Learning:
        """The rule in steps of ``dt`` seconds; ``modulators``: name -> the node that gives it."""
        terms, extents = self._terms(dt)
        traces = tuple(
            trace.discrete(name, extents[name], terms[name], dt) for name, trace in sorted(self.traces.items())
        )
        sent = tuple((name, modulators[name]) for name in self.modulators)
        rectified = tuple(Rectified(n, own, terms[n]) for n, own in extents.items() if n.startswith("pos("))
        return Learning(
            target,
            traces,
            terms[""],
            self.w_min,
            self.w_max,
            sent,
            self.every,
            self.batch_learning == "mean",
            rectified,
            terms["transmits"],
            self.normalise,
            self.normalise_every,
        )

    @property
    def texts_read(self) -> frozenset[str]:
        """Names that stand in its formulas, bounds and constants too."""
        return frozenset().union(*(names_in(text) for _, text in self._texts()))

    @property
    def reads(self) -> frozenset[str]:
        """Names that its formulas read."""
        terms, _ = self._terms(dt=1.0)
        return frozenset().union(*map(_names, terms.values()))

    def __str__(self) -> str:
        lines = [f"dw = {self.update}"]
        for name, trace in self.traces.items():
            how = "is set to" if trace.sets else "grows by"
            fed = f"({trace.feed}) (exp(dt/tau) - 1)" if trace.mean else trace.feed
            start = ", from w" if trace.start == "weight" else ""
            lines.append(f"{name}{start} decays with {trace.tau:g} s and {how} {fed}")
        if self.transmits != Rule.transmits:
            lines.append(f"sent = {self.transmits}")
        lines += [f"{name} = {value:g}" for name, value in self.constants.items()]
        if math.isfinite(self.w_min) or math.isfinite(self.w_max):
            lines.append(f"{self.w_min:g} <= w <= {self.w_max:g}")
        if self.normalise is not None:
            lines.append(f"sum |w| = {self.normalise:g} every {self.normalise_every} steps")
        return "\n".join([self.name + (f" ({self.source})" if self.source else ""), *(f"  {line}" for line in lines)])

    def metadata(self) -> dict[str, Any]:
        """The rule as a graph's metadata keep it."""
        fields = asdict(self)
        fields["modulators"] = " ".join(self.modulators)
        kept = {key: value for key, value in fields.items() if value not in ({}, "", None)}
        return {key: value for key, value in kept.items() if not (isinstance(value, float) and math.isinf(value))}


def rule_of(metadata: Any, node: str) -> Rule:
    """The rule that a node's metadata keep.

    Raises:
        OptionError: they are none; names the node.
    """
    try:
        fields = {str(key): _plain(value) for key, value in dict(metadata).items()}
        traces = {name: Trace(**kept) for name, kept in fields.pop("traces", {}).items()}
        modulators = tuple(str(fields.pop("modulators", "")).split())
        return Rule(**fields, traces=traces, modulators=modulators)
    except OptionError as error:
        raise OptionError(f"its learning rule: {error}", node=node, parameter=f"metadata['{KEY}']") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise OptionError(
            f"is no learning rule ({error})",
            node=node,
            parameter=f"metadata['{KEY}']",
            way_out="hasn.plasticity.attach writes one.",
        ) from error


def _plain(value: Any) -> Any:
    """What a file gives back, as Python's own types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(kept) for key, kept in value.items()}
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if hasattr(value, "item") else value


def _own(value: Any) -> Any:
    """A number of NumPy's as Python's own, which files and other processes take."""
    return value.item() if isinstance(value, np.generic) else value


def _names(found: Products) -> set[str]:
    return {name for product in found for name in product.names}


def _where(rule: str, trace: str) -> str:
    return f"{rule}: {trace or 'update'}" if trace in _NO_NAMES else f"{rule}: {trace}.feed"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
