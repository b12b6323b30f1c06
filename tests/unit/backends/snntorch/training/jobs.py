"""What the tests of two processes have torchrun do: ``torchrun ... -m (this module) FOLDER``.

Every worker writes ``FOLDER/NAME.RANK.json``: losses, history and the trained arrays, or the error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hasn
from hasn.errors import HasnError
from tests.unit.backends.snntorch.training import pipeline_worker
from tests.unit.backends.snntorch.training.calls import (
    BASE,
    EQUAL,
    RANK,
    SILENT,
    UNEVEN,
    coded,
    overflowing,
    recurrent,
    sgd,
    silent_batches,
    silent_net,
)
from tests.unit.backends.snntorch.training.pipeline_nets import TWO
from tests.unit.backends.snntorch.training.task import net, samples, weights

#: How often torchrun has started the workers again.
START = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")


def told(result: Any) -> dict[str, Any]:
    """A result as JSON keeps it, to the last bit."""
    arrays = {name: value.tolist() for name, value in weights(result.graph).items()}
    history = [asdict(epoch) for epoch in result.history]
    rest = {"stopped": result.stopped, "steps": result.steps, "dropped": result.dropped}
    return {"weights": arrays, "losses": list(result.losses), "history": history, **rest}


def _as_they_stand(folder: Path) -> Any:
    """seed=None, and generators that stand elsewhere in every worker."""
    torch.manual_seed(RANK)
    return told(hasn.train(net(), coded, epochs=2, seed=None))


def _little_room(folder: Path) -> Any:
    """Worker 0 has room for 3 samples of 10 steps; what both were asked for."""
    from hasn.backends.snntorch.training.network import TrainedNetwork

    forward, asked = TrainedNetwork.forward, []

    def limited(self: TrainedNetwork, inputs: Any) -> Any:
        asked.append(inputs["in"].shape[1])
        if RANK == 0 and asked[-1] > 3:
            raise MemoryError
        return forward(self, inputs)

    TrainedNetwork.forward = limited  # type: ignore[method-assign]
    try:
        result = hasn.train(net(), samples(32), epochs=1, batch_size=16, optimizer=sgd, validation=samples(10))
    finally:
        TrainedNetwork.forward = forward  # type: ignore[method-assign]
    return {**told(result), "asked": asked}


def _ends(folder: Path) -> Any:
    """A checkpoint after the first of 3 epochs, for another number of workers to go on from."""
    return told(hasn.train(recurrent(), **{**BASE, **UNEVEN, "epochs": 1}, checkpoint=folder / "two.pt"))


def _goes_on(folder: Path) -> Any:
    """From a checkpoint that one process wrote, with gradients that wait."""
    call = {**EQUAL["threshold"], "epochs": 3, "checkpoint": folder / "one.pt", "resume": True}
    return told(hasn.train(recurrent(), **call))


class Writer:
    """A log's writer that counts."""

    def __init__(self) -> None:
        self.count = 0

    def add_scalar(self, tag: str, value: float, step: int) -> None:
        self.count += 1


def _who_tells(folder: Path) -> Any:
    seen, log = [], Writer()
    hasn.train(net(), samples(24), epochs=1, batch_size=8, progress=seen.append, log=log)
    return {"steps": [step.batch for step in seen], "logged": log.count}


def _given_group(folder: Path) -> Any:
    """In a process group of the caller's, which stays as it is."""
    torch.distributed.init_process_group("gloo")
    result = told(hasn.train(recurrent(), **EQUAL["float64"]))
    there = torch.distributed.is_initialized()
    torch.distributed.destroy_process_group()
    return {**result, "there": there}


def _own_group(folder: Path) -> Any:
    hasn.train(net(), samples(2), epochs=1)
    return {"there": torch.distributed.is_initialized()}


def broken(where: int, place: int) -> Iterator[Any]:
    """Batches that cannot be read in one worker."""
    inputs, labels = samples(24)
    for start in range(0, 24, 8):
        if (RANK, start) == (where, place):
            raise ValueError("the disk is gone")
        yield inputs[:, start : start + 8], labels[start : start + 8]


def refuse(step: Any) -> None:
    raise ZeroDivisionError("the callback is wrong")


def _poisoned() -> Any:
    """A NaN in the last sample, which is worker 1's."""
    inputs, labels = samples(24)
    inputs = inputs.copy()
    inputs[4, 23, 2] = np.nan
    return inputs, labels


