"""The house's rules that a parser can check: who imports whom, how long things are, no import cycles."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("backends", "models", "conversions")
SIMULATORS = {"torch", "snntorch", "brian2", "lava", "nest", "norse", "sinabs", "spikingjelly", "rockpool"}


def sources() -> dict[str, Path]:
    """Module name -> file, of everything that is installed as hasn.*; the links to the rooms are not followed."""
    found: dict[str, Path] = {}
    for room in ("hasn", *ROOMS):
        for path in sorted((ROOT / room).rglob("*.py")):
            inside = path.relative_to(ROOT)
            if any((ROOT / parent).is_symlink() for parent in inside.parents):
                continue
            parts = list(inside.with_suffix("").parts)
            parts = parts if room == "hasn" else ["hasn", *parts]
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = sources()
WORKER = "hasn.backends.lava.worker."
CORE = [name for name in SOURCES if not name.startswith(tuple(f"hasn.{room}" for room in ROOMS))]


def tree(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text(encoding="utf8"))


def is_type_checking(node: ast.stmt) -> bool:
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


def anywhere(module: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    return (node for node in ast.walk(module) if isinstance(node, ast.Import | ast.ImportFrom))


def targets(imports: Iterator[ast.Import | ast.ImportFrom]) -> set[str]:
    """Full names: modules, and what is taken from them (which may be a module too)."""
    names: set[str] = set()
    for node in imports:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        else:
            module = "." * node.level + (node.module or "")  # a relative one only in Lava's worker, see below
            names |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return names


def test_the_sources_are_there() -> None:
    assert {"hasn", "hasn.ir.lower", "hasn.backends.brian2", "hasn.backends.lava.worker"} <= set(SOURCES)


@pytest.mark.parametrize("name", CORE)
def test_the_core_imports_no_simulator_and_no_backend(name: str) -> None:
    """But where a module's docstring says that it imports torch: then nobody imports that module at import time."""
    found = targets(at_import(tree(name).body))
    if "Imports torch" in (ast.get_docstring(tree(name)) or ""):
        assert not [other for other in SOURCES if name in targets(at_import(tree(other).body))]
        found -= {target for target in found if target.split(".")[0] == "torch"}
    assert not {target for target in found if target.split(".")[0] in SIMULATORS}
    assert not {target for target in found if target.startswith("hasn.backends")}


@pytest.mark.parametrize(
    "name", [name for name in SOURCES if name.count(".") >= 2 and name.startswith("hasn.backends.")]
)
def test_backends_do_not_import_each_other(name: str) -> None:
    own = ".".join(name.split(".")[:3])
    found = {target for target in targets(anywhere(tree(name))) if target.startswith("hasn.backends.")}
    assert not {target for target in found if not (target + ".").startswith(own + ".")}


@pytest.mark.parametrize("name", [name for name in SOURCES if (name + ".").startswith(WORKER)])
def test_the_lava_worker_imports_nothing_of_hasn(name: str) -> None:
    """It runs in a Python in which hasn is not installed."""
    assert not {target for target in targets(anywhere(tree(name))) if target.split(".")[0] == "hasn"}


#: What backends are judged by, and the graphs that they are judged on.
ORACLE = ["structure", "layers", "reference", "integers", "graphs", "chip_graphs", "strategies", "wiring", "readable"]
ORACLE = [f"hasn.testing.{name}" for name in ORACLE]
ORACLE += [name for name in SOURCES if (name + ".").startswith("hasn.testing.cases.")]


@pytest.mark.parametrize("name", ORACLE)
def test_the_oracle_owes_the_code_nothing(name: str) -> None:
    """It starts from NIR graphs and imports of hasn only what belongs to the oracle itself."""
    found = {target for target in targets(anywhere(tree(name))) if target.split(".")[0] == "hasn"}
    modules = {target if target in SOURCES else target.rpartition(".")[0] for target in found}
    assert modules <= set(ORACLE)
    others = {target.split(".")[0] for target in targets(anywhere(tree(name)))} - {"hasn", *sys.stdlib_module_names}
    assert others <= {"numpy", "scipy", "nir", "hypothesis"}


@pytest.mark.parametrize("name", SOURCES)
def test_imports_are_absolute(name: str) -> None:
    """But in Lava's worker, which does not know what it is called in its own Python."""
    relative = {target for target in targets(anywhere(tree(name))) if target.startswith(".")}
    assert not relative or name.startswith(WORKER)


@pytest.mark.parametrize("name", SOURCES)
def test_files_and_functions_are_short(name: str) -> None:
    """Up to 300 lines a file, 40 a function without its signature and docstring."""
    assert len(SOURCES[name].read_text(encoding="utf8").splitlines()) <= 300
    long = {}
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and len(node.body) > 1
            lines = (node.end_lineno or 0) - node.body[1 if documented else 0].lineno + 1
            if lines > 40:
                long[node.name] = lines
    assert not long


@pytest.mark.parametrize("name", SOURCES)
def test_every_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(tree(name)) or not SOURCES[name].read_text(encoding="utf8").strip()


def test_no_import_cycles() -> None:
    """Among the modules of hasn, as imported at import time. A package counts where a name is taken from it itself."""
    after: dict[str, set[str]] = {}
    for name in SOURCES:
        found = targets(at_import(tree(name).body))
        after[name] = {target for target in found if target in SOURCES and target != name}
        # `from hasn.x import y` runs hasn.x/__init__, but where y is a module that alone is no dependency on it.
        after[name] -= {target for target in after[name] if any(t.startswith(target + ".") for t in after[name])}
    state: dict[str, int] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        state[name] = 1
        for target in sorted(after[name]):
            assert state.get(target) != 1, " -> ".join(
                [*path[path.index(target) if target in path else 0 :], name, target]
            )
            if target not in state:
                visit(target, (*path, name))
        state[name] = 2

    for name in sorted(after):
        if name not in state:
            visit(name, ())
