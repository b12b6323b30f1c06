"""What mutation testing changes in a file, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.kernels import kernel_mutants
from tests.mutants.mutant import mutants
from tests.mutants.rooms import ROOT, equivalents, rooms


def changes(folder: Path, source: str) -> set[tuple[str, str]]:
    """(kind, new line) of every mutant of a file."""
    (folder / "file.py").write_text(source, encoding="utf8")
    return {(m.kind, m.new) for m in mutants("file.py", folder)[0]}


@pytest.mark.parametrize(
    ("source", "kind", "new"),
    [
        ("x = a[3]", "number", {"x = a[4]", "x = a[2]"}),
        ("x = a + 0", "number", {"x = a + 1"}),
        ("x = 1e-3 * a", "number", {"x = 0.01 * a"}),
        ("x = a < b", "operator", {"x = a <= b"}),
        ("x = a - b", "operator", {"x = a + b"}),
        ("x = a if b else c", "conditional", {"x = a if (b) and False else c", "x = a if (b) or True else c"}),
        ("x = a is b", "is, in, break", {"x = a is not b"}),
        ("x = f(True)", "true, false", {"x = f(False)"}),
        ("x = not a", "not", {"x = a"}),
        ("x += a", "augmented", {"x = a"}),
        ("x = a and b", "half of a condition", {"x = a", "x = b"}),
        ("if a:\n    f()", "guard", {"if True:", "if False:"}),
        ("x = [i for i in a if i]", "filter", {"x = [i for i in a]"}),
        ("x = -a", "sign", {"x = a"}),
        ("x = f(a, b=1)", "keyword argument", {"x = f(a)"}),
        ("x = f(a, b, c)", "order of arguments", {"x = f(b, a, c)", "x = f(a, c, b)"}),
        ("x = np.minimum(a.source)", "the other of a pair", {"x = np.maximum(a.source)", "x = np.minimum(a.target)"}),
        ("x = sorted(a)", "unwrapped", {"x = a"}),
        ("x = a.copy()", "unwrapped", {"x = a"}),
        ("x = (a, b)", "element", {"x = (b,)", "x = (a,)"}),
        ("x = {a: 1, b: c}", "element", {"x = {b: c}", "x = {a: 1}"}),
        ("f()", "statement", {"pass"}),
        ("x.y = z", "statement", {"pass"}),
        ("raise E('a text, 1 + 1')", "statement", {"pass"}),
        ("x = a[b:c]", "bound of a slice", {"x = a[:c]", "x = a[b:]"}),
        ("def f(a: int, b: int, c: str):\n    return a", "a name like it", {"return b"}),
    ],
)
def test_each_kind_of_slip(tmp_path: Path, source: str, kind: str, new: set[str]) -> None:
    assert {line for k, line in changes(tmp_path, source + "\n") if k == kind} == new


def test_texts_types_and_what_is_not_run_are_left_alone(tmp_path: Path) -> None:
    source = '''"""A docstring with 1 + 1."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import a, b
__all__ = ["a", "b"]
x: dict[int, tuple[int, 3]]

@decorated(1, 2)
def f(a: tuple[int, str] | None):
    """Another."""
    axes.spines["top"].set_visible(True, size=1)
    x = a.reshape(-1)
    return f"{a + 1} {min(a)}"
'''
    assert changes(tmp_path, source) == set()


def test_what_only_moves_keeps_its_key(tmp_path: Path) -> None:
    source = "def f(a, b):\n    return a < b\n"
    (tmp_path / "a.py").write_text(source, encoding="utf8")
    first = mutants("a.py", tmp_path)[0]
    (tmp_path / "a.py").write_text("import os\n\n\n" + source, encoding="utf8")
    second = mutants("a.py", tmp_path)[0]
    assert [m.key for m in first] == [m.key for m in second] == ["a.py:f: return a < b -> return a <= b"]
    assert [m.line for m in second] == [5]


def test_a_sample_is_part_of_the_whole_and_is_drawn_by_its_seed(tmp_path: Path) -> None:
    source = "".join(f"def f{i}(a, b):\n    return a + b * {i + 2}\n" for i in range(20))
    (tmp_path / "a.py").write_text(source, encoding="utf8")
    every, there_are = mutants("a.py", tmp_path)
    some, again = mutants("a.py", tmp_path, 10, 1)
    other, _ = mutants("a.py", tmp_path, 10, 2)
    assert there_are == again == len(every) == 80
    assert len(some) == len(other) == 10
    assert {m.key for m in some} < {m.key for m in every}
    assert {m.key for m in some} != {m.key for m in other}
    (tmp_path / "a.py").write_text("def g(a):\n    return a\n" + source, encoding="utf8")
    assert {m.key for m in mutants("a.py", tmp_path, 10, 1)[0]} == {m.key for m in some}


def test_every_mutant_of_a_file_has_a_key_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = f(1)\nx = f(1)\n", encoding="utf8")
    keys = [m.key for m in mutants("a.py", tmp_path)[0]]
    assert keys == ["a.py:: x = f(1) -> x = f(2)", "a.py:: x = f(1) -> x = f(2) #2"]


def test_every_file_of_the_house_is_in_one_room() -> None:
    every = [file for room in rooms().values() for file in room.files if file.endswith(".py")]
    assert len(every) == len(set(every))
    there = {
        str(path.relative_to(ROOT))
        for top in ("hasn", "backends", "conversions", "models")
        for path in (ROOT / top).rglob("*.py")
        if not any(parent.is_symlink() for parent in path.parents)
    }
    tests = {file for file in there if Path(file).name.startswith(("test_", "conftest"))}
    data = {file for file in there if file.startswith("hasn/testing/cases/")}
    apart = {"backends/__init__.py", "hasn/__init__.py", "backends/snntorch/triton_kernels.py"}
    assert there - set(every) == tests | data | apart


def test_slips_in_c_can_be_made() -> None:
    """What they replace stands where they say (or ValueError), and is replaced by something else."""
    found = kernel_mutants(file for room in rooms().values() for file in room.files)
    assert len(found) >= 40
    assert all(m.old != m.new for m in found)


def test_equivalents_are_of_code_that_is_there_and_have_a_reason() -> None:
    for key, why in equivalents().items():
        file, _, rest = key.partition(":")
        old = rest.partition(": ")[2].partition(" -> ")[0]
        text = " ".join((ROOT / file).read_text(encoding="utf8").split())
        assert " ".join(old.split()) in text, key
        assert len(why.split()) > 2, key
