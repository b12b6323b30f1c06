"""Which parameters train: ``learn``, ``freeze``, and a learning rate for some of them.

A name is that of a node ("fc1"), of one of its parameters ("fc1.bias", "lif1.tau"), or a pattern of either ("conv*",
"*.tau"), as :mod:`fnmatch` has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from hasn.errors import OptionError

if TYPE_CHECKING:
    from torch import Tensor

#: What ``learn`` chooses; weights, biases and scales all train where it names none of them.
KINDS = ("weight", "tau", "threshold", "delay")
SHARES = ("population", "neuron")
#: What the name of a node is followed by in the names of its BatchNorm's parameters.
NORM = ".norm"
#: The rate of what a mapping of rates does not name: torch's own default of Adam.
RATE = 1e-3


def learned(learn: Any) -> dict[str, Any]:
    """What a user wrote as ``learn``: kind -> "population" or "neuron" for every node, or {name: one of these}.

    "weight" has names alone: {name: ""}.

    Raises:
        OptionError: something else.
    """
    if isinstance(learn, str):
        learn = (learn,)
    if not isinstance(learn, Mapping):
        learn = names(learn, "learn")
        learn = dict.fromkeys(learn, SHARES[0])
        learn = {kind: ("*",) if kind == KINDS[0] else share for kind, share in learn.items()}
    return {_one_of(kind, KINDS): _names(kind, chosen) for kind, chosen in learn.items()}


def _names(kind: str, chosen: Any) -> Any:
    if kind == KINDS[0]:
        if isinstance(chosen, Mapping) or chosen in SHARES:
            wanted = "names of nodes: every weight is its own"
            raise OptionError("no choice of weights", parameter="learn", got=repr(chosen), wanted=wanted)
        return dict.fromkeys(names(chosen, "learn"), "")
    if isinstance(chosen, Mapping):
        return {name: _one_of(share, SHARES) for name, share in chosen.items()}
    if isinstance(chosen, str):
        return _one_of(chosen, SHARES)
    return dict.fromkeys(names(chosen, "learn"), SHARES[0])


def _one_of(value: Any, known: tuple[str, ...]) -> str:
    if value not in known:
        raise OptionError("no such learn", parameter="learn", got=repr(value), wanted=", ".join(known))
    return str(value)


def names(given: str | Sequence[str], option: str) -> tuple[str, ...]:
    """Names that a user wrote.

    Raises:
        OptionError: they are no texts.
    """
    if not isinstance(given, Iterable):
        raise OptionError("no names", parameter=option, got=repr(given), wanted="a name, or a list of names")
    found = (given,) if isinstance(given, str) else tuple(given)
    for name in found:
        if not isinstance(name, str):
            wanted = "names, or patterns of them"
            raise OptionError("no name of a node", parameter=option, got=repr(name), wanted=wanted)
    return found


def chosen_by(patterns: Iterable[str], name: str) -> str | None:
    """The first of some patterns that means a parameter, given as "node.parameter"; None: none does.

    A BatchNorm's "node.norm.weight" is one of its node's.
    """
    node = name.rpartition(".")[0].removesuffix(NORM)
    return next((p for p in patterns if fnmatchcase(name, p) or fnmatchcase(node, p)), None)


def require(patterns: Iterable[str], known: Iterable[str], option: str) -> None:
    """Refuse patterns that mean nothing of what is known, as "node.parameter".

    Raises:
        OptionError: naming the first, and all that is known.
    """
    known = list(known)
    for pattern in patterns:
        if not any(chosen_by((pattern,), name) for name in known):
            wanted = ", ".join(known) or "nothing is there to choose"
            raise OptionError("no such parameter trains", parameter=option, got=repr(pattern), wanted=wanted)


def share_of(learn: Mapping[str, Any], kind: str, name: str) -> str | None:
    """ "population" or "neuron", of a parameter "node.parameter" of a kind; None: it is not learned."""
    chosen = learn.get(kind)
    if not isinstance(chosen, Mapping):
        return chosen
    pattern = chosen_by(chosen, name)
    return None if pattern is None else str(chosen[pattern])


def weight_trains(learn: Mapping[str, Any], freeze: Sequence[str], name: str) -> bool:
    """Whether a weight, bias or scale "node.parameter" trains."""
    return chosen_by(freeze, name) is None and ("weight" not in learn or chosen_by(learn["weight"], name) is not None)


def groups_of(
    weights: Mapping[str, Tensor], raw: Mapping[str, Tensor], rate: float | Mapping[str, float]
) -> list[dict[str, Any]]:
    """The optimizer's parameter groups, with ``param_names``, and ``lr`` where rates are given by name.

    Args:
        weights: "node.parameter" -> weights, biases and scales.
        raw: the same of what stands for learned time constants, thresholds and delays. No weight decay: it would pull
            a tau towards twice dt.
        rate: of all, or {name: rate}, of which the first that means a parameter counts; 1e-3 for the others.

    Raises:
        OptionError: a name that means none of them.
    """
    if isinstance(rate, Mapping):
        require(rate, [*weights, *raw], "learning_rate")
    groups: list[dict[str, Any]] = []
    for parameters, more in ((weights, {}), (raw, {"weight_decay": 0.0})):
        by_rate: dict[Any, list[str]] = {}
        for name in parameters:
            by_rate.setdefault(_rate(rate, name), []).append(name)
        for lr, some in by_rate.items():
            made = {"params": [parameters[name] for name in some], "param_names": some, **more}
            groups.append(made if lr is None else {**made, "lr": lr})
    return groups


def _rate(rate: float | Mapping[str, float], name: str) -> float | None:
    if not isinstance(rate, Mapping):
        return None
    pattern = chosen_by(rate, name)
    return RATE if pattern is None else float(rate[pattern])
