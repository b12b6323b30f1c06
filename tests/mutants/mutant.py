"""The mutants of a file: one slip each."""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import deep_replace

from tests.mutants.slips import SLIPS, parameters

#: What is drawn on, by its usual names: how wide a line is there, or how large a text, is looked at, not tested.
DRAWN = {"axes", "figure", "fig", "above", "below", "beneath", "picture", "legend", "handle", "bar"}


#: The length that reshape works out; NumPy takes -2 for it as well.
_UNKNOWN = cst.parse_expression("-1")


@dataclass(frozen=True)
class Mutant:
    """One slip in one file.

    Attributes:
        file: the file, from the root of the checkout.
        function: its qualified name ("" at the top level of the module).
        line: where the slip begins, today.
        statement: where its statement begins, today.
        kind: a key of :data:`tests.mutants.slips.SLIPS`.
        old, new: the lines that the slip changes, stripped.
        number: which one of those that are alike in all of this.
        code: the whole file with the slip.
    """

    file: str
    function: str
    line: int
    statement: int
    kind: str
    old: str
    new: str
    number: int
    code: str

    @property
    def key(self) -> str:
        """Its name, which stays when other lines move: what verdicts and equivalents go by."""
        again = f" #{self.number + 1}" if self.number else ""
        return f"{self.file}:{self.function}: {self.old} -> {self.new}{again}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.function or '(module)'} [{self.kind}]\n  - {self.old}\n  + {self.new}"


@dataclass(frozen=True)
class _Place:
    function: str
    line: int
    statement: int
    kind: str
    part: int
    node: cst.CSTNode
    changed: cst.CSTNode


def mutants(file: str, root: Path, sample: int | None = None, seed: int = 0) -> tuple[list[Mutant], int]:
    """The mutants of ``root / file`` that parse, or a sample of them; and how many there are in all.

    The sample is drawn by the places' own names and the seed, so that an edit elsewhere in the file does not redraw it.
    """
    source = (root / file).read_text(encoding="utf8")
    wrapper = MetadataWrapper(cst.parse_module(source))
    finder = _Finder()
    wrapper.visit(finder)
    places = finder.places
    if sample is not None and sample < len(places):
        seen: Counter[tuple[str, str]] = Counter()
        ranked: list[tuple[str, int]] = []
        for i, place in enumerate(places):
            seen[place.function, place.kind] += 1
            name = f"{seed}:{file}:{place.function}:{place.kind}:{seen[place.function, place.kind]}"
            ranked.append((hashlib.sha256(name.encode()).hexdigest(), i))
        places = [places[i] for i in sorted(i for _, i in sorted(ranked)[:sample])]
    return _made(file, source, wrapper.module, places), len(finder.places)


def _made(file: str, source: str, module: cst.Module, places: list[_Place]) -> list[Mutant]:
    found: list[Mutant] = []
    numbers: Counter[tuple[str, str, str]] = Counter()
    texts = [module.code_for_node(part) for part in module.body]
    head = "".join(module.code_for_node(line) for line in module.header)
    tail = source[len(head) + sum(map(len, texts)) :]
    for place in places:
        part = cst.ensure_type(module.body[place.part], cst.CSTNode)
        changed = module.code_for_node(deep_replace(part, place.node, place.changed))  # type: ignore[arg-type]
        code = head + "".join([*texts[: place.part], changed, *texts[place.part + 1 :]]) + tail
        try:
            same = ast.dump(ast.parse(code)) == ast.dump(ast.parse(source))
        except SyntaxError:
            continue
        if same:
            continue
        old, new = _difference(source, code)
        alike = (place.function, old, new)
        found.append(
            Mutant(file, place.function, place.line, place.statement, place.kind, old, new, numbers[alike], code)
        )
        numbers[alike] += 1
    return found


def _difference(source: str, code: str) -> tuple[str, str]:
    """The lines that are not the same, of both."""
    a, b = source.splitlines(), code.splitlines()
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    return tuple(" ".join(line.strip() for line in text[head : len(text) - tail]) for text in (a, b))  # type: ignore[return-value]