#: name -> (graph, call) that fails, in one worker or in all.
FAILING: dict[str, Callable[[], Any]] = {
    "NaN": lambda: (net(), {"data": _poisoned(), "shuffle": False}),
    "label": lambda: (net(), {"data": (samples(8)[0], samples(8)[1] + 1)}),
    "data": lambda: (net(), {"data": list(broken(2, 0)) if RANK else lambda epoch: broken(0, 16)}),
    "data at once": lambda: (net(), {"data": [] if RANK else samples(24)}),
    "callback": lambda: (net(), {"data": samples(24), "progress": refuse}),
    "graph": lambda: (net(seed=RANK), {"data": samples(24)}),
    "option": lambda: (net(), {"data": samples(24), "batch_size": 8 + RANK}),
    "device": lambda: (net(), {"data": samples(24), "device": "cuda:99"}),
    "option in one": lambda: (net(), {"data": samples(24), "batch_size": 8 * RANK}),
    "other labels": lambda: (net(), {"data": samples(24, seed=RANK)}),
    "fewer samples": lambda: (net(), {"data": samples(24 - RANK)}),
    "validation": lambda: (net(), {"data": samples(24), "validation": samples(24 - RANK)}),
    "drift": lambda: (net(), {"data": samples(24), "schedule": _own_rate}),
}


def _own_rate(optimizer: Any) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0 + RANK)


def _failed(name: str) -> Any:
    graph, call = FAILING[name]()
    try:
        hasn.train(graph, epochs=2, **call)
    except Exception as error:  # of any kind: the test compares its name
        return {"error": type(error).__name__, "text": str(error), "hasn": isinstance(error, HasnError)}
    return {"error": None}


def dying(epoch: int) -> Iterator[Any]:
    """Batches; worker 1 is killed at the second one of the second epoch, the first time that torchrun starts it."""
    inputs, labels = samples(24)
    for place, start in enumerate(range(0, 24, 8)):
        if (RANK, epoch, place, os.environ.get("KILLED_AT_START")) == (1, 1, 1, START):
            os.kill(os.getpid(), signal.SIGKILL)
        yield inputs[:, start : start + 8], labels[start : start + 8]


def _killed(folder: Path) -> Any:
    """The first time, worker 0 writes down what it sees, whatever torchrun does meanwhile."""
    if os.environ.get("KILLED_AT_START") == START:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    seen: list[int] = []
    try:
        result = hasn.train(
            recurrent(), dying, epochs=3, checkpoint=folder / "killed.pt", checkpoint_every=1, resume=True,
            apply_after={"w2": 3}, progress=lambda step: seen.append(step.step),
        )  # fmt: skip
    except HasnError as error:
        text = {"error": type(error).__name__, "text": str(error), "seen": seen}
        (folder / f"gone.{RANK}.json").write_text(json.dumps(text))
        raise
    return {**told(result), "seen": seen}


def _undisturbed(folder: Path) -> Any:
    environ = os.environ.pop("KILLED_AT_START", None)
    try:
        return told(hasn.train(recurrent(), dying, epochs=3, apply_after={"w2": 3}))
    finally:
        os.environ["KILLED_AT_START"] = environ or ""


def _command_line(folder: Path) -> Any:
    """The command itself: what it prints."""
    from contextlib import redirect_stderr, redirect_stdout
    from io import StringIO

    from hasn.cli.app import app

    answers = {}
    for name, more in (("trains", []), ("fails", ["--learn", "delay"])):
        out, err = StringIO(), StringIO()
        command = ["train", str(folder / "net.nir"), "--data", str(folder / "data.npz"), "--epochs", "2", "--json"]
        with redirect_stdout(out), redirect_stderr(err):
            try:
                app([*command, "--batch-size", "8", "--out", str(folder / f"{name}.nir"), *more])
            except SystemExit as end:
                code = end.code
        answers[name] = {"code": code, "out": out.getvalue(), "err": err.getvalue()}
    return answers


JOBS: dict[str, Callable[[Path], Any]] = {
    "killed": _killed,
    "undisturbed": _undisturbed,
    "as they stand": _as_they_stand,
    "little room": _little_room,
    "overflow": lambda folder: told(hasn.train(net(), **overflowing(lambda: RANK == 1))),
    "ends": _ends,
    "goes on": _goes_on,
    "silent": lambda folder: told(hasn.train(silent_net(), silent_batches(), **SILENT)),
    "who tells": _who_tells,
    "given group": _given_group,
    "own group": _own_group,
    "command line": _command_line,
    **{name: lambda folder, call=call: told(hasn.train(recurrent(), **call)) for name, call in EQUAL.items()},  # type: ignore[misc]
    **{f"failing {name}": lambda folder, name=name: _failed(name) for name in FAILING},  # type: ignore[misc]
}


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    for job in JOBS:
        answer = JOBS[job](where)
        (where / f"{job}.{RANK}.json").write_text(json.dumps(answer))
    pipeline_worker.run(where, TWO)  # in the same launch; the last of them ends it
