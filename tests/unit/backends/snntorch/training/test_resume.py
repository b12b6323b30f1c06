"""Checkpoints: killed at any moment, a training goes on to the same result, bit for bit."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import hasn
from hasn.backends.snntorch.training import Dropout, Step, count
from hasn.errors import FileError, GraphError, OptionError
from tests.unit.backends.snntorch.training.task import lif, net, samples, weights


class Killed(Exception):
    """Stands for a process that ends."""


def kill_at(step: int) -> Any:
    def progress(now: Step) -> None:
        if now.step == step:
            raise Killed

    return progress


def noisy(epoch: int) -> Any:
    """Batches that draw from every generator there is while they are made."""
    inputs, labels = samples(24)
    for place in range(0, 24, 8):
        part = torch.as_tensor(inputs[:, place : place + 8])
        kept = torch.rand(part.shape) > 0.1
        yield part * kept + np.random.random() * 0.1 + random.random() * 0.1, labels[place : place + 8]


def loader() -> Any:
    """A DataLoader with a generator of its own."""
    inputs, labels = samples(24)
    dataset = [(torch.as_tensor(inputs[:, i]), int(labels[i])) for i in range(24)]

    def side_by_side(items: list[Any]) -> Any:
        return torch.stack([x for x, _ in items], 1), torch.tensor([y for _, y in items])

    generator = torch.Generator().manual_seed(7)
    return torch.utils.data.DataLoader(
        dataset, batch_size=8, shuffle=True, generator=generator, collate_fn=side_by_side
    )  # type: ignore[arg-type,var-annotated]


def kept_schedule(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=100)


DROPOUT = {"w1": Dropout(0.3), "w2": Dropout(0.2, before=True, per="sequence")}
CALLS: dict[str, Any] = {
    "arrays": lambda: {"data": samples(24), "batch_size": 8},
    "function of the epoch": lambda: {"data": noisy},
    "DataLoader": lambda: {"data": loader()},
    "accumulation and schedule": lambda: {
        "data": samples(24), "batch_size": 4, "accumulate": 2, "schedule": kept_schedule, "optimizer": "sgd"
    },
    "tau and threshold": lambda: {"data": samples(24), "batch_size": 8, "learn": ("tau", "threshold")},
    "best of it": lambda: {"data": samples(24), "batch_size": 8, "validation": samples(12, 5), "keep_best": True},
    "gradients that wait": lambda: {"data": samples(24), "batch_size": 8, "apply_after": {"w1": 2, "w2": 4}},
    "scaler": lambda: {"data": samples(24), "batch_size": 8, "amp": "fp16"},
    "dropout": lambda: {"data": samples(24), "batch_size": 8, "during": DROPOUT},
    "dropout and a function of the epoch": lambda: {"data": noisy, "during": DROPOUT},
    "dropout and accumulation": lambda: {"data": samples(24), "batch_size": 4, "accumulate": 2, "during": DROPOUT},
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(("step", "then"), [(3, 3), (4, 4), (6, 5)])
def test_a_resumed_training_equals_an_uninterrupted_one(name: str, step: int, then: int, tmp_path: Path) -> None:
    """Killed before a checkpoint; it goes on from the middle, or the end, of an epoch of 3 updates."""
    whole = hasn.train(net(), epochs=3, **CALLS[name]())
    path = tmp_path / "at.pt"
    options = {"epochs": 3, "checkpoint": path, "checkpoint_every": 2, "resume": True}
    with pytest.raises(Killed):
        hasn.train(net(), **options, progress=kill_at(step), **CALLS[name]())
    done: list[int] = []
    resumed = hasn.train(net(seed=step), **options, progress=lambda s: done.append(s.step), **CALLS[name]())
    assert done[0] == then
    assert resumed.losses == whole.losses
    assert [e.loss for e in resumed.history] == [e.loss for e in whole.history]
    assert [e.validation_loss for e in resumed.history] == [e.validation_loss for e in whole.history]
    for key, value in weights(whole.graph).items():
        np.testing.assert_array_equal(weights(resumed.graph)[key], value, err_msg=key)


def test_dropout_without_a_seed_resumes_too(tmp_path: Path) -> None:
    """Its seed follows from torch's state when training began, which is another one when it goes on."""
    given: dict[str, Any] = {"batch_size": 8, "during": DROPOUT, "seed": None}
    torch.manual_seed(5)
    whole = hasn.train(net(), samples(24), epochs=2, **given)
    torch.manual_seed(5)
    hasn.train(net(), samples(24), epochs=1, **given, checkpoint=tmp_path / "at.pt")
    torch.manual_seed(6)
    resumed = hasn.train(net(), samples(24), epochs=2, **given, checkpoint=tmp_path / "at.pt", resume=True)
    assert resumed.losses == whole.losses
    torch.manual_seed(6)
    assert hasn.train(net(), samples(24), epochs=2, **given).losses != whole.losses