class _Finder(cst.CSTVisitor):
    """Every place of a module where a slip may be made.

    Left alone: annotations, imports, decorators, texts and what stands in an error's arguments (texts too), blocks for
    type checkers, ``__all__``, and calls that draw (:data:`DRAWN`).
    """

    METADATA_DEPENDENCIES = (PositionProvider,)

    def __init__(self) -> None:
        super().__init__()
        self.places: list[_Place] = []
        self._part = -1
        self._statement = 0
        self._inside: list[str] = []
        self._alike: list[dict[str, tuple[str, ...]]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        """Collect the slips of a node; whether its children are looked at."""
        if isinstance(node, cst.Module):
            for self._part, part in enumerate(node.body):
                part.visit(self)
            return False
        if isinstance(node, cst.BaseStatement):
            self._statement = self._line(node)
        if isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom | cst.FormattedString):
            return False
        if isinstance(node, cst.If) and "TYPE_CHECKING" in cst.Module([]).code_for_node(node.test):
            return False
        if isinstance(node, cst.Assign) and "__all__" in cst.Module([]).code_for_node(node.targets[0]):
            return False
        if _draws(node):
            return False
        for kind, slip in SLIPS.items():
            for changed in slip(node):
                self._add(kind, node, changed)
        if isinstance(node, cst.Raise):
            return False
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            self._inside.append(node.name.value)
        if isinstance(node, cst.FunctionDef):
            self._alike.append(parameters(node))
        if isinstance(node, cst.Param):
            if node.default is not None:
                node.default.visit(self)
            return False
        if isinstance(node, cst.Attribute):
            node.value.visit(self)
            self._pairs_of(node.attr)
            return False
        if isinstance(node, cst.Arg):
            node.value.visit(self)
            return False
        if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value == "reshape":
            for child in [node.func, *(a for a in node.args if not _UNKNOWN.deep_equals(a.value))]:
                child.visit(self)
            return False
        if isinstance(node, cst.Name) and self._alike:
            for other in self._alike[-1].get(node.value, ()):
                self._add("a name like it", node, node.with_changes(value=other))
        if isinstance(node, cst.AssignTarget | cst.CompFor | cst.For):
            return self._but_its_target(node)
        return True

    def _but_its_target(self, node: cst.AssignTarget | cst.CompFor | cst.For) -> bool:
        """What is assigned to keeps its name (or the slip shows at once), but not what an index holds."""
        if isinstance(node, cst.AssignTarget):
            return not isinstance(node.target, cst.Name | cst.Tuple | cst.List)
        for child in node.children:
            if child is not node.target:
                child.visit(self)
        return False

    def _pairs_of(self, name: cst.Name) -> None:
        for changed in SLIPS["the other of a pair"](name):
            self._add("the other of a pair", name, changed)

    def on_leave(self, original_node: cst.CSTNode) -> None:
        """Out of a function again."""
        if isinstance(original_node, cst.FunctionDef | cst.ClassDef):
            self._inside.pop()
        if isinstance(original_node, cst.FunctionDef):
            self._alike.pop()

    def _add(self, kind: str, node: cst.CSTNode, changed: cst.CSTNode) -> None:
        place = _Place(".".join(self._inside), self._line(node), self._statement, kind, self._part, node, changed)
        self.places.append(place)

    def _line(self, node: cst.CSTNode) -> int:
        position = self.get_metadata(PositionProvider, node, None)
        return position.start.line if position is not None else self._statement


def _draws(node: cst.CSTNode) -> bool:
    if isinstance(node, cst.SimpleStatementLine) and isinstance(node.body[0], cst.Expr):
        node = node.body[0].value
    return isinstance(node, cst.Call) and _root(node.func) in DRAWN


def _root(node: cst.BaseExpression) -> str:
    """axes of axes.spines["top"].set_visible; nothing of a plain name."""
    dotted = False
    while isinstance(node, cst.Attribute | cst.Subscript | cst.Call):
        dotted = dotted or isinstance(node, cst.Attribute)
        node = node.func if isinstance(node, cst.Call) else node.value
    return node.value if dotted and isinstance(node, cst.Name) else ""
