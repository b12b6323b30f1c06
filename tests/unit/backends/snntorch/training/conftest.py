"""One launch of torchrun for all tests of many workers: it costs seconds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filelock import FileLock

import hasn
from hasn.ir.save import save
from tests.unit.backends.snntorch.training.task import net, samples

ROOT = Path(__file__).parents[5]
#: Seconds until a launch counts as hung: some ten times what it takes.
PATIENCE = 200
Answer = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one launch has done all jobs; also one for all processes of pytest-xdist, which share a folder."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "two workers"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            folder.mkdir()
            (folder / "error").write_text(launch(folder))
    error = (folder / "error").read_text()
    assert not error, error[-3000:]
    return folder


def launch(folder: Path) -> str:
    """Do all jobs of two workers, in two goes: worker 1 is killed in the first. What went wrong, if it did."""
    from tests.unit.backends.snntorch.training.calls import EQUAL, recurrent

    hasn.train(recurrent(), **{**EQUAL["threshold"], "epochs": 1}, checkpoint=folder / "one.pt")
    spikes, labels = samples(24)
    save(net(), folder / "net.nir")
    np.savez(folder / "data.npz", spikes=spikes, labels=labels)
    command = "-m torch.distributed.run --standalone --nproc-per-node 2 --max-restarts 1"
    command += " -m tests.unit.backends.snntorch.training.jobs"
    settings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "KILLED_AT_START": "0"}
    run = subprocess.run(
        [sys.executable, *command.split(), str(folder)],
        env={**os.environ, **settings}, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, check=False,
    )  # fmt: skip
    return f"status {run.returncode}: {run.stderr}" if run.returncode else ""


@pytest.fixture
def answer(launched: Path) -> Answer:
    """What both workers wrote."""
    return lambda job: [json.loads((launched / f"{job}.{rank}.json").read_text()) for rank in (0, 1)]


@pytest.fixture
def torchrun(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if torchrun had started this process alone."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}.items():
        monkeypatch.setenv(name, value)
    yield
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
