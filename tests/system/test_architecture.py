"""The house's rules that a parser can check: who imports whom, and no import cycles. Each lists its offenders."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache

from hasn.program.cycles import cycles
from tests.sources import ROOMS, SOURCES, tree

SIMULATORS = {"torch", "snntorch", "brian2", "lava", "nest", "norse", "sinabs", "spikingjelly", "rockpool"}
WORKER = "hasn.backends.lava.worker."
CORE = [name for name in SOURCES if not name.startswith(tuple(f"hasn.{room}" for room in ROOMS))]
Offenders = dict[str, list[str]]


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def at_import(statements: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """Imports that run when the module is imported: not those in functions, nor for type checkers alone."""
    for node in statements:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_type_checking(node):
            for field in ("body", "orelse", "finalbody"):
                yield from at_import(getattr(node, field, []))
            for handler in getattr(node, "handlers", []):
                yield from at_import(handler.body)


def anywhere(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """All imports, those in functions too, but not those for type checkers alone."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        yield node
    for child in ast.iter_child_nodes(node):
        if not is_type_checking(child):
            yield from anywhere(child)


def targets(imports: Iterable[ast.Import | ast.ImportFrom]) -> set[str]:
    """Full names: modules, and what is taken from them (which may be a module too)."""
    names: set[str] = set()
    for node in imports:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            module = "." * node.level + (node.module or "")  # a relative one only in Lava's worker, see below
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


@cache
def imported(name: str) -> frozenset[str]:
    """What a module imports, early or late."""
    return frozenset(targets(anywhere(tree(name))))


@cache
def imported_early(name: str) -> frozenset[str]:
    """What a module imports when it is imported."""
    return frozenset(targets(at_import(tree(name).body)))


def offenders(found: dict[str, set[str]]) -> Offenders:
    return {name: sorted(names) for name, names in found.items() if names}


def test_the_sources_are_there() -> None:
    assert {"hasn", "hasn.ir.lower", "hasn.backends.brian2", "hasn.backends.lava.worker"} <= set(SOURCES)


def test_the_core_imports_no_simulator_and_no_backend() -> None:
    """But where a module's docstring says that it imports torch: then nobody imports that module at import time."""
    found: dict[str, set[str]] = {}
    for name in CORE:
        names = set(imported_early(name))
        if "Imports torch" in (ast.get_docstring(tree(name)) or ""):
            found[f"{name} is imported early by"] = {other for other in SOURCES if name in imported_early(other)}
            names -= {target for target in names if target.split(".")[0] == "torch"}
        found[name] = {t for t in names if t.split(".")[0] in SIMULATORS or t.startswith("hasn.backends")}
    assert offenders(found) == {}


def test_backends_do_not_import_each_other() -> None:
    found = {}
    for name in (name for name in SOURCES if name.startswith("hasn.backends.")):
        own = ".".join(name.split(".")[:3]) + "."
        others = {target for target in imported(name) if target.startswith("hasn.backends.")}
        found[name] = {target for target in others if not (target + ".").startswith(own)}
    assert offenders(found) == {}


def test_the_lava_worker_imports_nothing_of_hasn() -> None:
    """It runs in a Python in which hasn is not installed."""
    inside = [name for name in SOURCES if (name + ".").startswith(WORKER)]
    assert inside
    assert offenders({n: {t for t in imported(n) if t.split(".")[0] == "hasn"} for n in inside}) == {}


#: What backends are judged by, and the graphs that they are judged on.
ORACLE = [
    "structure",
    "layers",
    "reference",
    "integers",
    "graphs",
    "chip_graphs",
    "strategies",
    "wiring",
    "readable",
    "suite",
    "drawn",
    "learning",
]
ORACLE = [f"hasn.testing.{name}" for name in ORACLE]
ORACLE += [name for name in SOURCES if (name + ".").startswith("hasn.testing.cases.")]
#: The node types that are not NIR's, and learning rules: classes that hold numbers and text, as NIR's own do.
NODE_TYPES = {"hasn.nodes", "hasn.plasticity", "hasn.plasticity.attach"}


def test_the_oracle_owes_the_code_nothing() -> None:
    """It starts from graphs, and imports of hasn only what belongs to the oracle itself and the nodes' types."""
    found = {}
    for name in ORACLE:
        inner = {target for target in imported(name) if target.split(".")[0] == "hasn"}
        modules = {target if target in SOURCES else target.rpartition(".")[0] for target in inner}
        others = {target.split(".")[0] for target in imported(name)} - {"hasn", *sys.stdlib_module_names}
        found[name] = (modules - {*ORACLE, *NODE_TYPES}) | (others - {"numpy", "scipy", "nir", "hypothesis"})
    assert offenders(found) == {}


def test_imports_are_absolute() -> None:
    """But in Lava's worker, which does not know what it is called in its own Python."""
    found = {name: {target for target in imported(name) if target.startswith(".")} for name in SOURCES}
    assert offenders({name: names for name, names in found.items() if not name.startswith(WORKER)}) == {}


def test_every_module_says_what_it_is() -> None:
    silent = [name for name, path in SOURCES.items() if path.read_text(encoding="utf8").strip()]
    assert [name for name in silent if not ast.get_docstring(tree(name))] == []


def test_no_import_cycles() -> None:
    """Imports in functions count: a part that needs another can say so at its top. A package counts where a name is
    taken from it itself."""
    edges = []
    for name in SOURCES:
        found = {target for target in imported(name) if target in SOURCES and target != name}
        # `from hasn.x import y` runs hasn.x/__init__, but where y is a module that alone is no dependency on it.
        found -= {target for target in found if any(t.startswith(target + ".") for t in found)}
        edges += [(name, target) for target in sorted(found)]
    assert [sorted(group) for group in cycles(list(SOURCES), edges) if len(group) > 1] == []