SCRIPT = """
import sys, time
import hasn
from tests.unit.backends.snntorch.training.task import net, samples
def tell(step):
    sys.stdout.write(f"{step.step}\\n")
    sys.stdout.flush()
    time.sleep(0.1)
hasn.train(net(), samples(24), epochs=100, batch_size=8, checkpoint=sys.argv[1], checkpoint_every=1, progress=tell)
"""


def test_killed_by_the_system_and_started_again(tmp_path: Path) -> None:
    """kill -9 in the middle of an epoch; this process goes on from there to the losses of a training in one go."""
    where = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[5]), "OMP_NUM_THREADS": "1"}
    path = tmp_path / "at.pt"
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(path)], env=where, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        while run.stdout.readline().strip() not in ("5", ""):
            pass
        run.send_signal(signal.SIGKILL)
        assert run.wait() == -signal.SIGKILL
    threads, done = torch.get_num_threads(), []
    torch.set_num_threads(1)  # as in the process: more threads may add in another order
    try:
        options: dict[str, Any] = {"epochs": 4, "batch_size": 8}
        resumed = hasn.train(net(), samples(24), checkpoint=path, resume=True, progress=done.append, **options)
        whole = hasn.train(net(), samples(24), **options)
    finally:
        torch.set_num_threads(threads)
    assert done[0].step in (5, 6)  # whether the fifth was saved before the end came
    assert resumed.losses == whole.losses
    assert len(whole.losses) == 12
    for key, value in weights(whole.graph).items():
        np.testing.assert_array_equal(weights(resumed.graph)[key], value)


def test_more_epochs_go_on_from_the_end(tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    hasn.train(net(), samples(), epochs=1, checkpoint=path)
    more = hasn.train(net(), samples(), epochs=2, checkpoint=path, resume=True)
    assert more.losses == hasn.train(net(), samples(), epochs=2).losses


def test_what_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    hasn.train(net(), samples(), epochs=1, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(FileError, match=r"exists and is kept.*resume=True"):
        hasn.train(net(), samples(), epochs=1, checkpoint=path)
    with pytest.raises(GraphError, match="checkpoint is of another graph"):
        hasn.train(net(hidden=lif(16, tau=6e-3)), samples(), epochs=1, checkpoint=path, resume=True)
    with pytest.raises(OptionError, match=r"batch_size: the checkpoint is of a training with another value.*wanted 32"):
        hasn.train(net(), samples(), epochs=1, batch_size=16, checkpoint=path, resume=True)
    with pytest.raises(OptionError, match=r"loss: the checkpoint is of a training with another value"):
        hasn.train(net(), samples(), epochs=1, loss=count(correct=0.5), checkpoint=path, resume=True)
    with pytest.raises(OptionError, match=r"resume: there is no checkpoint file"):
        hasn.train(net(), samples(), epochs=1, resume=True)
    assert path.read_bytes() == before
    path.write_bytes(before[: len(before) // 2])
    with pytest.raises(FileError, match="damaged"):
        hasn.train(net(), samples(), epochs=1, checkpoint=path, resume=True)
    with pytest.raises(FileError, match="no such folder"):
        hasn.train(net(), samples(), epochs=1, checkpoint=tmp_path / "missing" / "at.pt")


def test_a_learned_tau_may_differ_in_the_graph_that_resumes(tmp_path: Path) -> None:
    path = tmp_path / "at.pt"
    first = hasn.train(net(), samples(), epochs=1, checkpoint=path, learn="tau")
    again = hasn.train(net(hidden=lif(16, tau=6e-3)), samples(), epochs=1, checkpoint=path, resume=True, learn="tau")
    np.testing.assert_array_equal(again.graph.nodes["hidden"].tau, first.graph.nodes["hidden"].tau)


def test_the_callers_generators_are_left_alone() -> None:
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    expected = (torch.rand(()).item(), np.random.random(), random.random())
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    hasn.train(net(), samples(), epochs=1)
    assert (torch.rand(()).item(), np.random.random(), random.random()) == expected
