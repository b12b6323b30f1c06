"""Sums of products, as a learning rule's text has them: ``a_plus * x * post - a_minus * y * pre``.

``pos(...)``, what is above 0 of a sum, is a name in a product like any other.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from hasn.errors import OptionError
from hasn.program.learning import Product, Products

_WANTED = "sums and products of names and numbers, whole powers, pos(...): 'a_plus * x * post - a_minus * y * pre'"
#: Products that a text may be once all brackets are multiplied out.
_MOST = 256
#: Names that one product may have: powers of powers grow beyond any memory in a short text.
_LONGEST = 64


@dataclass(frozen=True)
class Formula:
    """What a text says.

    Attributes:
        products: its sum, in the order of the text; those of the same names are one.
        rectified: ``pos(...)``, as products name it -> the sum of which it is what is above 0. Inner ones first.
    """

    products: Products
    rectified: Mapping[str, Products]


def formula(text: str, constants: Mapping[str, float], where: str) -> Formula:
    """What a text says, with its constants put in and its brackets multiplied out.

    Args:
        text: Python's ``+``, ``-``, ``*``, brackets, whole powers, ``/`` by a number or constant, and ``pos(...)``.
        constants: name -> value.
        where: what the text is, for errors.

    Raises:
        OptionError: it is no sum of products, or says numbers that are not finite.
    """
    if not isinstance(text, str):
        raise OptionError("not a formula", parameter=where, got=repr(text), wanted=_WANTED)
    reader = _Reader(constants)
    try:
        found = reader.sum(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError) as error:
        raise OptionError("not a sum of products", parameter=where, got=repr(text), wanted=_WANTED) from error
    sums = [found, *reader.rectified.values()]
    if not all(math.isfinite(factor) for each in sums for factor in each.values()):
        raise OptionError("a factor is not finite", parameter=where, got=repr(text), wanted="finite constants")
    return Formula(_products(found), {name: _products(each) for name, each in reader.rectified.items()})


def names_in(text: str) -> frozenset[str]:
    """The names that stand in a text, constants too."""
    return frozenset(node.id for node in ast.walk(ast.parse(text.strip(), mode="eval")) if isinstance(node, ast.Name))


def renamed(text: str, names: Mapping[str, str]) -> str:
    """A text with other names in it."""
    tree = ast.parse(text.strip(), mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            node.id = names.get(node.id, node.id)
    return ast.unparse(tree)


_Sum: TypeAlias = dict[tuple[str, ...], float]


def _products(found: _Sum) -> Products:
    return tuple(Product(factor, names) for names, factor in found.items() if factor)


class _Reader:
    """Texts -> sums: names of a product -> its factor. Keeps what is rectified."""

    def __init__(self, constants: Mapping[str, float]) -> None:
        self.constants = constants
        self.rectified: dict[str, _Sum] = {}

    def sum(self, node: ast.expr) -> _Sum:
        match node:
            case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
                return {(): float(value)}
            case ast.Name(id=name):
                return {(): float(self.constants[name])} if name in self.constants else {(name,): 1.0}
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return {names: -factor for names, factor in self.sum(operand).items()}
            case ast.UnaryOp(op=ast.UAdd(), operand=operand):
                return self.sum(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _joined(self.sum(left), op, self.sum(right))
            case ast.Call(func=ast.Name(id="pos"), args=[inside], keywords=[]):
                return self._above_zero(self.sum(inside))
        raise ValueError(f"no place for {ast.unparse(node)}")

    def _above_zero(self, inside: _Sum) -> _Sum:
        text = " + ".join("*".join([repr(p.factor), *p.names]) for p in _products(inside))  # no two sums share a name
        name = f"pos({text or 0})"
        self.rectified[name] = inside
        return {(name,): 1.0}


def _joined(left: _Sum, op: ast.operator, right: _Sum) -> _Sum:
    match op:
        case ast.Add():
            return _added(left, right)
        case ast.Sub():
            return _added(left, {names: -factor for names, factor in right.items()})
        case ast.Mult():
            return _multiplied(left, right)
        case ast.Div() if set(right) == {()}:
            return {names: factor / right[()] for names, factor in left.items()}
        case ast.Pow() if set(right) == {()} and right[()] in (1.0, 2.0, 3.0, 4.0):
            made = left
            for _ in range(int(right[()]) - 1):
                made = _multiplied(made, left)
            return made
    raise ValueError(f"no such operation here: {type(op).__name__}")


def _added(left: _Sum, right: _Sum) -> _Sum:
    made = dict(left)
    for names, factor in right.items():
        made[names] = made.get(names, 0.0) + factor
    return made


def _multiplied(left: _Sum, right: _Sum) -> _Sum:
    if len(left) * len(right) > _MOST:
        raise ValueError(f"more than {_MOST} products")
    made: _Sum = {}
    for a, x in left.items():
        for b, y in right.items():
            if len(a) + len(b) > _LONGEST:
                raise ValueError(f"a product of more than {_LONGEST} names")
            names = tuple(sorted((*a, *b)))
            made[names] = made.get(names, 0.0) + x * y
    return made
