"""One launch of torchrun for all tests of two processes: it costs seconds."""

from __future__ import annotations

import json
import os
import signal
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


def started(processes: int, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """What torchrun and its processes did and said."""
    command = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes))
    where = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **settings}
    run = subprocess.Popen(
        [*command, *arguments], env=where, cwd=ROOT, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        text = run.communicate(timeout=PATIENCE)[0]
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGTERM)  # torchrun then ends its own processes, which have sessions of theirs
        pytest.fail(f"it hangs: {run.communicate(timeout=60)[0]}")
    return subprocess.CompletedProcess(command, run.returncode, text)


def launch(folder: Path) -> str:
    """Do all jobs of two workers and all checks of two stages. What went wrong, if it did.

    Worker 1 is killed in the first job, and torchrun starts both again; it dies in the last check for good.
    """
    from tests.unit.backends.snntorch.training.calls import EQUAL, recurrent
    from tests.unit.backends.snntorch.training.pipeline_nets import TWO

    hasn.train(recurrent(), **{**EQUAL["threshold"], "epochs": 1}, checkpoint=folder / "one.pt")
    spikes, labels = samples(24)
    save(net(), folder / "net.nir")
    np.savez(folder / "data.npz", spikes=spikes, labels=labels)
    jobs = ("--max-restarts", "1", "-m", "tests.unit.backends.snntorch.training.jobs")
    run = started(2, *jobs, str(folder), KILLED_AT_START="0")
    done = [folder / f"{check} {rank}.npz" for check in TWO for rank in (0, 1) if (check, rank) != ("death", 1)]
    missing = [path.name for path in done if not path.exists()]
    return f"status {run.returncode}, without {missing}: {run.stdout}" if missing or not run.returncode else ""


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
