"""The fuzzer notices each kind of fault, and what it found before is replayed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz import targets, worker
from tests.fuzz.__main__ import CORPUS
from tests.fuzz.mutate import mutated
from tests.fuzz.seeds import ENDINGS, bundle, make_seeds
from tests.fuzz.worker import make_secrets, tried

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz")
    make_secrets(made)
    bundle(made)
    return made


def raises() -> None:
    raise KeyError("raw")


def sleeps() -> None:
    time.sleep(60)


def hangs() -> None:
    while True:
        pass


def hogs() -> None:
    np.ones(2**26).sum()


def reads(folder: Path) -> None:
    (folder / "secret.bin").read_bytes()


def crashes() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


FAULTS: list[tuple[Callable[..., None], str]] = [
    (raises, "KeyError: 'raw'\nTraceback"), (sleeps, "hangs: 0.25 s"), (hangs, "hangs: 0.25 s"), (hogs, "memory: "),
    (crashes, "dies: signal 11"), (lambda: None, ""),
]  # fmt: skip


@pytest.mark.parametrize(("fault", "words"), FAULTS, ids=["raises", "sleeps", "hangs", "hogs", "crashes", "none"])
def test_a_planted_fault_is_noticed(
    fault: Callable[..., None], words: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault in (sleeps, hangs):
        monkeypatch.setattr(worker, "SECONDS", 0.25)
    monkeypatch.setattr(worker, "BYTES", worker._peak(os.getpid()) + 2**27)
    monkeypatch.setitem(targets.TARGETS, "nir", lambda path, folder: fault())
    outcome = tried("nir", folder / "x", folder)
    assert outcome.fault.startswith(words)
    assert bool(outcome.fault) == bool(words)
    assert outcome.peak > 2**20


def test_another_file_that_is_read_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(targets.TARGETS, "nir", lambda path, folder: reads(folder))
    assert tried("nir", folder / "x", folder).fault.startswith("reads another file: ")


FOUND = sorted(CORPUS.glob("*-*"))


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.name)
def test_what_was_found_once_is_mended(
    path: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BYTES", worker._peak(os.getpid()) + 2**29)  # other tests have left things in memory
    (tmp_path / path.name).write_bytes(path.read_bytes())
    outcome = tried(path.name.split("-")[0], tmp_path / path.name, folder)
    assert not outcome.fault


def test_seeds_are_sound_and_damage_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    """Every kind of file: as it is no error is raised, which the target would swallow; damaged it is another file."""
    import hasn
    from hasn.cli.inputs import read_inputs
    from tests.graphs import DT, small_net

    make_secrets(tmp_path)
    seeds = make_seeds(tmp_path)
    assert set(seeds) == set(ENDINGS) == set(targets.TARGETS)
    for content in seeds["nir"]:
        (tmp_path / "x.nir").write_bytes(content)
        assert not [finding for finding in hasn.check(hasn.load(tmp_path / "x.nir")) if finding.severity == "error"]
    for kind in ("inputs", "array"):
        path = tmp_path / f"x{ENDINGS[kind]}"
        path.write_bytes(seeds[kind][0])
        assert read_inputs(path, hasn.lower(small_net(), dt=DT)) is not None
    hasn.load_state(tmp_path / "state.npz")
    for name in ("r.npz", "s.npz"):
        assert hasn.Recording.load(tmp_path / name).steps == 6
    for kind, contents in seeds.items():
        made = [mutated(kind, contents[0], np.random.default_rng(s), tmp_path) for s in (1, 1, 2, 3)]
        assert made[0] == made[1]
        assert len({*made, contents[0]}) == 4, kind


def test_a_minute() -> None:
    """As `make fuzz`, which takes an hour; in a process without the memory of other tests."""
    command = [sys.executable, "-m", "tests.fuzz", "--seconds", "60", "--seed", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.fullmatch(r"seed 1: (\d+) inputs \((.*)\), 0 faults\n", done.stdout)
    assert found is not None
    assert int(found[1]) >= 50
    assert {part.split()[1] for part in found[2].split(", ")} == set(ENDINGS)
