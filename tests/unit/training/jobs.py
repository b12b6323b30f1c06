"""What the tests of many workers have torchrun do: ``torchrun ... -m tests.unit.training.jobs FOLDER NAME...``.

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

import nir
import numpy as np
import torch

import hasn
from hasn.errors import HasnError
from hasn.training import RateTarget
from tests.unit.training.task import DT, HIDDEN, net, samples, weights

RANK = int(os.environ.get("RANK", "0"))
#: How often torchrun has started the workers again.
START = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
#: 22 samples in batches of 7: uneven shares, and a last batch of 1 that leaves the second worker none.
UNEVEN: dict[str, Any] = {"data": samples(22), "batch_size": 7}
BASE: dict[str, Any] = {"epochs": 2, "learning_rate": 1e-2, "validation": samples(9, 5)}


def recurrent() -> nir.NIRGraph:
    """The task's net with delayed feedback of the hidden layer."""
    graph = net()
    graph.nodes["late"] = nir.Delay(np.full(HIDDEN, 2 * DT))
    graph.nodes["back"] = nir.Linear(np.random.default_rng(4).normal(0, 0.2, (HIDDEN, HIDDEN)))
    graph.edges = [*graph.edges, ("hidden", "late"), ("late", "back"), ("back", "hidden")]
    return graph


def sgd(groups: Any) -> Any:
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def loader() -> Any:
    """A DataLoader with a generator of its own, which stands elsewhere in every worker."""
    inputs, labels = samples(22)
    dataset = [(torch.as_tensor(inputs[:, i]), int(labels[i])) for i in range(22)]

    def side_by_side(items: list[Any]) -> Any:
        return torch.stack([x for x, _ in items], 1), torch.tensor([y for _, y in items])

    generator = torch.Generator().manual_seed(RANK)
    return torch.utils.data.DataLoader(
        dataset, batch_size=5, shuffle=True, generator=generator, collate_fn=side_by_side
    )  # type: ignore[arg-type,var-annotated]


def several_lengths() -> Any:
    """Sequences of 4, 7 and 10 steps."""
    inputs, labels = samples(22)
    return [inputs[: 4 + 3 * (i % 3), i] for i in range(22)], labels


#: name -> the call, without the graph: each must come out as in one process.
EQUAL: dict[str, dict[str, Any]] = {
    "float64": {**BASE, **UNEVEN, "precision": "float64"},
    "float32": {**BASE, **UNEVEN},
    "accumulation": {**BASE, **UNEVEN, "accumulate": 3, "optimizer": sgd, "clip": 0.05, "learn": ("tau", "threshold")},
    "best of it": {**BASE, **UNEVEN, "epochs": 6, "learning_rate": 0.1, "patience": 2, "keep_best": True},
    "regularised": {**BASE, **UNEVEN, "regularisers": [RateTarget(0.1, 10.0)], "recompute": 4},
    "DataLoader": {**BASE, "data": loader()},
    "several lengths": {**BASE, "data": several_lengths(), "budget": 35},
    "threshold": {**BASE, **UNEVEN, "apply_after": {"w1": 5, "back": 2}, "optimizer": sgd, "accumulate": 2},
}


def told(result: Any) -> dict[str, Any]:
    """A result as JSON keeps it, to the last bit."""
    arrays = {name: value.tolist() for name, value in weights(result.graph).items()}
    history = [asdict(epoch) for epoch in result.history]
    rest = {"stopped": result.stopped, "steps": result.steps, "dropped": result.dropped}
    return {"weights": arrays, "losses": list(result.losses), "history": history, **rest}


def coded(epoch: int) -> Iterator[Any]:
    """Batches that draw from a global generator while they are made."""
    inputs, labels = samples(24)
    for place in range(0, 24, 8):
        kept = torch.rand(inputs[:, place : place + 8].shape) > 0.1
        yield torch.as_tensor(inputs[:, place : place + 8]) * kept, labels[place : place + 8]


def _as_they_stand(folder: Path) -> Any:
    """seed=None, and generators that stand elsewhere in every worker."""
    torch.manual_seed(RANK)
    return told(hasn.train(net(), coded, epochs=2, seed=None))


def _little_room(folder: Path) -> Any:
    """Worker 0 has room for 3 samples of 10 steps; what both were asked for."""
    from hasn.training.network import TrainedNetwork

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


def overflowing(when: Callable[[], bool]) -> dict[str, Any]:
    """A training in half precision whose first loss overflows where ``when()`` says so."""
    calls = [0]

    def steep(outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        calls[0] += 1
        loss = torch.nn.functional.cross_entropy(outputs.sum(0).float(), labels)
        return loss * (1e36 if calls[0] == 1 and when() else 1.0)

    return {"data": samples(24), "epochs": 2, "batch_size": 8, "loss": steep, "amp": "fp16", "optimizer": sgd}


def silent_net() -> nir.NIRGraph:
    """The task's net without biases, so that what is silent passes no gradient at all."""
    graph = net()
    graph.nodes["w1"] = nir.Linear(graph.nodes["w1"].weight)
    return graph


def silent_batches() -> list[Any]:
    """Batches, some of which leave nodes without a gradient, and two that are silent in one worker's share alone."""
    inputs, labels = samples(30)
    parts = []
    for place, (start, end) in enumerate([(0, 4), (4, 9), (9, 11), (11, 12), (12, 18), (18, 22), (22, 28), (28, 30)]):
        part = inputs[:, start:end].copy()
        if place in (1, 6):
            part[:] = 0  # nothing reaches w1
        elif place in (2, 4):
            part *= 0.02  # nothing spikes, so nothing reaches w2
        elif place == 5:
            part[:, :2] = 0  # worker 0's samples
        elif place == 7:
            part[:, 1:] = 0  # worker 1's
        parts.append((part, labels[start:end]))
    return parts


#: A training that waits, in which K, accumulation, momentum, weight decay and clipping all act.
SILENT: dict[str, Any] = {
    "epochs": 3, "optimizer": lambda groups: torch.optim.SGD(groups, lr=0.2, momentum=0.9, weight_decay=0.01),
    "apply_after": {"w1": 5, "w2": 2}, "accumulate": 2, "clip": 0.1, "precision": "float64",
}  # fmt: skip


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
    for name, more in (("trains", []), ("fails", ["--loss", "membrane"])):
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
    for job in sys.argv[2:] or JOBS:
        answer = JOBS[job](where)
        (where / f"{job}.{RANK}.json").write_text(json.dumps(answer))
