"""One launch of torchrun for all tests of many workers: it costs seconds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hasn
from hasn.ir.save import save
from tests.unit.training.task import net, samples

ROOT = Path(__file__).parents[3]
#: Seconds until a launch counts as hung: some ten times what it takes.
PATIENCE = 200
Answer = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="session")
def launched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where one launch has done all jobs, in two goes: worker 1 was killed in the first."""
    from tests.unit.training.jobs import EQUAL, recurrent

    folder = tmp_path_factory.mktemp("two")
    hasn.train(recurrent(), **{**EQUAL["threshold"], "epochs": 1}, checkpoint=folder / "one.pt")
    spikes, labels = samples(24)
    save(net(), folder / "net.nir")
    np.savez(folder / "data.npz", spikes=spikes, labels=labels)
    command = "-m torch.distributed.run --standalone --nproc-per-node 2 --max-restarts 1 -m tests.unit.training.jobs"
    settings = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "KILLED_AT_START": "0"}
    run = subprocess.run(
        [sys.executable, *command.split(), str(folder)],
        env={**os.environ, **settings}, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    return folder


@pytest.fixture
def answer(launched: Path) -> Answer:
    """What both workers wrote."""
    return lambda job: [json.loads((launched / f"{job}.{rank}.json").read_text()) for rank in (0, 1)]
