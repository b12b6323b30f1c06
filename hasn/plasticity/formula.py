"""Sums of products, as a learning rule's text has them: ``a_plus * x * post - a_minus * y * pre``."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from typing import TypeAlias

from hasn.errors import OptionError
from hasn.program.learning import Product, Products

_WANTED = "sums and products of names and numbers, and whole powers: 'a_plus * x * post - a_minus * y * pre'"
#: Products that a text may be once all brackets are multiplied out.
_MOST = 256
#: Names that one product may have: powers of powers grow beyond any memory in a short text.
_LONGEST = 64


def products(text: str, constants: Mapping[str, float], where: str) -> Products:
    """The sum that a text says, with its constants put in and its brackets multiplied out.

    Args:
        text: Python's ``+``, ``-``, ``*``, brackets, whole powers, and ``/`` by a number or constant.
        constants: name -> value.
        where: what the text is, for errors.

    Returns:
        The products, in the order of the text; those of the same names are one.

    Raises:
        OptionError: it is no sum of products, or says numbers that are not finite.
    """
    if not isinstance(text, str):
        raise OptionError("not a formula", parameter=where, got=repr(text), wanted=_WANTED)
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        found = _sum(tree, constants)
    except (SyntaxError, ValueError, ZeroDivisionError, OverflowError, RecursionError, MemoryError) as error:
        raise OptionError("not a sum of products", parameter=where, got=repr(text), wanted=_WANTED) from error
    if not all(math.isfinite(factor) for factor in found.values()):
        raise OptionError("a factor is not finite", parameter=where, got=repr(text), wanted="finite constants")
    return tuple(Product(factor, names) for names, factor in found.items() if factor)


_Sum: TypeAlias = dict[tuple[str, ...], float]


def _sum(node: ast.expr, constants: Mapping[str, float]) -> _Sum:
    """Names of a product -> its factor."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return {(): float(value)}
        case ast.Name(id=name):
            return {(): float(constants[name])} if name in constants else {(name,): 1.0}
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return {names: -factor for names, factor in _sum(operand, constants).items()}
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _sum(operand, constants)
        case ast.BinOp(left=left, op=op, right=right):
            return _joined(_sum(left, constants), op, _sum(right, constants))
    raise ValueError(f"no place for {ast.unparse(node)}")


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
