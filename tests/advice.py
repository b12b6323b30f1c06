"""Advice, not a rule: which files and functions are long. ``make lint`` shows it; it never fails.

A thought that needs 350 lines stays in one file; one that lies here only because nobody divided it may be two.
"""

from __future__ import annotations

import ast
import sys

from tests.sources import SOURCES, tree

FILE, FUNCTION = 300, 40


def advice() -> list[str]:
    """A line for each file over 300 lines, and each function over 40 without its signature and docstring."""
    lines = []
    for name, path in SOURCES.items():
        length = len(path.read_text(encoding="utf8").splitlines())
        if length > FILE:
            lines.append(f"{name}: {length} lines")
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (length := body(node)) > FUNCTION:
                lines.append(f"{name}.{node.name}: {length} lines")
    return lines


def body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body."""
    first = node.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1
    return (node.end_lineno or 0) - node.body[1 if documented else 0].lineno + 1


if __name__ == "__main__":
    sys.stdout.writelines(f"advice: {line}\n" for line in advice())
