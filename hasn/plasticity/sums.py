"""Several rules on one connection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from hasn.errors import OptionError
from hasn.plasticity.formula import renamed
from hasn.plasticity.rule import Rule, Trace


def together(*rules: Rule) -> Rule:
    """One rule that does what several do: ``dw`` is the sum of theirs, within the bounds of all.

    A trace or constant whose name means something else in a rule before gets a number behind it: ``x``, ``x_2``.

    Args:
        rules: at least one. ``together(STDP(...), SynapticScaling(...))``.

    Raises:
        OptionError: they act at other steps, learn otherwise from a batch, or more than one says what is sent; their
            bounds leave no weight.
    """
    if not rules:
        raise OptionError("there is no rule", parameter="rules", got="none", wanted="at least one")
    made = rules[0]
    for rule in rules[1:]:
        made = _added(made, rule)
    return made


def _added(one: Rule, other: Rule) -> Rule:
    for name in ("every", "batch_learning"):
        pair = getattr(one, name), getattr(other, name)
        if pair[0] != pair[1]:
            raise OptionError(
                "rules on one connection differ", parameter=name, got=f"{pair[0]} and {pair[1]}", wanted="the same"
            )
    low, high = max(one.w_min, other.w_min), min(one.w_max, other.w_max)
    one, other = _own_bounds(one, low, high), _own_bounds(other, low, high)
    other = _apart(one, other)
    if None not in (one.normalise, other.normalise):
        raise OptionError(
            "two rules normalise", parameter="normalise", got=f"{one.name} and {other.name}", wanted="one"
        )
    normal = one if other.normalise is None else other
    if Rule.transmits not in (one.transmits, other.transmits):
        raise OptionError(
            "two rules say what a synapse sends",
            parameter="transmits",
            got=f"{one.transmits} and {other.transmits}",
            wanted="one that does",
        )
    return replace(
        one,
        update=f"{one.update} + {other.update}",
        traces={**one.traces, **other.traces},
        constants={**one.constants, **other.constants},
        w_min=low,
        w_max=high,
        modulators=tuple(dict.fromkeys((*one.modulators, *other.modulators))),
        transmits=other.transmits if one.transmits == Rule.transmits else one.transmits,
        normalise=normal.normalise,
        normalise_every=normal.normalise_every,
        name=f"{one.name} + {other.name}",
        source="; ".join(filter(None, dict.fromkeys((one.source, other.source)))),
    )


def _own_bounds(rule: Rule, low: float, high: float) -> Rule:
    """The rule, where its formulas go on reading its own soft bounds when others hold."""
    moved = {
        name: f"{name}_own"
        for name, bound in (("w_min", low), ("w_max", high))
        if name in rule.texts_read and getattr(rule, name) != bound
    }
    return _renamed(rule, moved, {**rule.constants, **{new: getattr(rule, old) for old, new in moved.items()}})


def _renamed(rule: Rule, names: Mapping[str, str], constants: Mapping[str, float]) -> Rule:
    if not names:
        return rule
    return replace(
        rule,
        update=renamed(rule.update, names),
        transmits=rule.transmits if rule.transmits == Rule.transmits else renamed(rule.transmits, names),
        traces={names.get(n, n): replace(trace, feed=renamed(trace.feed, names)) for n, trace in rule.traces.items()},
        constants={names.get(name, name): value for name, value in constants.items()},
    )


def _apart(one: Rule, other: Rule) -> Rule:
    """The other rule, with names that do not mean anything else in the one."""
    taken: dict[str, Any] = {**one.traces, **one.constants, **dict.fromkeys(one.modulators)}
    mine: dict[str, Any] = {**other.traces, **other.constants, **dict.fromkeys(other.modulators)}
    for name in taken.keys() & mine.keys():
        if (taken[name] is None) != (mine[name] is None):
            raise OptionError(
                "a modulator of one rule is something else in the other",
                parameter="rules",
                got=repr(name),
                way_out="Name the modulator otherwise.",
            )
    plain = ("pre", "post", "v")
    names = {
        name: _free(name, {*taken, *mine})
        for name, meaning in mine.items()
        if name in taken and (taken[name] != meaning or (isinstance(meaning, Trace) and meaning.feed not in plain))
    }
    return _renamed(other, names, other.constants)


def _free(name: str, taken: Iterable[str]) -> str:
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    return f"{name}_{number}"
