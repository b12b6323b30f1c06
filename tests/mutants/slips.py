"""Kinds of slip: what a good engineer writes by mistake, as changes to one node of a syntax tree.

mutmut's operators are used where they are slips that pass review; its replacements by None are left out (types and any
call at all catch them), and so are changed texts. Added are the slips of numerical code: a neighbour's name, a dropped
element of a key, the other of a pair, a guard that no longer guards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import libcst as cst
from mutmut.mutation import mutators

#: Gives what a node may be replaced by.
Slip = Callable[[cst.CSTNode], Iterator[cst.CSTNode]]

_TRUE, _FALSE = cst.Name("True"), cst.Name("False")

#: Names that are taken for each other, in both directions: functions, attributes, variables, keywords.
PAIRS = (
    ("min", "max"),
    ("minimum", "maximum"),
    ("argmin", "argmax"),
    ("any", "all"),
    ("floor", "ceil"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("float32", "float64"),
    ("source", "target"),
    ("sources", "targets"),
    ("one", "other"),
    ("pre", "post"),
    ("before", "after"),
    ("first", "last"),
    ("start", "stop"),
    ("lower", "upper"),
    ("inputs", "outputs"),
    ("rows", "columns"),
    ("weight", "bias"),
    ("input_type", "output_type"),
    ("tau_syn", "tau_mem"),
    ("v_threshold", "v_reset"),
    ("spikes", "voltages"),
    ("voltages", "currents"),
    ("predecessors", "successors"),
)
_OTHERS: dict[str, tuple[str, ...]] = {}
for _a, _b in PAIRS:
    _OTHERS[_a] = (*_OTHERS.get(_a, ()), _b)
    _OTHERS[_b] = (*_OTHERS.get(_b, ()), _a)

#: Calls that may be left out, so that their first argument stands for itself: f(x) -> x.
_WRAPPERS = {
    "sorted",
    "reversed",
    "abs",
    "round",
    "int",
    "copy",
    "deepcopy",
    "set",
    "ascontiguousarray",
    "broadcast_to",
}


def number(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """One more, one less; ten times as much."""
    if isinstance(node, cst.Integer):
        value = node.evaluated_value
        yield node.with_changes(value=str(value + 1))
        if value > 1:
            yield node.with_changes(value=str(value - 1))
    elif isinstance(node, cst.Float):
        yield node.with_changes(value=repr(10 * node.evaluated_value or 1.0))


def operand(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A condition loses one of its halves."""
    if isinstance(node, cst.BooleanOperation):
        yield node.left
        yield node.right


