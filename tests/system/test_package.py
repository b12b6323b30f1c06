"""The built wheel, installed in an empty folder: it is whole, it is light, and it works without any simulator."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("backends", "models", "conversions")
HEAVY = ("numpy", "scipy", "nir", "h5py", "matplotlib", "typer", "torch", "snntorch", "brian2", "lava")

#: Makes packages invisible, as if they were not installed: neither importable nor found.
HIDE = """
import sys
from importlib.machinery import PathFinder
HIDDEN = {hidden!r}
class Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.split(".")[0] in HIDDEN else PathFinder.find_spec(name, path, target)
    find_distributions = PathFinder.find_distributions
sys.meta_path[:] = [Hidden if finder is PathFinder else finder for finder in sys.meta_path]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing that an earlier build left in the checkout gets in."""
    source = tmp_path_factory.mktemp("source")

    def left_out(folder: str, names: list[str]) -> set[str]:
        return {name for name in names if name == "__pycache__" or (Path(folder) / name).is_symlink()}

    for room in ("hasn", *ROOMS):
        shutil.copytree(ROOT / room, source / room, ignore=left_out)
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        str(out),
    ]
    done = subprocess.run([*pip, str(source)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = out.glob("hasn-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's content, to be put before everything else on the path."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet", "--target", str(target)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)
    return target


def python(
    code: str, installed: Path, tmp_path: Path, hidden: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter, in an empty folder, with the installed wheel first on the path."""
    whole = HIDE.format(hidden=set(hidden)) + textwrap.dedent(code)
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, "-c", whole],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_wheel_holds_every_file_of_every_room(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        inside = {name for name in file.namelist() if name.endswith(".py")}
    wanted = set()
    for room in ("hasn", *ROOMS):
        for path in (ROOT / room).rglob("*.py"):
            inner = path.relative_to(ROOT)
            if not any((ROOT / parent).is_symlink() for parent in inner.parents):
                wanted.add(inner.as_posix() if room == "hasn" else f"hasn/{inner.as_posix()}")
    assert "hasn/backends/lava/worker/__init__.py" in wanted
    assert not wanted - inside, "a folder without __init__.py is left out"
    assert not inside - wanted


def test_every_module_of_the_core_imports_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    """With no simulator to be found; and it is the installed package that is imported, not the checkout."""
    done = python(
        """
        import importlib, pathlib, pkgutil
        import hasn, hasn.backends
        assert pathlib.Path(hasn.backends.__file__).parents[1] == pathlib.Path(hasn.__file__).parent
        rooms = tuple(f"hasn.{room}." for room in ("backends", "models", "conversions"))
        for found in pkgutil.walk_packages(hasn.__path__, "hasn."):
            source = pathlib.Path(found.module_finder.path, found.name.rpartition(".")[2] + ".py")
            own = source.exists() and "Imports torch" in source.read_text().partition("from __future__")[0]
            if not own and not found.name.startswith((*rooms, "hasn.demo.train", "hasn.testing.")):
                importlib.import_module(found.name)
        print(hasn.__file__)
        """,
        installed, tmp_path, hidden=("torch", "snntorch", "brian2", "lava"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(installed / "hasn" / "__init__.py")


@pytest.mark.parametrize(
    ("module", "allowed"),
    [("hasn", ()), *((f"hasn.backends.{name}", HEAVY[:6]) for name in ("snntorch", "brian2", "lava"))],
)
def test_an_import_brings_no_simulator(module: str, allowed: tuple[str, ...], installed: Path, tmp_path: Path) -> None:
    """`import hasn` brings nothing at all, a backend's module no simulator."""
    unwanted = set(HEAVY) - set(allowed)
    done = python(f"import sys, {module}; print(sorted({unwanted!r} & set(sys.modules)))", installed, tmp_path)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_listing_backends_brings_no_simulator(installed: Path, tmp_path: Path) -> None:
    done = python(
        """
        import sys, hasn
        hasn.list_backends()
        print(sorted({'torch', 'snntorch', 'brian2', 'lava'} & set(sys.modules)))
        """,
        installed, tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_refuses_its_bare_name(room: str, tmp_path: Path) -> None:
    """Or there would be two copies of every module."""
    done = python(f"import {room}", ROOT, tmp_path)
    assert done.returncode == 1
    assert f"import hasn.{room}, not {room}" in done.stderr


def test_without_simulators_the_core_works_and_the_command_is_named(installed: Path, tmp_path: Path) -> None:
    done = python(
        """
        import nir, numpy as np, hasn
        ones = np.ones(2)
        nodes = {"input": nir.Input({"input": np.array([2])}), "lif": nir.LIF(0.01 * ones, ones, 0 * ones, ones),
                 "output": nir.Output({"output": np.array([2])})}
        hasn.save(nir.NIRGraph(nodes, [("input", "lif"), ("lif", "output")]), "net.nir")
        graph = hasn.load("net.nir", dt=1e-3)
        assert hasn.check(graph) == []
        assert len(hasn.lower(graph).nodes) == 3
        found = hasn.list_backends()
        for name in ("snntorch", "brian2"):
            assert not found[name].available
            try:
                hasn.compile(graph, name)
            except hasn.errors.BackendUnavailable as error:
                assert f"pip install 'hasn[{name}]'" in str(error), error
                assert found[name].why_not in str(error)
            else:
                raise AssertionError(name)
        print("done")
        """,
        installed, tmp_path, hidden=("torch", "snntorch", "brian2"),
    )  # fmt: skip
    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr


RIGHT = """
import numpy as np
import hasn
executable = hasn.compile(hasn.load("net.nir", dt=1e-3), "brian2", method="exact")
recording: hasn.Recording = executable.run(np.ones((5, 2)), record="voltages")
total: int = recording.counts.total_spikes
"""
WRONG = {
    'hasn.load("net.nir", dt="fast")': 'Argument "dt" to "load" has incompatible type "str"',
    "hasn.load(3)": 'Argument 1 to "load" has incompatible type "int"',
    "name: str = recording.counts.total_spikes": "Incompatible types in assignment",
    "executable.rum(1)": '"Executable" has no attribute "rum"',
    "hasn.backends.brian2.BACKEND.why_not(3)": "Too many arguments",
}


@pytest.mark.slow  # mypy reads numpy's stubs afresh: 20 s and more
def test_a_seeded_type_error_fails_strict_mypy_on_the_installed_package(installed: Path, tmp_path: Path) -> None:
    """Every wrong line is reported, and no right one: so neither Any nor a missing module hides the API's types."""
    pytest.importorskip("mypy", reason="pip install 'hasn[lint]'")
    source = RIGHT + "import hasn.backends.brian2\n" + "\n".join(WRONG) + "\n"
    (tmp_path / "user.py").write_text(source)
    lines = source.splitlines()
    config = tmp_path / "mypy.ini"
    untyped = "[mypy-brian2.*,nir.*,h5py.*,scipy.*]"
    config.write_text(f"[mypy]\n{untyped}\nignore_missing_imports = True\nfollow_untyped_imports = False\n")
    mypy = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        str(config),
        "--cache-dir",
        str(tmp_path / "cache"),
    ]
    environment = {**os.environ, "MYPYPATH": str(installed)}
    done = subprocess.run(
        [*mypy, "user.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    reported = [line for line in done.stdout.splitlines() if line.startswith("user.py:")]
    assert done.returncode == 1, done.stdout + done.stderr
    for code, message in WRONG.items():
        assert any(f"user.py:{lines.index(code) + 1}:" in line and message in line for line in reported), (
            code,
            done.stdout,
        )
    assert len([line for line in reported if ": error:" in line]) == len(WRONG), done.stdout