def branch(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A guard that is always, or never, taken."""
    if isinstance(node, cst.If):
        yield node.with_changes(test=_TRUE, whitespace_before_test=cst.SimpleWhitespace(" "))
        yield node.with_changes(test=_FALSE, whitespace_before_test=cst.SimpleWhitespace(" "))


def filtered(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A comprehension without one of its conditions."""
    if isinstance(node, cst.CompFor):
        for i in range(len(node.ifs)):
            yield node.with_changes(ifs=[*node.ifs[:i], *node.ifs[i + 1 :]])


def sign(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A minus is lost."""
    if isinstance(node, cst.UnaryOperation) and isinstance(node.operator, cst.Minus):
        yield node.expression


def keyword(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A keyword argument is not passed on."""
    if isinstance(node, cst.Call):
        for i, argument in enumerate(node.args):
            if argument.keyword is not None:
                yield node.with_changes(args=_without(node.args, i))


#: Functions for which the order of their arguments is all one.
_SYMMETRIC = {"min", "max", "minimum", "maximum"}


def neighbours(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """Two arguments in a row have changed places."""
    if isinstance(node, cst.Call):
        name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
        if isinstance(name, cst.Name) and name.value in _SYMMETRIC:
            return
        plain = [not (a.keyword or a.star) for a in node.args]
        for i in range(len(node.args) - 1):
            a, b = node.args[i], node.args[i + 1]
            if plain[i] and plain[i + 1] and not a.value.deep_equals(b.value):
                swapped = [a.with_changes(value=b.value), b.with_changes(value=a.value)]
                yield node.with_changes(args=[*node.args[:i], *swapped, *node.args[i + 2 :]])


def pair(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """min for max, source for target: the other of two."""
    if isinstance(node, cst.Name):
        yield from (node.with_changes(value=other) for other in _OTHERS.get(node.value, ()))


def unwrapped(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """sorted(x) -> x, x.copy() -> x."""
    if isinstance(node, cst.Call):
        if (
            isinstance(node.func, cst.Attribute)
            and not node.args
            and node.func.attr.value in {"copy", "clone", "detach"}
        ):
            yield node.func.value
        name = node.func.attr if isinstance(node.func, cst.Attribute) else node.func
        if isinstance(name, cst.Name) and name.value in _WRAPPERS and node.args and not node.args[0].star:
            if isinstance(node.args[0].value, cst.GeneratorExp):
                return
            yield node.args[0].value


def element(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """One of the elements of a tuple, list, set or dict is forgotten."""
    if isinstance(node, cst.Tuple | cst.List | cst.Set | cst.Dict) and len(node.elements) > 1:
        for i in range(len(node.elements)):
            kept = _without(node.elements, i)
            if isinstance(node, cst.Tuple) and len(kept) == 1:
                kept = [kept[0].with_changes(comma=cst.Comma())]
            yield node.with_changes(elements=kept)


def statement(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A call, a raise, or an assignment to a part of something is missing."""
    if isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1:
        small = node.body[0]
        call = isinstance(small, cst.Expr) and not isinstance(small.value, cst.BaseString | cst.Ellipsis)
        part = isinstance(small, cst.Assign) and isinstance(small.targets[0].target, cst.Attribute | cst.Subscript)
        if call or part or isinstance(small, cst.Raise | cst.AugAssign):
            yield node.with_changes(body=[cst.Pass()])


def bound(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A slice is open at one of its ends."""
    if isinstance(node, cst.Slice):
        if node.lower is not None:
            yield node.with_changes(lower=None)
        if node.upper is not None:
            yield node.with_changes(upper=None)


def _of_mutmut(operator: Callable[..., object]) -> Slip:
    def slip(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
        yield from operator(node)  # type: ignore[misc]

    return slip


def _only(kinds: type | tuple[type, ...], slip: Slip) -> Slip:
    return lambda node: slip(node) if isinstance(node, kinds) else iter(())


#: Name of a kind -> what it does to a node.
SLIPS: dict[str, Slip] = {
    "number": number,
    "operator": _of_mutmut(mutators.operator_swap_op),
    "is, in, break": _of_mutmut(mutators.operator_keywords),
    "true, false": _only(cst.Name, _of_mutmut(mutators.operator_name)),
    "not": _only(cst.UnaryOperation, _of_mutmut(mutators.operator_remove_unary_ops)),
    "augmented": _only(cst.AugAssign, _of_mutmut(mutators.operator_augmented_assignment)),
    "conditional": _only(cst.IfExp, _of_mutmut(mutators.operator_if_exp)),
    "string method": _only(cst.Call, _of_mutmut(mutators.operator_symmetric_string_methods_swap)),
    "half of a condition": operand,
    "guard": branch,
    "filter": filtered,
    "sign": sign,
    "keyword argument": keyword,
    "order of arguments": neighbours,
    "the other of a pair": pair,
    "unwrapped": unwrapped,
    "element": element,
    "statement": statement,
    "bound of a slice": bound,
}


def parameters(function: cst.FunctionDef) -> dict[str, tuple[str, ...]]:
    """Parameter -> parameters of the same annotation: what one name is mistaken for."""
    every = [*function.params.params, *function.params.kwonly_params]
    written = {p.name.value: cst.Module([]).code_for_node(p.annotation.annotation) for p in every if p.annotation}
    return {
        name: tuple(other for other, kind in written.items() if other != name and kind == annotation)
        for name, annotation in written.items()
    }


def _without(items: Sequence[cst.CSTNode], index: int) -> list[cst.CSTNode]:
    """All but one, with no comma after the last."""
    kept = [*items[:index], *items[index + 1 :]]
    if kept and index == len(items) - 1:
        kept[-1] = kept[-1].with_changes(comma=items[index].comma)  # type: ignore[attr-defined]
    return kept
